"""A test run: a page through a plan as in a run, of which nothing stays.

What is written to a database is rolled back at the end, what could not be rolled back is built and not sent, lookups
are asked. What each step was given, made and would have sent is kept for the report.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, ClassVar

from apps.engine.delivery import Delivery
from apps.engine.plan import Joint, Node, Plan
from apps.engine.ports import (
    Failure,
    LedgerKey,
    Record,
    Scope,
)
from apps.engine.records import Item, Name, Page
from apps.engine.result import PageResult, Tally
from apps.engine.seen import Seen, TimeUp, Visit
from apps.engine.undone import Connections, TestedSteps
from apps.engine.walk import Steps, Walk

ATTEMPTS_MADE = 1 << 20
"""Nobody waits for the further attempts of a step's policy: a failure is the last one at once."""


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
