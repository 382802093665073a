"""How numbers, durations and moments are written on every page. Plain functions: no request, no clock."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from apps.core.moments import DAY_FIRST as DAY_FIRST
from apps.core.moments import MONTH_FIRST as MONTH_FIRST
from apps.core.moments import YEAR_FIRST as YEAR_FIRST
from apps.core.moments import date_text as date_text
from apps.core.moments import moment_text as moment_text

MINUTE, HOUR, DAY = 60, 3600, 86400


def count_text(number: int | float | None) -> str:
    """`1,204`; fractions only below ten (`3.1`); nothing for None."""
    if number is None:
        return ""
    if isinstance(number, int):
        return f"{number:,}"
    return f"{number:,.1f}".removesuffix(".0") if abs(number) < 10 else f"{number:,.0f}"


def duration_text(length: timedelta | float | None) -> str:
    """`412 ms`, `1.4 s`, `58 s`, `6 min 40 s`, `1 h 5 min`, `2 d 3 h`. A bare number is in seconds."""
    if length is None:
        return ""
    seconds = length.total_seconds() if isinstance(length, timedelta) else float(length)
    seconds = max(seconds, 0.0)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{count_text(round(seconds, 1))} s"
    return _two_units(round(seconds))


def _two_units(seconds: int) -> str:
    if seconds < MINUTE:
        return f"{seconds} s"
    if seconds < HOUR:
        return _pair(seconds // MINUTE, "min", seconds % MINUTE, "s")
    if seconds < DAY:
        return _pair(seconds // HOUR, "h", seconds % HOUR // MINUTE, "min")
    return _pair(seconds // DAY, "d", seconds % DAY // HOUR, "h")


def _pair(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large} {large_unit} {small} {small_unit}" if small else f"{large} {large_unit}"


def age_text(moment: datetime, now: datetime) -> str:
    """`40 s ago`, `4 min ago`, `9 h ago`, `2 d ago`; `in 12 min` for what is to come; `now` within a second."""
    seconds = round((now - moment).total_seconds())
    if seconds == 0:
        return "now"
    span = _one_unit(abs(seconds))
    return f"{span} ago" if seconds > 0 else f"in {span}"


def _one_unit(seconds: int) -> str:
    for size, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= size:
            return f"{seconds // size:,} {unit}"
    return f"{seconds} s"


def countdown_text(moment: datetime, now: datetime) -> str:
    """`0:48` or `1:02:05` until the moment; `0:00` once it has passed."""
    left = max(round((moment - now).total_seconds()), 0)
    hours, rest = divmod(left, HOUR)
    minutes, seconds = divmod(rest, MINUTE)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def zone_text(zone: ZoneInfo, now: datetime) -> str:
    """`Europe/Berlin (CET, UTC+01:00)`, for the head of a page or a column; just `UTC` where all three say the same."""
    local = now.astimezone(zone)
    name, offset = local.tzname() or "", f"{local:%z}"
    if name == "UTC":
        return name
    shown = f"UTC{offset[:3]}:{offset[3:]}"
    return f"{zone.key} ({shown})" if name[:1] in "+-" else f"{zone.key} ({name}, {shown})"
