"""What the operators of an expression do. The generated functions call these; nothing else reaches a value.

Field access looks into objects and lists only, never at Python attributes. Work on what is not small is charged.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final

from .errors import ExpressionError, Kind, cut, describe, shown_names
from .limits import (
    ENTRY,
    MAX_COMPREHENSION_STEPS,
    SMALL,
    as_index,
    as_list,
    made_text,
    room_for_list,
    room_for_text,
    spend,
)
from .values import text_of

MISSING: Final = object()


def get(value: Any, key: Any, label: str) -> Any:
    """The field or entry of a value; `label` is how the expression names it. Raises kind `missing`."""
    if isinstance(value, dict):
        try:
            return value[key]
        except KeyError:
            raise missing(value, label) from None
        except TypeError:
            raise ExpressionError("value", f"{cut(label)}: {describe(key)} can't be a field name.") from None
    if isinstance(value, (list, tuple, str)) and isinstance(key, int):
        try:
            return value[key]
        except IndexError:
            raise missing(value, label) from None
    raise missing(value, label)


def missing(value: Any, label: str) -> ExpressionError:
    """The sentence for a field that is not there, with what is there instead."""
    if isinstance(value, dict):
        there = f'The fields there are "{shown_names(value)}"' if value else "The object there has no fields"
    elif isinstance(value, (list, tuple)):
        there = f"The list there has {len(value)} entries"
    else:
        there = f"What should contain it is {describe(value)}"
    return ExpressionError("missing", f"{cut(label)} is missing. {there}.", value=value)


def peek(value: Any, path: tuple[str | int, ...]) -> Any:
    """The value at a path, or MISSING: what `default(…)` uses instead of catching an error for every record."""
    for key in path:
        if isinstance(value, dict):
            value = value.get(key, MISSING)
        elif isinstance(value, (list, tuple, str)) and isinstance(key, int) and -len(value) <= key < len(value):
            value = value[key]
        else:
            return MISSING
    return value


def cut_out(value: Any, start: Any, stop: Any) -> Any:
    """A slice of a text or list."""
    first = None if start is None else as_index(start)
    last = None if stop is None else as_index(stop)
    if isinstance(value, str):
        return made_text(value[first:last])
    part = as_list(value)[first:last]
    room_for_list(len(part))
    return part


def weigh(value: Any, depth: int = 0) -> int:
    """Charge what it costs to compare a value as a whole, and tell it: characters by 64, and entries."""
    if isinstance(value, str):
        units = 1 + len(value) // 64
        spend(units)
        return units
    if not isinstance(value, (dict, list, tuple)) or depth > 64:
        return 1
    entries = value.values() if isinstance(value, dict) else value
    spend(ENTRY * (1 + len(value)))
    return 1 + sum(weigh(entry, depth + 1) for entry in entries)


def is_equal(left: Any, right: Any) -> bool:
    """Equality of two values, charged when they are not small."""
    if isinstance(left, (str, dict, list, tuple)):
        weigh(left)
    return bool(left == right)


COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": is_equal,
    "!=": lambda left, right: not is_equal(left, right),
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "is": operator.is_,
    "is not": operator.is_not,
}


def compare(sign: str, left: Any, right: Any) -> bool:
    """`left sign right`; raises kind `value` (kind `missing` for null) when there is no order between the two."""
    if isinstance(left, str):
        weigh(left)
    elif isinstance(left, (list, tuple)) and sign in {"<", "<=", ">", ">="}:
        raise incomparable(sign, left, right)
    try:
        return bool(COMPARISONS[sign](left, right))
    except (TypeError, ArithmeticError, ValueError):
        raise incomparable(sign, left, right) from None


def compare_chain(signs: tuple[str, ...], *operands: Callable[[], Any]) -> bool:
    """`a < b < c`: each operand is read once, and not at all after a comparison that does not hold."""
    left = operands[0]()
    for sign, operand in zip(signs, operands[1:], strict=True):
        right = operand()
        if not compare(sign, left, right):
            return False
        left = right
    return True


def call(label: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """A helper or operator called so that its errors begin with the part of the expression that it stands for."""
    try:
        return function(*arguments, **named)
    except ExpressionError as error:
        error.message = f"{label}: {error.message}"
        raise
    except Exception as error:
        raise unexpected(error, f"{label}: ") from None


def unexpected(error: Exception, where: str = "") -> ExpressionError:
    """An error of Python's own as a sentence: these values can't be worked with."""
    if isinstance(error, (RecursionError, MemoryError)):
        return ExpressionError("limit", f"{where}The value is nested too deep or too large.")
    return ExpressionError(
        "value", f"{where}The value can't be worked with: {cut(str(error)) or type(error).__name__}."
    )


def incomparable(sign: str, left: Any, right: Any) -> ExpressionError:
    """The sentence for two values that have no order."""
    kind: Kind = "missing" if left is None or right is None else "value"
    sentence = f'"{sign}" can\'t compare {describe(left)} with {describe(right)}'
    hint = "; number(…), date(…) or text(…) can convert one of them" if kind == "value" else ""
    return ExpressionError(kind, f"{sentence}{hint}.", value=right if left is None else left)


def contains(item: Any, container: Any) -> bool:
    """`item in container` for texts, lists and the field names of objects."""
    if isinstance(container, str):
        if not isinstance(item, str):
            raise ExpressionError("value", f"A text can't contain {describe(item)}.", value=item)
        spend(len(container) // 64)
        return item in container
    if isinstance(container, dict):
        return has_name(item, container)
    entries = as_list(container)
    spend(weigh(item) * len(entries))
    return item in entries


def has_name(item: Any, container: dict[Any, Any]) -> bool:
    """Whether an object has a field of this name."""
    try:
        return item in container
    except TypeError:
        raise ExpressionError("value", f"A field name can't be {describe(item)}.", value=item) from None


def each(value: Any, parts: int, variables: int = 1) -> list[Any]:
    """The list a comprehension walks through; `parts` is how much the comprehension does per entry."""
    entries = as_list(value)
    if len(entries) * parts > MAX_COMPREHENSION_STEPS:
        raise ExpressionError(
            "limit", f"The list has {len(entries):,} entries, too many for what the expression does with each of them."
        )
    return entries if variables == 1 else [taken_apart(entry, variables) for entry in entries]


def taken_apart(entry: Any, size: int) -> Any:
    """An entry of a comprehension with several variables."""
    if not isinstance(entry, (list, tuple)) or len(entry) != size:
        raise ExpressionError(
            "value", f"Each entry must be a list of {size}, but one is {describe(entry)}.", value=entry
        )
    return entry


def join_parts(parts: tuple[Any, ...]) -> str:
    """The parts of a template or f-string as one text."""
    texts = [part if part.__class__ is str else text_of(part) for part in parts]
    length = sum(map(len, texts))
    if length > SMALL:
        room_for_text(length)
    return "".join(texts)
