"""The export of a webhook: what waits when the run begins, in the order in which it arrived."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from apps.connectors.arrivals import Arrivals, Arrived
from apps.connectors.webhook.body import UnfitBodyError, found_at, kind_of, parse_body
from apps.connectors.webhook.config import WebhookExportOptions
from apps.engine.ports import BadRecord, Classification, ErrorSource, Failure, Record, SourcePage, Window

PAGE_BYTES = 8 * 1024 * 1024
"""A page ends once the requests it is made of are larger than this together."""
READ_AT_ONCE = 200
SHOWN_BYTES = 64 * 1024
HEADERS_FIELD = "_headers"


@dataclass(slots=True)
class Gathering:
    """The page in the making: its records, and which requests they came from."""

    rows: list[Record | BadRecord] = field(default_factory=list)
    bytes: int = 0
    first: int = 0
    last: int = 0

    def is_full(self, page_size: int) -> bool:
        return len(self.rows) >= page_size or self.bytes > PAGE_BYTES


class WebhookSource:
    """Position: the last request that was handed on as a whole, and how many records of the one after it were.

    There is no checkpoint: a request is forgotten when all its records are through, and until then it waits.
    """

    resumable = True
    in_order = True
    in_thread = False
    """Read in the worker's own thread: what waits stands in Flowmend's own database."""

    def __init__(self, arrivals: Arrivals, options: WebhookExportOptions, window: Window) -> None:
        self._arrivals = arrivals
        self._options = options
        self._window = window
        position = window.position or {}
        self._after: int = position.get("after", 0)
        self._at: int = position.get("at", 0)

    def pages(self) -> Iterator[SourcePage]:
        self._arrivals.take()
        page = Gathering()
        while arrived := self._arrivals.after(self._after, READ_AT_ONCE):
            for one in arrived:
                rows = self._rows(one)
                skipped = self._at or one.given
                for at in range(skipped, len(rows)):
                    self._add(page, one, rows[at], at + 1)
                    if page.is_full(self._window.page_size) and at + 1 < len(rows):
                        yield self._page(page)
                        page = Gathering()
                self._after, self._at = one.number, 0
                page.bytes += len(one.body)
                if page.rows and page.is_full(self._window.page_size):
                    yield self._page(page)
                    page = Gathering()
        if page.rows:
            yield self._page(page)

    def finish(self) -> None:
        """Every page is through: forget the requests that were handed on."""
        self._arrivals.discard(self._after)

    def close(self) -> None:
        """Nothing is held open."""

    def _add(self, page: Gathering, one: Arrived, row: Record | BadRecord, at: int) -> None:
        page.rows.append(row)
        page.first = page.first or one.number
        page.last = one.number
        self._at = at

    def _page(self, page: Gathering) -> SourcePage:
        where = f"request {page.first}" if page.first == page.last else f"requests {page.first} to {page.last}"
        return SourcePage(page.rows, {"after": self._after, "at": self._at}, None, where)

    def _rows(self, one: Arrived) -> list[Record | BadRecord]:
        """The records of a request. What does not fit the step's options (any more) is a bad record, never lost."""
        try:
            entries = found_at(parse_body(one.body), self._options.record_path)
        except UnfitBodyError as error:
            return [bad_record(one, f"request {one.number}", str(error))]
        return [self._row(one, entry, at) for at, entry in enumerate(entries, 1)]

    def _row(self, one: Arrived, entry: object, at: int) -> Record | BadRecord:
        if not isinstance(entry, dict):
            what = f"Entry {at} of the array is {kind_of(entry)}; each must be an object."
            return bad_record(one, f"request {one.number}, entry {at}", what)
        names = self._options.include_headers
        if not names:
            return entry
        return {**entry, HEADERS_FIELD: {name: one.headers[name] for name in names if name in one.headers}}


def bad_record(one: Arrived, place: str, what: str) -> BadRecord:
    failure = Failure(ErrorSource.APPLICATION, "body_unfit", f"{place}: {what}", Classification.PARSE)
    return BadRecord(one.body[:SHOWN_BYTES], place, failure)
