"""Reads ahead: the next page is fetched, numbered and packed in a thread while the present one is delivered."""

import logging
import queue
import threading
from collections.abc import Iterator
from datetime import datetime
from time import monotonic

from apps.engine.loop import Fetched
from apps.engine.ports import ConnectorError, ErrorSource, Outage, Source
from apps.engine.records import KeyOf, number_records, pack

AHEAD = 2
"""Pages that wait in memory at most."""
CLOSE_PATIENCE_S = 5.0
"""How long a read that hangs may hold up the end of a slice; it ends when its connection is closed, or by itself."""

logger = logging.getLogger(__name__)


class ReadAhead:
    """Pages of a source, one after the other. Errors of the source are raised where the page is asked for."""

    def __init__(self, source: Source, *, key_of: KeyOf, first_ordinal: int, now: datetime) -> None:
        self.is_resumable = source.resumable
        self._source = source
        self._key_of = key_of
        self._ordinal = first_ordinal
        self._now = now
        self._pages: queue.Queue[Fetched | BaseException | None] = queue.Queue(maxsize=AHEAD)
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_over = False

    def next(self) -> Fetched | None:
        """The next page, None when the window is through. Raises what the source raised."""
        if self._is_over:
            return None
        if self._thread is None:
            self._thread = threading.Thread(target=self._read, name="read ahead", daemon=True)
            self._thread.start()
        page = self._pages.get()
        self._is_over = not isinstance(page, Fetched)
        if isinstance(page, ConnectorError):
            raise page
        if isinstance(page, BaseException):
            raise component_error(page) from page
        return page

    def close(self) -> None:
        self._closed.set()
        if self._thread is None:
            self._source.close()
            return
        patience = monotonic() + CLOSE_PATIENCE_S
        while self._thread.is_alive() and monotonic() < patience:
            self._drain()
            self._thread.join(timeout=0.05)

    def _drain(self) -> None:
        try:
            while True:
                self._pages.get_nowait()
        except queue.Empty:
            return

    def _read(self) -> None:
        last: BaseException | None = None
        try:
            for page in fetched(self._source, self._key_of, self._ordinal, self._now):
                if not self._offer(page):
                    return
        except BaseException as error:
            last = error
        finally:
            self._close_source()  # before the end is told: who hears of it may move the file away
            self._offer(last)

    def _close_source(self) -> None:
        try:
            self._source.close()
        except Outage:
            return  # the connection is gone already
        except Exception:
            logger.exception("A source could not be closed.")

    def _offer(self, page: Fetched | BaseException | None) -> bool:
        """Hand a page over; False once nobody wants it any more."""
        while not self._closed.is_set():
            try:
                self._pages.put(page, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False


class NoSource:
    """The export could not be opened: told only when a page of it is asked for, behind those that are stored."""

    is_resumable = True

    def __init__(self, error: ConnectorError) -> None:
        self._error = error

    def next(self) -> Fetched | None:
        raise self._error

    def close(self) -> None:
        """Nothing was opened."""


class ReadInPlace:
    """Reads in the worker's own thread, for sources in Flowmend's own database: a second connection gains nothing."""

    def __init__(self, source: Source, *, key_of: KeyOf, first_ordinal: int, now: datetime) -> None:
        self.is_resumable = source.resumable
        self._source = source
        self._pages = fetched(source, key_of, first_ordinal, now)

    def next(self) -> Fetched | None:
        return next(self._pages, None)

    def close(self) -> None:
        self._source.close()


def reader_of(source: Source, *, key_of: KeyOf, first_ordinal: int, now: datetime) -> ReadAhead | ReadInPlace:
    reader = ReadAhead if getattr(source, "in_thread", True) else ReadInPlace
    return reader(source, key_of=key_of, first_ordinal=first_ordinal, now=now)


def fetched(source: Source, key_of: KeyOf, ordinal: int, now: datetime) -> Iterator[Fetched]:
    """The pages of a source, numbered from `ordinal` on and packed."""
    for page in source.pages():
        items, malformed = number_records(page.records, ordinal, key_of)
        ordinal += len(page.records)
        payload = pack(items, malformed)
        yield Fetched(items, malformed, payload, page.position, page.checkpoint, page.source_ref, now)


def component_error(error: BaseException) -> ConnectorError:
    """A failure of the connector itself while it read."""
    name = type(error).__name__
    return ConnectorError(name, f"The connector failed while it read: {name}: {error}", source=ErrorSource.INTERNAL)
