"""Text as the databases can hold it: PostgreSQL refuses NUL, UTF-8 has no lone surrogates, JSON no NaN."""

import math
import re
from typing import Any

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(text: str) -> tuple[str, bool]:
    """The text with NUL and lone surrogates replaced, and whether anything was."""
    replaced, count = _UNSTORABLE.subn(REPLACEMENT, text)
    return replaced, count > 0


def storable_value(value: Any) -> tuple[Any, bool]:
    """A JSON value made storable in every text and key of it (NaN and infinities become text); was it changed?"""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return _storable_object(value)
    if isinstance(value, list | tuple):
        pairs = [storable_value(part) for part in value]
        return [part for part, _ in pairs], any(changed for _, changed in pairs)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value), True
    return value, False


def _storable_object(value: dict[Any, Any]) -> tuple[dict[str, Any], bool]:
    clean: dict[str, Any] = {}
    any_changed = False
    for key, part in value.items():
        clean_key, key_changed = storable(str(key))
        clean[clean_key], part_changed = storable_value(part)
        any_changed = any_changed or key_changed or part_changed
    return clean, any_changed


def short(text: str, length: int) -> str:
    """The text in at most `length` characters, with an ellipsis where it was cut."""
    return text if len(text) <= length else text[: max(0, length - 1)] + ELLIPSIS
