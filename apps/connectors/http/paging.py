"""How an application divides what it gives, and where the next page is.

Each way of paging turns the state of a request (plain JSON, so that a run can go on there) and its answer into the
state of the next request, or None at the end.
"""

from collections import deque
from hashlib import blake2b
from typing import Any

from yarl import URL

from apps.connectors.http.documents import MISSING, parse_path, value_at
from apps.connectors.http.options import HttpExportOptions
from apps.connectors.http.wire import Answer
from apps.engine.ports import Classification, ConnectorError, Record

State = dict[str, Any]
REMEMBERED = 100_000
"""Places that were asked for and are known again; an endless circle is shorter."""


class Pager:
    """Paging by the options of an export. Guards against circles and against an application that ignores it."""

    def __init__(self, options: HttpExportOptions, page_size: int) -> None:
        self._options = options
        self._size = options.size or (page_size if options.size_param else 0)
        self._paths = {name: parse_path(getattr(options, name)) for name in ("cursor_path", "next_path", "more_path")}
        self._seen: set[bytes] = set()
        self._order: deque[bytes] = deque()
        self._last_body = b""

    def first(self) -> State:
        return {"page": {"page": self._options.first_page}, "offset": {"offset": 0}}.get(self._options.paging, {})

    def parameters(self, state: State) -> Record:
        """What a request says about the page that it wants."""
        options = self._options
        found: Record = {options.size_param: self._size} if options.size_param else {}
        if options.paging == "page":
            found[options.page_param] = state["page"]
        elif options.paging == "offset":
            found[options.offset_param] = state["offset"]
        elif options.paging == "cursor" and "cursor" in state:
            found[options.cursor_param] = state["cursor"]
        return found

    def is_end(self, answer: Answer, state: State) -> bool:
        """Whether a refusal says that there is no further page."""
        is_counted = self._options.paging in ("page", "offset")
        return answer.status == 404 and is_counted and self._options.last_page == "not_found" and state != self.first()

    def next(self, state: State, document: Any, answer: Answer, count: int) -> State | None:
        """The state of the next request. Raises ConnectorError for a circle."""
        if self._options.paging == "none" or self._says_no_more(document):
            return None
        if self._options.paging in ("page", "offset"):
            found = self._counted(state, answer, count)
        elif self._options.paging == "cursor":
            found = self._cursor(document)
        else:
            found = self._address(document, answer)
        if found is not None:
            self._remember(found)
        return found

    # --- the ways ----------------------------------------------------------------------------------------------------
    def _says_no_more(self, document: Any) -> bool:
        path = self._paths["more_path"]
        return bool(path) and value_at(document, path) in (False, None, MISSING, "false", 0, "")

    def _counted(self, state: State, answer: Answer, count: int) -> State | None:
        if not count:
            return None
        if self._options.last_page == "short" and count < self._size:
            return None
        body = blake2b(answer.body, digest_size=16).digest()
        if body == self._last_body:
            name = self._options.page_param if self._options.paging == "page" else self._options.offset_param
            raise circle(f'gives the same page again and again: it seems to ignore the parameter "{name}"')
        self._last_body = body
        if self._options.paging == "page":
            return {"page": state["page"] + 1}
        return {"offset": state["offset"] + count}

    def _cursor(self, document: Any) -> State | None:
        cursor = value_at(document, self._paths["cursor_path"])
        if cursor is MISSING or cursor is None or cursor is False or cursor == "":
            return None
        if not isinstance(cursor, str | int | float):
            text = f'The cursor at "{self._options.cursor_path}" is neither a text nor a number.'
            raise ConnectorError("cursor_value", text, classification=Classification.VALUE)
        return {"cursor": cursor}

    def _address(self, document: Any, answer: Answer) -> State | None:
        if self._options.paging == "link_header":
            found = next_link(answer)
        else:
            found = value_at(document, self._paths["next_path"])
        if not isinstance(found, str) or not found.strip():
            return None
        try:
            url = answer.url.join(URL(found.strip()))
            is_web = url.scheme in ("http", "https") and bool(url.host) and not url.user
        except ValueError:
            is_web = False
        if not is_web:
            text = "The address of the next page that the application gives is no web address."
            raise ConnectorError("address_value", text, classification=Classification.VALUE)
        return {"url": str(url.with_fragment(None))}

    def _remember(self, state: State) -> None:
        mark = blake2b(repr(sorted(state.items())).encode("utf-8", "replace"), digest_size=16).digest()
        if mark in self._seen:
            raise circle("leads back to a page that was read already, so it would never end")
        self._seen.add(mark)
        self._order.append(mark)
        if len(self._order) > REMEMBERED:
            self._seen.discard(self._order.popleft())


def circle(what: str) -> ConnectorError:
    text = f"The application {what}. Check how the paging of the export is set."
    return ConnectorError("paging_loop", text, classification=Classification.VALUE)


def next_link(answer: Answer) -> str:
    """The address that a `Link` header calls next (RFC 8288); "" if there is none."""
    for header in answer.headers.getall("Link", []):
        for address, parameters in links(header[:16_000]):
            if "next" in parameters.get("rel", "").lower().split():
                return address
    return ""


def links(header: str) -> list[tuple[str, dict[str, str]]]:
    """`<address>; rel="next", …` as addresses with their parameters."""
    found = []
    rest = header
    while (begin := rest.find("<")) >= 0 and (end := rest.find(">", begin)) >= 0:
        address, rest = rest[begin + 1 : end].strip(), rest[end + 1 :]
        following = rest.find("<")
        own = rest if following < 0 else rest[:following]
        parameters: dict[str, str] = {}
        for part in own.rstrip().rstrip(",").split(";")[1:]:
            name, _, value = part.partition("=")
            parameters.setdefault(name.strip().lower(), value.strip().strip('",').strip())
        found.append((address, parameters))
        rest = rest if following < 0 else rest[following:]
    return found
