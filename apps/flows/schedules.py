"""When a flow is due: cron expressions of five fields in a time zone, right over every change of the clocks.

The customs of Debian's cron: times that are skipped in spring come at once after the gap, times that come twice in
autumn are due the first time. Expressions whose minute or hour is a star follow the real time instead: nothing is
skipped that exists, and both of a doubled hour count.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

MAX_LENGTH = 120
DAY = timedelta(days=1)
EXAMPLE = "*/5 * * * * is every five minutes, 30 6 * * 1-5 is 06:30 from Monday to Friday"


class CronError(ValueError):
    """A cron expression that is none, or that never comes; the message is a sentence with an example."""


def check_cron(cron: str) -> None:
    """Raises CronError unless the expression has five fields and comes at all."""
    if len(cron) > MAX_LENGTH:
        raise CronError(f"A cron expression has at most {MAX_LENGTH} characters.")
    fields = cron.split()
    if len(fields) != 5:
        raise CronError(
            f'"{cron}" is no cron expression: five fields are needed (minute, hour, day, month, weekday), '
            f"it has {len(fields)}. {EXAMPLE}."
        )
    try:
        next(CronSim(cron, datetime(2026, 1, 1)))
    except CronSimError as error:
        what = str(error).removeprefix("Bad ")
        raise CronError(f'"{cron}" is no cron expression: its {what} is not right. {EXAMPLE}.') from None
    except StopIteration:
        raise CronError(f'"{cron}" never comes: there is no such day.') from None


def next_due(cron: str, time_zone: str, after: datetime) -> datetime:
    """The first moment after an aware `after` at which the schedule is due, in UTC. Raises CronError."""
    check_cron(cron)
    zone = ZoneInfo(time_zone or "UTC")
    fixed = is_fixed(cron)
    found: datetime | None = None
    for wall in walls_from(cron, zone, after):
        moments = moments_of(wall, zone, is_fixed=fixed)
        if found is not None and moments and moments[0] >= found:
            return found  # the first passes of wall times are in order, so nothing earlier follows
        found = min([moment for moment in moments if moment > after] + ([found] if found else []), default=None)
    if found is None:
        raise CronError(f'"{cron}" does not come any more.')
    return found


def is_fixed(cron: str) -> bool:
    """Whether an expression names times of the day (neither its minute nor its hour begins with a star)."""
    minute, hour, *_ = cron.split()
    return not minute.startswith("*") and not hour.startswith("*")


def shift_near(moment: datetime, zone: ZoneInfo) -> timedelta:
    """By how much the clocks are changed within a day of a moment."""
    before, after = ((moment + day).astimezone(zone).utcoffset() for day in (-DAY, DAY))
    return abs((after or timedelta()) - (before or timedelta()))


def walls_from(cron: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """The wall times that match, without a zone: from `after` on, or from before it where clocks are changed."""
    wall = after.astimezone(zone).replace(tzinfo=None, fold=0)
    yield from CronSim(cron, wall - shift_near(after, zone))


def moments_of(wall: datetime, zone: ZoneInfo, *, is_fixed: bool) -> list[datetime]:
    """When a wall time is, in UTC: once, twice (the clocks go back over it) or never (they skip it)."""
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    second = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    if first == second:
        return [first]
    if first < second:
        return [first] if is_fixed else [first, second]
    return [end_of_gap(second, first, zone)] if is_fixed else []


def end_of_gap(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The moment at which the clocks jump, between a moment before and one after it; to the second."""
    offset = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after
