"""Whether parsing a JSON text lost nothing: the fast parser keeps the last of two fields with one name, rounds whole
numbers beyond 64 bits, and accepts values nested deeper than can be written again.

Looking at every text with a parser that tells would take ten times as long. So what was parsed is written again and
compared; only texts that may have lost something are looked at closely.
"""

import json
from typing import Any

import orjson

MAX_DIGITS = 18
"""Whole numbers of so many digits fit into 64 bits whatever they are."""
SHOWN_DIGITS = 30

_DIGITS_ONLY = bytes(0x30 if 0x30 <= byte <= 0x39 else 0x20 for byte in range(256))
_TOO_MANY_DIGITS = b"0" * (MAX_DIGITS + 1)


class InexactError(ValueError):
    """What a record would have lost, as the rest of a sentence; `code` names it."""

    def __init__(self, code: str, what: str) -> None:
        super().__init__(what)
        self.code = code


def is_exact(raw: bytes, value: Any) -> bool:
    """Whether it is sure that a text lost nothing when it became `value`; False: look closely."""
    try:
        written = orjson.dumps(value)
    except TypeError:  # nested too deep
        return False
    if written == raw:
        return True
    # A field that was lost took its colon with it; a colon may also be written as \u003a.
    if written.count(b":") != raw.count(b":") or b"\\u003" in raw:
        return False
    return _TOO_MANY_DIGITS not in raw.translate(_DIGITS_ONLY)


def check_exact(raw: bytes) -> None:
    """Look closely at the text of one record. Raises InexactError."""
    try:
        value = json.loads(raw, object_pairs_hook=_once, parse_int=_whole)
        orjson.dumps(value)
    except (RecursionError, TypeError):
        raise InexactError("too_deep", "this record is nested too deep to be stored") from None


def _once(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(fields)
    if len(found) < len(fields):
        names = [name for name, _ in fields]
        twice = next(name for name in names if names.count(name) > 1)
        raise InexactError("duplicate_field", f'the field "{twice[:128]}" stands there twice')
    return found


def _whole(digits: str) -> int:
    if len(digits) > SHOWN_DIGITS or not -(2**63) <= int(digits) < 2**64:
        shown = digits if len(digits) <= SHOWN_DIGITS else f"{digits[:SHOWN_DIGITS]}…"
        what = f"the whole number {shown} needs more than 64 bits and would be rounded; have it written as a text"
        raise InexactError("number_too_large", what)
    return int(digits)
