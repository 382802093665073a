"""The menus of tags and assignees, for every list that takes these filters."""

from django.http import HttpRequest

from apps.accounts.selectors import person
from apps.console.filters import Filter, choice_filter
from apps.console.selectors.error_filters import ASSIGNEES
from apps.console.selectors.notes import Notable

ANYONE = [("", "anyone"), *ASSIGNEES.items()]
NAMELESS = "this one"  # of what the address names and no menu holds


def note_filters(request: HttpRequest, notable: Notable, *, is_narrow: bool = False) -> list[Filter]:
    """Tag and assignee as menus; a narrow list shows those that are chosen."""
    known = [
        ("tag", "Tag", [("", "any")], [(str(tag.pk), tag.name) for tag in notable.tags]),
        ("assignee", "Assigned", ANYONE, [(str(member.pk), person(member)) for member in notable.members]),
    ]
    return [
        choice_filter(request, name, label, [*first, *with_chosen(request.GET.get(name, ""), [*first, *rest], rest)])
        for name, label, first, rest in known
        if not is_narrow or request.GET.get(name)
    ]


def with_chosen(chosen: str, known: list[tuple[str, str]], rest: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The rest of a menu's choices; what the address names is among them in any case."""
    return rest if chosen in dict(known) else [*rest, (chosen, NAMELESS)]
