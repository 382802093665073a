"""Scope `run`: every page is stored first, then all of them are delivered in one transaction of the target.

Pages go through the open transaction one after the other; what became of each is kept packed until the books take all
of it at once. A failure that leaves the flow takes everything back. The ledger row that each page leaves in the same
transaction tells a delivery that begins again after a kill whether the target had committed.
"""

import pickle
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import inf
from time import monotonic
from typing import Any, Protocol

from apps.engine.calls import fold
from apps.engine.carried import MOST_TOLD, Mark, marked, restored, writers_of
from apps.engine.delivery import (
    Delivery,
    PageWaits,
    commit_all,
    enter,
    roll_back,
)
from apps.engine.plan import Plan
from apps.engine.ports import Failure, LedgerKey, Outage, Record, Session
from apps.engine.records import Item, Malformed, Page, pack
from apps.engine.result import FailedRecord, PageResult, Wait
from apps.engine.sent import SentBook, uncompensated
from apps.engine.settling import merge, settle, tell_standing
from apps.engine.walk import Walk, outage_wait

PageName = tuple[int, int]
"""The `seq` and `part` of a stored page."""


@dataclass(slots=True)
class Walked:
    """A page that went through the open transaction, and what it holds back until that has committed."""

    page: Page
    result: PageResult
    held: list[tuple[int, list[Item], list[Record]]] = field(default_factory=list)
    copies: list[Item] = field(default_factory=list)

    def packed(self) -> bytes:
        """All of it, small: a run of 100,000 records has to fit into a worker."""
        return zlib.compress(pickle.dumps(self, pickle.HIGHEST_PROTOCOL), 1)


def opened(packed: bytes) -> Walked:
    """The inverse of `Walked.packed`; such bytes never leave the worker that made them."""
    walked: Walked = pickle.loads(zlib.decompress(packed))  # noqa: S301
    return walked


@dataclass(slots=True)
class RunResult:
    """What one delivery of all stored pages has come to.

    `pages` are packed `Walked`. `refused` is the failure for which nothing stays; its record, if it has one, is the
    `culprit`. `wait`: nothing was kept, all begins again then, with the pages in `changed` as they are packed there.
    `is_stopped`: nothing was kept, because the worker has to stop or the run is to be canceled; `standing` sends went
    out all the same.
    """

    pages: list[bytes] = field(default_factory=list)
    culprit: FailedRecord | None = None
    refused: Failure | None = None
    wait: Wait | None = None
    is_stopped: bool = False
    standing: int = 0
    changed: dict[PageName, bytes] = field(default_factory=dict)

    @property
    def is_put_off(self) -> bool:
        return self.wait is not None or self.is_stopped


class StoredRun(Protocol):
    """Where the pages of a run come from."""

    def open_pages(self) -> Iterator[Page]:
        """Every stored page that is not through, claimed, in order. May be asked for again."""

    def is_cancel_asked(self) -> bool:
        """Whether the run is to be canceled."""


class BeginAgain(Exception):  # noqa: N818 (an answer: the target ended the transaction by itself)
    """The target undid everything because of a record, which is known from now on."""


class RunFailed(Exception):  # noqa: N818 (an answer: the run is its scope)
    """A failure left the outermost flow: nothing of the run stays."""

    def __init__(self, culprit: FailedRecord) -> None:
        super().__init__(culprit.failure.message)
        self.culprit = culprit


class MustStop(Exception):  # noqa: N818 (an answer: nothing may begin any more)
    """The worker stops, or the run is to be canceled."""


@dataclass
class RunDelivery(Delivery):
    """Delivers all stored pages of a run in one transaction of the target."""

    def deliver_all(self, stored: StoredRun) -> RunResult:
        """Deliver every stored page, or nothing. Never raises for a foreign reason."""
        self._known: dict[tuple[str, int], Failure] = {}
        self._sent: SentBook = {}
        while True:
            sessions = self._sessions()
            try:
                return self._all_in_one(stored, sessions)
            except BeginAgain:
                roll_back(sessions)
            except BaseException:
                roll_back(sessions)
                raise

    def _all_in_one(self, stored: StoredRun, sessions: list[Session]) -> RunResult:
        self._stood, self._deadline = False, inf  # a part of it cannot be booked, however long it takes
        found = RunResult()
        pages = stored.open_pages()
        try:
            for session in sessions:
                session.begin()
            for page in pages:
                if self.should_stop():
                    raise MustStop
                found.pages.append(self._through(page, sessions, found))
                if not self._stood and stored.is_cancel_asked():
                    raise MustStop
            refusal = commit_all(sessions)
        except MustStop:
            roll_back(sessions)
            standing = sum(send.failure is None for send in self._sent.values())
            return RunResult(is_stopped=True, standing=standing, changed=found.changed)
        except RunFailed as failed:
            roll_back(sessions)
            found.culprit, found.refused = failed.culprit, failed.culprit.failure
            return self._taken_back(found, pages)
        except PageWaits as waiting:
            roll_back(sessions)
            return RunResult(wait=waiting.walk.result.wait or Wait(0, ""), changed=found.changed)
        except Outage as outage:
            roll_back(sessions)
            return RunResult(wait=outage_wait(self._first_import(), outage), changed=found.changed)
        if refusal is not None:
            roll_back(sessions)
            found.refused = refusal.failure()
            return self._taken_back(found, pages)
        return self._sent_off(found)

    # --- one page ----------------------------------------------------------------------------------------------------
    def _through(self, page: Page, sessions: list[Session], found: RunResult) -> bytes:
        before = [marked(item) for item in page.items]
        entrance = self._walk(self._scope_of(page), page)
        marks = [marked(item) for item in enter(entrance, page)]
        try:
            walk, carried = self._replay(entrance, page, marks, sessions, "")
        except (PageWaits, Outage):
            found.changed[page.seq, page.part] = as_it_was(before, page.malformed)
            raise
        is_given_up = carried.result.culprit is not None
        result = merge(entrance.result, PageResult() if is_given_up else walk.result, carried)
        culprit = carried.result.culprit or result.stopped_by
        if culprit is not None:
            blamed = self._blamed(culprit, walk)
            if self.plan.calls:
                result.culprit = blamed
                fold(self.plan, result)
            found.pages.append(taken_back(self.plan, Walked(page, result)).packed())
            raise RunFailed(blamed)
        if result.rest:
            result.wait = walk.result.wait = result.wait or Wait(0, "")
            found.changed[page.seq, page.part] = as_it_was(before, page.malformed)
            raise PageWaits(walk)
        self._write_ledger(self.ledger_key(page, ""), walk, carried, sessions)
        carried.settle(marks)
        held = [(node.index, items, bodies) for node, items, bodies in walk.held]
        walked = Walked(page, result, held, walk.copies)
        if not held:
            self._settle(walked)
        packed = walked.packed()
        if any(node.sends_now for node in self.plan.nodes):
            found.changed[page.seq, page.part] = as_it_was(before, page.malformed)
        return packed

    def _blamed(self, culprit: FailedRecord, walk: Walk) -> FailedRecord:
        """With what was sent for any record of the run, and stands; in doubt if the target had committed before."""
        if self._stood:
            culprit.failure = replace(culprit.failure, unknown=True)
        ordinals = {ordinal for _, (ordinal, _) in self._sent}
        standing = [send for sends in uncompensated(walk, ordinals).values() for send in sends]
        if standing:
            culprit.effects["uncompensated"] = [send.told() for send in standing[:MOST_TOLD]]
            culprit.effects["uncompensated_count"] = len(standing)
        return culprit

    def _settle(self, walked: Walked) -> None:
        tell_standing(self.plan, walked.result)
        if self.plan.calls:
            fold(self.plan, walked.result)
        settle(walked.result, walked.page.items, walked.copies, shares_fates=self.plan.makes_copies)

    # --- what differs from a page that is its own scope --------------------------------------------------------------
    def _walk(self, scope: Any, page: Page, *, is_scoped: bool = False) -> Walk:
        walk = super()._walk(scope, page, is_scoped=is_scoped)
        walk.known, walk.sent = self._known, self._sent
        return walk

    def _begin(self, names: list[LedgerKey], sessions: list[Session]) -> dict[tuple[str, int], Failure] | None:
        told = self._read_ledger(names, sessions)
        self._stood = self._stood or told is not None
        for session in sessions:
            session.savepoint("page")
        return told

    def _begin_again(self, names: list[LedgerKey], sessions: list[Session]) -> None:
        raise BeginAgain

    def _ledgered(self) -> bool:
        """Always: only the ledger can tell whether a run that is to be canceled, or fails, stands in the target."""
        return True

    # --- ends ---------------------------------------------------------------------------------------------------------
    def _sent_off(self, found: RunResult) -> RunResult:
        """The target has committed: what was held goes out, page after page."""
        self._deadline = monotonic() + self.patience_s
        for number, packed in enumerate(found.pages):
            walked = opened(packed)
            if not walked.held:
                continue
            walk = self._walk(self._scope_of(walked.page), walked.page, is_scoped=True)
            walk.held = [(self.plan.nodes[index], items, bodies) for index, items, bodies in walked.held]
            walk.copies = walked.copies
            self._send_held(walk, walked.page, walked.result)
            walked.held = []
            self._settle(walked)
            found.pages[number] = walked.packed()
        return found

    def _taken_back(self, found: RunResult, pages: Iterator[Page]) -> RunResult:
        """Nothing stays: each record counts as rolled back, also those that were not begun."""
        found.pages = [taken_back(self.plan, opened(packed)).packed() for packed in found.pages]
        for page in pages:
            entrance = self._walk(self._scope_of(page), page)
            enter(entrance, page)
            found.pages.append(taken_back(self.plan, Walked(page, entrance.result)).packed())
        return found


def taken_back(plan: Plan, walked: Walked) -> Walked:
    """What the books keep of a page of which nothing stays: its visits, and the errors that were answered."""
    result, writers = walked.result, writers_of(plan)
    for index, tally in result.tallies.items():
        if index in writers:
            tally.rolled_back, tally.succeeded = tally.rolled_back + tally.succeeded, []
        tally.rolled_back += [entry.item for entry in tally.failed if not entry.is_handled]
        tally.failed = [entry for entry in tally.failed if entry.is_handled]
    for index, items, _ in walked.held:
        result.tally(index).rolled_back += items
    if walked.held and plan.calls:
        fold(plan, result)
    result.rest, result.ended, result.undone = [], [], []
    result.culprit = result.stopped_by = None
    result.success = result.ignored = result.failed = 0
    result.rolled_back = len(walked.page)
    walked.held = []
    return walked


def as_it_was(marks: list[Mark], malformed: list[Malformed]) -> bytes:
    """A page to begin again with, packed: with its attempts, and what was sent for it that nothing undoes."""
    items = []
    for mark in marks:
        attempt = mark[0].attempt
        item = restored(mark)
        item.attempt = attempt
        items.append(item)
    return pack(items, malformed)
