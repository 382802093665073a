"""A retry that ends before all was sent: errors that waited for an automatic attempt wait for it again."""

from datetime import timedelta

import pytest

from apps.core import clock
from apps.errors.models import Cause, Error, RetryItem
from apps.errors.services import release_waiting
from apps.execution.dispatcher import start_retries
from apps.flows.models import Flow
from apps.runs.models import Run
from apps.runs.services import cancel_run
from tests.factories import make_member
from tests.fakes.running import World, books, make_world
from tests.scenarios.retry_world import flaky, records, retry, retry_runs, run_once, work_retry

pytestmark = pytest.mark.django_db
FIRST_ATTEMPT = timedelta(seconds=30)


@pytest.fixture
def world(account, noon) -> World:
    """One error that will be tried again by itself half a minute after noon."""
    world = make_world(account)
    flaky(world, 1)
    run_once(world, records(1))
    return world


def cancel(world: World) -> Run:
    (run,) = [run for run in retry_runs(world) if not run.is_ended]
    cancel_run(run=run, member=make_member(world.flow.account))
    return work_retry(world, run)


def test_a_canceled_retry_gives_back_the_automatic_attempt(world, noon):
    retry(world)
    assert Error.unscoped.get().next_attempt_at is None
    with clock.frozen(noon + timedelta(seconds=5)):
        cancel(world)

    error = Error.unscoped.get()
    assert (error.shown_state, error.next_attempt_at) == ("auto_retrying", noon + FIRST_ATTEMPT)
    assert books() == []
    with clock.frozen(noon + timedelta(seconds=31)):
        assert start_retries() == 1


def test_an_attempt_whose_time_passed_meanwhile_comes_half_a_minute_after_the_cancel(world, noon):
    retry(world)
    with clock.frozen(noon + timedelta(hours=1)):
        cancel(world)

    assert Error.unscoped.get().next_attempt_at == noon + timedelta(hours=1, seconds=30)


def test_an_automatic_attempt_that_is_canceled_comes_again_without_having_been_used_up(world, noon):
    with clock.frozen(noon + timedelta(seconds=31)):
        start_retries()
        cancel(world)

    error = Error.unscoped.get()
    assert (error.attempts, error.next_attempt_at) == (0, noon + timedelta(seconds=61))
    assert list(RetryItem.unscoped.values_list("state", "due_at")) == [("canceled", noon + FIRST_ATTEMPT)]


def test_an_error_that_waited_for_nothing_waits_for_nothing_after_a_cancel(account):
    world = make_world(account)
    world.refuse(1)
    run_once(world, records(1))
    retry(world)
    cancel(world)

    assert Error.unscoped.get().shown_state == "open"


def test_nothing_is_planned_where_auto_resolve_was_switched_off_meanwhile(world):
    retry(world)
    Flow.unscoped.update(auto_resolve=False)
    cancel(world)

    assert Error.unscoped.get().shown_state == "open"


def test_nothing_is_planned_where_the_class_was_corrected_meanwhile(world):
    retry(world)
    Cause.unscoped.update(classification="value")
    cancel(world)

    assert Error.unscoped.get().shown_state == "open"


@pytest.mark.parametrize(("seconds", "shown"), [(5, "auto_retrying"), (31, "open")])
def test_a_retry_that_failed_gives_back_only_what_is_still_to_come(world, noon, seconds, shown):
    retry(world)
    (run,) = retry_runs(world)
    with clock.frozen(noon + timedelta(seconds=seconds)):
        release_waiting(run)

    assert Error.unscoped.get().shown_state == shown
