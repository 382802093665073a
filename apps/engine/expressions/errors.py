"""What an expression says when it fails: one exception, and the words that describe a value to a person."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any, Literal

Kind = Literal["missing", "value", "parse", "limit", "syntax"]

SHOWN_CHARACTERS = 60
SHOWN_NAMES = 12


class ExpressionError(Exception):
    """An expression that could not be compiled (kind `syntax`) or evaluated for one record (the other kinds).

    `missing`: a field or value is not there; `parse`: a text is not the number, date or JSON it should be; `value`: the
    wrong type or range; `limit`: a cap was reached. `str()` is the whole sentence, with the mapped field in front.
    """

    def __init__(
        self,
        kind: Kind,
        message: str,
        *,
        value: object = None,
        expression: str = "",
        field: str | None = None,
        line: int | None = None,
        column: int | None = None,
    ) -> None:
        super().__init__(message)
        self.kind: Kind = kind
        self.message = message
        self.value = shorten(value)
        self.expression = expression
        self.field = field
        self.line = line
        self.column = column

    def __str__(self) -> str:
        sentence = f"Field {self.field}: {self.message}" if self.field else self.message
        return sentence + self._caret()

    def _caret(self) -> str:
        if self.line is None or self.column is None:
            return ""
        lines = self.expression.split("\n")
        if not 1 <= self.line <= len(lines):
            return ""
        start = max(0, self.column - SHOWN_CHARACTERS)
        shown = lines[self.line - 1][start : self.column + SHOWN_CHARACTERS]
        return f"\n  {shown}\n  {' ' * (self.column - 1 - start)}^"


def shorten(value: object) -> object:
    """The value itself when it is small, else a short text of it: an error must not keep a page in memory."""
    if value is None or isinstance(value, (bool, float, dt.date)):
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= 64 else "a very long number"
    if isinstance(value, str):
        return cut(value)
    return describe(value)


def cut(text: str) -> str:
    """At most SHOWN_CHARACTERS characters of a text, with a sign where it goes on."""
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"


def describe(value: Any) -> str:
    """A value in words. Values stand in quotes, so that messages which differ only in them group as one root cause."""
    if value is None:
        return "empty (null)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'the text "{cut(value)}"'
    if isinstance(value, (int, float, Decimal)):
        return f"the number {shown_number(value)}"
    if isinstance(value, dt.date):
        return f"the {'time' if isinstance(value, dt.datetime) else 'date'} {value.isoformat()}"
    return describe_container(value)


def sentence_start(words: str) -> str:
    """The words with a capital at the start, the rest as it is: values keep their letters."""
    return words[:1].upper() + words[1:]


def describe_container(value: Any) -> str:
    """A list, an object or something that JSON does not know, in words."""
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f'an object with the fields "{shown_names(value)}"' if value else "an object without fields"
    return f"a value of the type {type(value).__name__}"


def shown_number(value: int | float | Decimal) -> str:
    """A number as text, cut; very long whole numbers are never converted (that costs the square of their digits)."""
    if isinstance(value, int) and value.bit_length() > 256:
        return "with more than 70 digits"
    return cut(str(value))


def shown_names(names: Any) -> str:
    """The first field names of an object, joined by commas."""
    shown = [cut(str(name)) for name, _ in zip(names, range(SHOWN_NAMES), strict=False)]
    return ", ".join(shown) + (", …" if len(names) > SHOWN_NAMES else "")
