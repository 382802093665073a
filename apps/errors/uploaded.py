"""What stands in an uploaded file of errors, and what becomes of each entry. The same answer before and in the act.

The file is the JSON download of a list, edited: an array of objects with `error`, `version` and `retry_data`.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from apps.connectors.files.json_exact import InexactError, check_exact
from apps.core.ids import Kind, WrongIdError, parse_short_id
from apps.errors.changes import is_same

LARGEST_FILE = 10 * 1024 * 1024
MOST_ENTRIES = 5_000
BLANKS = " \t\r\n"
NO_DOWNLOAD = (
    "This is not the JSON download of a list of errors: that is an array, in square brackets. "
    "A CSV holds no retry data, so download JSON."
)


class UploadRefused(Exception):  # noqa: N818 (an answer, not a fault)
    """A file that cannot be read as a whole; the message tells what to do."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of the file, the first has number 1. `problem` says why it is of no use."""

    number: int
    error: int = 0
    version: int = 0
    record: Any = None
    text: str = ""
    problem: str = ""


def read_entries(content: bytes) -> list[Entry]:
    """The entries of a file, each error once. Raises UploadRefused for a file that is no such download."""
    if len(content) > LARGEST_FILE:
        raise UploadRefused(f"A file may have {LARGEST_FILE >> 20} MB. Yours is larger: upload it in parts.")
    try:
        texts = list(_objects(content.decode("utf-8-sig")))
    except UnicodeDecodeError:
        raise UploadRefused("This file is no text in UTF-8. Save it as UTF-8, as it was downloaded.") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise UploadRefused(f"This is not JSON ({place}): {error.msg}.") from None
    except RecursionError:
        raise UploadRefused("This file is nested too deep to be read.") from None
    return _each_once([_entry(number, text) for number, text in enumerate(texts, 1)])


def _objects(text: str) -> Iterator[str]:
    """The text of each member of the array; what was written is kept to the letter."""
    decoder = json.JSONDecoder()
    place = _after_blanks(text, 0)
    if text[place : place + 1] != "[":
        raise UploadRefused(NO_DOWNLOAD)
    place, count = _after_blanks(text, place + 1), 0
    while text[place : place + 1] != "]":
        if count:
            if text[place : place + 1] != ",":
                raise json.JSONDecodeError("expected a comma or a closing bracket", text, place)
            place = _after_blanks(text, place + 1)
        if count == MOST_ENTRIES:
            raise UploadRefused(f"A file may hold {MOST_ENTRIES:,} errors. Yours holds more: upload it in parts.")
        _, end = decoder.raw_decode(text, place)
        yield text[place:end]
        place, count = _after_blanks(text, end), count + 1
    if _after_blanks(text, place + 1) < len(text):
        raise json.JSONDecodeError("something stands behind the array", text, place + 1)


def _after_blanks(text: str, place: int) -> int:
    while place < len(text) and text[place] in BLANKS:
        place += 1
    return place


def _entry(number: int, text: str) -> Entry:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return Entry(number, problem=f"this is not JSON: {error.msg}")
    if not isinstance(value, dict) or "error" not in value:
        return Entry(number, problem="it names no error")
    try:
        key = parse_short_id(str(value["error"]), Kind.ERROR)
    except WrongIdError:
        return Entry(number, problem=f"{str(value['error'])[:40]} is no error such as e-48213")
    version = value.get("version")
    if not isinstance(version, int) or isinstance(version, bool):
        return Entry(number, key, problem="its version is missing: keep the one of the download")
    if not isinstance(value.get("retry_data"), dict):
        return Entry(number, key, version, problem="its retry data must be a JSON object, in curly brackets")
    return Entry(number, key, version, value["retry_data"], text)


def _each_once(entries: list[Entry]) -> list[Entry]:
    """An error that stands there twice is of no use the second time: nobody knows which one is meant."""
    seen: set[int] = set()
    found = []
    for entry in entries:
        is_again = entry.error in seen
        seen.add(entry.error or -entry.number)
        found.append(Entry(entry.number, entry.error, problem="this error stands there twice") if is_again else entry)
    return found


def inexact(entry: Entry) -> str:
    """What storing the record would lose; "" for nothing."""
    try:
        check_exact(entry.text.encode())
    except InexactError as error:
        return f"saving would change it: {error}"
    return ""


def says_the_same(entry: Entry, stored: bytes) -> bool:
    """Whether the record of an entry is what is stored."""
    try:
        return is_same(orjson.loads(stored), entry.record)
    except orjson.JSONDecodeError:
        return False
