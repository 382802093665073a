"""The page loop: fetch, store, deliver, commit, and again, until the window is through or the slice is over."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from apps.engine.delivery import Delivery
from apps.engine.plan import MAX_RECORDS
from apps.engine.ports import CheckpointValue, ConnectorError, Outage, Record
from apps.engine.records import Item, Malformed, Page
from apps.engine.result import PageResult
from apps.engine.run_delivery import RunDelivery, RunResult, StoredRun

MAX_SPOOLED = MAX_RECORDS
"""Records of an export that cannot resume: all of them are stored before the first page is delivered."""


@dataclass(slots=True)
class Fetched:
    """A page as it came from the source, numbered and packed; not yet durable."""

    items: list[Item]
    malformed: list[Malformed]
    payload: bytes
    position: Record
    checkpoint: CheckpointValue | None
    source_ref: str
    now: datetime

    @property
    def records(self) -> int:
        return len(self.items) + len(self.malformed)


class Reader(Protocol):
    """Pages of the export, one after the other."""

    is_resumable: bool

    def next(self) -> Fetched | None:
        """The next page, None when the window is through. Raises ConnectorError or Outage."""


class Journal(Protocol):
    """Where the facts of a run are kept. Each call is one transaction."""

    @property
    def is_exported(self) -> bool:
        """Whether every page of the window is stored."""

    def next_page(self) -> Page | None:
        """The first stored page that is not through, claimed; None if there is none. Raises Paused if it must wait."""

    def store(self, fetched: Fetched, *, claim: bool) -> Page:
        """Make a page durable before it is delivered. Raises Paused if it was stored and must wait."""

    def commit(self, page: Page, result: PageResult) -> bool:
        """The page commit. True: go on with the next page."""

    def restart_export(self) -> None:
        """Forget the pages that an export which cannot resume has stored before it was cut."""

    def end_export(self) -> None:
        """No further page will be fetched."""

    def fail_export(self, error: ConnectorError) -> None:
        """The window could not be read to its end: the run fails, the window stays open."""

    def wait_for_source(self, outage: Outage) -> None:
        """The export could not be reached: the run waits."""

    def finish(self) -> None:
        """Every page is through: end the run."""


class RunJournal(Journal, StoredRun, Protocol):
    """The journal of a run that is one scope."""

    next_ordinal: int
    """How many records are stored."""

    def cancel(self) -> bool:
        """Cancel the run if that was asked for; True if it is canceled now."""

    def commit_all(self, result: RunResult) -> bool:
        """Book all pages in one transaction. True: go on."""

    def give_back(self, result: RunResult) -> None:
        """Nothing was kept: the pages are delivered again, at once or after the wait; a run to be canceled ends."""


class Paused(Exception):  # noqa: N818 (not an error: the run goes on later)
    """Nothing can be done for this run now; it has been put aside with its due time."""


@contextmanager
def answering(journal: Journal) -> Iterator[None]:
    """What stops the export is answered by the journal, and leaves the block: the run waits, or has failed."""
    try:
        yield
    except Outage as outage:
        journal.wait_for_source(outage)
    except ConnectorError as error:
        journal.fail_export(error)


def work(delivery: Delivery, reader: Reader, journal: Journal, is_slice_over: Callable[[], bool]) -> bool:
    """Work on a run until it ends, must wait, or the slice is over (then True: there is more to do)."""
    if not reader.is_resumable and not spool(reader, journal):
        return False
    while True:
        page = next_page(reader, journal)
        if page is None:
            return False
        if not journal.commit(page, delivery.deliver(page)):
            return False
        if is_slice_over():
            return True


def work_as_one(
    delivery: RunDelivery, reader: Reader, journal: RunJournal, is_slice_over: Callable[[], bool], most: int
) -> bool:
    """Work on a run that is one scope: store all of it, then deliver all of it. Returns what `work` does."""
    if not journal.is_exported:
        is_over = store_all(reader, journal, is_slice_over, most)
        if is_over is not None:
            return is_over
    while True:
        try:
            result = delivery.deliver_all(journal)
        except Paused:
            return False
        except ConnectorError as error:
            journal.fail_export(error)
            return False
        if result.is_put_off:
            journal.give_back(result)
            return False
        if not result.pages:
            journal.finish()
            return False
        if not journal.commit_all(result):
            return False
        if is_slice_over():
            return True


def store_all(reader: Reader, journal: RunJournal, is_slice_over: Callable[[], bool], most: int) -> bool | None:
    """Store every page. None: all are stored; else the slice is over, and whether there is more to do."""
    if not reader.is_resumable:
        journal.restart_export()
    with answering(journal):
        while (fetched := reader.next()) is not None:
            if journal.next_ordinal + fetched.records > most:
                raise too_many_for_scope(most)
            journal.store(fetched, claim=False)
            if journal.cancel():
                return False
            if is_slice_over() and reader.is_resumable:
                return True
        journal.end_export()
        return None
    return False


def too_many_for_scope(most: int) -> ConnectorError:
    return ConnectorError(
        "too_many_for_scope",
        f"This run exports more than {most:,} records, which is the most that its scope run holds together "
        "(max_records). Nothing of it was kept. Export fewer at a time, or use the scope page.",
    )


def next_page(reader: Reader, journal: Journal) -> Page | None:
    """The next page to deliver; None when the run has ended or waits."""
    with suppress(Paused), answering(journal):
        page = journal.next_page()
        if page is not None:
            return page
        fetched = None if journal.is_exported else reader.next()
        if fetched is not None:
            return journal.store(fetched, claim=True)
        journal.finish()
    return None


def spool(reader: Reader, journal: Journal) -> bool:
    """Store every page before the first is delivered, for an export that cannot go on in the middle."""
    if journal.is_exported:
        return True
    journal.restart_export()
    spooled = 0
    with answering(journal):
        while (fetched := reader.next()) is not None:
            spooled += fetched.records
            if spooled > MAX_SPOOLED:
                raise too_many_to_spool()
            journal.store(fetched, claim=False)
        journal.end_export()
        return True
    return False


def too_many_to_spool() -> ConnectorError:
    return ConnectorError(
        "too_many_to_spool",
        f"This export has more than {MAX_SPOOLED:,} records and cannot resume in the middle. "
        "Name unique columns (or another order that can be resumed) in its options.",
    )
