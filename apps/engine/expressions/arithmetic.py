"""Arithmetic of expressions: numbers only (`+` also joins two texts or two lists), and every result is capped."""

from __future__ import annotations

import operator
from collections.abc import Callable
from decimal import Context, Decimal
from typing import Any

from .errors import ExpressionError, Kind, describe
from .limits import capped_decimal, capped_whole, checked_number, finite, room_for_list, room_for_text

MAX_EXPONENT = 1_000

# A context of our own: what another library sets for its thread must not change what a mapping calculates.
DECIMAL = Context(prec=34, Emin=-999_999, Emax=999_999)


def add(left: Any, right: Any) -> Any:
    """The sum of two numbers, or two texts or two lists joined."""
    if isinstance(left, str) and isinstance(right, str):
        room_for_text(len(left) + len(right))
        return left + right
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        room_for_list(len(left) + len(right))
        return [*left, *right]
    if isinstance(left, str) != isinstance(right, str):
        raise unjoinable(left, right)
    return calculate("+", left, right)


def unjoinable(left: Any, right: Any) -> ExpressionError:
    """The sentence for a text plus something else."""
    other = right if isinstance(left, str) else left
    kind: Kind = "missing" if other is None else "value"
    return ExpressionError(
        kind,
        f'"+" can\'t join {describe(left)} and {describe(right)}; text(…) or number(…) can convert one of them.',
        value=other,
    )


def power(left: Any, right: Any) -> Any:
    """Power, refused before it is calculated when the result would be too long."""
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() * right > 128:
        raise ExpressionError("limit", "The power is too large: a whole number may have at most 64 bits.")
    if abs(right) > MAX_EXPONENT:
        raise ExpressionError("limit", f"An exponent may be at most {MAX_EXPONENT:,}.")
    result = left**right
    if isinstance(result, complex):
        raise ExpressionError("value", "The root of a negative number is not a number that can be stored.")
    return result


def decimal_power(left: Decimal, right: Decimal) -> Decimal:
    """Power of exact decimals, with the same bound on the exponent."""
    if abs(right) > MAX_EXPONENT:
        raise ExpressionError("limit", f"An exponent may be at most {MAX_EXPONENT:,}.")
    return DECIMAL.power(left, right)


def decimal_floor(left: Decimal, right: Decimal) -> Decimal:
    """Division rounded down, as for whole numbers."""
    quotient, rest = DECIMAL.divmod(left, right)
    return DECIMAL.subtract(quotient, Decimal(1)) if rest and (rest < 0) != (right < 0) else quotient


def decimal_rest(left: Decimal, right: Decimal) -> Decimal:
    """The rest of the division rounded down: it has the sign of the divisor."""
    rest = DECIMAL.remainder(left, right)
    return DECIMAL.add(rest, right) if rest and (rest < 0) != (right < 0) else rest


PLAIN_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": power,
}
DECIMAL_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": DECIMAL.add,
    "-": DECIMAL.subtract,
    "*": DECIMAL.multiply,
    "/": DECIMAL.divide,
    "//": decimal_floor,
    "%": decimal_rest,
    "**": decimal_power,
}


def calculate(sign: str, left: Any, right: Any) -> Any:
    """`left sign right` for two numbers. One exact decimal number makes the result exact."""
    try:
        left, right = checked_number(left), checked_number(right)
        if isinstance(left, Decimal) or isinstance(right, Decimal):
            return capped_decimal(DECIMAL_ARITHMETIC[sign](exact(left), exact(right)))
        result = PLAIN_ARITHMETIC[sign](left, right)
    except ZeroDivisionError:
        raise ExpressionError("value", f'"{sign}" divides by zero.', value=left) from None
    except (ArithmeticError, ValueError):
        raise ExpressionError("limit", f'"{sign}" gives a number that is too large or undefined.', value=left) from None
    return capped_whole(result) if result.__class__ is int else finite(result)


def exact(number: int | float | Decimal) -> Decimal:
    """The number as an exact decimal; a floating number by the digits that it shows (0.1 is 0.1)."""
    if isinstance(number, float):
        return capped_decimal(Decimal(repr(number)))
    return number if isinstance(number, Decimal) else Decimal(number)


def negative(value: Any) -> Any:
    """The number with its sign turned."""
    return -checked_number(value)
