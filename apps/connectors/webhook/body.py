"""The body of a request: strict JSON, and the records in it."""

import re
from typing import Any

import orjson

from apps.connectors.files.json_exact import InexactError, check_exact, is_exact

MAX_DEPTH = 64
SHOWN_FIELDS = 10
UTF8_MARK = b"\xef\xbb\xbf"

_STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")


class UnfitBodyError(ValueError):
    """A body that cannot be taken; the message tells the sender what is wrong with it."""


def parse_body(raw: bytes) -> Any:
    """The value of a JSON text. Raises UnfitBodyError."""
    text = raw.removeprefix(UTF8_MARK)
    if not text.strip():
        raise UnfitBodyError("The body is empty: send a JSON object, or an array of objects.")
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise UnfitBodyError(f"The body is not valid JSON: {error}.") from None
    if is_too_deep(text):
        raise UnfitBodyError(f"The body is nested more than {MAX_DEPTH} levels deep.")
    if not is_exact(text, value):
        refuse_inexact(text)
    return value


def refuse_inexact(text: bytes) -> None:
    try:
        check_exact(text)
    except InexactError as error:
        raise UnfitBodyError(f"The body cannot be taken as it is: {error}.") from None


def is_too_deep(text: bytes) -> bool:
    """Whether a valid JSON text is nested too deep: each round takes away the innermost brackets, all at once."""
    brackets = _STRINGS.sub(b"", text).translate(_ONE_KIND, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def found_at(document: Any, path: str) -> list[Any]:
    """What stands at a record path, as a list. Raises UnfitBodyError."""
    place = document
    for field in path.split(".") if path else ():
        if not isinstance(place, dict) or field not in place:
            names = ", ".join(f'"{name}"' for name in list(place)[:SHOWN_FIELDS]) if isinstance(place, dict) else ""
            there = f"The fields there are: {names}" if names else "There are no fields there"
            raise UnfitBodyError(f'The body has no "{path}", where its records are expected. {there}.')
        place = place[field]
    if isinstance(place, list):
        return place
    if isinstance(place, dict):
        return [place]
    where = f'At "{path}" a JSON object or an array' if path else "A JSON object or an array of objects"
    raise UnfitBodyError(f"{where} is expected, but there is {kind_of(place)}.")


def kind_of(value: Any) -> str:
    """A value that is no object, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "an array"
    return "a text" if isinstance(value, str) else "a number"


def count_records(raw: bytes, path: str) -> int:
    """How many records a body holds. Raises UnfitBodyError unless each of them is an object."""
    found = found_at(parse_body(raw), path)
    for index, entry in enumerate(found):
        if not isinstance(entry, dict):
            raise UnfitBodyError(f"Entry {index + 1} of the array is {kind_of(entry)}; each must be an object.")
    return len(found)
