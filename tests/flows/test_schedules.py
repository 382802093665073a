"""Schedules over every change of the clocks: no tick is lost, none comes twice."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.flows.schedules import CronError, check_cron, next_due

ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Casablanca"]
YEAR = 2017
"""A year in which all of these zones changed their clocks."""


def changes_of(zone):
    """The hours of the year in which a zone changes its clocks, as their beginnings in UTC."""
    start = datetime(YEAR, 1, 1, tzinfo=UTC)
    hours = [start + timedelta(hours=n) for n in range(366 * 24)]
    return [a for a, b in pairwise(hours) if a.astimezone(zone).utcoffset() != b.astimezone(zone).utcoffset()]


CHANGES = [(name, change) for name in ZONES for change in changes_of(ZoneInfo(name))]


def ticks(cron, zone, start, end):
    found = []
    moment = start
    while (moment := next_due(cron, zone, moment)) < end:
        found.append(moment)
    return found


def around(change):
    return change - timedelta(hours=30), change + timedelta(hours=30)


def test_every_zone_has_its_changes():
    assert {name for name, _ in CHANGES} == set(ZONES)


@pytest.mark.parametrize(("name", "change"), CHANGES)
def test_every_quarter_of_real_time_is_due_whatever_the_clocks_do(name, change):
    start, end = around(change)
    found = ticks("*/15 * * * *", name, start, end)
    assert found == [start + timedelta(minutes=15 * n) for n in range(1, 240)]


@pytest.mark.parametrize(("name", "change"), CHANGES)
@pytest.mark.parametrize("minute", ["0", "10", "45"])
def test_every_hour_by_the_wall_is_due_when_the_wall_shows_it(name, change, minute):
    zone, (start, end) = ZoneInfo(name), around(change)
    minutes = [start + timedelta(minutes=n) for n in range(1, 60 * 60)]
    shown = [moment for moment in minutes if moment.astimezone(zone).minute == int(minute)]
    assert ticks(f"{minute} * * * *", name, start, end) == shown


@pytest.mark.parametrize(("name", "change"), CHANGES)
@pytest.mark.parametrize("hour", range(4))
@pytest.mark.parametrize("minute", [0, 15, 30])
def test_a_time_of_the_day_is_due_once_a_day(name, change, hour, minute):
    zone = ZoneInfo(name)
    first = (change.astimezone(zone) - timedelta(days=2)).replace(hour=12, tzinfo=None)
    start = first.replace(tzinfo=zone).astimezone(UTC)
    end = (first + timedelta(days=5)).replace(tzinfo=zone).astimezone(UTC)
    days = [moment.astimezone(zone).date() for moment in ticks(f"{minute} {hour} * * *", name, start, end)]
    assert days == [(first + timedelta(days=n)).date() for n in range(1, 6)]


def test_a_time_that_is_skipped_comes_at_the_end_of_the_gap():
    before = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
    assert next_due("30 2 * * *", "Europe/Berlin", before) == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)


def test_a_time_that_comes_twice_is_due_the_first_time_only():
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert next_due("30 2 * * *", "Europe/Berlin", first - timedelta(hours=1)) == first
    assert next_due("30 2 * * *", "Europe/Berlin", first) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)
    in_second_pass = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)
    assert next_due("30 2 * * *", "Europe/Berlin", in_second_pass) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


def test_both_passes_of_a_doubled_hour_count_for_a_schedule_of_every_half_hour():
    start = datetime(2026, 10, 24, 23, 59, tzinfo=UTC)
    found = ticks("*/30 2 * * *", "Europe/Berlin", start, datetime(2026, 10, 25, 12, 0, tzinfo=UTC))
    assert [moment.strftime("%H:%M") for moment in found] == ["00:00", "00:30", "01:00", "01:30"]


def test_a_moment_that_is_due_itself_is_not_due_again():
    at = datetime(2026, 5, 1, 6, 0, tzinfo=UTC)
    assert next_due("0 8 * * *", "Europe/Berlin", at) == at + timedelta(days=1)
    assert next_due("0 8 * * *", "Europe/Berlin", at - timedelta(microseconds=1)) == at


def test_no_time_zone_is_utc():
    assert next_due("0 8 * * *", "", datetime(2026, 5, 1, tzinfo=UTC)) == datetime(2026, 5, 1, 8, tzinfo=UTC)


@pytest.mark.parametrize("cron", ["", "* * * *", "* * * * * *", "@daily", "60 * * * *", "* * * 13 *", "a b c d e"])
def test_what_is_no_cron_expression_is_refused_with_an_example(cron):
    with pytest.raises(CronError, match="is every five minutes"):
        check_cron(cron)


def test_a_schedule_that_never_comes_is_refused():
    with pytest.raises(CronError, match=r"never comes|is not right"):
        check_cron("0 0 31 2,4 *")


NUMBERS = {"minute": (0, 59), "hour": (0, 23), "day": (1, 28), "month": (1, 12), "weekday": (0, 6)}


def part(low, high):
    number = st.integers(low, high)
    steps = st.integers(1, max(1, high // 2)).map("*/{}".format)
    return (
        st.just("*")
        | st.just("*")
        | steps
        | number.map(str)
        | st.lists(number, min_size=1, max_size=3).map(lambda many: ",".join(map(str, many)))
    )


CRONS = st.tuples(*(part(*bounds) for bounds in NUMBERS.values())).map(" ".join)
MOMENTS = st.datetimes(datetime(2015, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))


@given(CRONS, st.sampled_from(ZONES), MOMENTS)
def test_ticks_follow_each_other_and_none_lies_between(cron, zone, moment):
    first = next_due(cron, zone, moment)
    second = next_due(cron, zone, first)
    assert moment < first < second
    between = moment + (first - moment) / 2
    assert next_due(cron, zone, between) == first
    assert next_due(cron, zone, first - timedelta(seconds=1)) == first


def is_schedule_or_told(text):
    try:
        check_cron(text)
    except CronError as error:
        return str(error).endswith(".")
    return True


@given(st.text(max_size=30))
def test_any_text_is_a_schedule_or_refused(text):
    assert is_schedule_or_told(text)
