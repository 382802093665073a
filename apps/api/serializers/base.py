"""Answers and the fields of ours in them.

An `Answer` declares its fields once: the OpenAPI schema is made from them, and the answer is rendered by them.
Rendering reads attributes and converts what is not JSON; it does not go through the framework's fields one by one,
which takes ten times as long for a thousand rows.
"""

from collections.abc import Callable
from datetime import datetime
from functools import cache
from operator import attrgetter
from types import MethodType
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.api.moments import from_epoch_ms, read_moment, written
from apps.core.ids import Kind, WrongIdError, parse_wire_id

Writer = tuple[str, Callable[[Any], Any], Callable[[Any], Any] | None, bool]


@extend_schema_field({"type": "string", "pattern": "^[0-9a-f]{24}$", "example": "000000040000000000000001"})
class WireId(serializers.Field):
    """24 hex digits outside, the key of a row inside; `kinds`: what it may point to, written as the first of them."""

    default_error_messages = {"wrong": "This is no id of a {kind}."}

    def __init__(self, *kinds: Kind, **options: Any) -> None:
        self.kinds = kinds
        self._beginning = kinds[0].beginning
        super().__init__(**options)

    def to_internal_value(self, data: Any) -> int:
        for kind in self.kinds:
            try:
                return parse_wire_id(str(data), kind)
            except WrongIdError:
                continue
        return self.fail("wrong", kind=" or ".join(kind.name.lower() for kind in self.kinds))

    def to_representation(self, value: int) -> str:
        return f"{self._beginning}{value:016x}"  # what `wire_id` says, which looks at each key first


@extend_schema_field({"type": "string", "format": "date-time", "example": "2026-03-02T12:00:00.000Z"})
class Moment(serializers.Field):
    """A time: milliseconds in UTC outside, an aware datetime inside."""

    default_error_messages = {
        "wrong": "This is no time such as 2026-03-02T12:00:00.000Z, a date, or epoch milliseconds."
    }

    def to_internal_value(self, data: Any) -> datetime:
        try:
            return from_epoch_ms(data) if type(data) is int else read_moment(str(data))
        except (ValueError, OverflowError):
            return self.fail("wrong")

    def to_representation(self, value: datetime) -> str:
        return written(value)


@extend_schema_field({})
class AnyJson(serializers.Field):
    """Any JSON value, as it is."""

    def to_internal_value(self, data: Any) -> Any:
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class Answer(serializers.Serializer):
    """What a call answers, read from an object's attributes (`source` may be a dot path) or a mapping's keys.

    A field with `required=False` is left out where there is nothing (None or ""); the others are then null.
    """

    @classmethod
    def rendered(cls, instance: Any) -> dict[str, Any]:
        found = {}
        for name, get, convert, is_left_out in writers(cls):
            value = get(instance)
            if is_left_out and value in (None, ""):
                continue
            found[name] = value if convert is None or value is None else convert(value)
        return found

    @classmethod
    def rendered_list(cls, rows: Any) -> list[dict[str, Any]]:
        return [cls.rendered(row) for row in rows]


class Body(serializers.Serializer):
    """What a call takes. Names that it does not have are passed over, unless it is strict: an act's filter."""


@cache
def writers(answer: type[Answer]) -> tuple[Writer, ...]:
    fields = answer().fields.items()
    return tuple((name, getter(field.source or name), converter(field), not field.required) for name, field in fields)


def getter(source: str) -> Callable[[Any], Any]:
    """Reads a dot path of attributes or keys (a method is called); None as soon as there is nothing."""
    if source == "*":
        return lambda value: value
    names = source.split(".")
    of_objects = attrgetter(source)

    def get(value: Any) -> Any:
        try:
            found = of_objects(value)
        except AttributeError:
            found = read(value)
        return found() if type(found) is MethodType else found

    def read(value: Any) -> Any:
        for name in names:
            if value is None:
                return None
            value = value.get(name) if isinstance(value, dict) else getattr(value, name)
        return value

    def get_key(value: Any) -> Any:
        return value.get(source) if type(value) is dict else get(value)

    return get_key if len(names) == 1 else get


def converter(field: Any) -> Callable[[Any], Any] | None:
    """What makes JSON of a value; None where it is JSON already."""
    if isinstance(field, Answer):
        return type(field).rendered
    if isinstance(field, serializers.ListSerializer) and isinstance(field.child, Answer):
        return type(field.child).rendered_list
    if isinstance(field, serializers.ListField):
        one = converter(field.child)
        return list if one is None else lambda values: [one(value) for value in values]
    if isinstance(field, WireId | Moment):
        return field.to_representation
    return None
