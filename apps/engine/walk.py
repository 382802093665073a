"""One walk of a page's items through the nodes of a plan: who stands before which node, and what became of each.

Steps (`apps.engine.steps`) decide; the walk keeps the books: forwards, tallies, applies the step's error policy.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from time import perf_counter
from typing import Protocol

from apps.engine.expressions import ExpressionError
from apps.engine.handling import Detour, Undone, answer, answer_late, error_facts, step_out
from apps.engine.plan import END, ROOT, Joint, Node, OnError, Plan
from apps.engine.ports import Classification, ErrorSource, Failure, Lookup, Outage, Record, Scope, Session, Target
from apps.engine.records import AT_HOME, Item, Name
from apps.engine.result import FailedRecord, LogLine, PageResult, Wait
from apps.engine.sent import SentBook

NOT_SENT = Failure(ErrorSource.INTERNAL, "not_sent", "It was not sent yet.")
"""Marks, in the ledger of a delivery, the records that it did not write and that wait for another one."""
OUTAGE_WAIT_S = 5.0
"""The least time before a send that did not happen is tried again."""


Announce = Callable[[Node, list[Item]], set[int]]
"""Makes durable that items are about to be sent where a repeat cannot be recognised.

Returns the ordinals that an earlier delivery of the same part had announced: whether they arrived, nobody knows.
"""


class Opened(Protocol):
    """The steps' connections, opened for this worker."""

    def lookup(self, node: Node) -> Lookup: ...
    def target(self, node: Node) -> Target: ...
    def session(self, connection: str) -> Session: ...


class Walk:
    """State of one walk. `is_scoped`: a target transaction is open around the whole walk."""

    def __init__(
        self,
        plan: Plan,
        opened: Opened,
        scope: Scope,
        *,
        is_scoped: bool = False,
        should_stop: Callable[[], bool] = lambda: False,
        idempotency_key: Callable[[Node, Item], str] = lambda node, item: f"{node.key}:{item.ordinal}",
        announce: Announce = lambda node, items: set(),
    ) -> None:
        self.plan = plan
        self.opened = opened
        self.scope = scope
        self.is_scoped = is_scoped
        self.should_stop = should_stop
        self.idempotency_key = idempotency_key
        self.announce = announce
        self.inbox: list[list[Item]] = [[] for _ in plan.nodes]
        self.result = PageResult()
        self.undone: list[Undone] = []
        self.detours: dict[int, dict[Name, Detour]] = {}
        self.held: list[tuple[Node, list[Item], list[Record]]] = []
        self.copies: list[Item] = []
        self.answers: dict[tuple[int, Name], list[Record] | Failure] = {}
        self.known: dict[tuple[str, int], Failure] = {}
        self.sent: SentBook = {}
        self.forced: dict[tuple[str, int], Failure] | None = None
        self.failures: list[tuple[str, int, Failure]] = []
        self.is_halted = False
        self._told: set[tuple[int, Name | None, str]] = set()
        self._scopes: dict[int, Scope] = {}

    def replay_of(self, earlier: "Walk") -> None:
        """Take over what is neither asked, sent nor said twice when a page is walked again."""
        self.answers, self.sent, self.known = earlier.answers, earlier.sent, earlier.known
        self._told, self.result.log = earlier._told, earlier.result.log

    # --- moving ----------------------------------------------------------------------------------------------------
    def place(self, items: Sequence[Item]) -> None:
        """Put each item before its node; those that stand at the end are not delivered."""
        for item in items:
            if item.at != END:
                self.inbox[item.at].append(item)

    def run(self, steps: "Steps") -> None:
        """Let every item walk to its end, node by node; what may not start any more is parked before its node."""
        for node in self.plan.nodes:
            items = self.inbox[node.index]
            if not items:
                continue
            self.inbox[node.index] = []
            if node.index in self.detours:
                items = self.divert(node.index, items)
                if not items:
                    continue
            if self.is_halted or (not self.is_scoped and self.should_stop()):
                self.park(node.index, items)
                continue
            self.work(steps, node, items)

    def divert(self, place: int, items: list[Item]) -> list[Item]:
        """Send those on their detours whose writes from this place on were undone; the others remain."""
        detours = self.detours[place]
        remaining = []
        for item in items:
            detour = detours.get(item.name_at(place))
            if detour is None:
                remaining.append(item)
            else:
                self.send_to(detour.take(item), item)
        return remaining

    def send_to(self, index: int, item: Item) -> None:
        if index != END:
            self.inbox[index].append(item)

    def work(self, steps: "Steps", node: Node, items: list[Item]) -> None:
        if isinstance(node.kind, Joint):
            steps[node.kind](self, node, items)
            return
        started = perf_counter()
        if self.forced or self.known:
            items = self.without_told(node, items)
        try:
            steps[node.kind](self, node, items)
        finally:
            self.result.tally(node.index).busy_s += perf_counter() - started

    def without_told(self, node: Node, items: list[Item]) -> list[Item]:
        """Leave out the records whose failure is known: the target's ledger tells of it, or its own rollback did."""
        told = {**(self.forced or {}), **self.known}
        kept = []
        for item in items:
            failure = told.get((node.key, item.ordinal))
            if failure is None:
                kept.append(item)
            elif failure == NOT_SENT:
                self.begin_again(node, item)
            else:
                self.fail(node, item, failure)
        return kept

    def scope_at(self, node: Node, item: Item | None = None) -> Scope:
        """What expressions of a node read beside the record: in a sub-flow its own settings, in a handler `error`."""
        scope = self.scope
        if node.surrounds is not None:
            if node.index not in self._scopes:
                around = node.surrounds
                self._scopes[node.index] = replace(scope, flow=around.flow, settings=around.settings)
            scope = self._scopes[node.index]
        if item is not None and item.trip.caught is not None:
            scope = replace(scope, error=item.trip.caught.told)
        return scope

    def forward(self, node: Node, items: list[Item]) -> None:
        """On to the next node. Items that are `alone` have done the one step they came for."""
        if node.next != END and items:
            self.inbox[node.next].extend([i for i in items if not i.alone] if items[0].alone else items)

    def park(self, index: int, items: Sequence[Item]) -> None:
        for item in items:
            item.at = index
        self.result.rest.extend(items)

    # --- outcomes --------------------------------------------------------------------------------------------------
    def succeed(self, node: Node, items: list[Item], *, onward: bool = True) -> None:
        self.result.tally(node.index).succeeded.extend(items)
        if onward:
            self.forward(node, items)

    def ignore(self, node: Node, items: list[Item]) -> None:
        self.result.tally(node.index).ignored.extend(items)

    def drop(self, node: Node, items: list[Item]) -> None:
        """Ignore records: they go no further here."""
        self.ignore(node, items)
        self.leave(node, items, is_ignored=True)

    def leave(self, node: Node, items: list[Item], *, is_ignored: bool = False) -> None:
        """Records go no further here. A handler is at its end, a sub-flow is left for its caller."""
        if node.exit == END:
            return
        if self.plan.nodes[node.exit].kind is Joint.END:
            self.inbox[node.exit].extend(items)
            return
        for item in items:
            call = step_out(self, item)
            if is_ignored:
                self.ignore(call, [item])
                self.forward(call, [item])
            else:
                self.succeed(call, [item])

    def fail(self, node: Node, item: Item, failure: Failure, *, onward: bool = True) -> None:
        """Answer a failure by the step's policy: try again later, ignore, set aside, or stop the run."""
        policy = node.policy
        if self.is_scoped:
            self.failures.append((node.key, item.ordinal, failure))
        first = policy.answer_to(failure)
        if first is OnError.RETRY and item.attempt < policy.attempts and not failure.unknown:
            self.try_again(node, item, failure)
            return
        final = policy.then if first is OnError.RETRY else first
        entry = FailedRecord(
            item, node.index, failure, node.index, item.record, key=self.key_at(node, item),
            is_alone=item.alone or not onward,
        )  # fmt: skip
        if final is OnError.IGNORE and self.substitute(node, entry):
            self.pass_handled(node, entry, onward)
            return
        if final is OnError.FAIL and self.result.stopped_by is None:
            self.result.stopped_by = entry
        self.set_aside(node, entry, onward)

    def substitute(self, node: Node, entry: FailedRecord) -> bool:
        """Give a record that goes on its substitute values; False if they cannot be made: then it is set aside."""
        if node.policy.substitute is None:
            return True
        item, failure = entry.item, entry.failure
        try:
            fields = node.policy.substitute(item.record, replace(self.scope_at(node), error=error_facts(failure)))
        except ExpressionError as error:
            text = f"{failure.message} It is not ignored, because its substitute values could not be made: {error}"
            entry.failure = replace(failure, message=text)
            return False
        item.record = {**item.record, **fields}
        return True

    def pass_handled(self, node: Node, entry: FailedRecord, onward: bool) -> None:
        entry.is_handled = True
        self.result.tally(node.index).failed.append(entry)
        self.log("warning", node, f"Ignored as its policy says: {entry.failure.message}", entry.item)
        if onward:
            self.forward(node, [entry.item])

    def set_aside(self, node: Node, entry: FailedRecord, onward: bool) -> None:
        """The failure is the record's: a handling answers it, or it leaves the flow with what it wrote undone."""
        if node.policy.continue_on_error:
            entry.item.failed = True
            self.result.tally(node.index).failed.append(entry)
            if onward:
                self.forward(node, [entry.item])
        elif onward:
            answer(self, node, entry)
        else:
            answer_late(self, node, entry)

    def try_again(self, node: Node, item: Item, failure: Failure) -> None:
        wait_s = max(node.policy.wait_s(item.attempt), failure.retry_after_s or 0)
        item.attempt += 1
        item.generation += not (failure.unknown or failure.keeps_key)  # a definite failure ends the key of this send
        reason = f"step {node.name}: attempt {item.attempt + 1} of {node.policy.attempts + 1} after {failure.message}"
        self.wait_for(Wait(wait_s, reason, node.connection))
        self.begin_again(node, item)

    def begin_again(self, node: Node, item: Item) -> None:
        """Park an item before the node, or where its writes of this scope began, which are undone."""
        if self.is_scoped and item.first_write is not None:
            start, record = item.first_write
            self.undone.append(Undone(item, ROOT, Detour(start, record, AT_HOME), waits=True))
        else:
            self.park(node.index, [item])

    def outage(self, node: Node, items: list[Item], outage: Outage) -> None:
        """Nothing was sent: the items wait before the node; inside a scope the whole page does."""
        if self.is_scoped:
            raise outage
        self.is_halted = True
        self.park(node.index, items)
        self.wait_for(outage_wait(node, outage))

    def wait_for(self, wait: Wait) -> None:
        if self.result.wait is None or wait.seconds > self.result.wait.seconds:
            self.result.wait = wait

    def log(self, level: str, node: Node, text: str, item: Item | None = None) -> None:
        """Say something once, however often the page is walked; what a rollback undoes stays said."""
        name = item.name if item is not None else None
        if (node.index, name, text) not in self._told:
            self._told.add((node.index, name, text))
            self.result.log.append(LogLine(level, node.index, text, name, item.key if item is not None else ""))

    def key_at(self, node: Node, item: Item) -> str:
        """The trace key of an item at a step that may have a template of its own."""
        if node.trace_key is None:
            return item.key
        try:
            return str(node.trace_key(item.record, self.scope_at(node, item)) or "") or item.key
        except Exception:  # a template that fails falls back to the record's key, by contract
            return item.key


Steps = dict[str, Callable[[Walk, Node, list[Item]], None]]


def outage_wait(node: Node, outage: Outage) -> Wait:
    where = f"connection {node.connection}" if node.connection else f"step {node.name}"
    is_away = outage.classification != Classification.RATE_LIMIT  # who asks for patience is there
    wait_s = max(OUTAGE_WAIT_S, outage.retry_after_s or 0)
    return Wait(wait_s, f"{where}: {outage.message}", node.connection, is_outage=is_away)


def identity(account: int, root_run: int) -> Callable[[Node, Item], str]:
    """The idempotency key of a record at a step: stable while its outcome is unknown, new with a new generation.

    SHA-256 of account, step, root run, the record's ordinal there, and generation; the payload is not in it, nor is the
    trace key, which a step may have of its own.
    """

    def key_of(node: Node, item: Item) -> str:
        run, ordinal = item.root or (root_run, item.ordinal)
        text = f"{account}:{node.key}:{run}:{ordinal}:{item.generation}"
        return sha256(text.encode()).hexdigest()

    return key_of


def component_failure(error: Exception) -> Failure:
    """A failure of the connector itself: not the data's and not the application's fault."""
    return Failure(ErrorSource.INTERNAL, type(error).__name__, f"{type(error).__name__}: {error}")
