"""Ids as others see them: 24 hex digits on the wire, `r-48213` on a screen. Columns hold plain integers."""

import re
from enum import IntEnum, unique

LARGEST_KEY = 2**63 - 1
_WIRE = re.compile(r"[0-9a-f]{24}", re.ASCII)
_RETRY_DATA_KEY = re.compile(r"[0-9a-f]{32}", re.ASCII)
_SHORT = re.compile(r"([a-z]{1,2})-([0-9]{1,19})", re.ASCII)


@unique
class Kind(IntEnum):
    """The first eight hex digits of a wire id. Numbers are for ever: clients keep ids."""

    ACCOUNT = 0x01
    INTEGRATION = 0x02
    CONNECTION = 0x03
    FLOW = 0x04
    STEP = 0x05
    RUN = 0x06
    ERROR = 0x07
    CAUSE = 0x08
    TAG = 0x09
    MEMBER = 0x0A
    TOKEN = 0x0B
    CAPTURE = 0x0C
    RETRY_DATA = 0x0D
    USER = 0x0E
    REVISION = 0x0F
    AUDIT = 0x10
    SUBSCRIPTION = 0x11
    STEP_RUN = 0x12
    BULK_ACT = 0x13
    WEBHOOK = 0x14
    WEBHOOK_DELIVERY = 0x15
    RULE_REVISION = 0x16

    def __init__(self, number: int) -> None:
        self.beginning = f"{number:08x}"
        self.pattern = f"{self.beginning}%016x"  # of keys that come from a column: `pattern % key`


_LETTERS: dict[Kind, str] = {Kind.RUN: "r", Kind.ERROR: "e", Kind.CAUSE: "c", Kind.FLOW: "f"}
_KINDS = {letters: kind for kind, letters in _LETTERS.items()}


class WrongIdError(ValueError):
    """An id that is malformed, or of another kind of object: for whoever asks, nothing is there."""


def wire_id(kind: Kind, key: int) -> str:
    """The 24 hex digits of an object: 8 of its kind, 16 of its key."""
    if not 0 < key <= LARGEST_KEY:
        raise WrongIdError(_not_a_key(key))
    return kind.pattern % key


def parse_wire_id(text: str, kind: Kind) -> int:
    """The key in a wire id; raises `WrongIdError` when it is malformed or of another kind."""
    return _parse(text, kind, _WIRE)


def retry_data_key(error_key: int) -> str:
    """The 32 hex digits of an error's retry data: 8 of the kind, 24 of the error's key."""
    if not 0 < error_key <= LARGEST_KEY:
        raise WrongIdError(_not_a_key(error_key))
    return f"{Kind.RETRY_DATA.beginning}{error_key:024x}"


def parse_retry_data_key(text: str) -> int:
    """The key of the error in a retry data key; raises `WrongIdError`."""
    return _parse(text, Kind.RETRY_DATA, _RETRY_DATA_KEY)


def short_id(kind: Kind, key: int) -> str:
    """How people name a run, an error, a root cause or a flow: `r-48213`, `e-9184413`."""
    return f"{_LETTERS[kind]}-{key}"


def parse_short_id(text: str, kind: Kind) -> int:
    """The key in a short id, also without its letter; raises `WrongIdError`."""
    cleaned = text.strip().lower()
    if cleaned.isascii() and cleaned.isdigit():
        return _in_range(int(cleaned), text)
    match = _SHORT.fullmatch(cleaned)
    if match is None or _KINDS.get(match[1]) is not kind:
        raise WrongIdError(
            f"{text[:40]!r} is not the id of a {kind.name.lower()}: it looks like {short_id(kind, 48213)}."
        )
    return _in_range(int(match[2]), text)


def _parse(text: str, kind: Kind, shape: re.Pattern[str]) -> int:
    lowered = text.lower()
    if shape.fullmatch(lowered) is None:
        raise WrongIdError(f"{text[:40]!r} is not an id.")
    if int(lowered[:8], 16) != kind:
        raise WrongIdError(f"{text[:40]!r} is not the id of a {kind.name.lower().replace('_', ' ')}.")
    return _in_range(int(lowered[8:], 16), text)


def _not_a_key(key: int) -> str:
    return f"{key} is not a key that a table can hold."


def _in_range(key: int, text: str) -> int:
    if not 0 < key <= LARGEST_KEY:
        raise WrongIdError(f"{text[:40]!r} is not an id.")
    return key
