"""What is undone in a scope is done again by the retry: held sends, copies on several ways, repeated deliveries."""

from dataclasses import replace

import pytest

from apps.engine.expressions import compile_expression, compile_mapping
from apps.engine.plan import END, OnError, Policy, ScopeKind, StepKind, Way
from apps.engine.ports import Repeats
from apps.engine.records import Item, Page, pack, unpack
from apps.engine.walk import identity
from tests.engine.test_delivery import opened_with, records
from tests.fakes.world import (
    NOW,
    FakeDatabase,
    FakeLookup,
    FakeTable,
    chain,
    counts,
    deliver,
    node,
    page_of,
    table_step,
    visits,
)

NUMBER = compile_mapping({"id": "record.id", "n": "integer(record.n)"})


def retried(entry) -> Page:
    """The page that a retry of this failure sends."""
    item = Item(0, entry.record, at=entry.start)
    return Page(0, 0, NOW, [item])


def held_world(*, policy: Policy | None = None):
    """A mail that cannot be taken back, then a mapping that a record without a number fails."""
    mail = node(1, "mail", StepKind.IMPORT, connection="smtp")
    shape = node(2, "shape", StepKind.MAP, mapping=NUMBER, policy=policy or Policy())
    plan = chain(mail, shape, table_step(3, "load"), scope=ScopeKind.RECORD)
    opened = opened_with(FakeDatabase(), "load")
    opened.targets["mail"] = FakeTable(FakeDatabase(), "mail", transactional=False)
    return plan, opened


def test_a_send_that_was_not_made_for_a_failed_record_is_made_by_its_retry():
    plan, opened = held_world()
    rows = [{"id": 0, "n": "1"}, {"id": 1, "n": "many"}]

    result = deliver(plan, opened, page_of(rows))

    (failed,) = result.failures()
    assert opened.targets["mail"].sent == [0]
    assert (failed.node, failed.start) == (2, 1)
    assert visits(result, 1) == (1, 0, 0, 1)
    assert counts(result) == (1, 0, 1, 0)
    failed.record["n"] = "2"
    deliver(plan, opened, retried(failed))
    assert len(opened.targets["mail"].sent) == 2


def test_a_record_that_goes_on_despite_its_error_is_sent_too():
    shape = node(1, "shape", StepKind.MAP, mapping=NUMBER, policy=Policy(continue_on_error=True))
    plan = chain(shape, node(2, "mail", StepKind.IMPORT, connection="smtp"), scope=ScopeKind.RECORD)
    opened = opened_with(FakeDatabase())
    opened.targets["mail"] = FakeTable(FakeDatabase(), "mail", transactional=False)

    result = deliver(plan, opened, page_of([{"id": 0, "n": "many"}]))

    assert opened.targets["mail"].sent == [0]
    assert visits(result, 1) == (0, 0, 1, 0)
    assert visits(result, 2) == (1, 0, 0, 0)
    assert counts(result) == (0, 0, 1, 0)


def two_ways(database: FakeDatabase, *, policy: Policy | None = None):
    """Every record goes down both ways: into table a, and into tables b and c."""
    ways = (Way("one", None, 2), Way("other", None, 3))
    route = node(1, "route", StepKind.BRANCH, ways=ways, takes_all=True)
    steps = (table_step(2, "a", next=END), table_step(3, "b", policy), table_step(4, "c", policy))
    plan = chain(route, *steps, scope=ScopeKind.RECORD)
    opened = opened_with(database, *"abc", **dict.fromkeys("abc", Repeats.LEDGER))
    return plan, opened


def stored(database: FakeDatabase) -> dict[str, list[int]]:
    return {name: sorted(row["id"] for row in rows.values()) for name, rows in database.rows.items()}


def test_what_a_failure_undid_on_the_other_way_is_done_again_by_the_retry():
    database = FakeDatabase(fails=lambda table, body: "no" if table == "c" and body["id"] == 1 else None)
    plan, opened = two_ways(database)

    result = deliver(plan, opened, page_of(records(3)))

    assert stored(database) == {"a": [0, 2], "b": [0, 2], "c": [0, 2]}
    assert counts(result) == (2, 0, 1, 0)
    (failed,) = result.failures()
    assert (failed.node, failed.start) == (4, 1)
    database.fails = lambda table, body: None
    database.ledger.clear()
    again = deliver(plan, opened, retried(failed))
    assert counts(again) == (1, 0, 0, 0)
    assert stored(database) == {"a": [0, 1, 2], "b": [0, 1, 2], "c": [0, 1, 2]}


def test_a_record_that_fails_on_both_ways_is_one_failure_whose_retry_goes_both_ways():
    database = FakeDatabase(fails=lambda table, body: "no" if table in ("b2", "a2") and body["id"] == 1 else None)
    ways = (Way("one", None, 2), Way("other", None, 4))
    route = node(1, "route", StepKind.BRANCH, ways=ways, takes_all=True)
    steps = (table_step(2, "a"), table_step(3, "a2", next=END), table_step(4, "b"), table_step(5, "b2"))
    plan = chain(route, *steps, scope=ScopeKind.RECORD)
    opened = opened_with(database, "a", "a2", "b", "b2", a=Repeats.LEDGER, b=Repeats.LEDGER)

    result = deliver(plan, opened, page_of(records(2)))

    (failed,) = result.failures()
    assert (failed.start, counts(result)) == (1, (1, 0, 1, 0))
    assert {sum(visits(result, index)) for index in (2, 3, 4, 5)} == {2}
    database.fails = lambda table, body: None
    database.ledger.clear()
    deliver(plan, opened, retried(failed))
    assert stored(database) == {"a": [0, 1], "a2": [0, 1], "b": [0, 1], "b2": [0, 1]}


def test_a_record_that_waits_on_both_ways_waits_once():
    busy = {"b": 1, "c": 1}

    def fails(table: str, body: dict) -> str | None:
        busy[table] = busy.get(table, 0) - 1
        return "busy" if busy[table] >= 0 else None

    database = FakeDatabase(fails=fails)
    plan, opened = two_ways(database, policy=Policy(OnError.RETRY, seconds=1, attempts=3))
    page, done = page_of(records(1)), []
    for part in range(4):
        result = deliver(plan, opened, page)
        done.append(counts(result))
        if not result.rest:
            break
        page = Page(0, part + 1, NOW, unpack(pack(result.rest, []))[0])

    assert done[-1] == (1, 0, 0, 0)
    assert stored(database) == {"a": [0], "b": [0], "c": [0]}


@pytest.mark.parametrize("answer", [[{"name": "late"}], []])
def test_what_was_undone_in_a_delivery_that_is_repeated_is_not_taken_for_written(answer):
    """The worker died after the target's commit; meanwhile the lookup finds what it had not found."""
    ask = node(2, "ask", StepKind.LOOKUP, into="found", connection="other", is_required=True)
    plan = chain(table_step(1, "load"), ask, scope=ScopeKind.RECORD)
    database = FakeDatabase()
    opened = opened_with(database, "load", load=Repeats.LEDGER)
    opened.lookups["ask"] = FakeLookup({0: [{"name": "zero"}], 1: []})
    deliver(plan, opened, page_of(records(2)))
    assert stored(database) == {"load": [0]}

    opened.lookups["ask"] = FakeLookup({0: [{"name": "zero"}], 1: answer})
    again = deliver(plan, opened, page_of(records(2)))

    assert stored(database) == {"load": [0]}
    assert counts(again) == (1, 0, 1, 0)
    assert [entry.start for entry in again.failures()] == [1]


def test_the_key_of_a_send_is_the_same_whatever_trace_key_the_step_has():
    key_of = identity(1, 7)
    load = table_step(1, "load", trace_key=compile_expression("record.id"))
    item, again = Item(3, {"id": 1}, "order 1"), Item(0, {"id": 1}, "1")
    again.root = (7, 3)

    assert key_of(load, item) == key_of(load, again)
    again.generation = 1
    assert key_of(load, item) != key_of(load, again)
    assert key_of(replace(load, key="other"), item) != key_of(load, item)
