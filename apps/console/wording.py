"""How numbers, durations and moments are written on every page. Plain functions: no request, no clock."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE, HOUR, DAY = 60, 3600, 86400
DAY_FIRST, MONTH_FIRST, YEAR_FIRST = "day", "month", "year"


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


def moment_text(
    moment: datetime,
    now: datetime,
    zone: ZoneInfo,
    *,
    order: str = DAY_FIRST,
    with_seconds: bool = True,
    with_zone: bool = False,
) -> str:
    """`20 Nov 15:02:41`, with the year when it is not the current one, and with `CET` when asked."""
    local = moment.astimezone(zone)
    text = f"{date_text(local, now.astimezone(zone), order)} {local:{'%H:%M:%S' if with_seconds else '%H:%M'}}"
    return f"{text} {local.tzname()}" if with_zone else text


def date_text(local: datetime, now: datetime, order: str = DAY_FIRST) -> str:
    """`20 Nov`, `Nov 20`, or with another year `20 Nov 2025`, `Nov 20, 2025`; year first always whole: `2026-11-20`."""
    if order == YEAR_FIRST:
        return f"{local:%Y-%m-%d}"
    if order == MONTH_FIRST:
        return f"{local:%b} {local.day}" + ("" if local.year == now.year else f", {local.year}")
    return f"{local.day} {local:%b}" + ("" if local.year == now.year else f" {local.year}")


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
