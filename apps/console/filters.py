"""Filters of a list: each is a query parameter, so a list can be shared, bookmarked and used without a script."""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

from django.http import HttpRequest, QueryDict
from django.utils.safestring import SafeString

PLACE = ("page", "top", "cursor", "format")
"""What an address says of the place in a list; `top` is where the list began when its reader came."""

UNQUOTED = ":,"


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

    @property
    def links(self) -> SafeString:
        """All choices as links. Put together here: of hundreds of flows a template takes most of a page's time."""
        return SafeString("".join(map(_link, self.choices)))


def _link(choice: Choice) -> str:
    current = ' aria-current="true"' if choice.is_chosen else ""
    return f'<a href="{escape(choice.href)}"{current}>{escape(str(choice.label))}</a>'


def choice_filter(
    request: HttpRequest, name: str, label: str, options: Iterable[tuple[str, str]], default: str = ""
) -> Filter:
    """A filter with these (value, label) options; what the address says beside them is taken for the default."""
    known = list(options)
    asked = request.GET.get(name, default)
    chosen = asked if asked in dict(known) else default
    without = address_with(request, **{name: ""})
    joint = f"{without}{'&' if '?' in without else '?'}{quote(name, UNQUOTED)}="
    choices = tuple(
        Choice(value, text, without if value in ("", default) else joint + quote(value, UNQUOTED), value == chosen)
        for value, text in known
    )
    shown = next((choice.label for choice in choices if choice.is_chosen), "")
    return Filter(name, label, shown, choices, "" if chosen == default else without)


def address_with(request: HttpRequest, **changes: str) -> str:
    """This page's address with these parameters; a blank one goes, and so does the place in the list."""
    query = QueryDict(mutable=True)
    query.update(request.GET)
    for name in PLACE:
        query.pop(name, None)
    for name, value in changes.items():
        query.pop(name, None)
        if value:
            query[name] = value
    text = query.urlencode(safe=UNQUOTED)
    return f"{request.path}?{text}" if text else request.path


def hidden_fields(request: HttpRequest, *without: str) -> list[tuple[str, str]]:
    """The other parameters, for a form that sends only some of them."""
    skipped = {*PLACE, *without}
    return [(name, value) for name in request.GET if name not in skipped for value in request.GET.getlist(name)]


@dataclass(frozen=True)
class SortLink:
    """The head of a column that sorts; `state` is blank unless the list is in its order."""

    href: str
    state: str = ""  # ascending or descending

    @property
    def icon(self) -> str:
        return {"ascending": "arrow-up", "descending": "arrow-down"}.get(self.state, "")


def sort_links(
    request: HttpRequest, names: Iterable[str], chosen: str, words: Iterable[str] = ()
) -> dict[str, SortLink]:
    """A link per column: a second click turns the order. Numbers start with the largest, `words` with the first."""
    ascending_first = set(words)
    links = {}
    for name in names:
        up, down = name, f"-{name}"
        first, second = (up, down) if name in ascending_first else (down, up)
        state = {up: "ascending", down: "descending"}.get(chosen, "")
        links[name] = SortLink(address_with(request, sort=second if chosen == first else first), state)
    return links
