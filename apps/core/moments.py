"""How moments and dates are written for people. Plain functions: no request, no clock."""

from datetime import datetime
from zoneinfo import ZoneInfo

DAY_FIRST, MONTH_FIRST, YEAR_FIRST = "day", "month", "year"


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
