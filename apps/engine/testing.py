"""A test run: a page through a plan as in a run, of which nothing stays.

What is written to a database is rolled back at the end, what could not be rolled back is built and not sent, lookups
are asked. What each step was given, made and would have sent is kept for the report.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, ClassVar, Protocol

from apps.engine.delivery import Delivery
from apps.engine.plan import Joint, Node, Plan
from apps.engine.ports import (
    Batch,
    Built,
    ConnectorError,
    Failure,
    LedgerKey,
    Lookup,
    Outage,
    Record,
    Repeats,
    Scope,
    Session,
    Target,
    Written,
)
from apps.engine.records import Item, Name, Page
from apps.engine.result import PageResult, Tally
from apps.engine.walk import Opened, Steps, Walk

ATTEMPTS_MADE = 1 << 20
"""Nobody waits for the further attempts of a step's policy: a failure is the last one at once."""


class TimeUp(Exception):  # noqa: N818 (an answer: the test took too long)
    """The time of the test is over."""


@dataclass(slots=True)
class Visit:
    """One record at one step: what it was there, and what it went on as."""

    key: str
    ordinal: int
    before: Record
    after: Record


@dataclass
class Seen:
    """What is known of every step: its visits and outcomes, and by (step, ordinal) what it would send.

    `tell` is told of each step that begins, and may end the test by raising TimeUp.
    """

    tell: Callable[[Node], None] = lambda node: None
    visits: dict[int, dict[Name, Visit]] = field(default_factory=dict)
    built: dict[tuple[int, int], Record] = field(default_factory=dict)
    tallies: dict[int, Tally] = field(default_factory=dict)

    def visit(self, index: int, item: Item, before: Record) -> None:
        self.visits.setdefault(index, {})[item.name] = Visit(item.key, item.ordinal, before, item.record)

    def leave(self, index: int, item: Item) -> None:
        """A record came out of a call."""
        if visit := self.visits.get(index, {}).get(item.name):
            visit.after = item.record

    def keep(self, result: PageResult) -> None:
        """Remember the outcomes before those inside a sub-flow become the call's."""
        for index, tally in result.tallies.items():
            kept = self.tallies.setdefault(index, Tally())
            kept.succeeded += tally.succeeded
            kept.ignored += tally.ignored
            kept.failed += tally.failed
            kept.rolled_back += tally.rolled_back
            kept.busy_s += tally.busy_s


class WatchedWalk(Walk):
    """A walk that tells what every step was given, and as what its records went on."""

    seen: Seen

    def work(self, steps: Steps, node: Node, items: list[Item]) -> None:
        self.seen.tell(node)
        given = [(item, item.record, item.trip.frames) for item in items]
        super().work(steps, node, items)
        for item, before, frames in given:
            if not isinstance(node.kind, Joint):
                self.seen.visit(node.index, item, before)
            if len(item.trip.frames) < len(frames):
                self.seen.leave(frames[-1].call, item)


@dataclass
class TestDelivery(Delivery):
    """Delivers into targets that take nothing."""

    Walking: ClassVar[type[Walk]] = WatchedWalk
    __test__: ClassVar[bool] = False

    seen: Seen = field(default_factory=Seen)

    def _walk(self, scope: Scope, page: Page, *, is_scoped: bool = False) -> Walk:
        walk = super()._walk(scope, page, is_scoped=is_scoped)
        assert isinstance(walk, WatchedWalk)
        walk.seen = self.seen
        return walk

    def _open_walk(self, walk: Walk, page: Page, started: list[Item]) -> PageResult:
        result = super()._open_walk(walk, page, started)
        self.seen.keep(result)
        return result

    def _scoped_walks(self, *given: Any, **facts: Any) -> tuple[PageResult, list[Item]]:
        result, copies = super()._scoped_walks(*given, **facts)
        self.seen.keep(result)
        return result, copies


# --- connections that keep nothing -----------------------------------------------------------------------------------
class Connections(Opened, Protocol):
    """The steps' connections, and what their imports would send."""

    def build(self, node: Node, batch: Batch) -> Built: ...
    def takes_back(self, node: Node) -> bool: ...


class UndoneSession:
    """One target transaction around the whole test, which is never committed; those of the engine are savepoints."""

    def __init__(self, inner: Session) -> None:
        self._inner = inner
        self._is_open = False

    def begin(self) -> None:
        if not self._is_open:
            self._inner.begin()
            self._is_open = True
        self._inner.savepoint("fm_test")

    def savepoint(self, name: str) -> None:
        self._inner.savepoint(name)

    def rollback_to(self, name: str) -> None:
        self._inner.rollback_to(name)

    def commit(self) -> None:
        """What was written stays until the end of the test, so that what follows sees it."""

    def rollback(self) -> None:
        if self._is_open:
            self._inner.rollback_to("fm_test")

    def read_ledger(self, key: LedgerKey) -> bytes | None:
        return None

    def write_ledger(self, key: LedgerKey, outcomes: bytes) -> None:
        """Nothing is written, so nothing is told of it."""

    def find(self, lookup: Lookup, records: Any, scope: Scope) -> Any:
        """Ask within the open transaction so that a refusal leaves it usable."""
        if not self._is_open:
            return lookup.find(records, scope)
        self._inner.savepoint("fm_look")
        try:
            return lookup.find(records, scope)
        except Outage:
            raise
        except Exception:
            self._inner.rollback_to("fm_look")
            raise

    def end(self) -> None:
        if self._is_open:
            self._is_open = False
            with suppress(ConnectorError):
                self._inner.rollback()


@dataclass
class TestedTarget:
    """Tells what would be sent; writes only what is rolled back."""

    __test__: ClassVar[bool] = False

    node: Node
    inner: Target | None
    build: Callable[[Node, Batch], Built]
    seen: Seen
    repeats: Repeats = Repeats.SAFE

    def __post_init__(self) -> None:
        self.transactional = self.inner is not None

    def write(self, batch: Batch) -> Written:
        built = self.build(self.node, batch)
        for index, request in built.requests.items():
            self.seen.built[self.node.index, batch.ordinals[index]] = request
        return Written(dict(built.failures)) if self.inner is None else self.inner.write(batch)


@dataclass
class TestedLookup:
    __test__: ClassVar[bool] = False

    inner: Lookup
    session: UndoneSession

    def find(self, records: Any, scope: Scope) -> Any:
        return self.session.find(self.inner, records, scope)

    def words_for(self, record: Record, scope: Scope) -> str:
        return self.inner.words_for(record, scope)


class TestedSteps:
    """The connections of a plan for a test; `end` rolls everything back."""

    __test__ = False

    def __init__(self, inner: Connections, seen: Seen) -> None:
        self._inner = inner
        self._seen = seen
        self._sessions: dict[str, UndoneSession] = {}

    def lookup(self, node: Node) -> Lookup:
        found = self._inner.lookup(node)
        return TestedLookup(found, self._session(node.connection)) if node.is_transactional else found

    def target(self, node: Node) -> Target:
        is_run = node.is_transactional and self._inner.takes_back(node)
        return TestedTarget(node, self._inner.target(node) if is_run else None, self._inner.build, self._seen)

    def session(self, connection: str) -> Session:
        return self._session(connection)

    def _session(self, connection: str) -> UndoneSession:
        if connection not in self._sessions:
            self._sessions[connection] = UndoneSession(self._inner.session(connection))
        return self._sessions[connection]

    def end(self) -> None:
        for session in self._sessions.values():
            session.end()


# --- the test --------------------------------------------------------------------------------------------------------
class PageTest:
    """Pages of one test, one after the other: each sees what those before it wrote. `end` must be called."""

    def __init__(
        self,
        plan: Plan,
        opened: Connections,
        *,
        run: Mapping[str, Any],
        tell: Callable[[Node], None] = lambda node: None,
        time_s: float = 60.0,
    ) -> None:
        self.plan = plan
        self.seen = Seen(self._tell)
        self._told = tell
        self._deadline = monotonic() + time_s
        self._opened = TestedSteps(opened, self.seen)
        self._delivery = TestDelivery(
            plan, self._opened, lambda page, step: LedgerKey(0, 0, 0, 0, step), key_of_test, dict(run),
            patience_s=time_s, seen=self.seen,
        )  # fmt: skip

    def deliver(self, page: Page) -> PageResult:
        """Raises TimeUp."""
        for item in page.items:
            item.attempt = ATTEMPTS_MADE
            if item.at == 0:
                self.seen.visit(0, item, {})
        return self._delivery.deliver(page)

    def end(self) -> None:
        self._opened.end()

    def check_time(self) -> None:
        """Raises TimeUp once the time of the test is over."""
        if monotonic() > self._deadline:
            raise TimeUp

    def _tell(self, node: Node) -> None:
        self.check_time()
        self._told(node)


def key_of_test(node: Node, item: Item) -> str:
    """What stands for an idempotency key in a request that is not sent."""
    return f"test-{node.key}-{item.ordinal}"


# --- what became of them ---------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Row:
    """One record at a step. `outcome`: succeeded, ignored, error, handled, rolled_back or waits."""

    visit: Visit
    outcome: str
    failure: Failure | None = None
    built: Record | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """A step as the test saw it. `went_on` counts every path of a branch."""

    node: Node
    rows: list[Row]
    went_on: int
    busy_ms: int

    def count(self, *outcomes: str) -> int:
        return sum(row.outcome in outcomes for row in self.rows)


def stages_of(plan: Plan, seen: Seen) -> list[Stage]:
    """Every step in the order of the plan, those of sub-flows and handlers among them."""
    return [stage_of(plan, seen, node) for node in plan.nodes if not isinstance(node.kind, Joint)]


def stage_of(plan: Plan, seen: Seen, node: Node) -> Stage:
    tally = seen.tallies.get(node.index, Tally())
    known: dict[Name, tuple[str, Failure | None]] = {}
    for name, failure in inner_failures(plan, seen, node).items():
        known[name] = "error", failure
    for outcome in ("rolled_back", "ignored", "succeeded"):
        known.update({item.name: (outcome, None) for item in getattr(tally, outcome)})
    for entry in tally.failed:
        known[entry.item.name] = ("handled" if entry.is_handled else "error"), entry.failure
    rows = [
        Row(visit, *known.get(name, ("waits", None)), seen.built.get((node.index, visit.ordinal)))
        for name, visit in sorted(seen.visits.get(node.index, {}).items())
    ]
    rows += [
        Row(Visit("", entry.item.ordinal, {"raw": (entry.raw or b"").decode("utf-8", "replace")}, {}), "error",
            entry.failure)
        for entry in tally.failed if entry.raw is not None
    ]  # fmt: skip
    return Stage(node, rows, len(tally.succeeded), round(tally.busy_s * 1000))


def inner_failures(plan: Plan, seen: Seen, call: Node) -> dict[Name, Failure]:
    """The failures in the sub-flow of a call, which did not come back from it."""
    inside = [n.index for n in plan.nodes if n.key.startswith(f"{call.key}/")]
    return {
        entry.item.name: entry.failure
        for index in inside
        for entry in seen.tallies.get(index, Tally()).failed
        if not entry.is_handled
    }
