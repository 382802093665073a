"""What is due is hinted at or started: once, on time, whatever got lost."""

from datetime import timedelta

import pytest
from django_q.models import OrmQ

from apps.core import clock
from apps.errors.models import BulkAct
from apps.execution.claims import claim_run, release_run
from apps.execution.dispatcher import dispatch, hint_due_runs, hint_unfinished_acts, start_scheduled
from apps.flows.models import Flow
from apps.runs.models import Run
from apps.runs.services import start_run
from tests.factories import make_flow
from tests.fakes.running import make_world

pytestmark = pytest.mark.django_db


@pytest.fixture
def hints(settings):
    """How many hints lie in the queue."""
    OrmQ.objects.all().delete()
    return OrmQ.objects.count


def test_a_new_run_is_hinted_at_in_the_same_transaction(flow, hints):
    start_run(flow=flow)

    assert hints() == 1


def test_a_fresh_hint_is_not_repeated(flow, hints, noon):
    start_run(flow=flow)

    assert hint_due_runs() == 0
    assert hints() == 1


def test_a_hint_that_was_lost_is_sent_again(flow, hints, noon):
    start_run(flow=flow)
    OrmQ.objects.all().delete()

    with clock.frozen(noon + timedelta(seconds=11)):
        assert hint_due_runs() == 1
    assert hints() == 1


def test_a_run_whose_worker_died_is_hinted_at_when_its_lease_is_over(account, hints, noon, settings):
    world = make_world(account)
    running = world.begin()

    with clock.frozen(noon + timedelta(seconds=settings.LEASE_SECONDS - 1)):
        assert hint_due_runs() == 0
    with clock.frozen(noon + timedelta(seconds=settings.LEASE_SECONDS + 1)):
        assert hint_due_runs() == 1
        assert claim_run(running.run.pk) is not None


def test_a_run_that_waits_is_hinted_at_when_its_time_has_come(account, hints, noon):
    world = make_world(account)
    running = world.begin()
    release_run(running.claim, wait_s=40, reason="waiting")

    with clock.frozen(noon + timedelta(seconds=39)):
        assert hint_due_runs() == 0
    with clock.frozen(noon + timedelta(seconds=41)):
        assert hint_due_runs() == 1


def test_a_run_that_waits_for_another_of_its_flow_is_asked_seldom(account, hints, noon):
    world = make_world(account)
    running = world.begin()
    claim_run(start_run(flow=world.flow).pk)
    Run.unscoped.filter(pk=running.run.pk).update(lease_until=noon + timedelta(hours=1))

    with clock.frozen(noon + timedelta(seconds=59)):
        assert hint_due_runs() == 0
    with clock.frozen(noon + timedelta(seconds=61)):
        assert hint_due_runs() == 1


def test_two_dispatchers_hint_once(flow, hints, noon):
    start_run(flow=flow)
    OrmQ.objects.all().delete()
    with clock.frozen(noon + timedelta(seconds=11)):
        assert dispatch() + dispatch() == 1


def test_an_act_on_many_errors_that_nobody_works_on_is_hinted_at_now_and_then(account, noon):
    BulkAct.unscoped.create(account=account, act="resolve", count=10, created_at=noon)
    with clock.frozen(noon + timedelta(minutes=1)):
        assert (hint_unfinished_acts(), hint_unfinished_acts()) == (1, 0)
    with clock.frozen(noon + timedelta(minutes=2)):
        assert hint_unfinished_acts() == 1


def test_a_tick_starts_one_run_and_names_the_next(account, hints, noon):
    flow = make_flow(account, cron="*/5 * * * *", time_zone="UTC", next_due_at=noon)

    assert start_scheduled() == 1
    assert start_scheduled() == 0

    run = Run.unscoped.get(flow=flow)
    assert (run.scheduled_for, run.trigger) == (noon, "schedule")
    flow.refresh_from_db()
    assert flow.next_due_at == noon + timedelta(minutes=5)


def test_ticks_that_were_missed_are_made_up_for_by_one_run(account, noon):
    flow = make_flow(account, cron="*/5 * * * *", time_zone="UTC", next_due_at=noon)

    with clock.frozen(noon + timedelta(hours=3, minutes=2)):
        start_scheduled()
        start_scheduled()

    assert Run.unscoped.filter(flow=flow).count() == 1
    flow.refresh_from_db()
    assert flow.next_due_at == noon + timedelta(hours=3, minutes=5)


def test_a_disabled_flow_is_not_started_by_its_schedule(account, noon):
    make_flow(account, cron="*/5 * * * *", time_zone="UTC", next_due_at=noon, enabled=False)

    assert start_scheduled() == 0


def test_a_tick_that_the_overlap_policy_skips_starts_nothing_and_goes_on(account, noon):
    flow = make_flow(account, cron="*/5 * * * *", time_zone="UTC", next_due_at=noon, overlap="skip")
    start_run(flow=flow)

    assert start_scheduled() == 0
    assert Flow.unscoped.get(pk=flow.pk).next_due_at == noon + timedelta(minutes=5)


def test_the_flow_after_another_starts_when_that_one_ends(account, hints):
    world = make_world(account)
    follower = make_flow(account, run_after=world.flow)
    running = world.begin()
    running.run_page([{"id": 1}])

    running.finish()

    assert Run.unscoped.get(flow=follower).trigger == "flow"


def test_the_next_queued_run_is_hinted_at_when_the_one_before_it_ends(account, hints):
    world = make_world(account)
    running = world.begin()
    start_run(flow=world.flow)
    OrmQ.objects.all().delete()

    running.finish()

    assert hints() == 1
