"""The page loop of a run whose pages are at work at once: its owner reads ahead and stores, all its workers deliver.

Each takes the next stored page that nobody delivers; which worker books a page, and in which order, does not matter.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from apps.engine.delivery import Delivery
from apps.engine.loop import Journal, Paused, Reader, answering, spool
from apps.engine.ports import ConnectorError
from apps.engine.records import Page

PATIENCE = 20
"""How often in a row a worker finds nothing to take before it leaves."""


class Nothing(Enum):
    """Why there is no page to take: others have them, or the limit is reached; or every stored page is through."""

    NOW = 0
    LEFT = 1


class SharedJournal(Journal, Protocol):
    """The journal of a run whose pages are shared among workers."""

    def wants_more(self) -> bool:
        """Whether another page should be fetched: few are stored that are not through, and the run is to go on."""

    def take_page(self) -> Page | Nothing:
        """The first stored page that nobody delivers, claimed. Raises Paused once there is nothing to do here."""

    def wait_for_others(self) -> None:
        """Put the run aside until the pages that other workers have are booked, or given up."""


@dataclass
class Feed:
    """The export of a shared run. What stops it is answered behind the last page that came before."""

    reader: Reader
    journal: SharedJournal
    stopped_by: ConnectorError | None = None

    def fill(self, is_slice_over: Callable[[], bool]) -> None:
        """Store so many pages that every worker finds one; when the slice is over, not more than one.

        Where helpers are faster than the export they never are so many.
        """
        while self.stopped_by is None and self.journal.wants_more():
            try:
                fetched = self.reader.next()
            except ConnectorError as error:
                self.stopped_by = error
                return
            if fetched is None:
                self.journal.end_export()
                return
            self.journal.store(fetched, claim=False)
            if is_slice_over():
                return

    @property
    def is_dry(self) -> bool:
        return self.stopped_by is not None or self.journal.is_exported

    def end(self) -> None:
        """Every stored page is through: the run ends, or what stopped the export is answered."""
        with answering(self.journal):
            if self.stopped_by is not None:
                raise self.stopped_by
            self.journal.finish()


def work_beside(
    delivery: Delivery,
    reader: Reader,
    journal: SharedJournal,
    is_slice_over: Callable[[], bool],
    pause: Callable[[], None],
) -> bool:
    """Work on a run as its owner, beside helpers; returns what `apps.engine.loop.work` does."""
    if not reader.is_resumable and not spool(reader, journal):
        return False
    feed, idle = Feed(reader, journal), 0
    with suppress(Paused):
        while idle < PATIENCE:
            feed.fill(is_slice_over)
            page = journal.take_page()
            if isinstance(page, Page):
                journal.commit(page, delivery.deliver(page))
                idle = 0
            elif page is Nothing.NOW:
                idle += 1
                pause()
            elif feed.is_dry:
                feed.end()
                return False
            if is_slice_over():
                return True
        journal.wait_for_others()
    return False


def help_along(
    delivery: Delivery, journal: SharedJournal, is_slice_over: Callable[[], bool], pause: Callable[[], None]
) -> None:
    """Deliver stored pages of a run that another worker owns, until there are none for a while."""
    idle = 0
    with suppress(Paused):
        while idle < PATIENCE and not is_slice_over():
            page = journal.take_page()
            if isinstance(page, Page):
                journal.commit(page, delivery.deliver(page))
                idle = 0
            else:
                idle += 1
                pause()
