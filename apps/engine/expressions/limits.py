"""The caps that bound what one evaluation may cost, and the meter that every piece of work is charged to.

Whatever stands in an expression or a record, an evaluation ends: source and nesting are capped when it is compiled,
each text, list and number when it is made, and the sum of the work by `BUDGET`. Small things (up to SMALL characters
or entries) are not charged one by one: their number is bounded by the source and by the cap of a comprehension.
"""

from __future__ import annotations

import datetime as dt
import threading
import uuid
from decimal import Decimal
from math import isfinite
from typing import Any

from .errors import ExpressionError, Kind, describe

MAX_SOURCE = 4_000  # characters of one expression
MAX_TEMPLATE = 100_000  # characters of one template
MAX_TEMPLATE_PARTS = 200  # expressions in one template
MAX_DEPTH = 50  # nested parts of one expression
MAX_TEXT = 1_000_000  # characters of a text that an expression makes
MAX_LIST = 100_000  # entries of a list that an expression makes or walks through
MAX_WHOLE = 2**63 - 1  # whole numbers must fit into 64 bits: what databases and JSON readers can take
MAX_DECIMAL_DIGITS = 60
MAX_DECIMAL_EXPONENT = 60
MAX_JSON_DEPTH = 64
MAX_COMPREHENSION_STEPS = 1_000_000  # entries times the parts of the comprehension
BUDGET = 10_000_000  # characters and entries that the work of one evaluation may touch
ENTRY = 10  # what one entry costs that is looked at one by one, in the time of characters
SMALL = 64


class _Meter(threading.local):
    """What is left of the budget; one per thread, because several runs may share a process."""

    left: int = BUDGET


meter = _Meter()


def spend(units: int) -> None:
    """Charge work to the evaluation under way; raises kind `limit` when the budget is used up."""
    left = meter.left - units
    meter.left = left
    if left < 0:
        raise ExpressionError(
            "limit", f"The expression does too much work for one record (more than {BUDGET:,} characters and entries)."
        )


def as_text(value: Any) -> str:
    """A text to work on: texts, and numbers and dates written as text. Null is kind `missing`, a list kind `value`."""
    text = value if value.__class__ is str else scalar_text(value)
    return made_text(text) if len(text) > SMALL else text


def made_text(text: str) -> str:
    """A text that was just made: within its cap, and charged."""
    length = len(text)
    if length > SMALL:
        room_for_text(length)
    return text


def room_for_text(length: int) -> None:
    """Charge a text before it is made; raises kind `limit` when it would be too long."""
    if length > MAX_TEXT:
        raise ExpressionError(
            "limit", f"A text may have at most {MAX_TEXT:,} characters; this one would have {length:,}."
        )
    spend(length)


def scalar_text(value: Any) -> str:
    """A single value as text: true/false, plain digits, ISO dates. Raises for null, lists and objects."""
    if isinstance(value, str):
        return str(value)
    if value is None:
        raise ExpressionError("missing", "A value is needed, but it is empty (null); default(…) can stand in for it.")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return number_text(value)
    return rare_text(value)


def number_text(value: int | float) -> str:
    """Digits of a number; raises kind `value` for NaN and infinity, kind `limit` for a whole number beyond 64 bits."""
    return repr(finite(value)) if isinstance(value, float) else str(capped_whole(int(value)))


def rare_text(value: Any) -> str:
    """Decimal numbers, dates and UUIDs as text."""
    if isinstance(value, Decimal):
        return f"{capped_decimal(value):f}"
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    raise ExpressionError("value", f"A text is needed, but this is {describe(value)}.", value=value)


def as_list(value: Any) -> list[Any]:
    """A list to work on, charged; a tuple counts as one. Null is kind `missing`, anything else kind `value`."""
    if not isinstance(value, (list, tuple)):
        kind: Kind = "missing" if value is None else "value"
        hint = "; for an object use keys(…), values(…) or entries(…)" if isinstance(value, dict) else ""
        raise ExpressionError(kind, f"A list is needed, but this is {describe(value)}{hint}.", value=value)
    room_for_list(len(value))
    return value if isinstance(value, list) else list(value)


def room_for_list(length: int) -> None:
    """Charge a list; raises kind `limit` when it is too long."""
    if length > MAX_LIST:
        raise ExpressionError("limit", f"A list may have at most {MAX_LIST:,} entries; this one has {length:,}.")
    if length > SMALL:
        spend(length)


def as_object(value: Any) -> dict[Any, Any]:
    """An object to work on, charged. Null is kind `missing`, anything else kind `value`."""
    if not isinstance(value, dict):
        kind: Kind = "missing" if value is None else "value"
        raise ExpressionError(kind, f"An object is needed, but this is {describe(value)}.", value=value)
    room_for_list(len(value))
    return value


def as_index(value: Any, what: str = "position") -> int:
    """A whole number that fits an index or a width; raises kind `value`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ExpressionError("value", f"The {what} must be a whole number, but is {describe(value)}.", value=value)
    return capped_whole(value)


def finite(value: float) -> float:
    """The number, or kind `value` when it is infinite or not a number."""
    if not isfinite(value):
        raise ExpressionError("value", "The result is not a number that can be stored (infinite or undefined).")
    return value


def capped_whole(value: int) -> int:
    """The whole number, or kind `limit` when it does not fit into 64 bits."""
    if not -MAX_WHOLE <= value <= MAX_WHOLE:
        raise ExpressionError("limit", "A whole number may have at most 64 bits (about 18 digits); keep it as text.")
    return value


def capped_decimal(value: Decimal) -> Decimal:
    """The decimal number; kind `value` when it is not finite, kind `limit` when it is too long to write out."""
    if not value.is_finite():
        return Decimal(finite(float("nan")))
    if len(value.as_tuple().digits) > MAX_DECIMAL_DIGITS or abs(value.adjusted()) > MAX_DECIMAL_EXPONENT:
        raise ExpressionError("limit", f"A decimal number may have at most {MAX_DECIMAL_DIGITS} digits.")
    return value


def checked_number(value: Any) -> Any:
    """A number to calculate with (whole, decimal or floating); raises `missing` for null, `value` for the rest."""
    kind = value.__class__
    if kind is int:
        return capped_whole(value)
    if kind is float:
        return finite(value)
    if isinstance(value, Decimal):
        return capped_decimal(value)
    if value is None:
        raise ExpressionError("missing", "A number is needed, but the value is empty (null).")
    hint = "; number(…) makes one of a text" if isinstance(value, str) else ""
    raise ExpressionError("value", f"A number is needed, but this is {describe(value)}{hint}.", value=value)
