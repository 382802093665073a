"""From the type of a connector's field to the way in which people fill it in, and back from what they wrote.

What does not fit its type is handed on as it was written: the connector's own model then says in words what is wrong.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from django import forms
from pydantic.fields import FieldInfo

from apps.flows.definition import MistakesError
from apps.flows.definition.document import read_document

LISTS = (list, tuple, set, frozenset)
LONGEST_TEXT = 100_000
BOUNDS = (("ge", "min"), ("gt", "min"), ("le", "max"), ("lt", "max"), ("max_length", "maxlength"))
Attributes = dict[str, Any]


class Shape(ABC):
    """How one field is shown and read. An empty text means: as if the field had not been named."""

    is_wide = False
    hint = ""
    """How it is written, where that is not plain from the field itself."""

    @abstractmethod
    def widget(self, attributes: Attributes) -> forms.Widget: ...

    def field(self, attributes: Attributes) -> forms.Field:
        """Django checks the size of long texts only: everything else is for the connector's model to say."""
        longest = LONGEST_TEXT if self.is_wide else None
        return forms.CharField(required=False, max_length=longest, widget=self.widget(attributes))

    def shown(self, value: Any) -> Any:
        """A value of the config as the form shows it at first."""
        return "" if value is None else str(value)

    def read(self, text: Any) -> Any:
        """The value for the config; a text that does not fit stays. Raises ValueError with a sentence."""
        return text


class Line(Shape):
    def widget(self, attributes: Attributes) -> forms.Widget:
        return forms.TextInput(attributes | {"autocomplete": "off", "spellcheck": "false"})


class Lines(Shape):
    """A text of several lines, such as a certificate."""

    is_wide = True
    rows = 4

    def widget(self, attributes: Attributes) -> forms.Widget:
        return forms.Textarea(attributes | {"rows": self.rows, "spellcheck": "false"})

    def read(self, text: Any) -> Any:
        return text.replace("\r\n", "\n")


class Secret(Shape):
    """Goes in and never comes out: neither a stored one nor one that was just sent is shown."""

    def widget(self, attributes: Attributes) -> forms.Widget:
        return forms.PasswordInput(attributes | {"autocomplete": "new-password"}, render_value=False)

    def field(self, attributes: Attributes) -> forms.Field:
        return forms.CharField(required=False, strip=False, max_length=LONGEST_TEXT, widget=self.widget(attributes))

    def shown(self, value: Any) -> Any:
        return ""


class SilentTextarea(forms.Textarea):
    """Sends what is written into it, shows nothing of it again."""

    def format_value(self, value: Any) -> str:
        return ""


class SecretLines(Secret):
    """A secret of several lines, such as a private key: a line of a form would join them."""

    is_wide = True

    def widget(self, attributes: Attributes) -> forms.Widget:
        return SilentTextarea(attributes | {"rows": 4, "autocomplete": "off", "spellcheck": "false"})

    def read(self, text: Any) -> Any:
        return text.replace("\r\n", "\n")


@dataclass
class Number(Shape):
    is_whole: bool

    def widget(self, attributes: Attributes) -> forms.Widget:
        return forms.NumberInput(attributes | {"step": "1" if self.is_whole else "any"})

    def read(self, text: Any) -> Any:
        try:
            return int(text) if self.is_whole else float(text)
        except ValueError:
            return text


class Check(Shape):
    def widget(self, attributes: Attributes) -> forms.Widget:
        return forms.CheckboxInput(attributes)

    def field(self, attributes: Attributes) -> forms.Field:
        return forms.BooleanField(required=False, widget=self.widget({}))

    def shown(self, value: Any) -> Any:
        return value if isinstance(value, bool) else str(value).strip().lower() in {"true", "1", "yes", "on", "t", "y"}


@dataclass
class Choice(Shape):
    """One of a few; `empty` is what the form says where nothing is chosen, if that can be."""

    values: tuple[Any, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    empty: str = ""

    def widget(self, attributes: Attributes) -> forms.Widget:
        first = [("", self.empty)] if self.empty else []
        return forms.Select(attributes, choices=first + [(str(value), self.label(value)) for value in self.values])

    def label(self, value: Any) -> str:
        return self.labels.get(str(value), str(value).replace("_", " "))

    def shown(self, value: Any) -> Any:
        return "" if value is None else str(value.value if isinstance(value, Enum) else value)

    def read(self, text: Any) -> Any:
        return next((value for value in self.values if str(value) == text), text)


@dataclass
class Entries(Lines):
    """A list, one entry per line."""

    of: Shape
    rows = 3
    hint = "One per line."

    def shown(self, value: Any) -> Any:
        entries = value if isinstance(value, LISTS) else [value] if value is not None else []
        return "\n".join(str(entry) for entry in entries)

    def read(self, text: Any) -> Any:
        return [self.of.read(line.strip()) for line in text.splitlines() if line.strip()]


@dataclass
class Pairs(Lines):
    """A set of named values, one `name: value` per line."""

    of: Shape
    rows = 3
    hint = "One per line, as name: value."

    def shown(self, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return "" if value is None else str(value)
        return "\n".join(f"{name}: {self.of.shown(part)}" for name, part in value.items())

    def read(self, text: Any) -> Any:
        lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
        found: dict[str, Any] = {}
        for number, line in lines:
            name, colon, value = (part.strip() for part in line.partition(":"))
            if not colon or not name:
                raise ValueError(f"Line {number} has no name and colon: write name: value.")
            if name in found:
                raise ValueError(f"Line {number} names {name} once more.")
            found[name] = self.of.read(value)
        return found


class Document(Lines):
    """Everything deeper, as YAML."""

    rows = 5
    hint = "As YAML."

    def shown(self, value: Any) -> Any:
        return "" if value in (None, [], {}) else yaml.safe_dump(value, allow_unicode=True, sort_keys=False)

    def read(self, text: Any) -> Any:
        try:
            return read_document(text).value
        except MistakesError as error:
            raise ValueError("; ".join(map(str, error.mistakes))) from None


def shape_of(info: FieldInfo, *, is_secret: bool) -> Shape:
    """The shape of a config field, by its type and what it says about itself (`hints_of`)."""
    hints = hints_of(info)
    has_lines = bool(hints.get("multiline")) or "PEM" in (info.description or "")  # PEM is made of lines
    if is_secret:
        return SecretLines() if has_lines else Secret()
    inner, is_optional = without_none(info.annotation)
    values = values_of(inner)
    if inner is bool and is_optional:
        return Choice((True, False), {"True": "yes", "False": "no"}, "not set")
    if values:
        empty = "Choose one" if info.is_required() else "not set" if is_optional else ""
        return Choice(values, hints.get("labels", {}), empty)
    if inner is str and has_lines:
        return Lines()
    return simple_shape(inner) or nested_shape(inner)


def hints_of(info: FieldInfo) -> Mapping[str, Any]:
    """What a connector may say for the form: `json_schema_extra={"group": …, "multiline": True, "labels": {…}}`."""
    return info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}


def without_none(annotation: Any) -> tuple[Any, bool]:
    """The type itself, and whether the field may also be empty."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) not in (Union, UnionType):
        return annotation, False
    inner = [part for part in get_args(annotation) if part is not NoneType]
    is_optional = len(inner) < len(get_args(annotation))
    return (without_none(inner[0])[0] if len(inner) == 1 else annotation), is_optional


def values_of(inner: Any) -> tuple[Any, ...]:
    """The values of a choice; nothing for what is none."""
    if get_origin(inner) is Literal:
        return get_args(inner)
    if isinstance(inner, type) and issubclass(inner, Enum):
        return tuple(member.value for member in inner)
    return ()


def simple_shape(inner: Any) -> Shape | None:
    if inner is bool:
        return Check()
    if inner in (int, float):
        return Number(is_whole=inner is int)
    if isinstance(inner, type) and not get_origin(inner) and inner not in (*LISTS, dict) and is_plain(inner):
        return Line()
    return None


def is_plain(inner: type) -> bool:
    """Whether a value is written as one text: everything but models of fields."""
    return not hasattr(inner, "model_fields")


def nested_shape(inner: Any) -> Shape:
    """Lists of simple values one per line, dicts of simple values as pairs, the rest as YAML."""
    arguments = [without_none(part)[0] for part in get_args(inner) if part is not Ellipsis]
    simple = [simple_shape(part) or (Line() if values_of(part) else None) for part in arguments]
    if get_origin(inner) in LISTS and len(simple) == 1 and simple[0]:
        return Entries(simple[0])
    if get_origin(inner) is dict and all(simple) and len(simple) == 2 and simple[1]:
        return Pairs(simple[1])
    return Document()


def bounds_of(metadata: Iterable[Any]) -> Attributes:
    """The bounds of a field as attributes of its input; a bound that itself is not allowed is for the server."""
    found: Attributes = {}
    for part in metadata:
        for name, attribute in BOUNDS:
            if getattr(part, name, None) is not None:
                found[attribute] = getattr(part, name)
    return found
