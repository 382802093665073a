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

A topic that tells everyone who sees the same with the same rights and preferences the same (`shared=True`) is worked
out once a second for all their tabs; what it tells is then at most a second old (`sharing`).
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import Http404, HttpRequest
from django.middleware.csrf import get_token
from django.urls import reverse

from apps.console import sharing

BETWEEN = "~"  # between the versions of several topics, in their order
MOST_TOPICS = 8


def whole(version: str) -> str:
    return version


def nothing(version: str) -> str:
    return ""


@dataclass(frozen=True)
class Told:
    """A topic's version (letters, digits, `.`, `-`, `_`, `:`) and its fragments, given the version of the page.

    `depends`: the part of the page's version that makes a difference to the fragments; pages that have it in common
    are told the same.
    """

    version: str
    fragments: Callable[[str], Iterable[str]]
    depends: Callable[[str], str] = whole


Teller = Callable[[HttpRequest, str], Told]
TOPICS: dict[str, Teller] = {}
SHARED: set[str] = set()


def topic(name: str, *, shared: bool = False) -> Callable[[Teller], Teller]:
    """Registers who tells about `name` and `name:<key>`; the key is "" for a topic without one."""

    def register(teller: Teller) -> Teller:
        TOPICS[name] = teller
        if shared:
            SHARED.add(name)
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
    if name not in SHARED:
        return TOPICS[name](request, key)
    return sharing.shared(request, ("told", text), lambda: TOPICS[name](request, key))


def news(request: HttpRequest, topics: list[str], version: str) -> tuple[str, list[str]]:
    """The version of now and the fragments of the topics that have moved on since `version`; none: nothing has."""
    names = topics[:MOST_TOPICS]
    told = tell(request, names)
    known = version.split(BETWEEN)
    seen = known if len(known) == len(told) else [""] * len(told)
    moved = [(name, item, since) for name, item, since in zip(names, told, seen, strict=True) if item.version != since]
    return BETWEEN.join(item.version for item in told), [_text(request, *each) for each in moved]


def _text(request: HttpRequest, name: str, item: Told, since: str) -> str:
    """The fragments of a topic, with the reader's own token in their forms."""
    if name.partition(":")[0] not in SHARED:
        return "\n".join(item.fragments(since))
    key = ("text", name, item.version, item.depends(since))
    text = sharing.shared(request, key, lambda: TOKEN.sub(r"\1", "\n".join(item.fragments(since))))
    return TOKEN.sub(lambda found: f"{found[1]}{get_token(request)}", text) if "csrfmiddlewaretoken" in text else text


TOKEN = re.compile(r'(name="csrfmiddlewaretoken" value=")[^"]*')
