"""Time axes: the unit by the length of the range, days and hours of the reader's wall, across daylight saving."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from apps.analytics.axis import HOUR_S, Axis, Unit, axis_of, days_of
from apps.analytics.quarters import SLOTS, SLOTS_A_DAY, Midnight, quarters_of
from apps.runs.buckets import HALF_HOUR_S

NOW = datetime(2026, 11, 20, 15, 4, 30, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def last(length: timedelta, zone: ZoneInfo = BERLIN, now: datetime = NOW) -> Axis:
    return axis_of(now - length, now, zone, now)


def lengths(axis: Axis) -> list[float]:
    """Hours of each point."""
    edges = [*axis.starts, axis.until]
    return [(after - before) / HOUR_S for before, after in pairwise(edges)]


def on_the_wall(axis: Axis, zone: ZoneInfo) -> list[str]:
    return [f"{datetime.fromtimestamp(start, zone):%d %H:%M}" for start in axis.starts]


@pytest.mark.parametrize(
    ("length", "unit", "points"),
    [
        (timedelta(hours=1), Unit.MINUTE, 61),
        (timedelta(hours=4), Unit.MINUTE, 241),
        (timedelta(hours=4, minutes=1), Unit.HOUR, 5),
        (timedelta(hours=24), Unit.HOUR, 25),
        (timedelta(days=4), Unit.HOUR, 97),
        (timedelta(days=4, minutes=1), Unit.DAY, 5),
        (timedelta(days=365), Unit.DAY, 366),
    ],
)
def test_the_length_of_a_range_decides_about_its_unit(length: timedelta, unit: Unit, points: int) -> None:
    axis = last(length)
    assert (axis.unit, len(axis.starts), axis.is_coarser) == (unit, points, False)


def test_minutes_older_than_five_days_are_shown_by_hour_and_that_is_said() -> None:
    until = NOW - timedelta(days=5)
    axis = axis_of(until - timedelta(hours=1), until, BERLIN, NOW)
    assert (axis.unit, axis.is_coarser) == (Unit.HOUR, True)
    assert axis_of(NOW - timedelta(days=4), NOW - timedelta(days=4, hours=-1), BERLIN, NOW).unit == Unit.MINUTE


def test_the_day_on_which_summer_time_begins_has_23_hours_and_the_one_on_which_it_ends_25() -> None:
    spring = last(timedelta(days=5), now=datetime(2026, 3, 31, 10, tzinfo=UTC))
    assert on_the_wall(spring, BERLIN) == [f"{day} 00:00" for day in (26, 27, 28, 29, 30, 31)]
    assert lengths(spring) == [24, 24, 24, 23, 24, 24]
    autumn = last(timedelta(days=5), now=datetime(2026, 10, 27, 10, tzinfo=UTC))
    assert lengths(autumn) == [24, 24, 24, 25, 24, 24]


def test_the_hour_that_comes_twice_is_two_points_and_the_one_that_is_left_out_none() -> None:
    autumn = last(timedelta(hours=5), now=datetime(2026, 10, 25, 3, tzinfo=UTC))
    assert on_the_wall(autumn, BERLIN) == ["25 00:00", "25 01:00", "25 02:00", "25 02:00", "25 03:00"]
    spring = last(timedelta(hours=5), now=datetime(2026, 3, 29, 3, tzinfo=UTC))
    assert on_the_wall(spring, BERLIN) == ["28 23:00", "29 00:00", "29 01:00", "29 03:00", "29 04:00"]


ZONES = [
    "UTC", "Europe/London", "Europe/Berlin", "America/New_York", "America/St_Johns", "Asia/Kolkata", "Asia/Kathmandu",
    "Africa/Cairo", "America/Havana", "Africa/Casablanca", "Australia/Lord_Howe", "Pacific/Chatham", "Pacific/Apia",
    "Asia/Tokyo", "Atlantic/Azores", "Etc/GMT+12",
]  # fmt: skip


@pytest.mark.parametrize("name", ZONES)
def test_points_follow_each_other_and_begin_on_the_readers_wall(name: str) -> None:
    zone = ZoneInfo(name)
    for now in (datetime(2026, 4, 6, 12, 17, tzinfo=UTC), datetime(2026, 11, 2, 5, 44, tzinfo=UTC)):
        for length in (timedelta(days=4), timedelta(days=366)):
            axis = last(length, zone, now)
            assert list(axis.starts) == sorted(set(axis.starts))
            assert axis.starts[0] <= (now - length).timestamp()
            assert axis.until >= now.timestamp()
        assert {datetime.fromtimestamp(start, zone).hour for start in axis.starts} <= {0, 1}  # 1: no midnight that day


@pytest.mark.parametrize("name", ZONES)
def test_a_day_from_quarters_has_exactly_the_half_hours_that_begin_in_it(name: str) -> None:
    """Each half hour counts a number of its own, so that a day's sum tells which ones are in it."""
    zone, now = ZoneInfo(name), int(NOW.timestamp())
    *starts, until = days_of(zone, now - 366 * 86_400, now)
    days = quarters_of(starts, until)
    edges = [-(-moment // HALF_HOUR_S) for moment in (*starts, until)]
    worth = {slot: slot**2 for slot in range(edges[0] - SLOTS_A_DAY, edges[-1] + SLOTS_A_DAY)}
    found = [0] * len(starts)
    read = 0
    for quarter in range(days.firsts[0], days.firsts[-1]):
        for place, sign in days.shares(360, quarter):
            found[place] += sign * sum(worth[slot] for slot in range(quarter * SLOTS, (quarter + 1) * SLOTS))
    midnights = [Midnight(slot) for slot in edges]
    for midnight in midnights:
        day, (begin, end) = midnight.slot // SLOTS_A_DAY * SLOTS_A_DAY, midnight.window
        read += end - begin
        for place, sign in days.shares(30, midnight.quarter):
            found[place] += sign * sum(worth[day + of_day] for of_day in range(begin, end))
    assert found == [sum(map(worth.__getitem__, range(*pair))) for pair in pairwise(edges)]
    assert read <= 6 * len(midnights)
