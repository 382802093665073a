"""A page's way through the steps: outcomes, policies, scopes, replays, the ledger."""

from dataclasses import replace

import pytest

from apps.engine.expressions import ExpressionError, compile_expression, compile_mapping, compile_template
from apps.engine.plan import END, OnError, Plan, Policy, ScopeKind, StepKind, Way
from apps.engine.ports import BadRecord, Failure, Repeats
from apps.engine.records import pack, unpack
from tests.fakes.world import (
    FakeDatabase,
    FakeLookup,
    FakeOpened,
    FakeTable,
    chain,
    counts,
    deliver,
    node,
    page_of,
    table_step,
    visits,
)


def records(count: int) -> list[dict]:
    return [{"id": number, "price": number * 10} for number in range(count)]


def opened_with(database: FakeDatabase, *names: str, **repeats: Repeats) -> FakeOpened:
    targets = {name: FakeTable(database, name, repeats.get(name, Repeats.SAFE)) for name in names}
    return FakeOpened(targets=targets, sessions={"db": database})


def assert_balanced(result, plan: Plan) -> None:
    for tally in result.tallies.values():
        names = [i.ordinal for i in [*tally.succeeded, *tally.ignored, *tally.rolled_back]]
        names += [entry.item.ordinal for entry in tally.failed]
        if not plan.makes_copies:
            assert len(names) == len(set(names)), "a record visits a step once"


@pytest.fixture(params=[ScopeKind.NONE, ScopeKind.RECORD])
def scope(request) -> ScopeKind:
    return request.param


def test_every_record_that_passes_all_steps_is_a_success(scope):
    database = FakeDatabase()
    plan = chain(table_step(1, "load"), scope=scope)

    result = deliver(plan, opened_with(database, "load"), page_of(records(5)))

    assert counts(result) == (5, 0, 0, 0)
    assert visits(result, 0) == visits(result, 1) == (5, 0, 0, 0)
    assert sorted(database.rows["load"]) == [0, 1, 2, 3, 4]
    assert database.is_idle


def test_a_filter_ignores_records_and_they_reach_no_later_step(scope):
    database = FakeDatabase()
    keep = node(1, "keep", StepKind.FILTER, condition=compile_expression("record.id > 2"))
    plan = chain(keep, table_step(2, "load"), scope=scope)

    result = deliver(plan, opened_with(database, "load"), page_of(records(5)))

    assert counts(result) == (2, 3, 0, 0)
    assert visits(result, 1) == (2, 3, 0, 0)
    assert sorted(database.rows["load"]) == [3, 4]


def test_an_input_filter_skips_the_step_and_the_record_goes_on(scope):
    database = FakeDatabase()
    first = table_step(1, "first", input_filter=compile_expression("record.id != 1"))
    plan = chain(first, table_step(2, "second"), scope=scope)

    result = deliver(plan, opened_with(database, "first", "second"), page_of(records(3)))

    assert visits(result, 1) == (2, 1, 0, 0)
    assert visits(result, 2) == (3, 0, 0, 0)
    assert counts(result) == (3, 0, 0, 0)


def test_a_mapping_that_fails_is_an_error_that_names_the_field_and_keeps_the_record(scope):
    database = FakeDatabase()
    shape = node(1, "shape", StepKind.MAP, mapping=compile_mapping({"id": "record.id", "half": "record.price / 2"}))
    plan = chain(shape, table_step(2, "load"), scope=scope)
    page = page_of([{"id": 0, "price": 10}, {"id": 1, "price": "ten"}])

    result = deliver(plan, opened_with(database, "load"), page)

    assert counts(result) == (1, 0, 1, 0)
    (failed,) = result.failures()
    assert failed.failure.source == "mapping"
    assert failed.failure.field == "half"
    assert "ten" in failed.failure.message
    assert failed.record == {"id": 1, "price": "ten"}
    assert (failed.node, failed.start) == (1, 1)


def test_a_record_refused_by_the_destination_fails_alone(scope):
    database = FakeDatabase(fails=lambda table, body: "no sevens" if body["id"] == 7 else None)
    plan = chain(table_step(1, "load"), scope=scope)

    result = deliver(plan, opened_with(database, "load"), page_of(records(10)))

    assert counts(result) == (9, 0, 1, 0)
    assert result.failures()[0].failure.message == "no sevens"
    assert 7 not in database.rows["load"]
    assert len(database.rows["load"]) == 9


def test_scope_none_keeps_what_was_written_and_retries_from_the_failed_step():
    database = FakeDatabase(fails=lambda table, body: "late" if table == "second" and body["id"] == 3 else None)
    plan = chain(table_step(1, "first"), table_step(2, "second"))

    result = deliver(plan, opened_with(database, "first", "second"), page_of(records(5)))

    assert 3 in database.rows["first"]
    assert 3 not in database.rows["second"]
    (failed,) = result.failures()
    assert (failed.node, failed.start) == (2, 2)


def test_scope_record_undoes_the_failed_records_writes_and_only_those():
    database = FakeDatabase(fails=lambda table, body: "late" if table == "second" and body["id"] == 3 else None)
    plan = chain(table_step(1, "first"), table_step(2, "second"), scope=ScopeKind.RECORD)

    result = deliver(plan, opened_with(database, "first", "second"), page_of(records(5)))

    assert sorted(database.rows["first"]) == sorted(database.rows["second"]) == [0, 1, 2, 4]
    assert visits(result, 1) == (4, 0, 0, 1)
    assert visits(result, 2) == (4, 0, 1, 0)
    assert counts(result) == (4, 0, 1, 0)
    (failed,) = result.failures()
    assert (failed.node, failed.start) == (2, 1)
    assert_balanced(result, plan)


def test_a_replay_goes_on_until_nothing_new_fails():
    """A record that only passes because another one went before it fails in the replay without that one."""
    database = FakeDatabase()

    def fails(table: str, body: dict) -> str | None:
        if table == "second" and body["id"] == 0:
            return "first of all"
        if table == "second" and body["id"] == 1 and 0 not in database.rows.get("first", {}):
            return "its parent is missing"
        return None

    database.fails = fails
    plan = chain(table_step(1, "first"), table_step(2, "second"), scope=ScopeKind.RECORD)

    result = deliver(plan, opened_with(database, "first", "second"), page_of(records(4)))

    assert sorted(database.rows["first"]) == [2, 3]
    assert counts(result) == (2, 0, 2, 0)
    assert visits(result, 1) == (2, 0, 0, 2)
    assert_balanced(result, plan)


def test_a_replay_asks_no_lookup_twice():
    database = FakeDatabase(fails=lambda table, body: "late" if table == "second" and body["id"] == 1 else None)
    found = FakeLookup({number: [{"name": f"n{number}"}] for number in range(3)})
    ask = node(2, "ask", StepKind.LOOKUP, into="found", connection="other")
    plan = chain(table_step(1, "first"), ask, table_step(3, "second"), scope=ScopeKind.RECORD)
    opened = opened_with(database, "first", "second")
    opened.lookups["ask"] = found

    deliver(plan, opened, page_of(records(3)))

    assert sorted(found.asked) == [0, 1, 2]


def test_a_required_lookup_that_finds_nothing_is_an_error_of_its_own():
    found = FakeLookup({0: [{"name": "zero"}]})
    plan = chain(node(1, "ask", StepKind.LOOKUP, into="found", is_required=True))

    result = deliver(plan, FakeOpened(lookups={"ask": found}), page_of(records(2)))

    (failed,) = result.failures()
    assert failed.failure.code == "lookup_empty"
    assert failed.failure.message == 'Step ask found nothing in the list with id "1", and it is required.'
    assert failed.failure.classification == "missing"
    assert result.tally(1).succeeded[0].record["found"] == {"name": "zero"}


def test_ignored_failures_count_but_the_record_goes_on(scope):
    database = FakeDatabase(fails=lambda table, body: "odd" if table == "first" and body["id"] == 1 else None)
    plan = chain(table_step(1, "first", Policy(OnError.IGNORE)), table_step(2, "second"), scope=scope)

    result = deliver(plan, opened_with(database, "first", "second"), page_of(records(3)))

    assert result.failures()[0].is_handled
    assert visits(result, 2) == (3, 0, 0, 0)
    assert counts(result) == (3, 0, 0, 0)


def test_continue_on_error_lets_the_record_reach_later_steps_while_its_error_stays(scope):
    database = FakeDatabase(fails=lambda table, body: "odd" if table == "first" and body["id"] == 1 else None)
    plan = chain(table_step(1, "first", Policy(continue_on_error=True)), table_step(2, "second"), scope=scope)

    result = deliver(plan, opened_with(database, "first", "second"), page_of(records(3)))

    assert visits(result, 2) == (3, 0, 0, 0)
    assert counts(result) == (2, 0, 1, 0)
    assert not result.failures()[0].is_handled


def test_policy_fail_books_the_page_whole_and_stops_the_run(scope):
    database = FakeDatabase(fails=lambda table, body: "stop here" if body["id"] == 1 else None)
    plan = chain(table_step(1, "load", Policy(OnError.FAIL)), scope=scope)

    result = deliver(plan, opened_with(database, "load"), page_of(records(4)))

    assert result.stopped_by is not None
    assert result.stopped_by.failure.message == "stop here"
    assert counts(result) == (3, 0, 1, 0)


def test_policy_retry_parks_the_record_and_its_next_attempts_end_in_the_final_policy(scope):
    database = FakeDatabase(fails=lambda table, body: "busy" if body["id"] == 1 else None)
    policy = Policy(OnError.RETRY, seconds=7, attempts=2, then=OnError.SET_ASIDE)
    plan = chain(table_step(1, "load", policy), scope=scope)
    opened = opened_with(database, "load")

    first = deliver(plan, opened, page_of(records(3)))
    assert counts(first) == (2, 0, 0, 0)
    assert first.wait is not None
    assert first.wait.seconds == 7
    assert [item.attempt for item in first.rest] == [1]

    items, _ = unpack(pack(first.rest, []))
    second = deliver(plan, opened, replace_items(items, part=1))
    assert [item.attempt for item in second.rest] == [2]
    items, _ = unpack(pack(second.rest, []))
    last = deliver(plan, opened, replace_items(items, part=2))

    assert counts(last) == (0, 0, 1, 0)
    assert not last.rest
    assert last.failures()[0].item.attempt == 2


def replace_items(items, part: int):
    return replace(page_of([], part=part), items=items)


def test_a_retry_inside_a_scope_starts_again_at_the_first_write_and_counts_each_visit_once():
    calls: dict[str, int] = {}

    def fails(table: str, body: dict) -> str | None:
        if table == "second" and body["id"] == 1:
            calls["second"] = calls.get("second", 0) + 1
            return "busy" if calls["second"] == 1 else None
        return None

    database = FakeDatabase(fails=fails)
    policy = Policy(OnError.RETRY, seconds=1, attempts=3)
    plan = chain(table_step(1, "first"), table_step(2, "second", policy), scope=ScopeKind.RECORD)
    opened = opened_with(database, "first", "second")

    first = deliver(plan, opened, page_of(records(3)))
    assert 1 not in database.rows["first"]
    second = deliver(plan, opened, replace_items(unpack(pack(first.rest, []))[0], part=1))

    assert counts(first) == (2, 0, 0, 0)
    assert counts(second) == (1, 0, 0, 0)
    assert visits(first, 1)[0] + visits(second, 1)[0] == 3
    assert visits(first, 1)[3] == 0
    assert sorted(database.rows["first"]) == sorted(database.rows["second"]) == [0, 1, 2]


def test_an_outage_makes_no_errors_and_the_whole_page_waits(scope):
    database = FakeDatabase(is_down=True)
    plan = chain(table_step(1, "load"), scope=scope)
    opened = opened_with(database, "load")

    result = deliver(plan, opened, page_of(records(3)))

    assert counts(result) == (0, 0, 0, 0)
    assert not result.failures()
    assert len(result.rest) == 3
    assert result.wait is not None
    assert result.wait.connection == "db"
    database.is_down = False
    again = deliver(plan, opened, replace_items(unpack(pack(result.rest, []))[0], part=1))
    assert counts(again) == (3, 0, 0, 0)
    assert visits(result, 0) == (3, 0, 0, 0)
    assert visits(again, 0) == (0, 0, 0, 0)


def test_a_connection_lost_at_commit_sends_the_page_again_and_the_ledger_prevents_a_repeat(scope):
    database = FakeDatabase(dies_at_commit=True, fails=lambda t, body: "bad" if body["id"] == 2 else None)
    plan = chain(table_step(1, "load"), scope=scope)
    opened = opened_with(database, "load", load=Repeats.LEDGER)
    page = page_of(records(4))

    first = deliver(plan, opened, page)
    assert counts(first) == (0, 0, 0, 0)
    writes = database.writes
    again = deliver(plan, opened, replace_items(first.rest, part=0))

    assert counts(again) == (3, 0, 1, 0)
    assert database.writes == writes, "the ledger answers, nothing is written again"
    assert again.failures()[0].failure.message == "bad"
    assert len(database.rows["load"]) == 3


def test_a_ledger_in_a_scope_tells_also_what_was_undone():
    database = FakeDatabase(fails=lambda table, body: "late" if table == "second" and body["id"] == 1 else None)
    plan = chain(table_step(1, "first"), table_step(2, "second"), scope=ScopeKind.RECORD)
    opened = opened_with(database, "first", "second", first=Repeats.LEDGER)

    one = deliver(plan, opened, page_of(records(3)))
    database.fails = lambda table, body: None
    two = deliver(plan, opened, page_of(records(3)))

    assert counts(one) == counts(two) == (2, 0, 1, 0)
    assert len(database.rows["first"]) == 2
    assert sorted(database.rows["second"]) == [0, 2]


@pytest.mark.parametrize("repeats", [Repeats.SAFE, Repeats.LEDGER])
def test_a_record_that_only_commit_refuses_is_found_and_the_others_go_through(repeats):
    database = FakeDatabase(refuses_at_commit=lambda rows: any(r["id"] == 5 for r in rows.get("load", {}).values()))
    plan = chain(table_step(1, "load"), scope=ScopeKind.RECORD)
    opened = opened_with(database, "load", load=repeats)

    result = deliver(plan, opened, page_of(records(8)))

    assert counts(result) == (7, 0, 1, 0)
    assert visits(result, 1) == (7, 0, 1, 0)
    assert sorted(row["id"] for row in database.rows["load"].values()) == [0, 1, 2, 3, 4, 6, 7]
    assert result.failures()[0].item.ordinal == 5
    assert database.is_idle
    again = deliver(plan, opened, page_of(records(8)))
    assert counts(again) == (7, 0, 1, 0)
    assert len(database.rows["load"]) == 7, "a repeated delivery adds nothing"


def test_a_branch_takes_the_first_way_that_holds_and_the_ways_join_again(scope):
    database = FakeDatabase()
    ways = (Way("even", compile_expression("record.id % 2 == 0"), 2), Way("rest", None, 3))
    route = node(1, "route", StepKind.BRANCH, ways=ways)
    plan = chain(route, table_step(2, "even", next=4), table_step(3, "odd", next=4), table_step(4, "all"), scope=scope)

    result = deliver(plan, opened_with(database, "even", "odd", "all"), page_of(records(5)))

    assert sorted(database.rows["even"]) == [0, 2, 4]
    assert sorted(database.rows["odd"]) == [1, 3]
    assert sorted(database.rows["all"]) == [0, 1, 2, 3, 4]
    assert counts(result) == (5, 0, 0, 0)


def test_a_branch_that_no_way_of_holds_ignores_the_record():
    ways = (Way("big", compile_expression("record.id > 3"), END),)
    plan = chain(node(1, "route", StepKind.BRANCH, ways=ways))

    result = deliver(plan, FakeOpened(), page_of(records(5)))

    assert visits(result, 1) == (1, 4, 0, 0)


def test_a_branch_that_takes_all_ways_counts_each_path_and_the_record_once(scope):
    database = FakeDatabase(fails=lambda table, body: "no" if table == "b" and body["id"] == 1 else None)
    ways = (Way("a", None, 2), Way("b", None, 3))
    route = node(1, "route", StepKind.BRANCH, ways=ways, takes_all=True)
    plan = chain(route, table_step(2, "a", next=END), table_step(3, "b"), scope=scope)

    result = deliver(plan, opened_with(database, "a", "b"), page_of(records(3)))

    assert visits(result, 1) == (6, 0, 0, 0)
    assert counts(result) == (2, 0, 1, 0)


def test_rows_that_are_no_records_are_errors_of_the_export():
    bad = BadRecord(b"{oops", "line 2", Failure("application", "json", "This line is not JSON.", "parse"))
    plan = chain(node(1, "shape", StepKind.MAP, mapping=compile_mapping({"id": "record.id"})))

    result = deliver(plan, FakeOpened(), page_of([{"id": 0}, bad, {"id": 2}]))

    assert visits(result, 0) == (2, 0, 1, 0)
    (failed,) = result.failures()
    assert (failed.raw, failed.place, failed.item.ordinal) == (b"{oops", "line 2", 1)
    assert counts(result) == (0, 2, 1, 0)


def test_an_output_filter_of_the_export_ignores_records():
    plan = chain(node(1, "note", StepKind.LOG, message=compile_template("saw {{ record.id }}")))
    export = replace(plan.nodes[0], output_filter=compile_expression("record.id != 1"))
    plan = replace(plan, nodes=(export, *plan.nodes[1:]))

    result = deliver(plan, FakeOpened(), page_of(records(3)))

    assert visits(result, 0) == (2, 1, 0, 0)
    assert [line.text for line in result.log] == ["saw 0", "saw 2"]


def test_a_send_that_cannot_be_rolled_back_waits_for_the_commit_and_is_dropped_for_failed_records():
    database = FakeDatabase(fails=lambda table, body: "late" if table == "second" and body["id"] == 1 else None)
    mail = node(2, "mail", StepKind.IMPORT, connection="smtp")
    plan = chain(table_step(1, "first"), mail, table_step(3, "second"), scope=ScopeKind.RECORD)
    opened = opened_with(database, "first", "second")
    outbox = FakeTable(FakeDatabase(), "mail", transactional=False)
    opened.targets["mail"] = outbox

    result = deliver(plan, opened, page_of(records(3)))

    assert outbox.sent == [0, 2]
    assert visits(result, 2)[0] == 2
    assert counts(result) == (2, 0, 1, 0)


def test_what_may_not_start_any_more_becomes_the_rest_of_the_page():
    database = FakeDatabase()
    plan = chain(table_step(1, "first"), table_step(2, "second"))
    opened = opened_with(database, "first", "second")

    result = deliver(plan, opened, page_of(records(3)), should_stop=lambda: "first" in database.rows)

    assert [item.at for item in result.rest] == [2, 2, 2]
    assert counts(result) == (0, 0, 0, 0)
    rest = deliver(plan, opened, replace_items(unpack(pack(result.rest, []))[0], part=1))
    assert counts(rest) == (3, 0, 0, 0)


def test_a_failure_of_the_connector_itself_is_an_internal_error_with_its_trace(scope):
    database = FakeDatabase()

    def explode(table: str, body: dict) -> str | None:
        raise RuntimeError("the connector has a bug")

    database.fails = explode
    plan = chain(table_step(1, "load"), scope=scope)

    result = deliver(plan, opened_with(database, "load"), page_of(records(2)))

    assert counts(result) == (0, 0, 2, 0)
    assert result.failures()[0].failure.source == "internal"
    assert any("RuntimeError" in line.text for line in result.log)


def test_a_deadly_record_is_set_aside_without_being_delivered():
    database = FakeDatabase()
    plan = chain(table_step(1, "load"))
    page = page_of(records(1))
    page.is_deadly = True

    result = deliver(plan, opened_with(database, "load"), page)

    assert counts(result) == (0, 0, 1, 0)
    assert database.writes == 0
    assert result.failures()[0].failure.code == "worker_died"


def test_packing_keeps_everything_a_rest_needs():
    page = page_of([{"id": "x", "text": "a\ud800b"}])
    item = page.items[0]
    item.at, item.attempt, item.failed, item.taken = 3, 2, True, True
    item.first_write = (1, {"id": "before"})
    before = item.payload_hash

    (back,), _ = unpack(pack([item], []))

    assert back.record == {"id": "x", "text": "a\ud800b"}
    assert (back.at, back.attempt, back.failed, back.taken) == (3, 2, True, True)
    assert back.first_write == (1, {"id": "before"})
    assert back.payload_hash == before


def test_an_expression_error_is_the_only_thing_an_expression_raises():
    with pytest.raises(ExpressionError):
        compile_expression("record.id > ")
