"""JSON documents of applications: read strictly, and where that fails, so that a bad record is not a bad page."""

import codecs
import json
import re
from dataclasses import dataclass
from typing import Any

import orjson

from apps.engine.ports import BadRecord, Classification, ErrorSource, Failure, Record

Row = Record | BadRecord
MISSING: Any = object()
"""What `value_at` gives where there is nothing (null is something)."""

_STEP = re.compile(r"\.?([^.\[\]]+)|\[(-?\d{1,6})\]")
SHOWN_NAMES = 10


class DocumentError(Exception):
    """A document that cannot be read, as a sentence that goes on after "The answer "."""


class NotFinite(float):
    """NaN or an infinity where JSON knows no such thing."""


def parse_path(path: str) -> tuple[str | int, ...]:
    """`data.items[0].name` as field names and places. Raises ValueError."""
    steps: list[str | int] = []
    at = 0
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None:
            raise ValueError(f'"{path}" is no path of fields such as data.items or lines[0].id.')
        steps.append(found[1] if found[2] is None else int(found[2]))
        at = found.end()
    return tuple(steps)


def value_at(document: Any, path: tuple[str | int, ...]) -> Any:
    """What stands at a path, or MISSING."""
    for step in path:
        if isinstance(step, str):
            document = document.get(step, MISSING) if isinstance(document, dict) else MISSING
        else:
            is_there = isinstance(document, list) and -len(document) <= step < len(document)
            document = document[step] if is_there else MISSING
        if document is MISSING:
            return MISSING
    return document


@dataclass(frozen=True, slots=True)
class Document:
    """`is_strict`: it is JSON through and through; else marks stand in it where it is not."""

    root: Any
    is_strict: bool = True


def parse(body: bytes, content_type: str = "") -> Document:
    """The document. Raises DocumentError. What is no JSON in a single place is left for `row_of` to find."""
    try:
        return Document(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        if not body.strip():
            raise DocumentError("is empty where JSON is expected") from None
        return _lenient(body, content_type, str(error))


def _lenient(body: bytes, content_type: str, strict_error: str) -> Document:
    """With NaN, infinities, lone surrogates and bytes that are no text kept as marks in their places."""
    try:
        return Document(json.loads(_text(body, content_type), parse_constant=NotFinite), is_strict=False)
    except RecursionError:
        raise DocumentError("is nested too deeply to be read") from None
    except ValueError:
        pass
    kind = content_type.partition(";")[0].strip()
    if kind and "json" not in kind:
        raise DocumentError(f"is not JSON but {kind[:60]}") from None
    if "recursion" in strict_error.lower():
        raise DocumentError("is nested too deeply to be read")
    raise DocumentError(f"is not valid JSON: {strict_error}")


def _text(body: bytes, content_type: str) -> str:
    named = re.search(r"charset=\"?([\w.\-]{1,40})", content_type, re.IGNORECASE)
    encoding = named[1] if named else "utf-8"
    try:
        info = codecs.lookup(encoding)
    except LookupError:
        info = codecs.lookup("utf-8")
    if info.name == "utf-8" or not getattr(info, "_is_text_encoding", True):
        return body.decode("utf-8-sig", "surrogateescape")
    return body.decode(info.name, "replace")


def rows_at(document: Any, path: tuple[str | int, ...], shown_path: str) -> list[Any]:
    """The list of records at a path; null is an empty one, an object the only record. Raises DocumentError."""
    found = value_at(document, path)
    if found is None:
        return []
    if isinstance(found, dict):
        return [found]
    if isinstance(found, list):
        return found
    if found is MISSING:
        names = ", ".join(f'"{name}"' for name in list(document)[:SHOWN_NAMES]) if isinstance(document, dict) else ""
        has = f"; it has the fields {names}" if names else ""
        raise DocumentError(f'has nothing at the record path "{shown_path}"{has}')
    raise DocumentError(f'has neither a list nor an object at "{shown_path or "its root"}"')


def row_of(value: Any, place: str, *, is_strict: bool = True) -> Row:
    """A record, or why it is none."""
    if not isinstance(value, dict):
        return bad_row(value, place, "not_an_object", f"{kind_of(value)} stands where an object is expected")
    if is_strict:
        return value
    if has_marks(value):
        return bad_row(value, place, "json_malformed", "it holds NaN or an infinite number")
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return bad_row(value, place, "encoding", "it holds text that is not UTF-8")
    return value


def has_marks(value: Any) -> bool:
    """Whether a number in it is none."""
    if isinstance(value, NotFinite):
        return True
    if isinstance(value, dict):
        return any(has_marks(part) for part in value.values())
    return isinstance(value, list) and any(has_marks(part) for part in value)


def bad_row(value: Any, place: str, code: str, what: str) -> BadRecord:
    text = json.dumps(value, ensure_ascii=False)
    try:
        raw = text.encode("utf-8", "surrogateescape")  # bytes that are no text come back as they were
    except UnicodeEncodeError:
        raw = text.encode("utf-8", "surrogatepass")
    failure = Failure(ErrorSource.APPLICATION, code, f"{place}: {what}.", Classification.PARSE)
    return BadRecord(raw, place, failure)


def kind_of(value: Any) -> str:
    names = {
        type(None): "null",
        bool: "true or false",
        str: "a text",
        int: "a number",
        float: "a number",
        list: "a list",
    }
    return names.get(type(value), "something else")
