"""Helpers for dates and times. Times always have a zone; where a text says none, it is UTC or the zone given."""

# ruff: noqa: A002 - the parameters are named for the people who write expressions

from __future__ import annotations

import calendar
import datetime as dt
from typing import Any

from .date_formats import read_time, write_time, zone
from .errors import ExpressionError, cut, describe
from .helper import Helper
from .limits import as_index, as_text, checked_number

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
UNITS = {"s": 1, "ms": 1000}


def date(text: Any, format: Any = "YYYY-MM-DD") -> dt.date:
    if isinstance(text, dt.datetime):
        return text.date()
    if isinstance(text, dt.date):
        return text
    written = filled(text)
    if format == "YYYY-MM-DD" and (len(written) > 10 or written[5:6] in {"0", "1"}):
        return iso_day(written)
    return read_time(written, as_text(format)).date()


def datetime(text: Any, format: Any = None, tz: Any = "UTC") -> dt.datetime:
    place = zone(as_text(tz))
    if isinstance(text, dt.date):
        time = text if isinstance(text, dt.datetime) else dt.datetime.combine(text, dt.time())
    else:
        time = iso_time(filled(text)) if format is None else read_time(filled(text), as_text(format))
    return time if time.tzinfo else time.replace(tzinfo=place)


def filled(text: Any) -> str:
    """A text with something in it; blank is kind `missing`."""
    if isinstance(text, (bool, int, float)):
        raise ExpressionError(
            "value", f"A date is needed, but this is {describe(text)}; from_epoch(…) reads seconds.", value=text
        )
    written = as_text(text).strip()
    if not written:
        raise ExpressionError("missing", "A date is needed, but the text is empty; default(…) can stand in for it.")
    return written


def iso_day(text: str) -> dt.date:
    """The day of an ISO day or time; the library's reader is ten times as fast as a format."""
    return iso_time(text).date() if len(text) != 10 or text[4] != "-" else read_day(text)


def read_day(text: str) -> dt.date:
    """The day of a text such as 2024-12-31; raises kind `parse`."""
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise ExpressionError("parse", f'The text "{cut(text)}" is not a real date: {error}.', value=text) from None


def iso_time(text: str) -> dt.datetime:
    """The time of an ISO 8601 text; raises kind `parse`."""
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        raise ExpressionError("parse", f'The text "{cut(text)}" is not an ISO date or time.', value=text) from None


def as_time(value: Any) -> dt.datetime:
    """A time with its zone, of a time, a date (its midnight in UTC) or an ISO text."""
    return datetime(value)


def as_day(value: Any) -> dt.date:
    """A day or a time as it is, of a text the time when it has one, else the day."""
    if isinstance(value, dt.date):
        return value
    written = filled(value)
    return date(written) if len(written) <= 10 else as_time(written)


def shifted(value: dt.date, delta: dt.timedelta) -> dt.date:
    """A time later or earlier; raises kind `value` outside the years 1 to 9999."""
    try:
        return value + delta
    except OverflowError:
        raise ExpressionError("value", "The date would lie outside the years 1 to 9999.") from None


def span(unit: str, count: Any) -> dt.timedelta:
    """A time span; raises kind `value` when it is too long."""
    try:
        return dt.timedelta(**{unit: float(checked_number(count))})
    except (OverflowError, ValueError):
        raise ExpressionError("value", "The time span is too long.", value=count) from None


def format_date(date: Any, format: Any, tz: Any = None) -> str:
    moment = as_day(date)
    time = moment if isinstance(moment, dt.datetime) else dt.datetime.combine(moment, dt.time(), dt.UTC)
    return write_time(time if tz is None else to_zone(time, tz), as_text(format))


def add_days(date: Any, days: Any) -> dt.date:
    return shifted(as_day(date), span("days", as_index(days, "number of days")))


def add_hours(time: Any, hours: Any) -> dt.date:
    return shifted(as_time(time), span("hours", hours))


def add_months(date: Any, months: Any) -> dt.date:
    day, count = as_day(date), as_index(months, "number of months")
    year, month = divmod(day.year * 12 + day.month - 1 + count, 12)
    if not 1 <= year <= 9999:
        raise ExpressionError("value", "The date would lie outside the years 1 to 9999.")
    return day.replace(year=year, month=month + 1, day=min(day.day, calendar.monthrange(year, month + 1)[1]))


def days_between(start: Any, end: Any) -> int:
    return (date(as_day(end)) - date(as_day(start))).days


def hours_between(start: Any, end: Any) -> float:
    return (as_time(end) - as_time(start)).total_seconds() / 3600


def to_zone(time: Any, tz: Any) -> dt.datetime:
    try:
        return as_time(time).astimezone(zone(as_text(tz)))
    except (OverflowError, ValueError):
        raise ExpressionError("value", "The date would lie outside the years 1 to 9999.") from None


def weekday(date: Any) -> int:
    return as_day(date).isoweekday()


def epoch(time: Any, unit: Any = "s") -> int:
    return (as_time(time) - EPOCH) // dt.timedelta(milliseconds=1000 // factor(unit))


def from_epoch(number: Any, unit: Any = "s") -> dt.datetime:
    seconds = checked_number(number)
    try:
        return EPOCH + dt.timedelta(milliseconds=float(seconds) * 1000 / factor(unit))
    except (OverflowError, ValueError):
        hint = '; milliseconds need the unit "ms"' if unit == "s" else ""
        raise ExpressionError("value", f"The number {cut(str(seconds))} is no time{hint}.", value=number) from None


def factor(unit: Any) -> int:
    """How many of a unit a second has."""
    if unit not in ("s", "ms"):
        raise ExpressionError("value", f'The unit must be "s" or "ms", but is {describe(unit)}.', value=unit)
    return UNITS[unit]


DATE_HELPERS = (
    Helper(
        "date",
        "dates",
        date,
        "The day that a text says. Letters: YYYY YY MMMM MMM MM M DDDD DDD DD D; other text in [brackets].",
        (
            ("date('31.12.2024', 'DD.MM.YYYY')", "2024-12-31"),
            ("date('4 Jul 2024', 'D MMM YYYY')", "2024-07-04"),
            ("date('2024-12-31T23:00:00Z')", "2024-12-31"),
        ),
    ),
    Helper(
        "datetime",
        "dates",
        datetime,
        "The time that a text says, ISO or by a format (also HH H hh h mm m ss s SSS A Z); tz if it has no zone.",
        (
            ("datetime('2024-12-31 08:30', tz='Europe/Berlin')", "2024-12-31T08:30:00+01:00"),
            ("datetime('12/31/2024 8:05 PM', 'MM/DD/YYYY h:mm A')", "2024-12-31T20:05:00+00:00"),
        ),
    ),
    Helper(
        "format_date",
        "dates",
        format_date,
        "A date or time as text; tz converts it first.",
        (
            ("format_date('2024-12-31', 'DD/MM/YYYY')", "31/12/2024"),
            ("format_date('2024-12-31T23:30:00Z', 'YYYY-MM-DD HH:mm', 'Europe/Berlin')", "2025-01-01 00:30"),
            ("format_date('2024-12-31', 'DDDD [the] D MMMM')", "Tuesday the 31 December"),
        ),
    ),
    Helper(
        "add_days",
        "dates",
        add_days,
        "The day or time so many days later.",
        (("add_days('2024-02-28', 2)", "2024-03-01"),),
    ),
    Helper(
        "add_hours",
        "dates",
        add_hours,
        "The time so many hours later; fractions and minus are allowed.",
        (("add_hours('2024-12-31T23:30:00Z', 1.5)", "2025-01-01T01:00:00+00:00"),),
    ),
    Helper(
        "add_months",
        "dates",
        add_months,
        "The same day so many months later, or the last day of that month.",
        (("add_months('2024-01-31', 1)", "2024-02-29"), ("add_months('2024-01-31', -2)", "2023-11-30")),
    ),
    Helper(
        "days_between",
        "dates",
        days_between,
        "How many days the second date is after the first.",
        (("days_between('2024-02-28', '2024-03-01')", 2),),
    ),
    Helper(
        "hours_between",
        "dates",
        hours_between,
        "How many hours the second time is after the first.",
        (("hours_between('2024-12-31T22:00:00Z', '2025-01-01T00:30:00+01:00')", 1.5),),
    ),
    Helper(
        "to_zone",
        "dates",
        to_zone,
        "The same moment in another time zone.",
        (("to_zone('2024-07-01T12:00:00Z', 'America/New_York')", "2024-07-01T08:00:00-04:00"),),
    ),
    Helper("weekday", "dates", weekday, "1 for Monday to 7 for Sunday.", (("weekday('2024-12-31')", 2),)),
    Helper(
        "epoch",
        "dates",
        epoch,
        "Seconds (or ms) since 1970, as many interfaces want a time.",
        (("epoch('2018-02-07T00:00:00Z')", 1517961600), ("epoch('2018-02-07', 'ms')", 1517961600000)),
    ),
    Helper(
        "from_epoch",
        "dates",
        from_epoch,
        "The time of seconds (or ms) since 1970.",
        (("from_epoch(1517966773840, 'ms')", "2018-02-07T01:26:13.840000+00:00"),),
    ),
)
