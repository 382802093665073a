"""One change that fits many records: set, unset or rename a field, or put the value of an expression in its place.

A field is a path: `airport`, `place.iata`, `lines[0].sku`, `["Origin.State"]`; `lines[*].sku` means every line.
A change may be bound to what stands there now, so that only the records which have that value are changed.
"""

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as made
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

from apps.engine.expressions import Compiled, ExpressionError, compile_expression, to_json_value
from apps.engine.ports import Scope

MOST_DIFFS = 50
DEEPEST = 16
NAMES = frozenset({"record", "now"})
_SEGMENT = re.compile(r'\[(\d{1,6})\]|\[(\*)\]|\["([^"]+)"\]|\.?([^.\[\]"]+)')
EVERY = "*"

Part = str | int
Path = tuple[Part, ...]


class _Missing:
    """What stands at a place where there is nothing."""

    def __repr__(self) -> str:
        return "nothing"


MISSING = _Missing()


class ChangeKind(StrEnum):
    SET = "set"
    UNSET = "unset"
    RENAME = "rename"
    EXPRESSION = "expression"


class ChangeRefused(ValueError):  # noqa: N818 (an answer, not a fault)
    """A change that cannot be, or that a record cannot take; the message says why."""


@dataclass(frozen=True, slots=True)
class Change:
    """`only` binds it to what stands there: {} to nothing, {"is": value}, or {"missing": True}."""

    kind: str
    field: str = ""
    value: Any = None
    to: str = ""
    expression: str = ""
    only: Mapping[str, Any] = made(default_factory=dict)

    def as_options(self) -> dict[str, Any]:
        """As JSON, for the act that performs it."""
        return {
            "kind": self.kind, "field": self.field, "value": self.value, "to": self.to,
            "expression": self.expression, "only": dict(self.only),
        }  # fmt: skip

    def fits(self, there: Any) -> bool:
        """Whether what stands at the place is what this change is bound to."""
        if self.only.get("missing"):
            return there is MISSING
        return "is" not in self.only or is_same(there, self.only["is"])


def check_change(change: Change) -> None:
    """Raises ChangeRefused with what is wrong: field, new name or expression."""
    if change.kind not in set(ChangeKind):
        raise ChangeRefused("Choose one of: set, unset, rename, expression.")
    if change.kind != ChangeKind.EXPRESSION or change.field:
        parse_path(change.field)
    if change.kind == ChangeKind.RENAME:
        new = parse_path(change.to)
        if len(new) != 1 or not isinstance(new[0], str) or new[0] == EVERY:
            raise ChangeRefused("The new name is a plain name within the same object, such as `airport`.")
    if change.kind == ChangeKind.EXPRESSION:
        try:
            compiled(change.expression)
        except ExpressionError as error:
            raise ChangeRefused(f"The expression cannot be used: {error}") from error


@lru_cache(maxsize=64)
def compiled(source: str) -> Compiled:
    """The expression, compiled once for all records. Raises ExpressionError."""
    return compile_expression(source, NAMES)


def apply_changes(changes: Sequence[Change], record: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """The record with all changes in their order; the given one stays as it is. Raises ChangeRefused."""
    changed: Any = copy.deepcopy(dict(record))
    for change in changes:
        changed = _applied(change, changed, now)
    return dict(changed)


def _applied(change: Change, record: dict[str, Any], now: datetime) -> dict[str, Any]:
    value = _value_of(change, record, now)
    if change.kind == ChangeKind.EXPRESSION and not change.field:
        if not isinstance(value, dict):
            raise ChangeRefused("Without a field the expression must give a whole record: an object.")
        return value
    path = parse_path(change.field)
    for holder, key in list(_places(record, path, makes=change.kind in (ChangeKind.SET, ChangeKind.EXPRESSION))):
        there = _at(holder, key)
        if change.fits(there):
            _put(change, holder, key, value)
    return record


def _value_of(change: Change, record: dict[str, Any], now: datetime) -> Any:
    if change.kind != ChangeKind.EXPRESSION:
        return change.value
    try:
        return copy.deepcopy(to_json_value(compiled(change.expression)(record, Scope(now=now))))
    except ExpressionError as error:
        raise ChangeRefused(str(error)) from error


def _put(change: Change, holder: Any, key: Part, value: Any) -> None:
    if change.kind == ChangeKind.UNSET:
        if _at(holder, key) is not MISSING:
            del holder[key]
    elif change.kind == ChangeKind.RENAME:
        _rename(holder, key, change.to)
    else:
        holder[key] = copy.deepcopy(value)


def _rename(holder: Any, key: Part, to: str) -> None:
    new = str(parse_path(to)[0])
    if not isinstance(holder, dict) or key not in holder or key == new:
        return
    if new in holder:
        raise ChangeRefused(f"There is a field {new} already.")
    pairs = [(new if name == key else name, value) for name, value in holder.items()]
    holder.clear()
    holder.update(pairs)


# --- paths -----------------------------------------------------------------------------------------------------------
def parse_path(text: str) -> Path:
    """The parts of a field's path. Raises ChangeRefused for what is no path."""
    parts: list[Part] = []
    place = 0
    while match := _SEGMENT.match(text, place):
        number, every, quoted, name = match.groups()
        parts.append(int(number) if number else every or quoted or name.strip())
        place = match.end()
    if not parts or "" in parts or place != len(text) or len(parts) > DEEPEST:
        raise ChangeRefused(f"“{text[:60]}” is no field: write a name such as airport, place.iata or lines[0].sku.")
    return tuple(parts)


def path_text(path: Path) -> str:
    """The path as people write it."""
    text = ""
    for part in path:
        if isinstance(part, int) or part == EVERY:
            text += f"[{part}]"
        elif any(mark in part for mark in '.[]"') or part != part.strip():
            text += f'["{part}"]'
        else:
            text += f".{part}" if text else part
    return text


def value_at(record: Any, path: Path) -> Any:
    """What stands at a path without `*`; MISSING if nothing does."""
    for part in path:
        record = _at(record, part)
    return record


def _at(holder: Any, key: Part) -> Any:
    if isinstance(holder, dict) and isinstance(key, str):
        return holder.get(key, MISSING)
    if isinstance(holder, list) and isinstance(key, int) and key < len(holder):
        return holder[key]
    return MISSING


def _places(holder: Any, path: Path, *, makes: bool) -> Iterator[tuple[Any, Part]]:
    """(object or list, name or index) of each place that the path names; `makes` builds the objects on the way."""
    part, rest = path[0], path[1:]
    if part == EVERY and isinstance(holder, list):
        for index in range(len(holder)):
            yield from _places(holder, (index, *rest), makes=makes)
        return
    if not _may_hold(holder, part):
        if makes:
            raise ChangeRefused(f"There is no place for {path_text((part,))}: it is not inside {_kind(part)}.")
        return
    if not rest:
        yield holder, part
        return
    inner = _at(holder, part)
    if inner is MISSING and makes and isinstance(rest[0], str) and rest[0] != EVERY:
        inner = holder[part] = {}
    if inner is not MISSING:
        yield from _places(inner, rest, makes=makes)


def _may_hold(holder: Any, part: Part) -> bool:
    if isinstance(holder, dict):
        return isinstance(part, str)
    return isinstance(holder, list) and isinstance(part, int) and part < len(holder)


def _kind(part: Part) -> str:
    return "a list that is long enough" if isinstance(part, int) or part == EVERY else "an object"


# --- differences -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Difference:
    """One field that differs; `old` or `new` is MISSING where there was, or is, none."""

    path: Path
    old: Any
    new: Any

    @property
    def name(self) -> str:
        return path_text(self.path)


def differences(before: Any, after: Any) -> list[Difference]:
    """The fields that differ, in the order of the records; at most 50."""
    found: list[Difference] = []
    for difference in _differences(before, after, ()):
        found.append(difference)
        if len(found) == MOST_DIFFS:
            break
    return found


def _differences(before: Any, after: Any, path: Path) -> Iterator[Difference]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in [*before, *(name for name in after if name not in before)]:
            yield from _differences(before.get(name, MISSING), after.get(name, MISSING), (*path, name))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, pair in enumerate(zip(before, after, strict=True)):
            yield from _differences(*pair, (*path, index))
    elif not is_same(before, after):
        yield Difference(path, before, after)


def is_same(one: Any, other: Any) -> bool:
    """Equal as JSON: 1 and true differ, and so do 1 and 1.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(is_same(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(is_same(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other)


def same_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """The edit of one record as changes for others: each bound to the old value, at any place of the same lists."""
    found = []
    for difference in differences(before, after):
        place = path_text(tuple(EVERY if isinstance(part, int) else part for part in difference.path))
        only = {"missing": True} if difference.old is MISSING else {"is": difference.old}
        kind = ChangeKind.UNSET if difference.new is MISSING else ChangeKind.SET
        found.append(Change(kind, place, None if difference.new is MISSING else difference.new, only=only))
    return found
