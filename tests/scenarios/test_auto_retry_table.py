"""The auto-retry part of the case table: each test names its row."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from apps.core import clock
from apps.engine.plan import OnError, Policy
from apps.errors.models import Error, RetryData, RetryItem, StepState
from apps.errors.schedule import slot_of
from apps.errors.services import resolve_errors
from apps.execution.dispatcher import dispatch, start_retries
from apps.flows.models import Flow
from apps.runs.models import Run
from tests.fakes.running import World, books, make_world
from tests.fakes.world import chain, table_step
from tests.scenarios.retry_world import attempt, flaky, mended, records, retry, retry_runs, run_once, work_retries

pytestmark = pytest.mark.django_db

ROWS = (
    "The schedule",
    "An attempt works",
    "An attempt fails and is still intermittent",
    "An attempt fails with another class",
    "Somebody or a run was faster",
    "Very many at once",
    "The answer had Retry-After",
    "Lateness",
)


def test_an_intermittent_error_is_tried_again_by_the_schedule_and_at_most_four_times(world, noon):
    """The schedule."""
    flaky(world, 1)
    run_once(world, records(1))
    started = [attempt(world, noon, s) for s in (29, 31, 89, 91, 209, 211, 449, 451, 5000)]

    assert started == [0, 1, 0, 1, 0, 1, 0, 1, 0]
    error = Error.unscoped.get()
    assert (error.state, error.attempts, error.next_attempt_at) == ("open", 4, None)
    assert RetryItem.unscoped.count() == 4
    assert books() == []


def test_between_attempts_an_error_is_open_and_counted(world, noon):
    """The schedule."""
    flaky(world, 1)
    run_once(world, records(1))
    attempt(world, noon, 31)

    error = Error.unscoped.get()
    assert error.shown_state == "auto_retrying"
    assert error.next_attempt_at == noon + timedelta(seconds=90)
    assert StepState.unscoped.get(step=error.step_id).open_errors == 1
    assert books() == []


def test_auto_retries_wait_while_the_flow_is_disabled(world, noon):
    """The schedule."""
    flaky(world, 1)
    run_once(world, records(1))
    Flow.unscoped.update(enabled=False)
    assert attempt(world, noon, 31) == 0
    Flow.unscoped.update(enabled=True)
    assert attempt(world, noon, 61) == 1


def test_auto_retry_that_is_switched_off_ends_what_waits_and_plans_nothing(world, noon):
    """The schedule."""
    flaky(world, 1, 2)
    run_once(world, records(1))
    Flow.unscoped.update(auto_retry=False)
    dispatch()
    run_once(world, records(2))

    assert list(Error.unscoped.values_list("state", "next_attempt_at")) == [("open", None)] * 2
    assert attempt(world, noon, 31) == 0
    assert books() == []


def test_with_auto_retry_off_a_key_that_goes_through_still_resolves_its_error(world):
    """The schedule."""
    Flow.unscoped.update(auto_retry=False)
    flaky(world, 1)
    run_once(world, records(1))
    mended(world)
    run_once(world, records(1))

    assert Error.unscoped.get().reason == "succeeded"


def test_value_errors_are_never_tried_again_by_themselves(world, noon):
    """The schedule."""
    flaky(world, 1, classification="value")
    run_once(world, records(1))

    assert attempt(world, noon, 31) == 0


def test_an_attempt_that_works_resolves_the_error_by_auto(world, noon):
    """An attempt works."""
    flaky(world, 1)
    run_once(world, records(1))
    mended(world)
    attempt(world, noon, 31)

    error = Error.unscoped.get()
    assert (error.state, error.reason, error.resolved_by_id) == ("resolved", "retried", None)
    assert retry_runs(world)[0].kind == "auto_retry"
    assert books() == []


def test_each_automatic_attempt_after_a_definite_failure_carries_a_key_of_its_own(world, noon):
    """An attempt fails and is still intermittent."""
    flaky(world, 1)
    run_once(world, records(1))
    generations = [RetryData.unscoped.get().generation]
    for seconds in (31, 91):
        attempt(world, noon, seconds)
        generations.append(RetryData.unscoped.get().generation)

    assert generations == [1, 2, 3]


def test_an_attempt_that_fails_with_another_class_ends_the_schedule_and_changes_the_error(world, noon):
    """An attempt fails with another class."""
    flaky(world, 1)
    run_once(world, records(1))
    flaky(world, 1, message="The amount is negative.", classification="value")
    attempt(world, noon, 31)

    error = Error.unscoped.select_related("cause").get()
    assert (error.message, error.cause.classification) == ("The amount is negative.", "value")
    assert error.next_attempt_at is None
    assert books() == []


def test_an_automatic_attempt_that_may_have_arrived_is_in_doubt_and_not_tried_again_by_itself(world, noon):
    """An attempt fails with another class."""
    flaky(world, 1)
    run_once(world, records(1))
    flaky(world, 1, unknown=True)

    started = [attempt(world, noon, seconds) for seconds in (31, 91, 5000)]

    assert started == [1, 0, 0]
    old, new = Error.unscoped.order_by("id")
    assert (old.state, old.reason) == ("resolved", "retry_failed")
    assert (new.state, new.in_doubt, new.next_attempt_at) == ("open", True, None)
    assert books() == []


def test_resolving_by_hand_cancels_the_pending_attempts(world, account, noon):
    """Somebody or a run was faster."""
    flaky(world, 1)
    run_once(world, records(1))
    resolve_errors(account=account, member=None, errors=Error.objects.of(account))

    assert attempt(world, noon, 31) == 0


def test_a_run_that_puts_the_key_through_cancels_the_pending_attempts(world, noon):
    """Somebody or a run was faster."""
    flaky(world, 1)
    run_once(world, records(1))
    mended(world)
    run_once(world, records(1))

    assert attempt(world, noon, 31) == 0
    assert books() == []


def test_many_intermittent_errors_make_one_retry_run_per_step(world, noon):
    """Very many at once."""
    flaky(world, *range(50))
    run_once(world, records(*range(50)))
    mended(world)

    assert attempt(world, noon, 31) == 1
    assert Error.unscoped.filter(reason="retried").count() == 50
    assert books() == []


def test_after_an_hour_away_the_attempts_keep_their_distance(world, noon):
    """The schedule."""
    flaky(world, 1)
    run_once(world, records(1))
    attempt(world, noon, 31)
    Flow.unscoped.update(enabled=False)
    attempt(world, noon, 3600)
    Flow.unscoped.update(enabled=True)

    started = [attempt(world, noon, 3601 + seconds) for seconds in (0, 1, 119, 121, 360, 362)]

    assert started == [1, 0, 0, 1, 0, 1]


def test_the_steps_own_attempts_are_none_of_the_four(account, noon):
    """The schedule."""
    policy = Policy(OnError.RETRY, seconds=1, attempts=2, then=OnError.SET_ASIDE)
    world = make_world(account, plan=chain(table_step(1, "target", policy)))
    flaky(world, 1)
    running = world.begin()
    running.run_page(records(1))
    for seconds in (2, 4):
        with clock.frozen(noon + timedelta(seconds=seconds)):
            taken = world.take(running.run)
            page = taken.journal.next_page()
            taken.journal.commit(page, taken.deliver(page))

    error = Error.unscoped.get()
    assert (error.attempts, error.tries) == (0, 3)
    assert error.next_attempt_at == noon + timedelta(seconds=34)


def test_an_attempt_that_fails_again_makes_no_error_of_its_own(world, noon):
    """An attempt fails and is still intermittent."""
    flaky(world, 1)
    run_once(world, records(1))
    flaky(world, 1, message="The server is still busy.")
    attempt(world, noon, 31)

    error = Error.unscoped.get()
    assert (error.message, error.attempts) == ("The server is still busy.", 1)
    assert error.next_attempt_at == noon + timedelta(seconds=90)
    assert books() == []


def test_a_retry_by_hand_cancels_the_pending_attempts(world, noon):
    """Somebody or a run was faster."""
    flaky(world, 1)
    run_once(world, records(1))

    retry(world)

    assert Error.unscoped.get().next_attempt_at is None
    assert attempt(world, noon, 31) == 0


def test_an_attempt_under_way_whose_key_failed_again_in_a_run_gives_way_to_the_newer_error(world, noon):
    """Somebody or a run was faster."""
    flaky(world, 1)
    run_once(world, records(1))
    with clock.frozen(noon + timedelta(seconds=31)):
        start_retries()
        run_once(world, records(1))
        work_retries(world)

    states = list(Error.unscoped.order_by("id").values_list("state", "reason"))
    assert states == [("resolved", "superseded"), ("open", "")]
    assert books() == []


def test_ten_thousand_errors_of_several_pages_begin_together(world, noon):
    """Very many at once."""
    flaky(world, *range(600))
    slot = slot_of(noon + timedelta(seconds=30), 0, world.flow.pk)
    noon = slot - timedelta(seconds=29.9)  # just after a slot, so that no other one begins while the pages are booked
    with_pages(world, noon, 600, pages=3)
    due = set(Error.unscoped.values_list("next_attempt_at", flat=True))

    assert len(due) == 1, "one slot, in the time that is shown"
    (moment,) = due
    assert timedelta(seconds=30) <= moment - noon <= timedelta(seconds=34)
    mended(world)
    assert attempt(world, noon, 35) == 1
    assert Run.unscoped.get(kind="auto_retry").success == 600
    assert books() == []


def with_pages(world: World, noon: datetime, count: int, *, pages: int) -> None:
    """A run whose pages are booked a second apart at most."""
    running = world.begin()
    size = count // pages
    for number in range(pages):
        with clock.frozen(noon + timedelta(seconds=number * 0.1)):
            running.run_page(records(*range(number * size, (number + 1) * size)))
    running.finish()


def test_a_slot_of_a_hundred_is_not_moved(world, noon):
    """Very many at once."""
    flaky(world, *range(100))
    run_once(world, records(*range(100)))

    assert set(Error.unscoped.values_list("next_attempt_at", flat=True)) == {noon + timedelta(seconds=30)}


@pytest.fixture
def small_pages(account, noon) -> World:
    """Six errors in a slot; a page of a retry has two records."""
    world = make_world(account)
    world.plan = replace(world.plan, page_size=2)
    flaky(world, *range(6))
    run_once(world, records(*range(6)))
    return world


def test_where_the_first_page_fails_the_same_way_the_rest_waits_for_the_next_attempt(small_pages, noon):
    """Very many at once."""
    sent = len(small_pages.opened.targets["target"].sent)
    attempt(small_pages, noon, 31)

    assert len(small_pages.opened.targets["target"].sent) == sent + 2
    errors = Error.unscoped.all()
    assert {(e.shown_state, e.attempts, e.next_attempt_at) for e in errors} == {
        ("auto_retrying", 1, noon + timedelta(seconds=90))
    }
    assert sorted(RetryItem.unscoped.values_list("state", flat=True)) == ["done"] * 2 + ["skipped"] * 4
    assert StepState.unscoped.get(open_errors__gt=0).open_errors == 6
    assert books() == []


def test_where_a_record_of_the_first_page_goes_through_the_rest_is_sent(small_pages, noon):
    """Very many at once."""
    mended(small_pages)
    flaky(small_pages, 1, 2, 3, 4, 5)
    attempt(small_pages, noon, 31)

    assert Error.unscoped.filter(state="open", attempts=1).count() == 5
    assert set(RetryItem.unscoped.values_list("state", flat=True)) == {"done"}
    assert books() == []


@pytest.mark.parametrize(("patience_s", "due_s"), [(10, 30), (100, 100)])
def test_the_next_attempt_is_not_earlier_than_the_answer_asked(world, noon, patience_s, due_s):
    """The answer had Retry-After."""
    flaky(world, 1, classification="rate_limit", retry_after_s=patience_s)
    run_once(world, records(1))
    assert Error.unscoped.get().next_attempt_at == noon + timedelta(seconds=due_s)

    attempt(world, noon, due_s)

    later = max(90, due_s + patience_s)
    assert Error.unscoped.get().next_attempt_at == noon + timedelta(seconds=later)


def test_an_attempt_begins_in_the_first_round_after_it_is_due(world, noon):
    """Lateness."""
    lateness = []
    for number in range(8):
        flaky(world, number)
        with clock.frozen(noon + timedelta(seconds=number * 0.93)):
            run_once(world, records(number))
    for second in range(28, 40):  # the dispatcher looks every second
        with clock.frozen(noon + timedelta(seconds=second)):
            due = list(Error.unscoped.filter(retry_run__isnull=True).values_list("pk", "next_attempt_at"))
            start_retries()
            taken = set(Error.unscoped.filter(retry_run__isnull=False).values_list("pk", flat=True))
            lateness += [noon + timedelta(seconds=second) - at for pk, at in due if pk in taken]

    assert len(lateness) == 8
    assert max(lateness) <= timedelta(seconds=1)
