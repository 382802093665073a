"""What `/live/` tells: for each topic on a page a version and, when it has moved on, the cells that changed.

A page passes `live_url=live_address(request, "shell", "flow:12")` to its template; the script asks that address every
few seconds. A module registers its topics with `@topic("flow")`:

    @topic("flow")
    def flow_told(request: HttpRequest, key: str) -> Told:
        flow = get_flow(request, int(key))            # the permission, as everywhere
        return Told(version=..., fragments=lambda since: [render_to_string("flow/_live.html", {...})])

The version comes from cheap indexed facts. `fragments` is called only when the version differs, with the version that
the page has; each string holds elements with an id that is on the page and `hx-swap-oob="true"`; cells and rows of
tables stand inside `<template>`, for the HTML parser. An element that has not changed is not swapped by the script.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import Http404, HttpRequest
from django.urls import reverse

BETWEEN = "~"  # between the versions of several topics, in their order
MOST_TOPICS = 8


@dataclass(frozen=True)
class Told:
    """A topic's version (letters, digits, `.`, `-`, `_`, `:`) and its fragments, given the version of the page."""

    version: str
    fragments: Callable[[str], Iterable[str]]


Teller = Callable[[HttpRequest, str], Told]
TOPICS: dict[str, Teller] = {}


def topic(name: str) -> Callable[[Teller], Teller]:
    """Registers who tells about `name` and `name:<key>`; the key is "" for a topic without one."""

    def register(teller: Teller) -> Teller:
        TOPICS[name] = teller
        return teller

    return register


def live_address(request: HttpRequest, *topics: str) -> str:
    """The address for `live_url` of a page that was read just now."""
    version = BETWEEN.join(told.version for told in tell(request, topics))
    query = urlencode({"t": ",".join(topics), "v": version}, safe=":,~")
    return f"{reverse('console:live')}?{query}"


def tell(request: HttpRequest, topics: Iterable[str]) -> list[Told]:
    """What there is to tell about each topic. Raises Http404 for one that does not exist or is out of reach."""
    return [_told(request, name) for name in topics]


def _told(request: HttpRequest, text: str) -> Told:
    name, _, key = text.partition(":")
    if name not in TOPICS:
        raise Http404(f"There is no live topic {name[:40]!r}.")
    return TOPICS[name](request, key)


def news(request: HttpRequest, topics: list[str], version: str) -> tuple[str, list[str]]:
    """The version of now and the fragments of the topics that have moved on since `version`; none: nothing has."""
    told = tell(request, topics[:MOST_TOPICS])
    known = version.split(BETWEEN)
    seen = known if len(known) == len(told) else [""] * len(told)
    return BETWEEN.join(item.version for item in told), list(_fragments(told, seen))


def _fragments(told: list[Told], seen: list[str]) -> Iterator[str]:
    for item, version in zip(told, seen, strict=True):
        if item.version != version:
            yield from item.fragments(version)
