"""The time axis of charts: minutes, hours or days on the reader's wall.

A day begins at the reader's midnight and has 23, 24 or 25 hours; an hour that comes twice is two points.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from apps.runs.buckets import HALF_HOUR_S, MINUTES_KEPT

MINUTE_S, HOUR_S = 60, 3_600
LONGEST_BY_MINUTE, LONGEST_BY_HOUR = timedelta(hours=4), timedelta(days=4)


class Unit(StrEnum):
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"


@dataclass(frozen=True)
class Axis:
    """When each point starts, and when the last one ends, in seconds since 1970.

    `is_coarser`: the finer buckets that a range of this length usually shows are not kept for so long.
    """

    unit: Unit
    starts: tuple[int, ...]
    until: int
    is_coarser: bool = False

    @property
    def moments(self) -> list[datetime]:
        """When each point starts, in UTC."""
        return [datetime.fromtimestamp(start, UTC) for start in self.starts]


def axis_of(since: datetime, until: datetime, zone: ZoneInfo, now: datetime) -> Axis:
    """Whole points that cover [since, until): minutes up to 4 hours, hours up to 4 days, else days."""
    unit, is_coarser = unit_for(since, until, now)
    first, end = int(since.timestamp()), -int(-until.timestamp() // 1)
    if unit == Unit.DAY:
        *days, last = days_of(zone, first, end)
        return Axis(unit, tuple(days), last)
    if unit == Unit.HOUR:
        first, end = hour_before(zone, first), hour_before(zone, end - 1) + HOUR_S
        return Axis(unit, tuple(hours_of(zone, first, end)), end, is_coarser)
    first, end = first // MINUTE_S * MINUTE_S, -(-end // MINUTE_S) * MINUTE_S
    return Axis(unit, tuple(range(first, end, MINUTE_S)), end)


def unit_for(since: datetime, until: datetime, now: datetime) -> tuple[Unit, bool]:
    """The unit, and whether a finer one would be usual for this length."""
    length = until - since
    if length > LONGEST_BY_HOUR:
        return Unit.DAY, False
    if length > LONGEST_BY_MINUTE:
        return Unit.HOUR, False
    return (Unit.HOUR, True) if since < now - MINUTES_KEPT else (Unit.MINUTE, False)


def days_of(zone: ZoneInfo, first: int, end: int) -> Iterator[int]:
    """The midnights of the days that [first, end) touches, and the one after."""
    days = (datetime.fromtimestamp(moment, zone).toordinal() for moment in (first, end - 1))
    for day in range(next(days), next(days) + 2):
        yield int(datetime.combine(date.fromordinal(day), time(), zone).timestamp())


def hours_of(zone: ZoneInfo, first: int, end: int) -> Iterator[int]:
    """A point begins where the hour on the wall does, or the zone changes its distance from UTC."""
    before = None
    for start in range(first, end, HALF_HOUR_S):
        wall = datetime.fromtimestamp(start, zone)
        hour = (wall.toordinal(), wall.hour, wall.utcoffset())
        if hour != before:
            yield start
        before = hour


def hour_before(zone: ZoneInfo, second: int) -> int:
    """The start of the hour on the wall."""
    wall = datetime.fromtimestamp(second, zone)
    return second - wall.minute * MINUTE_S - wall.second
