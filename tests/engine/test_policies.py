"""What a step's policy does with a record that failed: exceptions by class, substitute values, waits in a scope."""

from dataclasses import replace

import pytest

from apps.engine.expressions import compile_mapping
from apps.engine.plan import OnError, Policy, ScopeKind, StepKind, WorkflowRetry
from apps.engine.ports import Failure, Repeats
from apps.engine.records import Page
from tests.engine.test_delivery import opened_with, records
from tests.fakes.world import NOW, FakeDatabase, chain, counts, deliver, node, page_of, table_step, visits

NAMES = frozenset({"record", "now", "flow", "run", "settings", "error"})
SCOPES = [ScopeKind.NONE, ScopeKind.RECORD]


def refusing(table: str, *ids: int) -> FakeDatabase:
    """A database that refuses these records in one table, as a failure of the class `value`."""
    return FakeDatabase(fails=lambda name, body: "no" if name == table and body["id"] in ids else None)


def stored(database: FakeDatabase) -> dict[str, list[int]]:
    return {name: sorted(row["id"] for row in rows.values()) for name, rows in database.rows.items()}


# --- exceptions ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("scope", SCOPES)
def test_a_class_of_its_own_is_answered_in_another_way(scope):
    policy = Policy(OnError.RETRY, then=OnError.FAIL, exceptions={"value": OnError.SET_ASIDE})
    database = refusing("load", 1)
    plan = chain(table_step(1, "load", policy), scope=scope)

    result = deliver(plan, opened_with(database, "load"), page_of(records(3)))

    assert (counts(result), result.rest, result.stopped_by) == ((2, 0, 1, 0), [], None)


def test_other_classes_are_answered_as_the_policy_says():
    policy = Policy(OnError.SET_ASIDE, exceptions={"connection": OnError.FAIL})
    plan = chain(table_step(1, "load", policy))

    result = deliver(plan, opened_with(refusing("load", 1), "load"), page_of(records(3)))

    assert (counts(result), result.stopped_by) == ((2, 0, 1, 0), None)


def test_a_class_that_no_connector_named_is_found_by_the_rules():
    policy = Policy(exceptions={"missing": OnError.FAIL, "none": OnError.IGNORE})
    assert policy.answer_to(Failure("application", "404", "Not here.")) is OnError.FAIL
    assert policy.answer_to(Failure("application", "E17", "Computer says no.")) is OnError.IGNORE
    assert policy.answer_to(Failure("application", "400", "Bad.")) is OnError.SET_ASIDE


def test_only_the_class_of_an_exception_is_tried_again():
    policy = Policy(OnError.SET_ASIDE, seconds=3, attempts=1, exceptions={"value": OnError.RETRY}, then=OnError.IGNORE)
    plan, opened = chain(table_step(1, "load", policy)), opened_with(refusing("load", 1), "load")

    first = deliver(plan, opened, page_of(records(2)))
    assert (len(first.rest), first.wait.seconds) == (1, 3)
    second = deliver(plan, opened, Page(0, 1, NOW, first.rest))

    (failed,) = second.failures()
    assert (failed.is_handled, second.rest) == (True, [])


# --- substitute values -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("scope", SCOPES)
def test_an_ignored_record_goes_on_with_substitute_values(scope):
    substitute = compile_mapping({"n": "0", "why": "error.type + ': ' + error.message"}, names=NAMES)
    policy = Policy(OnError.IGNORE, substitute=substitute)
    shape = node(1, "shape", StepKind.MAP, mapping=compile_mapping({"id": "record.id", "n": "integer(record.n)"}))
    plan = chain(replace(shape, policy=policy), table_step(2, "load"), scope=scope)
    database = FakeDatabase()

    result = deliver(plan, opened_with(database, "load"), page_of([{"id": 0, "n": "4"}, {"id": 1, "n": "many"}]))

    rows = database.rows["load"]
    assert (rows[0]["n"], rows[1]["n"], rows[1]["id"]) == (4, 0, 1)
    assert rows[1]["why"].startswith("parse: Field n")
    (failed,) = result.failures()
    assert (failed.is_handled, failed.record) == (True, {"id": 1, "n": "many"})
    assert (counts(result), visits(result, 2)) == ((2, 0, 0, 0), (2, 0, 0, 0))


def test_the_last_of_several_attempts_may_be_ignored_with_substitute_values():
    substitute = compile_mapping({"id": "0 - record.id"}, names=NAMES)
    policy = Policy(OnError.RETRY, seconds=1, attempts=1, then=OnError.IGNORE, substitute=substitute)
    plan = chain(table_step(1, "first", policy), table_step(2, "second"))
    database = refusing("first", 1)
    opened = opened_with(database, "first", "second")

    rest = deliver(plan, opened, page_of(records(2))).rest
    deliver(plan, opened, Page(0, 1, NOW, rest))

    assert stored(database) == {"first": [0], "second": [-1, 0]}


def test_a_record_whose_substitute_values_cannot_be_made_is_set_aside_and_says_why():
    policy = Policy(OnError.IGNORE, substitute=compile_mapping({"n": "integer(record.n)"}, names=NAMES))
    plan = chain(table_step(1, "load", policy))

    result = deliver(plan, opened_with(refusing("load", 0), "load"), page_of([{"id": 0, "n": "many"}]))

    (failed,) = result.failures()
    assert not failed.is_handled
    assert failed.failure.message.startswith("no It is not ignored, because its substitute values could not be made:")
    assert counts(result) == (0, 0, 1, 0)


# --- waits -----------------------------------------------------------------------------------------------------------
def test_waits_double_up_to_a_day():
    policy = Policy(OnError.RETRY, seconds=3600, attempts=10, backoff=True)
    assert [policy.wait_s(number) / 3600 for number in (0, 1, 4, 5, 9)] == [1, 2, 16, 24, 24]
    retry = WorkflowRetry(attempts=10, minutes=90, backoff=True)
    assert [retry.wait_s(number) / 3600 for number in (1, 2, 4, 5, 10)] == [1.5, 3, 12, 24, 24]
    assert WorkflowRetry(attempts=3, minutes=5).wait_s(3) == 300


@pytest.mark.parametrize("seconds", [1, 6, 3600])
def test_a_scope_is_rolled_back_for_a_record_that_waits_and_holds_no_lock_meanwhile(seconds):
    """What the others wrote is committed; the record that waits begins anew at its first write."""
    policy = Policy(OnError.RETRY, seconds=seconds, attempts=2, then=OnError.SET_ASIDE)
    database = refusing("second", 1)
    plan = chain(table_step(1, "first"), table_step(2, "second", policy), scope=ScopeKind.RECORD)
    opened = opened_with(database, "first", "second", first=Repeats.LEDGER, second=Repeats.LEDGER)

    result = deliver(plan, opened, page_of(records(3)))

    assert database.is_idle
    assert stored(database) == {"first": [0, 2], "second": [0, 2]}
    (waiting,) = result.rest
    assert (waiting.at, waiting.attempt, result.wait.seconds) == (1, 1, seconds)
    assert (visits(result, 1), visits(result, 2)) == ((2, 0, 0, 0), (2, 0, 0, 0))

    database.fails = lambda table, body: None
    again = deliver(plan, opened, Page(0, 1, NOW, result.rest))

    assert stored(database) == {"first": [0, 1, 2], "second": [0, 1, 2]}
    assert (counts(again), again.failures(), again.rest) == ((1, 0, 0, 0), [], [])


def test_a_record_that_waited_in_vain_leaves_nothing_of_its_scope_behind():
    policy = Policy(OnError.RETRY, seconds=60, attempts=2, then=OnError.SET_ASIDE)
    database = refusing("second", 1)
    plan = chain(table_step(1, "first"), table_step(2, "second", policy), scope=ScopeKind.RECORD)
    opened = opened_with(database, "first", "second")

    page = page_of(records(2))
    for part in (1, 2, 3):
        result = deliver(plan, opened, page)
        assert database.is_idle
        page = Page(0, part, NOW, result.rest)

    assert stored(database) == {"first": [0], "second": [0]}
    (failed,) = result.failures()
    assert (failed.node, failed.start, counts(result)) == (2, 1, (0, 0, 1, 0))
