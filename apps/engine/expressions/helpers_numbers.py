"""Helpers for numbers. Whole numbers have at most 64 bits; money is exact."""

# ruff: noqa: A002 - the parameters are named for the people who write expressions

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from .arithmetic import DECIMAL, calculate, exact
from .errors import ExpressionError, describe, sentence_start
from .helper import Helper
from .limits import (
    MAX_DECIMAL_DIGITS,
    as_index,
    as_list,
    as_text,
    capped_decimal,
    capped_whole,
    checked_number,
    finite,
)
from .operators import compare

BLANKS = dict.fromkeys(map(ord, " \u00a0\u202f\u2009\t"))
CURRENCIES = "€$£¥₹"
MAX_ROUND = 15
# What most texts look like; fifteen digits are what a floating number holds exactly.
PLAIN_NUMBER = re.compile(r"-?\d{1,9}(?:\.\d{1,6})?", re.ASCII)


def number(text: Any, decimal: Any = ".", thousands: Any = ",") -> int | float:
    if not isinstance(text, str):
        found = checked_number(int(text) if isinstance(text, bool) else text)
        return narrowed(found) if isinstance(found, Decimal) else found
    if decimal == "." and PLAIN_NUMBER.fullmatch(text):
        found = float(text)
        return int(found) if found.is_integer() else found
    return narrowed(parsed_number(text, decimal, thousands))


def integer(text: Any, decimal: Any = ".", thousands: Any = ",") -> int:
    found = number(text, decimal, thousands)
    if found != int(found):
        raise ExpressionError("value", f"A whole number is needed, but this is {describe(text)}.", value=text)
    return capped_whole(int(found))


def money(text: Any, decimal: Any = ".", thousands: Any = ",", digits: Any = 2) -> Decimal:
    found = parsed_money(text, decimal, thousands) if isinstance(text, str) else exact(checked_number(text))
    return rounded(found, as_index(digits, "number of digits"))


def parsed_money(text: str, decimal: Any, thousands: Any) -> Decimal:
    """An amount with an optional currency sign or three-letter code; in brackets it is negative."""
    if decimal == "." and PLAIN_NUMBER.fullmatch(text):
        return Decimal(text)
    bare = as_text(text).strip()
    in_brackets = bare.startswith("(") and bare.endswith(")")
    bare = bare[1:-1] if in_brackets else bare
    bare = re.sub(rf"^([A-Z]{{3}}|[{CURRENCIES}])|([A-Z]{{3}}|[{CURRENCIES}])$", "", bare.strip())
    found = parsed_number(re.sub(rf"^-\s?[{CURRENCIES}]", "-", bare), decimal, thousands, shown=text)
    return -found if in_brackets else found


def parsed_number(text: str, decimal: Any, thousands: Any, shown: Any = None) -> Decimal:
    """The number that a text writes; kind `missing` when it is blank, kind `parse` when it is no number."""
    shown = text if shown is None else shown
    bare = as_text(text).translate(BLANKS).strip()
    if not bare:
        raise ExpressionError("missing", "A number is needed, but the text is empty; default(…) can stand in for it.")
    point, group = as_text(decimal), as_text(thousands)
    if len(bare) > 2 * MAX_DECIMAL_DIGITS or not number_pattern(point, group).fullmatch(bare):
        raise not_a_number(shown, point, group)
    plain = bare.replace(group, "") if group else bare
    try:
        return capped_decimal(Decimal(plain.replace(point, ".")))
    except InvalidOperation:
        raise not_a_number(shown, point, group) from None


@lru_cache(maxsize=64)
def number_pattern(decimal: str, thousands: str) -> re.Pattern[str]:
    """Digits with or without groups of three, a decimal part, an exponent. Every part has one way to match."""
    if len(decimal) != 1 or len(thousands) > 1 or decimal == thousands or (decimal + thousands).strip("., '_·"):
        raise ExpressionError("value", "The decimal and thousands signs must be two different signs such as . and ,")
    grouped = rf"\d{{1,3}}(?:{re.escape(thousands)}\d{{3}})+|" if thousands.strip() else ""
    point = re.escape(decimal)
    return re.compile(rf"[+-]?(?:(?:{grouped}\d+)(?:{point}\d*)?|{point}\d+)(?:[eE][+-]?\d{{1,2}})?", re.ASCII)


def not_a_number(text: Any, point: str, group: str) -> ExpressionError:
    """The sentence for a text that is no number, with the signs that were expected."""
    signs = f'decimal sign "{point}"' + (f', thousands sign "{group}"' if group else "")
    return ExpressionError("parse", f"{sentence_start(describe(text))} is not a number ({signs}).", value=text)


def narrowed(found: Decimal) -> int | float:
    """A whole number when it is one, else a floating number."""
    if found == found.to_integral_value():
        return capped_whole(int(found))
    return finite(float(found))


def rounded(found: Decimal, digits: int) -> Decimal:
    """The number with so many digits after the point, halves away from zero (as on an invoice)."""
    if abs(digits) > MAX_ROUND:
        raise ExpressionError("value", f"A number can be rounded to at most {MAX_ROUND} digits.", value=digits)
    try:
        return found.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP, context=DECIMAL)
    except InvalidOperation:
        raise ExpressionError("limit", f"The number has too many digits to round it to {digits}.") from None


def round_number(number: Any, digits: Any = 0) -> int | float | Decimal:
    found, places = checked_number(number), as_index(digits, "number of digits")
    result = rounded(exact(found), places)
    if isinstance(found, Decimal):
        return result
    return finite(float(result)) if places > 0 and isinstance(found, float) else capped_whole(int(result))


def floor(number: Any) -> int:
    return capped_whole(int(exact(checked_number(number)).to_integral_value("ROUND_FLOOR")))


def ceiling(number: Any) -> int:
    return capped_whole(int(exact(checked_number(number)).to_integral_value("ROUND_CEILING")))


def absolute(number: Any) -> Any:
    return abs(checked_number(number))


def total(list: Any) -> Any:
    result: Any = 0
    for entry in as_list(list):
        result = calculate("+", result, entry)
    return result


def smallest(*values: Any) -> Any:
    return extreme(values, "<")


def largest(*values: Any) -> Any:
    return extreme(values, ">")


def extreme(values: tuple[Any, ...], sign: str) -> Any:
    """The smallest or largest of several values, or of the entries of one list."""
    entries = as_list(values[0]) if len(values) == 1 else [*values]
    if not entries:
        raise ExpressionError("missing", "The list is empty, so it has no smallest or largest entry.")
    best = entries[0]
    for entry in entries:
        best = entry if compare(sign, entry, best) else best
    return best


NUMBER_HELPERS = (
    Helper(
        "number",
        "numbers",
        number,
        "The number that a text writes; decimal and thousands say which signs it uses.",
        (
            ("number('1,234.5')", 1234.5),
            ("number('1.234,50', decimal=',', thousands='.')", 1234.5),
            ("number('42')", 42),
        ),
    ),
    Helper(
        "integer",
        "numbers",
        integer,
        "The whole number that a text writes; a fraction is an error.",
        (("integer(' 1,200 ')", 1200), ("integer('7.0')", 7)),
    ),
    Helper(
        "money",
        "numbers",
        money,
        "An exact amount, rounded to digits; currency signs are dropped, brackets mean minus. It leaves as text.",
        (("money('$1,234.5')", "1234.50"), ("money('(12.50)')", "-12.50"), ("money('0.1') + money('0.2')", "0.30")),
    ),
    Helper(
        "round",
        "numbers",
        round_number,
        "The number rounded to digits after the point; halves go away from zero.",
        (("round(2.5)", 3), ("round(1.005, 2)", 1.01), ("round(1234, -2)", 1200)),
    ),
    Helper("floor", "numbers", floor, "The next whole number below.", (("floor(-1.5)", -2),)),
    Helper("ceiling", "numbers", ceiling, "The next whole number above.", (("ceiling(1.2)", 2),)),
    Helper("abs", "numbers", absolute, "The number without its sign.", (("abs(-3.5)", 3.5),)),
    Helper(
        "sum",
        "numbers",
        total,
        "The sum of a list of numbers.",
        (("sum([1, 2, 3.5])", 6.5), ("sum(line.price * line.count for line in [{'price': 2, 'count': 3}])", 6)),
    ),
    Helper(
        "min",
        "numbers",
        smallest,
        "The smallest of several values, or of a list.",
        (("min(3, 1, 2)", 1), ("min(['b', 'a'])", "a")),
    ),
    Helper("max", "numbers", largest, "The largest of several values, or of a list.", (("max([3, 1, 2])", 3),)),
)
