"""Random flows with sub-flows, handlings and failures: what persists is what the rules say, record by record.

The model below is the rules of handlings, one record at a time, in thirty lines; the engine does whole pages.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.engine.expressions import ExpressionError
from apps.engine.plan import OnError, Plan, Policy, ScopeKind
from apps.engine.ports import Batch, Repeats, Written
from apps.engine.records import Page, pack, unpack
from apps.flows.definition import Known, parse_definition
from apps.flows.planning import build_plan
from tests.fakes.world import NOW, FakeDatabase, FakeOpened, FakeTable, deliver, page_of
from tests.long_tests import SPREADS

RECORDS = 4
HANDLINGS = ["rollback", "custom_with_rollback", "custom_without_rollback", "continue"]


# --- random flows ----------------------------------------------------------------------------------------------------
@dataclass
class Step:
    """An import, or a call of a sub-flow with a body; `refused` and `late` are the records that fail at it."""

    key: str = ""
    handling: str = "rollback"
    ends: str = "end"
    handler: list["Step"] = field(default_factory=list)
    body: list["Step"] | None = None
    keeps: bool = True
    refused: frozenset[int] = frozenset()
    late: frozenset[int] = frozenset()

    @property
    def is_custom(self) -> bool:
        return self.handling.startswith("custom")


def steps(depth: int) -> st.SearchStrategy[Step]:
    few = st.frozensets(st.integers(0, RECORDS - 1), max_size=2)
    below = st.lists(steps(depth - 1), max_size=3) if depth else st.just([])
    body = st.one_of(st.none(), st.lists(steps(depth - 1), min_size=1, max_size=3)) if depth else st.none()
    return st.builds(
        Step,
        handling=st.sampled_from(HANDLINGS),
        ends=st.sampled_from(["end", "error_end"]),
        handler=below,
        body=body,
        keeps=st.booleans(),
        refused=few,
        late=few,
    )


def named(flow: list[Step], prefix: str = "") -> list[Step]:
    """The same steps with their keys, as the plan has them."""
    made = []
    for number, step in enumerate(flow):
        key = f"{prefix}s{number}" if not prefix or prefix.endswith("/") else f"{prefix}-s{number}"
        body = None if step.body is None else named(step.body, f"{key}/")
        handler = named(step.handler, f"{key}-h") if step.is_custom else []
        made.append(replace(step, key=key, body=body, handler=handler))
    return made


class Texts:
    """The definitions of a random flow and its sub-flows."""

    def __init__(self) -> None:
        self.flows: dict[str, str] = {}

    def flow(self, key: str, flow: list[Step], keeps: bool = True) -> str:
        lines = [f"flow: {key}", "integration: random", f"rethrow_keeps_changes: {str(keeps).lower()}", "steps:"]
        lines += ["- key: source", "  export: {connection: target, query: SELECT 1}"]
        self.flows[key] = "\n".join([*lines, *self.steps(flow)])
        return self.flows[key]

    def steps(self, flow: list[Step]) -> list[str]:
        return [line for step in flow for line in self.step(step)]

    def step(self, step: Step) -> list[str]:
        lines = [f"- key: {step.key.rsplit('/', 1)[-1]}", f"  handling: {step.handling}"]
        if step.body is None:
            lines += ["  import: {connection: target, operation: insert, table: t}", '  output_filter: "True"']
        else:
            callee = f"f{len(self.flows)}"
            self.flows[callee] = ""
            self.flow(callee, step.body, step.keeps)
            lines += [f"  call: {callee}"]
        if step.is_custom:
            inner = self.steps(step.handler)
            lines += [f"  ends: {step.ends}", "  handler:" if inner else "  handler: []"]
            lines += [f"  {line}" for line in inner]
        return lines


def plan_of(flow: list[Step]) -> Plan:
    texts = Texts()
    text = texts.flow("main", flow)
    known = Known(connections={"production": {"target": "sql"}}, callee=texts.flows.get)
    return build_plan(parse_definition(text, known=known))


# --- the rules, one record at a time ---------------------------------------------------------------------------------
class Raised(Exception):  # noqa: N818 (a move of the model, not a fault)
    def __init__(self, keeps: bool) -> None:
        self.keeps = keeps


class Left(Exception):  # noqa: N818
    """A handler ended: the record leaves its flow."""


class Model:
    """What one record has written, and the savepoints around it (how much it had written when they were set)."""

    def __init__(self, record: int) -> None:
        self.record = record
        self.written: list[str] = []
        self.savepoints = [0]

    def flow(self, flow: list[Step]) -> bool:
        try:
            for step in flow:
                self.step(step)
        except Left:
            pass
        except Raised:
            self.written.clear()
            return False
        return True

    def step(self, step: Step) -> None:
        before = len(self.written)
        try:
            self.write(step) if step.body is None else self.call(step)
        except Raised as raised:
            self.answer(step, raised, before)

    def write(self, step: Step) -> None:
        if self.record in step.refused | step.late:
            raise Raised(keeps=False)
        self.written.append(step.key)

    def call(self, step: Step) -> None:
        sets = step.handling in {"custom_without_rollback", "continue"}
        self.savepoints += [len(self.written)] if sets else []
        try:
            for inner in step.body:
                self.step(inner)
        except Left:
            pass
        finally:
            if sets:
                self.savepoints.pop()

    def answer(self, step: Step, raised: Raised, before: int) -> None:
        if step.handling in {"rollback", "custom_with_rollback"}:
            del self.written[self.savepoints[-1] :]
        elif not (raised.keeps and step.keeps):
            del self.written[before:]
        if step.handling == "rollback":
            raise Raised(keeps=False)
        if step.handling == "continue":
            return
        for handler_step in step.handler:
            self.step(handler_step)
        if step.ends == "end":
            raise Left
        raise Raised(keeps=True)


# --- both side by side -----------------------------------------------------------------------------------------------
def every_step(flow: list[Step]) -> list[Step]:
    return [s for step in flow for s in (step, *every_step(step.body or []), *every_step(step.handler))]


def opened_for(plan: Plan, flow: list[Step], database: FakeDatabase) -> tuple[Plan, FakeOpened]:
    """The plan with steps that fail late, and its tables."""
    by_key = {step.key: step for step in every_step(flow)}

    def late(key: str):
        def check(record: dict, scope: object) -> bool:
            if record["id"] in by_key[key].late:
                raise ExpressionError("value", "late")
            return True

        return check

    nodes = tuple(replace(n, output_filter=late(n.key)) if n.is_undoable else n for n in plan.nodes)
    database.fails = lambda table, body: "no" if body["id"] in by_key[table].refused else None
    targets = {n.key: BusyTable(database, n.key, Repeats.LEDGER) for n in nodes if n.is_undoable}
    return replace(plan, nodes=nodes), FakeOpened(targets=targets, sessions={"target": database})


def try_random(check: Callable[..., None], *strategies: st.SearchStrategy, spread: int) -> None:
    """Check a hundred random flows, or one in `spread` of so many."""
    settings(max_examples=100 // spread)(given(*strategies)(check))()


class BusyTable(FakeTable):
    """What is refused as busy may be tried again."""

    def write(self, batch: Batch) -> Written:
        written = super().write(batch)
        for index, failure in written.failures.items():
            if failure.message == "busy":
                written.failures[index] = replace(failure, classification="intermittent")
        return written


def standing(database: FakeDatabase) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {n: [] for n in range(RECORDS)}
    for table, rows in database.rows.items():
        for key in rows:
            found[int(str(key).split("#")[0])].append(table)
    return {n: sorted(tables) for n, tables in found.items()}


@SPREADS
def test_a_page_does_what_the_rules_say_of_each_record(spread):
    try_random(check_records, st.lists(steps(3), min_size=1, max_size=4), spread=spread)


def check_records(given_flow):
    flow = named(given_flow)
    if not any(step.body is None for step in every_step(flow)):
        return
    database = FakeDatabase()
    plan, opened = opened_for(plan_of(flow), flow, database)
    models = [Model(n) for n in range(RECORDS)]
    passed = [model.flow(flow) for model in models]
    page = page_of([{"id": n} for n in range(RECORDS)])

    result = deliver(plan, opened, page)

    assert standing(database) == {m.record: sorted(m.written) for m in models}
    assert database.is_idle
    still_open = [entry.item.ordinal for entry in result.failures() if not entry.is_handled]
    assert sorted(still_open) == [n for n in range(RECORDS) if not passed[n]]
    assert (result.failed, result.success + result.ignored) == (passed.count(False), passed.count(True))
    assert_each_visit_once(plan, result)
    again = deliver(plan, opened, page_of([{"id": n} for n in range(RECORDS)]))
    assert standing(database) == {m.record: sorted(m.written) for m in models}, "a repeated delivery changes nothing"
    assert (again.failed, again.success) == (result.failed, result.success)


@SPREADS
def test_a_page_that_is_one_scope_stands_as_a_whole_or_not_at_all(spread):
    try_random(check_one_scope, st.lists(steps(2), min_size=1, max_size=3), spread=spread)


def check_one_scope(given_flow):
    flow = named(given_flow)
    if not any(step.body is None for step in every_step(flow)):
        return
    database = FakeDatabase()
    plan, opened = opened_for(replace(plan_of(flow), scope=ScopeKind.PAGE), flow, database)
    models = [Model(n) for n in range(RECORDS)]
    passed = [model.flow(flow) for model in models]
    is_whole = all(passed)

    result = deliver(plan, opened, page_of([{"id": n} for n in range(RECORDS)]))

    assert database.is_idle
    assert standing(database) == {m.record: sorted(m.written) if is_whole else [] for m in models}
    assert (result.culprit is None) == is_whole
    assert (result.rolled_back, result.failed) == (0 if is_whole else RECORDS, 0)
    assert all(entry.is_handled for entry in result.failures())
    assert_each_visit_once(plan, result)


@SPREADS
def test_a_record_that_waits_in_the_middle_comes_to_the_same_end(spread):
    try_random(check_waiting, st.lists(steps(2), min_size=1, max_size=3), st.integers(0, 30), spread=spread)


def check_waiting(given_flow, busy_at):
    """One write of the page is refused as busy the first time, and its step tries again later."""
    flow = named(given_flow)
    if not any(step.body is None for step in every_step(flow)):
        return
    database = FakeDatabase()
    plan, opened = opened_for(plan_of(flow), flow, database)
    again = Policy(OnError.SET_ASIDE, seconds=1, attempts=1, exceptions={"intermittent": OnError.RETRY})
    plan = replace(plan, nodes=tuple(replace(n, policy=again) if n.is_undoable else n for n in plan.nodes))
    models = [Model(n) for n in range(RECORDS)]
    passed = [model.flow(flow) for model in models]
    refuse, calls = database.fails, iter(range(1_000_000))
    database.fails = lambda table, body: "busy" if next(calls) == busy_at else refuse(table, body)
    done = success = 0
    page = page_of([{"id": n} for n in range(RECORDS)])
    for part in range(1, 200):
        result = deliver(plan, opened, page)
        done, success = done + result.failed, success + result.success + result.ignored
        if not result.rest:
            break
        page = Page(0, part, NOW, unpack(pack(result.rest, []))[0])

    assert standing(database) == {m.record: sorted(m.written) for m in models}
    assert (done, success) == (passed.count(False), passed.count(True))
    assert database.is_idle


def assert_each_visit_once(plan: Plan, result) -> None:
    for index, tally in result.tallies.items():
        visits = [item.ordinal for item in (*tally.succeeded, *tally.ignored, *tally.rolled_back)]
        failed = [entry.item.ordinal for entry in tally.failed]
        assert not plan.nodes[index].is_inner
        assert len(visits) == len(set(visits))
        assert not set(visits) & set(failed), "a visit is a failure or something else"


@pytest.mark.parametrize("keeps", [True, False])
def test_the_model_knows_the_table(keeps):
    """CW/x in a sub-flow that is called with CW/e: what it kept stays, unless it says that it does not."""
    fails = Step("c/f", "custom_without_rollback", "error_end", [Step("c/h")], refused=frozenset({0}))
    body = [Step("c/c"), fails]
    call = Step("c", "custom_without_rollback", "end", [Step("ph")], body, keeps=keeps)
    model = Model(0)
    assert model.flow([Step("p"), call, Step("n")])
    assert model.written == (["p", "c/c", "c/h", "ph"] if keeps else ["p", "ph"])
