"""A record as numbered lines for the screen: JSON pretty printed with its numbers as they were written, or raw text.

Nothing here trusts what it shows: what is no JSON is shown as text, with bytes and control characters written out.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MOST_BYTES = 64_000
MOST_LINES = 2_000
MOST_DEPTH = 200
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

Path = tuple[str | int, ...]


class Literal(str):
    """A number as it stands in the text: 1.10 stays 1.10."""


class Pairs(list[tuple[str, Any]]):
    """An object's fields in their order, names that stand twice kept."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line as (class, text) parts; classes: `k` name, `s` text, `d` number or word, "" the rest."""

    number: int
    parts: tuple[tuple[str, str], ...]
    is_marked: bool = False


@dataclass(frozen=True, slots=True)
class CodeView:
    """`size` in bytes. `note` says what is not as usual: not JSON, not UTF-8, shortened; "" if nothing."""

    lines: tuple[Line, ...]
    size: int
    note: str = ""


def code_view(raw: bytes, *, field: str = "", most_lines: int = MOST_LINES) -> CodeView:
    """The lines of a record; the one of `field` (`price`, `items[1].sku`) is marked."""
    if len(raw) > MOST_BYTES:
        return text_view(raw, f"Too large to be laid out: the first {MOST_BYTES:,} of {len(raw):,} bytes, as they are.")
    try:
        value = json.loads(
            raw.decode(), object_pairs_hook=Pairs, parse_float=Literal, parse_int=Literal, parse_constant=Literal
        )
        lines = list(_lines_of(value, field))
    except (ValueError, RecursionError):
        return text_view(raw, "This is not JSON: shown as it was received.")
    return _shortened(lines, len(raw), "", most_lines)


def laid_out(raw: bytes) -> str:
    """A record as a text to edit: JSON with its lines indented and its numbers as they were written, else as it is."""
    try:
        value = json.loads(
            raw.decode(), object_pairs_hook=Pairs, parse_float=Literal, parse_int=Literal, parse_constant=Literal
        )
        return "\n".join("".join(text for _, text in line.parts) for line in _lines_of(value, ""))
    except (ValueError, RecursionError):
        return raw.decode(errors="backslashreplace")


def value_view(value: Any, *, most_lines: int = MOST_LINES) -> CodeView:
    """The lines of a stored JSON value, such as a captured request."""
    return code_view(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"), most_lines=most_lines)


def text_view(raw: bytes, note: str) -> CodeView:
    """Text line by line; bytes that are no UTF-8 are written as \\xNN."""
    shown = raw[:MOST_BYTES]
    try:
        text = shown.decode()
    except UnicodeDecodeError:
        text = shown.decode(errors="backslashreplace")
        if len(raw) <= MOST_BYTES:
            note = "This is not UTF-8 text: bytes that cannot be read are written as \\xNN."
    lines = [Line(number, (("", visible(row)),)) for number, row in enumerate(text.splitlines() or [""], start=1)]
    return _shortened(lines, len(raw), note, MOST_LINES)


def visible(text: str) -> str:
    """Control characters and marks that turn the direction of writing, written out as \\u0000."""
    return _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _shortened(lines: list[Line], size: int, note: str, most: int) -> CodeView:
    if len(lines) > most:
        note = f"{note} The first {most:,} of {len(lines):,} lines.".strip()
    return CodeView(tuple(lines[:most]), size, note)


def _lines_of(value: Any, field: str) -> Iterator[Line]:
    wanted = path_of(field)
    for number, (path, parts) in enumerate(_walk(value, (), 0, "", ()), start=1):
        yield Line(number, tuple(parts), bool(wanted) and path == wanted)


def path_of(field: str) -> Path:
    """`items[1].sku` as ("items", 1, "sku")."""
    found = re.findall(r"\[(\d+)\]|([^.\[\]]+)", field)
    return tuple(int(index) if index else name for index, name in found)


Parts = tuple[tuple[str, str], ...]


def _walk(value: Any, path: Path, depth: int, end: str, head: Parts) -> Iterator[tuple[Path, Parts]]:
    """The lines of a value: `head` stands before it on its first line, `end` (a comma) after its last."""
    if depth > MOST_DEPTH:
        raise RecursionError("nested too deep to be laid out")
    indent = ("", "  " * depth)
    if isinstance(value, Pairs | list) and value:
        opening, closing = ("{", "}") if isinstance(value, Pairs) else ("[", "]")
        yield path, (indent, *head, ("", opening))
        yield from _inner(value, path, depth + 1)
        yield (), (indent, ("", closing + end))
    else:
        yield path, (indent, *head, _leaf(value), ("", end))


def _inner(value: Any, path: Path, depth: int) -> Iterator[tuple[Path, Parts]]:
    last = len(value) - 1
    for index, part in enumerate(value):
        end = "," if index < last else ""
        if isinstance(value, Pairs):
            name, inner = part
            yield from _walk(inner, (*path, name), depth, end, (("k", _quoted(name)), ("", ": ")))
        else:
            yield from _walk(part, (*path, index), depth, end, ())


def _leaf(value: Any) -> tuple[str, str]:
    if isinstance(value, Pairs):
        return "", "{}"
    if isinstance(value, list):
        return "", "[]"
    if isinstance(value, Literal):
        return "d", value
    if isinstance(value, str):
        return "s", _quoted(value)
    return "d", json.dumps(value)


def _quoted(text: str) -> str:
    return visible(json.dumps(text, ensure_ascii=False))
