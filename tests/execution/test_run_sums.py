"""What a run adds to its flow's buckets when it ends: the dashboards read nothing else."""

from datetime import UTC, datetime, timedelta

import pytest

from apps.core import clock
from apps.runs.buckets import took_ms
from apps.runs.models import Bucket, Run
from apps.runs.services import cancel_run, start_run
from tests.fakes.running import World, books, make_world
from tests.scenarios.retry_world import records

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 20, 12, 10, tzinfo=UTC)
SUMS = ("runs", "run_ms", "run_success", "run_ignored", "run_errors")


@pytest.fixture
def world(account) -> World:
    return make_world(account)


def sums(world: World, at: datetime, grain: int = 30) -> tuple[int, ...]:
    slot = int(at.timestamp()) // 60 // grain
    return Bucket.unscoped.filter(flow=world.flow, grain=grain, slot=slot).values_list(*SUMS).get()


def test_a_run_is_counted_in_the_half_hour_and_minute_in_which_it_started(world):
    world.refuse(2)
    with clock.frozen(NOON):
        running = world.begin()
    with clock.frozen(NOON + timedelta(minutes=40, milliseconds=250)):
        running.run_page(records(1, 2, 3))
        assert not Bucket.unscoped.filter(runs__gt=0).exists()
        running.finish()

    took = 40 * 60 * 1000 + 250
    assert sums(world, NOON) == sums(world, NOON, grain=1) == (1, took, 2, 0, 1)
    assert sums(world, NOON + timedelta(minutes=40)) == (0, 0, 0, 0, 0)
    assert books() == []


def test_runs_of_a_half_hour_add_up_and_one_that_never_started_took_no_time(world):
    with clock.frozen(NOON):
        for key in (1, 2):
            running = world.begin()
            running.run_page(records(key))
            running.finish()
        cancel_run(run=start_run(flow=world.flow), member=None)

    assert sums(world, NOON) == (3, 0, 2, 0, 0)
    assert books() == []


def test_the_books_tell_which_sum_of_runs_is_wrong(world):
    running = world.begin()
    running.run_page(records(1))
    run = running.finish()
    Bucket.unscoped.filter(flow=world.flow, grain=30).update(run_ms=took_ms(run) + 1, run_success=7)

    assert books() == [
        f"run_ms of flow in half hours: kept {took_ms(run) + 1:,}, counted {took_ms(run):,}",
        "run_success of flow in half hours: kept 7, counted 1",
    ]


def test_what_is_below_a_millisecond_makes_no_difference_of_the_books(world):
    running = world.begin()
    running.run_page(records(1))
    run = running.finish()
    started = NOON + timedelta(microseconds=999)
    for length in (timedelta(microseconds=1), timedelta(seconds=3), timedelta(seconds=2, microseconds=500_600)):
        Run.unscoped.filter(pk=run.pk).update(started_at=started, ended_at=started + length)
        run.refresh_from_db()
        Bucket.unscoped.filter(flow=world.flow).update(run_ms=0)
        Bucket.unscoped.filter(flow=world.flow, grain=30, runs=1).update(run_ms=took_ms(run))
        assert books() == []
