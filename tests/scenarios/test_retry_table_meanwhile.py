"""The retry part of the case table: what happens while a retry is under way. Each test names its row."""

from datetime import timedelta

import pytest

from apps.core import clock
from apps.engine.loop import Paused
from apps.engine.plan import StepKind
from apps.engine.ports import ConnectorError
from apps.errors.models import Error, RetryItem
from apps.execution.journal import RunJournal
from apps.execution.retry_reader import RetryReader
from apps.execution.turns import ANOTHER_HAS_IT
from apps.flows.models import Connection, ConnectionState
from apps.runs.models import FlowState, Run, RunLog
from apps.runs.services import cancel_run, start_run
from tests.factories import make_connection, make_step
from tests.fakes.running import World, books, make_world
from tests.fakes.world import FakeLookup, chain, node, table_step
from tests.scenarios.retry_world import (
    records,
    retry,
    retry_runs,
    run_once,
    shown,
    take_retry,
    work_retries,
    work_retry,
)
from tests.scenarios.scene import Scene

pytestmark = pytest.mark.django_db

ROWS = (
    "A connection is offline",
    "The flow is running meanwhile",
    "A retry is canceled",
    "A lookup step",
    "A failure of a whole page",
    "An export error",
    "The worker is killed during a retry",
)


def test_an_error_whose_key_went_through_meanwhile_is_skipped_and_resolved(world):
    """The flow is running meanwhile."""
    world.refuse(2)
    run_once(world, records(2))
    retry(world)
    world.refuse()
    run_once(world, records(2))
    sent = len(world.opened.targets["target"].sent)

    work_retries(world)

    assert len(world.opened.targets["target"].sent) == sent
    assert shown() == [("2", "resolved", "succeeded", False)]
    assert RetryItem.unscoped.get().state == "skipped"
    assert books() == []


def test_a_retry_of_old_data_never_hides_a_newer_failure(world):
    """The flow is running meanwhile."""
    world.refuse(2)
    run_once(world, records(2))
    retry(world)
    run_once(world, records(2))

    work_retries(world)

    states = [(state, reason) for _, state, reason, _ in shown()]
    assert states[1] == ("open", ""), "the newer error stays"
    assert states[0][0] == "resolved"
    assert [s for s in states if s == ("open", "")] == [("open", "")]
    assert books() == []


def test_canceling_a_retry_returns_what_was_not_sent_to_the_state_it_had(world):
    """A retry is canceled."""
    world.refuse(1, 2, 3)
    run_once(world, records(1, 2, 3))
    retry(world)
    (run,) = retry_runs(world)

    cancel_run(run=run, member=None)
    ended = work_retry(world, run)

    assert ended.status == "canceled"
    assert [state for _, state, _, _ in shown()] == ["open"] * 3
    assert set(RetryItem.unscoped.values_list("state", flat=True)) == {"canceled"}
    assert FlowState.unscoped.get(flow=world.flow).queued == 0
    assert books() == []


def test_an_export_error_is_retried_as_its_window_from_where_it_had_got(world):
    """An export error."""
    running = world.begin()
    running.run_page(records(1), checkpoint="row 1")
    running.journal.fail_export(ConnectorError("cut", "The file ends in the middle."))

    retry(world)
    (run,) = retry_runs(world)

    assert run.position["source"] == {"row": 1}
    taken = take_retry(world, run)
    taken.run_page(records(2), checkpoint="row 2")
    ended = taken.finish()
    error = Error.unscoped.get()
    assert (ended.outcome, error.state, error.reason) == ("completed", "resolved", "retried")
    assert books() == []


def test_a_window_that_fails_again_is_a_new_error_that_says_retry_failed(world):
    """An export error."""
    running = world.begin()
    running.run_page(records(1))
    running.journal.fail_export(ConnectorError("gone", "The file is gone."))
    retry(world)
    (run,) = retry_runs(world)

    take_retry(world, run).journal.fail_export(ConnectorError("gone", "The file is still gone."))

    old, new = Error.unscoped.order_by("id")
    assert (old.reason, old.resolved_error_id) == ("retry_failed", new.pk)
    assert (new.retry_failed, new.previous_error_id, new.unit) == (True, old.pk, "window")
    assert books() == []


def test_a_worker_killed_during_a_retry_does_nothing_twice_in_the_books(world, noon):
    """The worker is killed during a retry."""
    world.refuse(1, 2, 3)
    run_once(world, records(1, 2, 3))
    world.refuse(3)
    retry(world)
    (run,) = retry_runs(world)
    taken = take_retry(world, run)
    reader = RetryReader(taken.run, world.plan, first_ordinal=0, now=noon)
    page = taken.journal.store(reader.next(), claim=True)
    taken.deliver(page)  # killed before the page commit
    with clock.frozen(noon + timedelta(minutes=5)):
        ended = work_retry(world, run)

    assert (ended.success, ended.failed) == (2, 1)
    assert [(k, s, r) for k, s, r, _ in shown()] == [
        ("1", "resolved", "retried"),
        ("2", "resolved", "retried"),
        ("3", "resolved", "retry_failed"),
        ("3", "open", ""),
    ]
    assert books() == []


# --- runs and retries take turns -------------------------------------------------------------------------------------
def begun_retry(world: World) -> Run:
    """A retry of one error, claimed, which could not deliver because a run has its turn."""
    (run,) = retry_runs(world)
    taken = take_retry(world, run)
    reader = RetryReader(taken.run, world.plan, first_ordinal=0, now=clock.read_now())
    with pytest.raises(Paused):
        taken.journal.store(reader.next(), claim=True)
    run.refresh_from_db()
    return run


@pytest.fixture
def both(world, noon):
    """A run that delivers its first page, and a retry that waits for its turn."""
    world.refuse(1)
    run_once(world, records(1))
    world.refuse()
    retry(world)
    running = world.begin()
    page = running.store(records(2))
    return world, running, page, begun_retry(world)


def test_a_retry_waits_while_a_page_of_a_run_is_delivered_and_has_the_next_turn(both):
    """The flow is running meanwhile."""
    world, running, page, retry_run = both
    assert (retry_run.wait_reason, retry_run.lease_owner) == (ANOTHER_HAS_IT, "")

    running.journal.commit(page, running.deliver(page))
    with pytest.raises(Paused):
        running.store(records(3))  # it is kept, and waits now in its turn
    assert work_retry(world, retry_run).success == 1
    taken = world.take(running.run)
    page = taken.journal.next_page()
    taken.journal.commit(page, taken.deliver(page))

    assert taken.finish().success == 2
    assert FlowState.unscoped.get(flow=world.flow).delivery_owner == ""
    assert books() == []


def test_a_retry_page_that_waited_skips_what_the_run_put_through(world, noon):
    """The flow is running meanwhile."""
    world.refuse(1)
    run_once(world, records(1))
    world.refuse()
    retry(world)
    running = world.begin()
    page = running.store(records(1))
    retry_run = begun_retry(world)  # its page was read before the run's was booked
    running.journal.commit(page, running.deliver(page))
    sent = len(world.opened.targets["target"].sent)
    work_retry(world, retry_run)

    assert len(world.opened.targets["target"].sent) == sent
    assert shown() == [("1", "resolved", "succeeded", False)]
    assert books() == []


def test_the_turn_of_a_worker_that_was_killed_ends_with_its_lease(both, noon):
    """The flow is running meanwhile."""
    world, running, page, retry_run = both
    running.deliver(page)  # killed before the page commit
    with clock.frozen(noon + timedelta(minutes=5)):
        assert work_retry(world, retry_run).success == 1
        taken = world.take(running.run)
        again = taken.journal.next_page()
        taken.journal.commit(again, taken.deliver(again))
        assert taken.finish().success == 1

    assert books() == []


def test_a_turn_that_nobody_comes_for_is_not_kept_for_long(both, noon):
    """The flow is running meanwhile."""
    world, running, page, _ = both
    running.journal.commit(page, running.deliver(page))
    with pytest.raises(Paused):
        running.store(records(3))

    with clock.frozen(noon + timedelta(seconds=6)):
        taken = world.take(running.run)
        page = taken.journal.next_page()
        taken.journal.commit(page, taken.deliver(page))
        assert taken.finish().success == 2


def test_where_runs_may_overlap_nobody_waits(account):
    """The flow is running meanwhile."""
    world = make_world(account, overlap="allow")
    world.refuse(1)
    run_once(world, records(1))
    world.refuse()
    retry(world)
    running = world.begin()
    page = running.store(records(2))

    (ended,) = work_retries(world)
    running.journal.commit(page, running.deliver(page))

    assert ended.success == 1
    assert books() == []


def test_real_workers_book_pages_of_both_by_turns(sqlite_scene: Scene, monkeypatch):
    """The flow is running meanwhile."""
    scene = sqlite_scene
    rows = [f'{{"id": {n}, "amount": {-1 if n < 6 else n}}}' for n in range(16)]
    scene.write("a.jsonl", "\n".join(rows))
    flow = scene.flow_of_file("a.jsonl", page_size=2)
    scene.run(flow)
    scene.forget_checkpoint(flow)
    retry(World(flow, None, None, None))
    run, retry_run = start_run(flow=flow), Run.unscoped.get(kind="retry")
    moment, commit = clock.read_now(), RunJournal.commit

    def commit_while_the_run_comes(journal, page, result):
        monkeypatch.setattr(RunJournal, "commit", commit)
        scene.work(run, moment)  # another worker begins it, and has to wait
        return commit(journal, page, result)

    monkeypatch.setattr(RunJournal, "commit", commit_while_the_run_comes)
    for _ in range(40):
        moment += timedelta(seconds=0.1)
        for each in (retry_run, run):
            scene.work(each, moment)

    assert {r.status for r in Run.unscoped.all()} == {"completed"}
    saved = RunLog.unscoped.filter(text__contains=" saved: ", run__in=[run, retry_run]).order_by("id")
    order = list(saved.values_list("run", flat=True))
    assert order == [retry_run.pk, run.pk] * 3 + [run.pk] * 5


# --- what runs said about errors under a retry -----------------------------------------------------------------------
@pytest.mark.parametrize("outcome", ["succeeded", "superseded"])
def test_what_a_run_said_meanwhile_holds_when_the_retry_is_canceled(world, outcome):
    """A retry is canceled."""
    world.refuse(1)
    run_once(world, records(1))
    retry(world)
    if outcome == "succeeded":
        world.refuse()
    run_once(world, records(1))
    (run,) = retry_runs(world)

    cancel_run(run=run, member=None)
    work_retry(world, run)

    assert shown()[0][1:3] == ("resolved", outcome)
    assert Error.unscoped.filter(state="open").count() == (outcome == "superseded")
    assert books() == []


# --- connections -----------------------------------------------------------------------------------------------------
def test_a_retry_waits_for_the_connection_uses_no_attempt_and_starts_when_it_is_back(world, account):
    """A connection is offline."""
    connection = make_connection(account, name="db", environment=world.flow.integration.environment)
    world.refuse(1)
    run_once(world, records(1))
    world.refuse()
    Connection.unscoped.update(state=ConnectionState.OFFLINE)
    retry(world)
    (run,) = retry_runs(world)

    assert take_retry(world, run).journal.wait_for_connection()

    run.refresh_from_db()
    assert run.wait_reason.startswith("waiting: connection db: offline")
    assert (Error.unscoped.get().attempts, RetryItem.unscoped.get().state) == (0, "waiting")
    Connection.unscoped.filter(pk=connection.pk).update(state=ConnectionState.ONLINE)
    Run.unscoped.filter(pk=run.pk).update(not_before=None)
    assert work_retry(world, run).success == 1
    assert books() == []


def test_a_retry_does_not_wait_for_a_connection_that_it_does_not_need(account):
    """A connection is offline."""
    first = table_step(1, "target")
    plan = chain(first, node(2, "second", StepKind.IMPORT, connection="other"))
    world = make_world(account, plan=plan)
    make_step(world.flow, key="second", position=2)
    world.opened.targets["second"] = world.opened.targets["target"]
    environment = world.flow.integration.environment
    make_connection(account, name="db", environment=environment, state=ConnectionState.OFFLINE)
    make_connection(account, name="other", environment=environment)
    plain = world.database.fails
    world.database.fails = lambda table, body: "no" if len(world.database.rows.get("target", {})) else None
    run_once(world, records(1))
    world.database.fails = plain
    error = Error.unscoped.get()
    assert error.step.key == "second"

    retry(world)
    (run,) = retry_runs(world)

    assert not take_retry(world, run).journal.wait_for_connection()


# --- lookups and pages -----------------------------------------------------------------------------------------------
def test_a_lookup_is_done_again_and_then_the_rest(account):
    """A lookup step."""
    look = node(1, "look", StepKind.LOOKUP, into="customer", is_required=True)
    world = make_world(account, plan=chain(look, table_step(2, "target")))
    make_step(world.flow, key="look", kind="lookup", position=1)
    lookup = world.opened.lookups["look"] = FakeLookup({})
    run_once(world, records(1))
    assert Error.unscoped.get().step.key == "look"
    lookup.answers[1] = [{"name": "Ada"}]

    retry(world)
    work_retries(world)

    assert lookup.asked == [1, 1]
    assert world.database.rows["target"][1]["customer"] == {"name": "Ada"}
    assert shown() == [("1", "resolved", "retried", False)]
    assert books() == []


def test_errors_of_a_failed_page_are_sent_again_in_pages(world):
    """A failure of a whole page."""
    target = world.opened.targets["target"]
    calls: list[int] = []

    def refuse(batch):
        calls.append(len(batch.bodies))
        if len(calls) == 1:
            raise ConnectorError("400", "The whole list was refused.", classification="value")
        return type(target).write(target, batch)

    target.write = refuse
    run_once(world, records(*range(20)))
    assert Error.unscoped.values("cause").distinct().count() == 1

    retry(world)
    (run,) = work_retries(world)

    assert (calls, run.success) == ([20, 20], 20)
    assert books() == []
