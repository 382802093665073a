"""The export: one request after the other, each answer handed on as a page (or several, where it holds too many).

Position: the state of the request to send next. Where one answer becomes several pages it also says how many of its
records are through, and what they were: if the answer has changed by then, nothing is guessed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

from yarl import URL

from apps.connectors.http.client import HttpClient
from apps.connectors.http.documents import Document, DocumentError, Row, parse_path, row_of, rows_at
from apps.connectors.http.incremental import Progress
from apps.connectors.http.options import EXPORT_NAMES, HttpExportOptions
from apps.connectors.http.paging import Pager, State
from apps.connectors.http.reading import document_error, document_of, read, refusal
from apps.connectors.http.requests import NOTHING, InputError, Parts, RequestMaker, set_at
from apps.connectors.http.wire import Answer, Request
from apps.engine.ports import Classification, ConnectorError, ErrorSource, Record, Scope, SourcePage, Window
from apps.engine.records import to_json


@dataclass(slots=True)
class Fetched:
    """The records of one answer, and the state of the request after it."""

    request: Request
    rows: list[Any] = field(default_factory=list)
    is_strict: bool = True
    following: State | None = None


class HttpSource:
    """An opened export. It can go on after every page it handed out."""

    resumable = True

    def __init__(self, client: HttpClient, options: HttpExportOptions, window: Window) -> None:
        self.in_order = options.ordered
        self._client = client
        self._options = options
        self._window = window
        self._pager = Pager(options, window.page_size)
        self._progress = Progress(options, window)
        self._path = parse_path(options.record_path)
        self._maker = RequestMaker(client.config.base_url, parts_of(options))
        self._is_closed = False
        position = window.position or {}
        self._state: State | None = position.get("next", self._pager.first())
        self._skip: int = position.get("skip", 0)
        self._skipped: str = position.get("skipped", "")
        self._count: int = position.get("count", 0)
        self._progress.restore(position.get("progress", {}))

    def pages(self) -> Iterator[SourcePage]:
        state, is_first = self._state, self._window.position is None
        while state is not None and not self._is_closed:
            fetched = self._fetch(state)
            if fetched.rows or is_first or fetched.following is None:
                yield from self._cut(fetched, state)
            is_first = False
            state = fetched.following

    def finish(self) -> None:
        """Nothing to do: what was read stays where it is."""

    def close(self) -> None:
        self._is_closed = True

    # --- asking ------------------------------------------------------------------------------------------------------
    def _fetch(self, state: State) -> Fetched:
        request = self._request(state)
        answer = self._client.run(read(self._client, request))
        if self._pager.is_end(answer, state):
            return Fetched(request)
        if not answer.is_good:
            raise refusal(self._client, request, answer, ErrorSource.APPLICATION)
        document = document_of(self._client, request, answer)
        rows = self._rows(request, document, answer)
        following = self._pager.next(state, document.root, answer, len(rows))
        if following is not None and "url" in following:
            following = {"url": str(self._client.own_address(URL(following["url"], encoded=True)))}
        return Fetched(request, rows, document.is_strict, following)

    def _rows(self, request: Request, document: Document, answer: Answer) -> list[Any]:
        if answer.status == 204:
            return []
        try:
            return rows_at(document.root, self._path, self._options.record_path)
        except DocumentError as error:
            raise document_error(self._client, request, error, ErrorSource.APPLICATION) from None

    def _request(self, state: State) -> Request:
        parameters = {} if "url" in state else self._pager.parameters(state)
        query = parameters if self._options.paging_in == "query" else {}
        try:
            body = self._body(parameters) if self._options.method == "POST" else NOTHING
            request = self._maker.make({}, self._scope(), body=body, query=query)
        except InputError as error:
            raise error.as_error(ErrorSource.APPLICATION) from None
        if "url" not in state:
            return request
        return replace(request, url=URL(state["url"], encoded=True))

    def _body(self, parameters: Record) -> Any:
        body = self._maker.body({}, self._scope())
        if self._options.paging_in == "body":
            body = {} if body is NOTHING else body
            for path, value in parameters.items():
                body = set_at(body, path, value)
        return body

    def _scope(self) -> Scope:
        window, progress = self._window, self._progress
        run: Record = {
            "parameters": dict(window.parameters),
            "start": window.start,
            "end": window.end,
            "since": progress.since(),
            "until": progress.until(),
        }
        return Scope(window.now, window.flow, run, window.settings)

    # --- handing on --------------------------------------------------------------------------------------------------
    def _cut(self, fetched: Fetched, state: State) -> Iterator[SourcePage]:
        """Pages of at most the flow's size out of one answer."""
        size, rows = self._window.page_size, fetched.rows
        at = self._passed_over(rows)
        while True:
            part = rows[at : at + size]
            begin, at = at, at + len(part)
            is_last = at >= len(rows)
            records = self._records(part, fetched, begin)
            position: Record = {"next": fetched.following} if is_last else self._middle(state, rows, at)
            self._count += len(part)
            position |= {"count": self._count, "progress": self._progress.saved()}
            yield SourcePage(records, position, self._progress.checkpoint(), self._reference(fetched, begin, at))
            if is_last:
                return

    def _middle(self, state: State, rows: list[Any], at: int) -> Record:
        return {"next": state, "skip": at, "skipped": digest(rows[:at])}

    def _passed_over(self, rows: list[Any]) -> int:
        """Where to go on in the first answer after a break. Raises ConnectorError if it is not the same any more."""
        skip, self._skip = self._skip, 0
        if skip and digest(rows[:skip]) != self._skipped:
            text = (
                "The application's answer has changed since a part of its records was read, so it cannot be said "
                "where to go on. Start the run again, or let the application give smaller pages."
            )
            raise ConnectorError("source_changed", text, classification=Classification.VALUE)
        return skip

    def _records(self, rows: list[Any], fetched: Fetched, begin: int) -> list[Row]:
        made: list[Row] = []
        for number, value in enumerate(rows, self._count + 1):
            row = row_of(value, f"record {number:,}", is_strict=fetched.is_strict)
            if not isinstance(row, dict) or self._progress.is_new(row):
                made.append(row)
        return made

    def _reference(self, fetched: Fetched, begin: int, end: int) -> str:
        where = f"{fetched.request.method} {self._client.redactor.text(fetched.request.url.path_qs)}"
        return f"{where}, records {begin + 1:,} to {end:,}" if end > begin else f"{where}, no records"


def parts_of(options: HttpExportOptions) -> Parts:
    return Parts(
        options.method,
        options.path,
        options.query,
        options.headers,
        options.body,
        names=EXPORT_NAMES,
        is_read=True,
        is_alone=True,
    )


def digest(rows: list[Any]) -> str:
    return blake2b(to_json(rows), digest_size=16).hexdigest()
