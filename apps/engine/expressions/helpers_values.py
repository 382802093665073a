"""Helpers for empty values and for conversions. *Empty* means the same everywhere: missing, null, or a text without
characters."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from typing import Any

import orjson

from .errors import ExpressionError, describe, sentence_start
from .helper import Helper
from .limits import as_text, spend
from .operators import MISSING, is_equal
from .values import json_text, text_of

Thunk = Callable[[], Any]
TRUE_WORDS = frozenset({"true", "yes", "y", "on", "1", "t"})
FALSE_WORDS = frozenset({"false", "no", "n", "off", "0", "f"})
ID_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "flowmend:stable-id")


def if_there(thunk: Thunk) -> Any:
    """The value, or MISSING when something that it reads is missing. Other errors stay errors."""
    try:
        value = thunk()
    except ExpressionError as error:
        if error.kind == "missing":
            return MISSING
        raise
    return MISSING if value is None or value == "" else value


def default(value: Thunk, fallback: Thunk) -> Any:
    found = if_there(value)
    return fallback() if found is MISSING else found


def coalesce(*values: Thunk) -> Any:
    for value in values:
        found = if_there(value)
        if found is not MISSING:
            return found
    return None


def empty(value: Thunk) -> bool:
    return if_there(value) is MISSING


def attempt(value: Thunk, fallback: Thunk) -> Any:
    try:
        return value()
    except ExpressionError as error:
        if error.kind == "limit":
            raise
        return fallback()


def null_if(value: Any, *words: Any) -> Any:
    return None if any(is_equal(value, word) for word in words) else value


def text(value: Any) -> str:
    return text_of(value)


def boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = as_text(value).strip().lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    message = f"{sentence_start(describe(value))} is neither yes nor no."
    raise ExpressionError("parse" if word else "missing", message, value=value)


def parse_json(text: Any) -> Any:
    source = as_text(text)
    spend(8 * len(source))
    try:
        return orjson.loads(source)
    except (ValueError, RecursionError) as error:
        raise ExpressionError("parse", f"The text is not JSON: {describe_json(error)}.", value=source) from None


def describe_json(error: Exception) -> str:
    """Where a JSON text is broken."""
    if isinstance(error, orjson.JSONDecodeError):
        return f"line {error.lineno}, column {error.colno}, {error.msg.split(':')[0]}"
    return "it is nested too deep"


def sha256(text: Any) -> str:
    return hashlib.sha256(as_text(text).encode()).hexdigest()


def stable_id(*values: Any) -> str:
    return str(uuid.uuid5(ID_NAMESPACE, json_text([*values])))


VALUE_HELPERS = (
    Helper(
        "default",
        "empty values",
        default,
        "The value, or the fallback when it is missing, null or an empty text.",
        (("default('', 'none')", "none"), ("default(0, 'none')", 0), ("default(number(''), 0)", 0)),
        lazy=True,
    ),
    Helper(
        "coalesce",
        "empty values",
        coalesce,
        "The first of several values that is not missing, null or an empty text; null when all are.",
        (("coalesce(None, '', 'a', 'b')", "a"), ("coalesce(None)", None)),
        lazy=True,
    ),
    Helper(
        "empty",
        "empty values",
        empty,
        "Whether a value is missing, null or an empty text.",
        (("empty('')", True), ("empty({'a': 1}.b)", True), ("empty(0)", False)),
        lazy=True,
    ),
    Helper(
        "attempt",
        "empty values",
        attempt,
        "The value, or the fallback when it can't be worked out (a text that is no number, for example).",
        (("attempt(number('n/a'), None)", None), ("attempt(integer('7'), 0)", 7)),
        lazy=True,
    ),
    Helper(
        "null_if",
        "empty values",
        null_if,
        "Null when the value is one of these words, else the value.",
        (("null_if('None', 'None', 'n/a')", None), ("null_if('Gull', 'None')", "Gull")),
    ),
    Helper(
        "text",
        "conversion",
        text,
        "The value as text; null is an empty text, lists and objects are JSON.",
        (("text(12)", "12"), ("text(None)", ""), ("text([1, 'a'])", '[1,"a"]')),
    ),
    Helper(
        "boolean",
        "conversion",
        boolean,
        "True for true, yes, y, on, t, 1; false for false, no, n, off, f, 0; other texts are errors.",
        (("boolean('Yes')", True), ("boolean(0)", False)),
    ),
    Helper("json", "conversion", json_text, "The value as JSON text.", (("json({'a': [1, None]})", '{"a":[1,null]}'),)),
    Helper(
        "parse_json",
        "conversion",
        parse_json,
        "The value that a JSON text says.",
        (("parse_json('{\"a\": [1, 2]}').a[1]", 2),),
    ),
    Helper(
        "sha256",
        "conversion",
        sha256,
        "The SHA-256 of a text, as 64 hexadecimal digits.",
        (("left(sha256('abc'), 8)", "ba7816bf"),),
    ),
    Helper(
        "stable_id",
        "conversion",
        stable_id,
        "A UUID that is always the same for the same values: a key for records that have none.",
        (("stable_id('DE', 4711) == stable_id('DE', 4711)", True), ("length(stable_id('a'))", 36)),
    ),
)
