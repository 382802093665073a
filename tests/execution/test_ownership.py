"""Who may write: one worker acts on a run, an old owner changes nothing, a page that may have arrived is booked."""

from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django_q.models import OrmQ

from apps.core import clock
from apps.core.queue import enqueue
from apps.core.transactions import PAUSES_S
from apps.engine.plan import OnError, Policy
from apps.engine.ports import ConnectorError, Outage, Repeats
from apps.errors.models import BulkAct, Error, StepState
from apps.errors.services.acts import PERFORM_ACT
from apps.execution import worker
from apps.execution.claims import Heartbeat, claim_page, claim_run
from apps.execution.owned_run import Fenced
from apps.execution.supervisor import Supervisor
from apps.flows.models import Checkpoint, ConnectionState
from apps.notifications.models import Message, MessageDelivery
from apps.runs.models import FlowState, Intent, Page, Run
from apps.runs.services import cancel_run, start_run, wake
from tests.factories import make_connection, make_flow
from tests.fakes.running import World, books, make_world
from tests.fakes.world import chain, table_step

pytestmark = pytest.mark.django_db
LATER = timedelta(minutes=5)


@pytest.fixture
def world(account) -> World:
    return make_world(account)


def records(*ids):
    return [{"id": number} for number in ids]


# --- old owners ------------------------------------------------------------------------------------------------------
def test_an_old_owner_does_not_take_the_page_that_the_new_one_delivers(world, noon):
    old = world.begin()
    old.store(records(1, 2))
    with clock.frozen(noon + LATER):
        new = world.take(old.run)
        page = new.journal.next_page()

        assert claim_page(Page.unscoped.get(), old.claim) is None
        with pytest.raises(Fenced):
            old.journal.next_page()
        new.journal.commit(page, new.deliver(page))

        assert new.finish().success == 2
    assert books() == []


def test_an_old_owner_writes_nothing_whatever_it_does(world, noon):
    old = world.begin()
    page = old.store(records(1))
    result = old.deliver(page)
    with clock.frozen(noon + LATER):
        claim_run(old.run.pk)
        before = list(Run.unscoped.values()), list(Page.unscoped.values())
        node, item = world.plan.nodes[1], page.items[0]
        for act in (
            lambda: old.journal.commit(page, result),
            lambda: old.store(records(2)),
            lambda: old.journal.announce(page, node, [item]),
            lambda: old.journal.restart_export(),
            lambda: old.journal.end_export(),
            lambda: old.journal.fail_export(ConnectorError("x", "The file is gone.")),
            lambda: old.journal.wait_for_source(Outage("x", "Could not connect.")),
            lambda: old.journal.leave_page("it broke"),
            lambda: old.journal.cancel(),
            lambda: old.journal.finish(),
        ):
            with pytest.raises(Fenced):
                act()

        assert (list(Run.unscoped.values()), list(Page.unscoped.values())) == before
    assert not Intent.unscoped.exists()


def test_twenty_hints_are_one_claim(world):
    run = start_run(flow=world.flow)

    assert [claim_run(run.pk) is not None for _ in range(20)] == [True] + [False] * 19


def test_the_heartbeat_does_not_renew_the_lease_of_a_run_that_was_put_aside(world, noon):
    """Else nobody could claim it for as long, though it is due."""
    running = world.begin()
    running.journal.wait_for_source(Outage("x", "Could not connect."))

    Heartbeat(running.claim)._renew()

    wake(running.run)
    assert claim_run(running.run.pk) is not None


# --- the database fails ----------------------------------------------------------------------------------------------
@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr("apps.core.transactions.PAUSES_S", [0.0] * len(PAUSES_S))


def failing(times: int, word: str = "UPDATE"):
    """The first statements of a kind fail as if another writer had the file."""
    left = [times]

    def wrapper(execute, sql, params, many, context):
        if sql.startswith(word) and left[0] > 0:
            left[0] -= 1
            raise OperationalError("database is locked")
        return execute(sql, params, many, context)

    return connection.execute_wrapper(wrapper)


@pytest.mark.django_db(transaction=True)
def test_a_page_commit_is_repeated_and_its_delivery_is_not(quick):
    world = make_world()
    world.refuse(2)
    running = world.begin()
    page = running.store(records(1, 2, 3))
    result = running.deliver(page)
    writes = world.database.writes

    with failing(5):
        assert running.journal.commit(page, result)

    assert (running.finish().success, world.database.writes) == (2, writes)
    assert books() == []


@pytest.mark.django_db(transaction=True)
def test_a_commit_that_fails_for_good_leaves_the_page_for_another_worker(quick):
    world = make_world()
    running = world.begin()
    page = running.store(records(1))
    result = running.deliver(page)

    with failing(6), pytest.raises(OperationalError):
        running.journal.commit(page, result)

    assert Page.unscoped.get().state == "delivering"
    assert running.journal.commit(page, result)


# --- a page that may have arrived ------------------------------------------------------------------------------------
def test_cancel_waits_for_the_page_that_a_dead_worker_may_have_written(world, noon):
    world.opened.targets["target"].repeats = Repeats.LEDGER
    dead = world.begin()
    dead.deliver(dead.store(records(1, 2), checkpoint="b"))
    with clock.frozen(noon + LATER):
        cancel_run(run=dead.run, member=None)
        assert dead.reloaded().status == "running"

        new = world.take(dead.run)
        assert not new.journal.cancel()
        page = new.journal.next_page()
        assert not new.journal.commit(page, new.deliver(page))

    run = dead.reloaded()
    assert (run.status, run.success) == ("canceled", 2)
    assert len(world.database.rows["target"]) == 2
    assert books() == []


def test_a_run_that_is_canceled_before_its_first_page_was_delivered_keeps_none(world):
    running = world.begin()
    running.journal.store(running.fetched(records(1, 2)), claim=False)
    running.journal.wait_for_source(Outage("x", "Could not connect."))

    cancel_run(run=running.run, member=None)

    assert running.reloaded().status == "canceled"
    assert not Page.unscoped.exists()
    assert books() == []


@pytest.mark.parametrize("end", ["cancel", "failure"])
def test_what_waits_of_a_page_that_was_delivered_in_part_becomes_errors_when_the_run_ends(account, noon, end):
    """Else the next run would send the page again, what stands in the target included."""
    policy = Policy(OnError.RETRY, seconds=30, attempts=2, then=OnError.SET_ASIDE)
    world = make_world(account, plan=chain(table_step(1, "target", policy)))
    world.refuse(2)
    running = world.begin()
    running.run_page(records(1, 2, 3), checkpoint="row 3")
    cancel_run(run=running.run, member=None) if end == "cancel" else None
    with clock.frozen(noon + LATER):
        journal = world.take(running.run).journal
        journal.cancel() if end == "cancel" else journal.fail_export(ConnectorError("gone", "The file is gone."))

    run = running.reloaded()
    assert run.status == ("canceled" if end == "cancel" else "failed")
    assert (run.success, run.failed, run.pages_done) == (2, 1, 1)
    error = Error.unscoped.get(unit="record")
    assert (error.key, error.state, error.cause.code, error.in_doubt) == ("2", "open", "not_sent", False)
    assert Checkpoint.unscoped.get().value == {"at": "row 3"}
    assert not Page.unscoped.exclude(state="done").exists()
    assert books() == []


# --- waiting and waking ----------------------------------------------------------------------------------------------
def test_a_run_that_goes_to_wait_for_a_connection_that_just_came_back_does_not_sleep(world, account, noon):
    away = make_connection(
        account, name="db", environment=world.flow.integration.environment, state=ConnectionState.OFFLINE,
        offline_since=noon,
    )  # fmt: skip
    running = world.begin()
    put_aside = running.journal._wait_for_connection

    def put_aside_late(reason):
        type(away).unscoped.filter(pk=away.pk).update(state=ConnectionState.ONLINE)
        put_aside(reason)

    running.journal._wait_for_connection = put_aside_late

    assert running.journal.wait_for_connection()
    assert running.reloaded().not_before == noon
    assert claim_run(running.run.pk) is not None


def test_who_waited_for_a_run_waits_for_nothing_once_that_has_ended(world, account):
    """Else a long run of another flow would not see it, and keep its worker for ten minutes instead of one."""
    running = world.begin()
    second = start_run(flow=world.flow)
    claim_run(second.pk)
    other = start_run(flow=make_flow(account))
    claim_run(other.pk)
    assert not worker.others_wait(other.pk)

    running.finish()

    second.refresh_from_db()
    assert second.wait_reason == ""
    assert worker.others_wait(other.pk)


# --- watchdog --------------------------------------------------------------------------------------------------------
@pytest.fixture
def watchdog(settings, noon) -> Supervisor:
    """A supervisor whose workers have been there for long."""
    settings.WORKERS = 2
    watchdog = Supervisor([])
    watchdog.cluster_started_at = watchdog.busy_at = -10_000.0
    return watchdog


def test_a_run_that_nobody_takes_although_workers_are_free_is_a_sign_of_a_dead_lock(world, watchdog, noon):
    start_run(flow=world.flow)

    with clock.frozen(noon + LATER):
        assert watchdog._is_stuck()
        assert not watchdog._is_stuck(), "the workers that were started anew get their time"


def test_while_runs_begin_and_end_what_waits_only_waits_for_its_turn(world, account, watchdog, noon):
    start_run(flow=world.flow)
    with clock.frozen(noon + LATER):
        make_world(account).begin().finish()

        assert not watchdog._is_stuck()


def test_a_run_that_was_woken_just_now_is_no_sign_of_a_dead_lock(world, watchdog, noon):
    running = world.begin()
    running.journal.wait_for_source(Outage("x", "Could not connect."))
    with clock.frozen(noon + LATER):
        wake(running.run)

        assert not watchdog._is_stuck()


def test_a_run_that_keeps_all_workers_busy_is_no_sign_of_a_dead_lock_between_two_of_its_pages_either(
    world, account, watchdog, noon
):
    start_run(flow=make_flow(account))
    with clock.frozen(noon + LATER):
        running = world.begin()
        Run.unscoped.filter(pk=running.run.pk).update(started_at=noon)
        FlowState.unscoped.update(last_started_at=noon)
        running.store(records(1))
        Page.unscoped.update(lease_owner="helper", lease_until=clock.database_now(seconds=30))
        assert not watchdog._is_stuck()

        Page.unscoped.update(state="done", lease_until=None)
        assert not watchdog._is_stuck()
        watchdog.busy_at = -10_000.0
        assert watchdog._is_stuck(), "for long one of the workers has had nothing"


@pytest.mark.parametrize("waiting", ["for its time", "for another run"])
def test_a_run_that_has_a_reason_to_wait_is_no_sign_of_a_dead_lock(world, watchdog, noon, waiting):
    first = world.begin() if waiting == "for another run" else None
    second = start_run(flow=world.flow, wait_s=0 if first else 3600)
    claim_run(second.pk)
    with clock.frozen(noon + LATER):
        if first is not None:
            Run.unscoped.filter(pk=first.run.pk).update(lease_until=clock.database_now(seconds=30))

        assert not watchdog._is_stuck()


def test_a_hint_that_nobody_hears_is_a_sign_of_a_dead_lock_whatever_it_is_about(account, watchdog):
    """An act on many errors is no run; only its hint tells that it waits."""
    enqueue(PERFORM_ACT, account.pk, 1)
    assert not watchdog._is_stuck(), "it came just now"
    watchdog.work_since = -10_000.0

    assert watchdog._is_stuck()


@pytest.mark.parametrize("sign", ["another hint", "an act goes on", "a mail is being sent"])
def test_a_hint_that_waits_while_something_moves_is_none(account, watchdog, sign):
    enqueue(PERFORM_ACT, account.pk, 1)
    act = BulkAct.unscoped.create(account=account, act="resolve", count=10)
    watchdog._is_stuck()
    watchdog.work_since = -10_000.0
    if sign == "another hint":
        OrmQ.objects.all().delete()
        enqueue(PERFORM_ACT, account.pk, 2)
    elif sign == "an act goes on":
        BulkAct.unscoped.filter(pk=act.pk).update(done=5)
    else:
        message = Message.unscoped.create(account=account, kind="test", environment="production")
        sending = {"is_sending": True, "next_at": clock.read_now() + LATER}
        MessageDelivery.unscoped.create(account=account, message=message, **sending)

    assert not watchdog._is_stuck()


def test_the_first_error_of_a_flow_begins_the_state_that_other_commits_wait_for(world):
    world.refuse(1)
    running = world.begin()
    running.run_page(records(1))

    assert StepState.unscoped.get(step__key="target").open_errors == 1
