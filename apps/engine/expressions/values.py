"""How values leave an expression: as JSON at the edge of a mapping, as text inside a template.

In the middle of an expression a value may also be a date, a time with its zone, an exact decimal number or a UUID. At
the edge those become text (`2024-12-31`, `2024-12-31T08:00:00+01:00`, `12.50`), so that no digit and no zone is lost; a
tuple becomes a list; infinite or undefined numbers, bytes and objects with keys that are not text are errors.
"""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import orjson

from .errors import ExpressionError, describe
from .limits import BUDGET, ENTRY, MAX_JSON_DEPTH, SMALL, capped_whole, finite, made_text, rare_text, scalar_text, spend

PLAIN = frozenset({str, int, bool, type(None)})


class _Walk:
    """One walk through a nested value, with its own budget: entries and characters."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = BUDGET

    def visit(self, value: Any, depth: int) -> Any:
        self.charge(ENTRY)
        if isinstance(value, str):
            self.charge(len(value))
            return value
        if isinstance(value, dict):
            return self.object(value, self.deeper(depth))
        if isinstance(value, (list, tuple)):
            return self.list(value, self.deeper(depth))
        return single(value)

    def charge(self, units: int) -> None:
        self.left -= units
        if self.left < 0:
            raise ExpressionError("limit", f"The value is larger than {BUDGET:,} characters and entries.")

    def deeper(self, depth: int) -> int:
        if depth >= MAX_JSON_DEPTH:
            raise ExpressionError("limit", f"The value is nested more than {MAX_JSON_DEPTH} levels deep.")
        return depth + 1

    def object(self, value: dict[Any, Any], depth: int) -> dict[str, Any]:
        for key in value:
            if not isinstance(key, str):
                raise ExpressionError("value", f"A field name must be a text, but this is {describe(key)}.", value=key)
            self.charge(len(key))
        made = {key: self.visit(entry, depth) for key, entry in value.items()}
        return value if all(made[key] is entry for key, entry in value.items()) else made

    def list(self, value: list[Any] | tuple[Any, ...], depth: int) -> list[Any]:
        made = [self.visit(entry, depth) for entry in value]
        same = isinstance(value, list) and all(a is b for a, b in zip(made, value, strict=True))
        return value if same and isinstance(value, list) else made


def to_json_value(value: Any) -> Any:
    """The value as JSON types. What is JSON already is handed on as it is, not copied.

    Raises ExpressionError: kind `value` for what JSON can't say, kind `limit` for what is too deep or too large.
    """
    kind = value.__class__
    if kind in PLAIN:
        return value
    if kind is float:
        return finite(value)
    return _Walk().visit(value, 0)


def single(value: Any) -> Any:
    """One value that is no text, list or object, as JSON."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        return finite(value)
    if isinstance(value, int):
        return value if value.__class__ is int else capped_whole(int(value))
    if isinstance(value, (Decimal, dt.date, uuid.UUID)):
        return rare_text(value)
    raise ExpressionError("value", f"The result can't be stored as JSON: it is {describe(value)}.", value=value)


def text_of(value: Any) -> str:
    """A value as it stands in a template: null is nothing, lists and objects are JSON."""
    if isinstance(value, str):
        return made_text(value) if len(value) > SMALL else value
    if value.__class__ is int:
        return str(capped_whole(value))
    if value is None:
        return ""
    if isinstance(value, (dict, list, tuple)):
        return json_text(value)
    return scalar_text(value)


def json_text(value: Any) -> str:
    """JSON text of a value; raises ExpressionError when it is too large, too deep or not JSON."""
    clean = to_json_value(value)
    try:
        text = orjson.dumps(clean).decode()
    except (TypeError, ValueError) as error:
        raise ExpressionError("value", f"The value can't be written as JSON: {error}.") from None
    spend(len(text))
    return made_text(text)
