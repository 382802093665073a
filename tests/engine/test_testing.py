"""A test run in the engine: what is written is undone, what cannot be undone is not sent, and every step is seen."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from apps.engine.expressions import compile_expression, compile_mapping
from apps.engine.plan import Handling, Node, OnError, Plan, Policy, ScopeKind, StepKind, Way
from apps.engine.ports import Batch, Built, Failure
from apps.engine.seen import TimeUp
from apps.engine.testing import PageTest, Stage, stages_of
from tests.fakes.world import FakeDatabase, FakeLookup, FakeOpened, FakeTable, chain, node, page_of, table_step


@dataclass
class Connections(FakeOpened):
    """Fake connections that say what they would send."""

    undoable: bool = True
    refuses: dict[int, Failure] = field(default_factory=dict)

    def build(self, node: Node, batch: Batch) -> Built:
        return Built({index: {"would": body} for index, body in enumerate(batch.bodies)}, dict(self.refuses))

    def takes_back(self, node: Node) -> bool:
        return self.undoable


def connections(database: FakeDatabase, *tables: str, **facts: Any) -> Connections:
    targets = {name: FakeTable(database, name) for name in tables}
    return Connections(targets=targets, sessions={"db": database}, **facts)


def tried(plan: Plan, opened: Connections, records: list[dict[str, Any]], **facts: Any) -> dict[str, Stage]:
    test = PageTest(plan, opened, run={}, **facts)
    try:
        test.deliver(page_of(records))
    finally:
        test.end()
    return {stage.node.key: stage for stage in stages_of(plan, test.seen)}


def outcomes(stage: Stage) -> list[str]:
    return [row.outcome for row in stage.rows]


@pytest.mark.parametrize("scope", [ScopeKind.NONE, ScopeKind.RECORD, ScopeKind.PAGE])
def test_nothing_that_was_written_stays(scope: ScopeKind) -> None:
    database = FakeDatabase()
    plan = chain(table_step(1, "load"), table_step(2, "more"), scope=scope)
    stages = tried(plan, connections(database, "load", "more"), [{"id": 1}, {"id": 2}])
    assert database.writes == 4
    assert all(not rows for rows in database.rows.values())
    assert database.is_idle
    assert outcomes(stages["load"]) == outcomes(stages["more"]) == ["succeeded", "succeeded"]


@pytest.mark.parametrize("scope", [ScopeKind.NONE, ScopeKind.RECORD])
def test_a_later_step_sees_what_an_earlier_one_wrote(scope: ScopeKind) -> None:
    database = FakeDatabase()
    database.fails = lambda table, body: "missing" if table == "more" and not database.rows.get("load") else None
    plan = chain(table_step(1, "load"), table_step(2, "more"), scope=scope)
    stages = tried(plan, connections(database, "load", "more"), [{"id": 1}])
    assert outcomes(stages["more"]) == ["succeeded"]


def test_what_cannot_be_undone_is_told_and_not_sent() -> None:
    database = FakeDatabase()
    opened = connections(database, "load")
    opened.targets["post"] = None
    plan = chain(table_step(1, "load"), node(2, "post", StepKind.IMPORT, connection="api"), scope=ScopeKind.RECORD)
    stages = tried(plan, opened, [{"id": 1}])
    assert [row.built for row in stages["post"].rows] == [{"would": {"id": 1}}]
    assert outcomes(stages["post"]) == ["succeeded"]


def test_a_record_of_which_no_request_can_be_made_fails() -> None:
    opened = connections(FakeDatabase(), refuses={0: Failure("mapping", "bad", "There is no recipient.")})
    stages = tried(chain(node(1, "mail", StepKind.IMPORT, connection="post")), opened, [{"id": 1}, {"id": 2}])
    assert outcomes(stages["mail"]) == ["error", "succeeded"]
    assert stages["mail"].rows[0].failure.message == "There is no recipient."


def test_an_import_that_a_rollback_does_not_undo_is_not_run() -> None:
    database = FakeDatabase()
    tried(chain(table_step(1, "load")), connections(database, "load", undoable=False), [{"id": 1}])
    assert database.writes == 0


def test_what_a_step_was_given_and_made_is_seen() -> None:
    shape = node(1, "shape", StepKind.MAP, mapping=compile_mapping({"n": "record.id * 2"}))
    keep = node(2, "keep", StepKind.FILTER, condition=compile_expression("record.n > 2"))
    stages = tried(chain(shape, keep), connections(FakeDatabase()), [{"id": 1}, {"id": 2}])
    assert [(row.visit.before, row.visit.after) for row in stages["shape"].rows] == [
        ({"id": 1}, {"n": 2}),
        ({"id": 2}, {"n": 4}),
    ]
    assert outcomes(stages["keep"]) == ["ignored", "succeeded"]
    assert stages["keep"].went_on == 1


def test_a_failure_that_undoes_an_earlier_write_is_told_at_both_steps() -> None:
    database = FakeDatabase(fails=lambda table, body: "refused" if table == "more" and body["id"] == 1 else None)
    plan = chain(table_step(1, "load"), table_step(2, "more"), scope=ScopeKind.RECORD)
    stages = tried(plan, connections(database, "load", "more"), [{"id": 1}, {"id": 2}])
    assert outcomes(stages["load"]) == ["rolled_back", "succeeded"]
    assert outcomes(stages["more"]) == ["error", "succeeded"]


def test_nobody_waits_for_the_attempts_of_a_policy() -> None:
    database = FakeDatabase(fails=lambda table, body: "busy")
    policy = Policy(OnError.RETRY, seconds=3600, then=OnError.SET_ASIDE)
    stages = tried(chain(table_step(1, "load", policy)), connections(database, "load"), [{"id": 1}])
    assert outcomes(stages["load"]) == ["error"]


def test_an_ignored_failure_is_told_as_handled_and_goes_on() -> None:
    database = FakeDatabase(fails=lambda table, body: "no" if table == "load" else None)
    plan = chain(table_step(1, "load", Policy(OnError.IGNORE)), table_step(2, "more"))
    stages = tried(plan, connections(database, "load", "more"), [{"id": 1}])
    assert (outcomes(stages["load"]), outcomes(stages["more"])) == (["handled"], ["succeeded"])


def test_a_handling_that_goes_on_works_as_in_a_run() -> None:
    database = FakeDatabase(fails=lambda table, body: "no" if table == "load" else None)
    plan = chain(table_step(1, "load", handling=Handling.CONTINUE), table_step(2, "more"), scope=ScopeKind.RECORD)
    stages = tried(plan, connections(database, "load", "more"), [{"id": 1}])
    assert (outcomes(stages["load"]), outcomes(stages["more"])) == (["handled"], ["succeeded"])


def test_both_ways_of_a_branch_are_seen() -> None:
    ways = (Way("one", None, 2), Way("other", None, 3))
    route = node(1, "route", StepKind.BRANCH, ways=ways, takes_all=True)
    plan = chain(route, table_step(2, "a", next=-1), table_step(3, "b"))
    stages = tried(plan, connections(FakeDatabase(), "a", "b"), [{"id": 1}])
    assert (stages["route"].went_on, outcomes(stages["a"]), outcomes(stages["b"])) == (2, ["succeeded"], ["succeeded"])


def test_a_lookup_is_really_asked() -> None:
    opened = connections(FakeDatabase())
    opened.lookups["find"] = FakeLookup({1: [{"name": "one"}]})
    stages = tried(chain(node(1, "find", StepKind.LOOKUP, into="found")), opened, [{"id": 1}])
    assert opened.lookups["find"].asked == [1]
    assert stages["find"].rows[0].visit.after == {"id": 1, "found": {"name": "one"}}


def test_a_connection_that_is_down_makes_the_page_wait() -> None:
    database = FakeDatabase(is_down=True)
    test = PageTest(chain(table_step(1, "load"), scope=ScopeKind.RECORD), connections(database, "load"), run={})
    result = test.deliver(page_of([{"id": 1}]))
    test.end()
    assert result.wait is not None
    assert "Could not connect" in result.wait.reason


def test_a_test_whose_time_is_over_is_ended_and_undone() -> None:
    database = FakeDatabase()
    plan = chain(table_step(1, "load"), scope=ScopeKind.RECORD)
    with pytest.raises(TimeUp):
        tried(plan, connections(database, "load"), [{"id": 1}], time_s=-1)
    assert database.is_idle


def test_each_page_sees_what_those_before_it_wrote() -> None:
    database = FakeDatabase()
    database.fails = lambda table, body: "there already" if body["id"] in database.rows.get("load", {}) else None
    plan = chain(table_step(1, "load"), scope=ScopeKind.RECORD)
    test = PageTest(plan, connections(database, "load"), run={})
    first, second = test.deliver(page_of([{"id": 1}])), test.deliver(page_of([{"id": 1}]))
    test.end()
    assert (first.success, second.failed) == (1, 1)
    assert not database.rows.get("load")
