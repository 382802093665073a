"""The page commit: what one transaction writes, and who may write it."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.core import clock
from apps.engine.plan import OnError, Policy
from apps.engine.ports import BadRecord, ConnectorError, Failure, Outage, Repeats
from apps.errors.models import Cause, Error, ErrorText, RetryData, StepState
from apps.execution.claims import claim_run
from apps.execution.owned_run import Fenced
from apps.flows.models import Checkpoint
from apps.runs.models import Bucket, FlowState, Intent, Page, Run, RunLog, StepRun
from apps.runs.services import RunRefused, cancel_run, start_run
from tests.factories import make_connection, make_flow
from tests.fakes.running import World, books, make_world
from tests.fakes.world import chain, table_step
from tests.scenarios.retry_world import records, run_once

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(account) -> World:
    return make_world(account)


def test_a_page_commit_writes_counts_errors_and_checkpoint_together(world):
    world.refuse(2)
    running = world.begin()

    goes_on = running.run_page(records(1, 2, 3), checkpoint="row 3")
    run = running.finish()

    assert goes_on
    assert (run.records_in, run.success, run.ignored, run.failed, run.errors) == (3, 2, 0, 1, 1)
    assert (run.status, run.outcome) == ("completed", "completed_with_errors")
    (error,) = Error.unscoped.all()
    assert (error.message, error.key, error.state) == ("refused", "2", "open")
    assert bytes(RetryData.unscoped.get(error=error).record) == b'{"id":2}'
    assert ErrorText.unscoped.get(error=error).text == "2 refused"
    assert Checkpoint.unscoped.get(flow=world.flow).value == {"at": "row 3"}
    assert StepState.unscoped.get(step=error.step_id).open_errors == 1
    step_run = StepRun.unscoped.get(run=run, step=error.step_id)
    assert (step_run.came_in, step_run.success, step_run.errors, step_run.open_errors) == (3, 2, 1, 1)
    assert {b.success for b in Bucket.unscoped.filter(flow=world.flow)} == {2}
    assert RunLog.unscoped.filter(run=run, text__contains="Page 1 saved: 3 records").exists()
    assert books() == []


def test_a_delivered_page_keeps_no_payload(world):
    running = world.begin()
    running.run_page(records(1))

    page = Page.unscoped.get(run=running.run)

    assert (page.state, page.payload) == ("done", None)


def test_a_run_whose_records_all_went_through_is_completed(world):
    running = world.begin()
    running.run_page(records(1, 2))

    assert running.finish().outcome == "completed"
    assert FlowState.unscoped.get(flow=world.flow).last_runs == "o"


def test_a_run_without_records_is_empty(world):
    assert world.begin().finish().outcome == "empty"


def test_a_page_is_booked_once_however_often_it_is_committed(world):
    running = world.begin()
    page = running.store(records(1, 2))
    result = running.deliver(page)
    row = running.journal.rows[0, 0]
    running.journal.commit(page, result)
    running.journal.rows[0, 0] = row

    with pytest.raises(Fenced):
        running.journal.commit(page, result)

    assert running.reloaded().success == 2
    assert books() == []


def test_a_worker_that_lost_its_lease_writes_nothing(world, noon):
    running = world.begin()
    page = running.store(records(1, 2))
    result = running.deliver(page)
    with clock.frozen(noon + timedelta(minutes=5)):
        assert claim_run(running.run.pk) is not None

    with pytest.raises(Fenced):
        running.journal.commit(page, result)

    assert running.reloaded().success == 0
    assert Page.unscoped.get().state == "delivering"


def test_another_worker_goes_on_with_the_stored_page_and_sees_the_same_now(world, noon):
    running = world.begin()
    first = running.store(records(1, 2))
    with clock.frozen(noon + timedelta(minutes=5)):
        taken = world.take(running.run)
        page = taken.journal.next_page()
        assert page is not None
        taken.journal.commit(page, taken.deliver(page))
        run = taken.finish()

    assert [item.record for item in page.items] == [item.record for item in first.items]
    assert page.now == first.now
    assert (run.success, run.records_in) == (2, 2)
    assert books() == []


def test_a_live_lease_cannot_be_claimed_a_second_time(world):
    running = world.begin()

    assert claim_run(running.run.pk) is None


def test_a_queued_run_waits_for_the_one_before_it(world):
    running = world.begin()
    second = start_run(flow=world.flow)

    assert claim_run(second.pk) is None
    second.refresh_from_db()
    assert second.wait_reason == f"run r-{running.run.pk} of this flow goes first"
    running.finish()
    assert claim_run(second.pk) is not None


def test_runs_of_a_flow_that_allows_it_go_side_by_side(account):
    world = make_world(account, overlap="allow")
    world.begin()

    assert claim_run(start_run(flow=world.flow).pk) is not None


def test_a_flow_that_skips_refuses_a_second_run(account):
    world = make_world(account, overlap="skip")
    world.begin()

    with pytest.raises(RunRefused, match="skip"):
        start_run(flow=world.flow)


def test_a_disabled_flow_starts_no_run(account):
    with pytest.raises(RunRefused, match="disabled"):
        start_run(flow=make_flow(account, enabled=False))


def test_cancel_takes_effect_at_the_page_boundary_and_keeps_what_was_committed(world):
    running = world.begin()
    running.run_page(records(1), checkpoint="a")
    page = running.store(records(2), checkpoint="b")
    cancel_run(run=running.run, member=None)

    goes_on = running.journal.commit(page, running.deliver(page))

    run = running.reloaded()
    assert not goes_on
    assert (run.status, run.outcome, run.success) == ("canceled", "canceled", 2)
    assert Checkpoint.unscoped.get().value == {"at": "b"}
    assert FlowState.unscoped.get(flow=world.flow).running == 0
    assert books() == []


def test_a_run_that_nobody_works_on_is_canceled_at_once(world):
    run = start_run(flow=world.flow)

    cancel_run(run=run, member=None)

    run.refresh_from_db()
    assert run.status == "canceled"
    with pytest.raises(RunRefused, match="ended already"):
        cancel_run(run=run, member=None)
    assert books() == []


def test_an_export_that_fails_half_way_leaves_an_open_window_and_its_pages_stand(world):
    running = world.begin()
    running.run_page(records(1, 2), checkpoint="row 2")

    running.journal.fail_export(ConnectorError("json_truncated", "The file ends in the middle of a record."))

    run = running.reloaded()
    assert (run.status, run.outcome, run.success, run.unit_errors) == ("failed", "failed", 2, 1)
    error = Error.unscoped.get()
    assert (error.unit, error.state, error.key_hash) == ("window", "open", None)
    assert RetryData.unscoped.get(error=error).window["position"] == {"row": 2}
    assert Checkpoint.unscoped.get().value == {"at": "row 2"}
    assert books() == []


def test_an_export_that_cannot_be_reached_waits_longer_each_time_and_then_fails(world, noon):
    run = start_run(flow=world.flow)
    waits = []
    moment = noon
    for _ in range(6):
        with clock.frozen(moment):
            world.take(run).journal.wait_for_source(Outage("refused", "Could not connect."))
            run.refresh_from_db()
        if run.not_before is None:
            break
        waits.append((run.not_before - moment).total_seconds())
        assert "Could not connect" in run.wait_reason
        moment = run.not_before + timedelta(seconds=1)

    assert waits == [5, 10, 20, 40, 60]
    assert (run.status, run.outcome) == ("failed", "failed")
    assert Error.unscoped.get().message == "Could not connect."


def test_policy_fail_stops_the_run_with_its_page_booked_and_the_rest_of_the_window_open(account):
    world = make_world(account, plan=chain(table_step(1, "target", Policy(OnError.FAIL))))
    world.refuse(2)
    running = world.begin()

    goes_on = running.run_page(records(1, 2, 3), checkpoint="row 3")

    run = running.reloaded()
    assert not goes_on
    assert (run.status, run.success, run.failed, run.unit_errors) == ("failed", 2, 1, 1)
    assert sorted(Error.unscoped.values_list("unit", flat=True)) == ["record", "window"]
    assert books() == []


def test_what_waits_becomes_the_next_part_and_the_run_is_put_aside(account, noon):
    policy = Policy(OnError.RETRY, seconds=30, attempts=2, then=OnError.SET_ASIDE)
    world = make_world(account, plan=chain(table_step(1, "target", policy)))
    world.refuse(2)
    running = world.begin()

    goes_on = running.run_page(records(1, 2, 3), checkpoint="row 3")

    run = running.reloaded()
    assert not goes_on
    assert (run.status, run.success, run.pages_done) == ("running", 2, 0)
    assert run.not_before == noon + timedelta(seconds=30)
    assert "attempt 2 of 3" in run.wait_reason
    assert not Checkpoint.unscoped.exists(), "the checkpoint waits for the whole page"
    assert claim_run(run.pk) is None
    world.refuse()
    with clock.frozen(noon + timedelta(seconds=31)):
        taken = world.take(run)
        part = taken.journal.next_page()
        assert part is not None
        assert part.part == 1
        taken.journal.commit(part, taken.deliver(part))
        run = taken.finish()
    assert (run.success, run.pages_done, run.outcome) == (3, 1, "completed")
    assert Checkpoint.unscoped.get().value == {"at": "row 3"}
    assert books() == []


def test_a_page_that_kills_its_workers_is_halved_down_to_the_deadly_record(world, noon):
    """Records 0..4; whoever touches record 3 dies."""
    running = world.begin()
    running.store(records(0, 1, 2, 3, 4))
    moment = noon
    for _ in range(60):
        moment += timedelta(minutes=5)
        with clock.frozen(moment):
            taken = world.take(running.run)
            while (page := taken.journal.next_page()) is not None:
                if any(item.record["id"] == 3 for item in page.items) and not page.is_deadly:
                    break  # the worker dies here
                taken.journal.commit(page, taken.deliver(page))
            else:
                run = taken.finish()
                break

    assert (run.success, run.failed, run.outcome) == (4, 1, "completed_with_errors")
    error = Error.unscoped.get()
    assert (error.key, error.cause.code) == ("3", "worker_died")
    assert books() == []


def test_rows_that_are_no_records_keep_their_bytes_and_say_their_place(world):
    bad = BadRecord(b'{"id": 1\x00', "line 2", Failure("application", "not_json", "This is not JSON.", "parse"))
    running = world.begin()

    running.run_page([{"id": 1}, bad])

    error = Error.unscoped.get()
    assert error.message == "line 2: This is not JSON."
    assert bytes(RetryData.unscoped.get(error=error).record) == b'{"id": 1\x00'
    assert error.cause.classification == "parse"


def test_errors_of_one_shape_share_their_root_cause(world):
    world.database.fails = lambda table, body: f"Item {body['id']} is not known in list 7."
    running = world.begin()

    running.run_page(records(1, 2, 3))

    (cause,) = Cause.unscoped.all()
    assert (cause.open_errors, cause.total_errors) == (3, 3)
    assert books() == []


def test_text_that_a_database_cannot_hold_is_stored_readable(world):
    world.database.fails = lambda table, body: "bad \x00 byte and \ud800 half"
    running = world.begin()

    running.run_page([{"id": "a\x00b"}])

    error = Error.unscoped.get()
    assert error.message == "bad \N{REPLACEMENT CHARACTER} byte and \N{REPLACEMENT CHARACTER} half"
    assert error.key == "a\N{REPLACEMENT CHARACTER}b"


def test_handled_errors_count_in_the_run_but_are_never_open(account):
    world = make_world(account, plan=chain(table_step(1, "target", Policy(OnError.IGNORE))))
    world.refuse(2)
    running = world.begin()
    running.run_page(records(1, 2))

    run = running.finish()

    assert (run.errors, run.failed, run.outcome) == (1, 0, "completed")
    error = Error.unscoped.get()
    assert (error.state, error.reason) == ("resolved", "handled")
    assert StepState.unscoped.get(step=error.step_id).open_errors == 0
    assert books() == []


def test_a_send_that_was_cut_where_a_repeat_is_not_recognised_is_in_doubt_and_not_repeated(world, noon):
    world.opened.targets["target"].repeats = Repeats.UNSAFE
    running = world.begin()
    page = running.store(records(1, 2))
    running.deliver(page)  # the worker dies before the page commit
    writes = world.database.writes
    with clock.frozen(noon + timedelta(minutes=5)):
        taken = world.take(running.run)
        again = taken.journal.next_page()
        taken.journal.commit(again, taken.deliver(again))
        run = taken.finish()

    assert world.database.writes == writes
    assert (run.success, run.failed) == (0, 2)
    assert set(Error.unscoped.values_list("in_doubt", "state")) == {(True, "open")}
    assert StepState.unscoped.get(in_doubt__gt=0).in_doubt == 2
    assert not Intent.unscoped.exists()
    assert books() == []


def test_an_outage_announces_a_send_but_puts_nothing_in_doubt(world, noon):
    world.opened.targets["target"].repeats = Repeats.UNSAFE
    running = world.begin()
    world.database.is_down = True
    running.run_page(records(1, 2))
    world.database.is_down = False
    with clock.frozen(noon + timedelta(minutes=1)):
        taken = world.take(running.run)
        page = taken.journal.next_page()
        taken.journal.commit(page, taken.deliver(page))

        assert taken.finish().success == 2
    assert books() == []


def test_a_connection_is_online_once_a_run_went_through_it_and_keeps_its_last_error_until_then(world, account):
    connection = make_connection(account, name="db", environment=world.flow.integration.environment)
    world.database.is_down = True
    running = world.begin()
    running.run_page(records(1))
    connection.refresh_from_db()
    assert (connection.failures, connection.last_error) == (1, "Could not connect.")

    world.database.is_down = False
    Run.unscoped.update(not_before=None)
    Page.unscoped.update(not_before=None)
    taken = world.take(running.run)
    page = taken.journal.next_page()
    taken.journal.commit(page, taken.deliver(page))
    taken.finish()

    connection.refresh_from_db()
    assert (connection.state, connection.failures, connection.last_error) == ("online", 0, "")


def test_a_run_that_brings_no_record_to_a_destination_does_not_say_that_it_answers(world, account):
    connection = make_connection(account, name="db", environment=world.flow.integration.environment)
    run_once(world, [])
    connection.refresh_from_db()
    assert (connection.state, connection.last_ok_at) == ("never", None)
    run_once(world, records(1))
    connection.refresh_from_db()
    assert connection.state == "online"
    assert connection.last_ok_at is not None


# --- what it costs -----------------------------------------------------------------------------------------------
def test_a_page_without_watched_keys_asks_for_none(world):
    run_once(world, records(1))
    running = world.begin()
    page = running.store(records(1))
    result = running.deliver(page)

    with CaptureQueriesContext(
        connection,
    ) as queries:
        running.journal.commit(page, result)

    assert not any("FROM error WHERE" in query["sql"] for query in queries)


@pytest.mark.parametrize("size", [1, 500])
def test_a_page_commit_takes_the_same_number_of_queries_for_any_number_of_records(world, size):
    world.database.fails = lambda table, body: "no" if body["id"] % 2 else None
    run_once(world, records(*range(1000)))
    running = world.begin()
    page = running.store(records(*range(size)))
    result = running.deliver(page)

    with CaptureQueriesContext(connection) as queries:
        running.journal.commit(page, result)

    assert len([q for q in queries if not q["sql"].startswith(("SAVEPOINT", "RELEASE"))]) <= 30
    assert books() == []
