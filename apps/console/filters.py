"""Filters of a list: each is a query parameter, so a list can be shared, bookmarked and used without a script."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.http import HttpRequest, QueryDict


@dataclass(frozen=True)
class Choice:
    """One value of a filter, with the address that chooses it."""

    value: str
    label: str
    href: str
    is_chosen: bool


@dataclass(frozen=True)
class Filter:
    """A filter that shows its name and value; `clear_href` leads to its default and is blank while it has it."""

    name: str
    label: str
    shown: str
    choices: tuple[Choice, ...]
    clear_href: str = ""

    @property
    def is_on(self) -> bool:
        return bool(self.clear_href)


def choice_filter(
    request: HttpRequest, name: str, label: str, options: Iterable[tuple[str, str]], default: str = ""
) -> Filter:
    """A filter with these (value, label) options; what the address says beside them is taken for the default."""
    known = list(options)
    asked = request.GET.get(name, default)
    chosen = asked if asked in dict(known) else default
    choices = tuple(
        Choice(value, text, address_with(request, **{name: "" if value == default else value}), value == chosen)
        for value, text in known
    )
    shown = next((choice.label for choice in choices if choice.is_chosen), "")
    return Filter(name, label, shown, choices, "" if chosen == default else address_with(request, **{name: ""}))


def address_with(request: HttpRequest, **changes: str) -> str:
    """This page's address with these parameters; a blank one goes, and so does the page of the list."""
    query = QueryDict(mutable=True)
    query.update(request.GET)
    for name in ("page", "cursor", "format"):
        query.pop(name, None)
    for name, value in changes.items():
        query.pop(name, None)
        if value:
            query[name] = value
    text = query.urlencode(safe=":,")
    return f"{request.path}?{text}" if text else request.path


def hidden_fields(request: HttpRequest, *without: str) -> list[tuple[str, str]]:
    """The other parameters, for a form that sends only some of them."""
    skipped = {"page", "cursor", "format", *without}
    return [(name, value) for name in request.GET if name not in skipped for value in request.GET.getlist(name)]
