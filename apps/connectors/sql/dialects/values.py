"""Values of databases as JSON, and values of records as a driver takes them.

Whole numbers of at most 64 bits become numbers, exact numbers too unless a JSON number would lose digits: then text;
dates and times ISO text; bytes base64; all else the text that Python shows.
"""

import base64
import datetime as dt
import math
import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import orjson

PLAIN = frozenset({str, int, float, bool, type(None)})
BIGGEST = 2**63
TIME_TYPES = ("DATETIME", "TIMESTAMP", "SMALLDATETIME")


def as_json(value: Any) -> Any:
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is int:
        return value if -BIGGEST <= value < BIGGEST else str(value)
    if kind is float:
        return value if math.isfinite(value) else str(value)
    if kind is Decimal:
        return exact(value)
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if kind is dt.timedelta:
        return duration(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(bytes(value)).decode()
    return sorted(map(str, value)) if isinstance(value, set | frozenset) else str(value)


def exact(value: Decimal) -> Any:
    """A number if it keeps all digits, else the text."""
    if not value.is_finite():
        return str(value)
    if value == value.to_integral_value():
        whole = int(value)
        return whole if -BIGGEST <= whole < BIGGEST and value.as_tuple().exponent == 0 else whole_or_text(value)
    number = float(value)
    return number if Decimal(repr(number)) == value else str(value)


def whole_or_text(value: Decimal) -> Any:
    number = float(value)
    return number if Decimal(number) == value and abs(number) < 2**53 else str(value)


def duration(value: dt.timedelta) -> str:
    """A time of day, or a span, as MySQL writes it: 26:03:04.5."""
    sign, value = ("-", -value) if value < dt.timedelta(0) else ("", value)
    seconds = value.days * 86400 + value.seconds
    fraction = f".{value.microseconds:06d}".rstrip("0") if value.microseconds else ""
    return f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{fraction}"


def as_parameter(value: Any) -> Any:
    """A value without a column to go by."""
    if isinstance(value, dict | list):
        return orjson.dumps(value).decode()
    if isinstance(value, dt.date | dt.time | uuid.UUID):
        return str(value)
    return value


def for_time(value: Any) -> Any:
    """A time with a zone in UTC, without it: columns without zones hold UTC. Other values stay for the database."""
    if not isinstance(value, str) or len(value) < 20:
        return value
    try:
        moment = dt.datetime.fromisoformat(value)
    except ValueError:
        return value
    return moment.astimezone(dt.UTC).replace(tzinfo=None) if moment.tzinfo else value


def is_time(column_type: str) -> bool:
    return column_type.upper().startswith(TIME_TYPES) and "ZONE" not in column_type.upper()


def rows_as_json(rows: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    return [
        tuple(row) if PLAIN.issuperset(map(type, row)) and not has_odd(row) else tuple(map(as_json, row))
        for row in rows
    ]


def has_odd(row: Sequence[Any]) -> bool:
    """A number that JSON cannot say."""
    return any(
        (type(value) is int and not -BIGGEST <= value < BIGGEST) or (type(value) is float and not math.isfinite(value))
        for value in row
    )
