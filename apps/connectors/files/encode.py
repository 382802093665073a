"""Records as lines of JSON, and those lines as the rows of a CSV file."""

import math
from decimal import Decimal
from typing import Any

import orjson

from apps.engine.ports import Classification, ErrorSource, Failure, Record

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")


class UnwritableError(ValueError):
    """A record that JSON cannot say; `field` is where."""

    def __init__(self, field: str | None, why: str) -> None:
        super().__init__(why)
        self.field = field
        self.why = why

    def failure(self) -> Failure:
        where = f'Field "{self.field}"' if self.field is not None else "The record"
        text = f"{where} cannot be written to a file: {self.why}."
        return Failure(ErrorSource.APPLICATION, "not_writable", text, Classification.VALUE, field=self.field)


def json_line(record: Record) -> bytes:
    """One line of JSON with its line feed. Raises UnwritableError."""
    try:
        line = orjson.dumps(record, default=_plain, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError as error:
        raise _fault(record, error) from None
    if b"null" in line:  # orjson writes numbers that are none as null
        for name, value in record.items():
            _refuse_undefined(name, value)
    return line


def _plain(value: Any) -> Any:
    """An exact number as a number where no digit is lost, else as text."""
    if isinstance(value, Decimal) and value.is_finite():
        number = float(value)
        return number if Decimal(repr(number)) == value else str(value)
    if isinstance(value, set | frozenset):
        return sorted(value, key=repr)
    raise TypeError


def _refuse_undefined(name: str, value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise UnwritableError(name, f"JSON has no number for {value}")
    if isinstance(value, dict):
        for inner in value.values():
            _refuse_undefined(name, inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _refuse_undefined(name, inner)


def _fault(record: Record, error: TypeError) -> UnwritableError:
    for name, value in record.items():
        try:
            orjson.dumps({name: value}, default=_plain)
        except TypeError as fault:
            return UnwritableError(_shown(name), _reason(fault, value))
    return UnwritableError(None, _reason(error, record))


def _reason(fault: TypeError, value: Any) -> str:
    text = str(fault)
    if "surrogate" in text:
        return "it holds half of a character (a lone surrogate)"
    if "64-bit" in text:
        return "it is a whole number of more than 64 bits"
    if "recursion" in text.lower() or "depth" in text.lower():
        return "it is nested too deeply"
    if "key" in text.lower():
        return "the name of a field in it is not a text"
    return f"a value of the kind {type(value).__name__} has no form in JSON"


def _shown(name: Any) -> str:
    return str(name).encode("utf-8", "replace").decode()


def csv_cells(record: Record, columns: list[str], *, defuse: bool) -> list[Any]:
    """The cells of a record; nested values as JSON text, true and false as in JSON."""
    cells = [_cell(record.get(name)) for name in columns]
    return [defused(cell) for cell in cells] if defuse else cells


def _cell(value: Any) -> Any:
    if value is True or value is False:
        return "true" if value else "false"
    return orjson.dumps(value).decode() if isinstance(value, dict | list) else value


def defused(cell: Any) -> Any:
    """A text that a spreadsheet would run as a formula, with ' before it; numbers stay."""
    if not isinstance(cell, str) or not cell.startswith(FORMULA_SIGNS):
        return cell
    try:
        float(cell)
    except ValueError:
        return "'" + cell
    return cell
