"""Delivers a page: takes it into the flow, walks it through the steps, holds the target's transaction around it.

Scope `none`: every statement stands by itself. Scope `record`: one target transaction a page; when a later step fails
records whose earlier writes stand in it, the page goes back to its beginning and is walked again, and these take the
detour that their handlings say (`apps.engine.handling`), until nothing new fails. Answers of lookups, and of sends that
cannot be undone, are kept and never asked for twice. Scope `page`: the same, but a failure that leaves the flow takes
the whole page back, and its unit fails.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, ClassVar

from apps.engine.calls import STEPS, fold
from apps.engine.carried import Carried, Mark, marked, restored
from apps.engine.handling import PageFailed, leave_flow
from apps.engine.ledger import (
    StatementScope,
    ledger_names,
    ledger_part,
    pack_outcomes,
    read_first,
    unpack_outcomes,
)
from apps.engine.plan import END, Node, Plan, ScopeKind, StepKind
from apps.engine.ports import (
    ConnectorError,
    ErrorSource,
    Failure,
    LedgerKey,
    Outage,
    Repeats,
    RolledBack,
    Scope,
    Session,
)
from apps.engine.records import Item, Page
from apps.engine.result import FailedRecord, PageResult, Wait
from apps.engine.sending import send
from apps.engine.settling import join, merge, refuse_deadly, settle, tell_standing
from apps.engine.steps import split
from apps.engine.walk import Opened, Walk, outage_wait

MAX_REPLAYS = 50
"""After that many walks of one page everything that still fails is taken out at once with its writes."""


class PageWaits(Exception):  # noqa: N818 (an answer: the page is its scope)
    """Records of a page that is one scope are tried again later, so the whole page is."""

    def __init__(self, walk: Walk) -> None:
        super().__init__()
        self.walk = walk


@dataclass
class Delivery:
    """Delivers pages of one run on one worker.

    `ledger_key(page, step)` names the ledger row of a part; `run` is what expressions read as `run`.
    """

    Walking: ClassVar[type[Walk]] = Walk

    plan: Plan
    opened: Opened
    ledger_key: Callable[[Page, str], LedgerKey]
    idempotency_key: Callable[[Node, Item], str]
    run: dict[str, Any] = field(default_factory=dict)
    should_stop: Callable[[], bool] = lambda: False
    patience_s: float = 45.0
    announce: Callable[[Page, Node, list[Item]], set[int]] = lambda page, node, items: set()

    def deliver(self, page: Page) -> PageResult:
        """Walk the page to its end, or as far as it gets; never raises for a foreign reason.

        After `patience_s` seconds nothing new is started: what has no outcome yet becomes the page's rest.
        """
        self._deadline = monotonic() + self.patience_s
        entrance = self._walk(self._scope_of(page), page)
        started = enter(entrance, page)
        if page.is_deadly:
            return refuse_deadly(entrance, page, started, is_unknown=self._may_stand_there())
        if self.plan.scope is ScopeKind.NONE:
            result, copies = self._open_walk(entrance, page, started), entrance.copies
        else:
            result, copies = self._scoped_walks(entrance, page, started)
        tell_standing(self.plan, result)
        if self.plan.calls:
            fold(self.plan, result)
        settle(result, page.items, copies, shares_fates=self.plan.makes_copies)
        return result

    def _scope_of(self, page: Page) -> Scope:
        return Scope(page.now, self.plan.flow, self.run, self.plan.settings)

    def _walk(self, scope: Scope, page: Page, *, is_scoped: bool = False) -> Walk:
        return self.Walking(
            self.plan,
            self.opened,
            scope,
            is_scoped=is_scoped,
            should_stop=self._is_time_up,
            idempotency_key=self.idempotency_key,
            announce=lambda node, items: self.announce(page, node, items),
        )

    def _is_time_up(self) -> bool:
        return monotonic() > self._deadline or self.should_stop()

    # --- scope none ------------------------------------------------------------------------------------------------
    def _open_walk(self, walk: Walk, page: Page, started: list[Item]) -> PageResult:
        walk.opened = StatementScope(self.opened, self.ledger_key, page, walk)
        walk.place(started)
        walk.run(STEPS)
        return walk.result

    # --- scope record ----------------------------------------------------------------------------------------------
    def _scoped_walks(
        self, entrance: Walk, page: Page, started: list[Item], part: str = ""
    ) -> tuple[PageResult, list[Item]]:
        """Walk items inside one target transaction; `part` tells their ledger row from that of the whole page."""
        sessions = self._sessions()
        marks = [marked(item) for item in started]
        try:
            walk, carried = self._replay(entrance, page, marks, sessions, part)
            if carried.result.culprit is not None:
                roll_back(sessions)
                return self._nothing_stays(entrance, marks, carried), []
            self._write_ledger(self.ledger_key(page, part), walk, carried, sessions)
            refusal = commit_all(sessions)
        except Outage as outage:
            roll_back(sessions)
            wait = outage_wait(self._first_import(), outage)
            return self._whole_page_waits(entrance, marks, wait), []
        except PageWaits as waiting:
            roll_back(sessions)
            return self._tried_again(entrance, marks, waiting.walk), []
        except BaseException:
            roll_back(sessions)
            raise
        if refusal is not None and self.plan.scope.is_all_or_nothing:
            roll_back(sessions)
            carried.give_up(walk, marks, self._refused(marks[0], refusal))
            return self._nothing_stays(entrance, marks, carried), []
        if refusal is not None:
            roll_back(sessions)
            return self._halves(entrance, page, marks, refusal)
        carried.settle(marks)
        result = merge(entrance.result, walk.result, carried)
        self._send_held(walk, page, result)
        return result, walk.copies

    def _halves(
        self, entrance: Walk, page: Page, marks: list[Mark], error: ConnectorError
    ) -> tuple[PageResult, list[Item]]:
        """COMMIT was refused (a constraint that is checked only then): find the records that are to blame by halves."""
        items = [restored(mark) for mark in marks]
        if len(items) == 1:
            leave_flow(entrance, self._refused(marks[0], error))
            return entrance.result, []
        middle = len(items) // 2
        second = self._walk(entrance.scope, page)
        one, copies = self._scoped_walks(entrance, page, items[:middle], ledger_part(items[:middle]))
        two, more_copies = self._scoped_walks(second, page, items[middle:], ledger_part(items[middle:]))
        return join(one, two), copies + more_copies

    def _begin(self, names: list[LedgerKey], sessions: list[Session]) -> dict[tuple[str, int], Failure] | None:
        """Open the target's transaction; what an earlier delivery left in its ledger."""
        for session in sessions:
            session.begin()
        told = self._read_ledger(names, sessions)
        for session in sessions:
            session.savepoint("page")
        return told

    def _begin_again(self, names: list[LedgerKey], sessions: list[Session]) -> None:
        roll_back(sessions)
        self._begin(names, sessions)

    def _refused(self, mark: Mark, error: ConnectorError) -> FailedRecord:
        """What was refused only at COMMIT is booked where the record began."""
        item, at, given, *_, trip = mark
        start, record = trip.outset or (at, given)
        return FailedRecord(item, self._first_import().index, error.failure(), start, record)

    def _nothing_stays(self, entrance: Walk, marks: list[Mark], carried: "Carried") -> PageResult:
        """Scope page: a failure left the flow, so no record of the page counts as done."""
        result = merge(entrance.result, PageResult(), carried)
        result.culprit, result.undone = carried.result.culprit, [restored(mark) for mark in marks]
        return result

    def _replay(
        self, entrance: Walk, page: Page, marks: list[Mark], sessions: list[Session], part: str
    ) -> "tuple[Walk, Carried]":
        carried = Carried(self.plan)
        earlier = self._walk(entrance.scope, page, is_scoped=True)
        names = ledger_names(self.ledger_key(page, part), page)
        forced = self._begin(names, sessions)
        attempt = 0
        while attempt < MAX_REPLAYS:
            walk = self._walk(entrance.scope, page, is_scoped=True)
            walk.replay_of(earlier)
            walk.forced, walk.detours, earlier = forced, carried.detours, walk
            walk.place(carried.beginning(marks))
            try:
                walk.run(STEPS)
            except PageFailed as failed:
                carried.give_up(walk, marks, failed.entry)
                return walk, carried
            except RolledBack as gone:  # once a record at most: it is known from now on
                walk.known[gone.step, gone.ordinal] = gone.known
                self._begin_again(names, sessions)
                continue
            attempt += 1
            if self.plan.scope.is_all_or_nothing and any(one.waits for one in walk.undone):
                raise PageWaits(walk)
            if not walk.undone:
                return walk, carried
            carried.take(walk, drop_all_failed=attempt >= MAX_REPLAYS - 1)
            for session in sessions:
                session.rollback_to("page")
        raise AssertionError("a walk without the failing records fails no record with writes to undo")

    def _whole_page_waits(self, entrance: Walk, marks: list[Mark], wait: Wait | None) -> PageResult:
        result = entrance.result
        result.rest = [restored(mark) for mark in marks]
        result.wait = wait
        return result

    def _tried_again(self, entrance: Walk, marks: list[Mark], walk: Walk) -> PageResult:
        """Some records of a page that is one scope are tried again later: all begin again then."""
        attempts = {item.ordinal: (item.attempt, item.generation) for item, *_ in marks}
        result = self._whole_page_waits(entrance, marks, walk.result.wait)
        result.log = walk.result.log
        for item in result.rest:
            item.attempt, item.generation = attempts[item.ordinal]
        return result

    def _send_held(self, walk: Walk, page: Page, result: PageResult) -> None:
        """Sends that cannot be rolled back go out when the scope stands; then the handlers of those that failed."""
        if not walk.held:
            return
        walk.is_scoped = False
        walk.result = result
        for node, items, bodies in walk.held:
            send(walk, node, items, bodies, onward=False)
        walk.detours, walk.forced = {}, None
        walk.opened = StatementScope(self.opened, self.ledger_key, page, walk)
        walk.run(STEPS)

    # --- ledger ----------------------------------------------------------------------------------------------------
    def _ledgered(self) -> bool:
        return any(
            self.opened.target(node).repeats is Repeats.LEDGER
            for node in self.plan.nodes
            if node.kind is StepKind.IMPORT and node.is_transactional
        )

    def _may_stand_there(self) -> bool:
        """Whether a record that killed its worker may have been written, and would stand there twice if sent again."""
        once = {Repeats.LEDGER, Repeats.UNSAFE}
        return any(self.opened.target(node).repeats in once for node in self.plan.nodes if node.kind is StepKind.IMPORT)

    def _read_ledger(self, names: list[LedgerKey], sessions: list[Session]) -> dict[tuple[str, int], Failure] | None:
        if not sessions or not self._ledgered():
            return None
        stored = read_first(sessions[0], names)
        return None if stored is None else unpack_outcomes(stored)

    def _write_ledger(self, key: LedgerKey, walk: Walk, carried: "Carried", sessions: list[Session]) -> None:
        if sessions and walk.forced is None and self._ledgered():
            outcomes = pack_outcomes([*carried.failures, *walk.failures])
            sessions[0].write_ledger(key, outcomes)

    def _sessions(self) -> list[Session]:
        names = dict.fromkeys(
            node.connection for node in self.plan.nodes if node.kind is StepKind.IMPORT and node.is_transactional
        )
        return [self.opened.session(name) for name in names]

    def _first_import(self) -> Node:
        return next((n for n in self.plan.nodes if n.kind is StepKind.IMPORT and n.is_transactional), self.plan.export)


def enter(walk: Walk, page: Page) -> list[Item]:
    """The export's own visits: rows that are no records fail, its output filter holds records back."""
    export = walk.plan.export
    result = walk.result
    for row in page.malformed:
        item = Item(row.ordinal, {})
        item.error = row.error
        entry = FailedRecord(item, 0, row.bad.failure, 0, {}, raw=row.bad.raw, place=row.bad.place)
        result.tally(0).failed.append(entry)
    result.failed += len(page.malformed)
    passed = [item for item in page.items if item.at == 0]
    further = [item for item in page.items if item.at > 0]  # the rest of a page, or a retry
    if export.output_filter is not None:
        passed, dropped = split(walk, export, passed, export.output_filter, ErrorSource.OUTPUT_FILTER)
        walk.ignore(export, dropped)
    result.tally(0).succeeded.extend(passed)
    if export.next == END:
        return further
    for item in passed:
        item.at = export.next
    return passed + further


def commit_all(sessions: list[Session]) -> ConnectorError | None:
    """What a COMMIT was refused with, which concerns records of the page; None when everything stands."""
    try:
        for session in sessions:
            session.commit()
    except Outage:
        raise
    except ConnectorError as error:
        return error
    return None


def roll_back(sessions: list[Session]) -> None:
    for session in sessions:
        with suppress(Outage):
            session.rollback()
