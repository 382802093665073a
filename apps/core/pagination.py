"""Pages by cursor: stable while new rows arrive, as fast at the end as at the start, and never counted."""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.core.exceptions import FieldError, ValidationError
from django.db.models import Model, Q, QuerySet

ModelT = TypeVar("ModelT", bound=Model)

NEWEST_FIRST = ("-id",)
LARGEST_PAGE = 1000


class BadCursorError(ValueError):
    """A cursor that this list did not hand out."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place between two rows: the order values of the row beside it, and which way the page lies from there."""

    values: tuple[Any, ...]
    is_backward: bool = False

    def encode(self) -> str:
        packed = json.dumps([int(self.is_backward), *map(_pack, self.values)], separators=(",", ":"))
        return base64.urlsafe_b64encode(packed.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str, width: int) -> "Cursor":
        """Raises `BadCursorError` unless the text is a cursor with `width` order values."""
        try:
            packed = json.loads(base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)))
            is_backward, *values = packed
            unpacked = tuple(_unpack(value) for value in values)
        except (ValueError, TypeError, binascii.Error, KeyError) as error:
            raise BadCursorError("This page's address is damaged: go back to the start of the list.") from error
        if len(unpacked) != width or is_backward not in (0, 1):
            raise BadCursorError("This page's address belongs to another list: go back to the start of the list.")
        return cls(unpacked, bool(is_backward))


@dataclass(frozen=True, slots=True)
class KeysetPage(Generic[ModelT]):
    """One page of a list; a blank cursor: there is no such page."""

    rows: list[ModelT]
    next_cursor: str
    previous_cursor: str


def keyset_page(
    rows: "QuerySet[ModelT]", *, cursor: str = "", size: int = 100, order: Sequence[str] = NEWEST_FIRST
) -> KeysetPage[ModelT]:
    """The page of `rows` at `cursor` in `order` (not null columns, the last one unique); one query.

    Raises `BadCursorError` for a cursor that is damaged or of another list.
    """
    size = max(1, min(size, LARGEST_PAGE))
    place = Cursor.decode(cursor, len(order)) if cursor else None
    is_backward = place is not None and place.is_backward
    way = [_turned(name) for name in order] if is_backward else list(order)
    found = _fetch(rows, place, way, size)
    has_more = len(found) > size
    shown = found[:size]
    if is_backward:
        shown.reverse()
    return KeysetPage(
        rows=shown,
        next_cursor=_cursor_at(shown[-1], order, False) if shown and (has_more or is_backward) else "",
        previous_cursor=_cursor_at(shown[0], order, True) if shown and _has_previous(place, has_more) else "",
    )


def _fetch(rows: "QuerySet[ModelT]", place: Cursor | None, order: Sequence[str], size: int) -> list[ModelT]:
    try:
        beyond = rows.filter(_beyond(place, order)) if place else rows
        return list(beyond.order_by(*order)[: size + 1])
    except (FieldError, ValidationError, ValueError, TypeError, OverflowError) as error:
        raise BadCursorError(
            "This page's address belongs to another list: go back to the start of the list."
        ) from error


def _has_previous(place: Cursor | None, has_more: bool) -> bool:
    if place is None:
        return False
    return has_more if place.is_backward else True


def _beyond(place: Cursor, order: Sequence[str]) -> Q:
    """Rows after the place: `a <= x AND (a < x OR b < y)`, a form that an index on (a, b) answers on both databases."""
    (name, value), *rest = [(column.lstrip("-"), value) for column, value in zip(order, place.values, strict=True)]
    operator = "lt" if order[0].startswith("-") else "gt"
    strictly = Q(**{f"{name}__{operator}": value})
    if not rest:
        return strictly
    return Q(**{f"{name}__{operator}e": value}) & (strictly | _beyond(Cursor(place.values[1:]), order[1:]))


def _turned(column: str) -> str:
    return column[1:] if column.startswith("-") else f"-{column}"


def _cursor_at(row: Model, order: Sequence[str], is_backward: bool) -> str:
    return Cursor(tuple(getattr(row, column.lstrip("-")) for column in order), is_backward).encode()


def _pack(value: Any) -> Any:
    return {"at": value.isoformat()} if isinstance(value, datetime) else value


def _unpack(value: Any) -> Any:
    if isinstance(value, dict):
        return datetime.fromisoformat(value["at"])
    if isinstance(value, bool) or not isinstance(value, int | str | float):
        raise TypeError("an order value is a number, a text or a time")
    return value
