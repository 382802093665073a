"""Helpers for texts. Numbers and dates are taken as the text they are written as."""

# ruff: noqa: A002 - the parameters are named for the people who write expressions

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from .errors import ExpressionError, describe
from .helper import Helper
from .limits import MAX_LIST, as_index, as_list, as_text, made_text, room_for_list, room_for_text
from .operators import contains
from .values import text_of


def upper(text: Any) -> str:
    return made_text(as_text(text).upper())


def lower(text: Any) -> str:
    return made_text(as_text(text).lower())


def title(text: Any) -> str:
    return made_text(as_text(text).title())


def trim(text: Any, characters: Any = None) -> str:
    return as_text(text).strip(None if characters is None else as_text(characters))


def collapse(text: Any) -> str:
    return made_text(" ".join(as_text(text).split()))


def replace(text: Any, old: Any, new: Any) -> str:
    source, before, after = as_text(text), needed(old, "text to replace"), as_text(new)
    found = source.count(before)
    room_for_text(len(source) + found * (len(after) - len(before)))
    return source.replace(before, after)


def split(text: Any, separator: Any = ",") -> list[str]:
    source, between = as_text(text), needed(separator, "separator")
    room_for_list(source.count(between) + 1)
    return source.split(between)


def join(list: Any, separator: Any = ",") -> str:
    between, texts = as_text(separator), [text_of(entry) for entry in as_list(list)]
    room_for_text(sum(map(len, texts)) + len(between) * max(0, len(texts) - 1))
    return between.join(texts)


def has(text: Any, part: Any) -> bool:
    return contains(part, text)


def starts_with(text: Any, start: Any) -> bool:
    return as_text(text).startswith(as_text(start))


def ends_with(text: Any, end: Any) -> bool:
    return as_text(text).endswith(as_text(end))


def left(text: Any, length: Any) -> str:
    return as_text(text)[: not_negative(length)]


def right(text: Any, length: Any) -> str:
    source = as_text(text)
    return source[max(0, len(source) - not_negative(length)) :]


def substring(text: Any, start: Any, length: Any = MAX_LIST * 10) -> str:
    first = not_negative(start)
    return as_text(text)[first : first + not_negative(length)]


def before(text: Any, separator: Any) -> str:
    return as_text(text).partition(needed(separator, "separator"))[0]


def after(text: Any, separator: Any) -> str:
    return as_text(text).partition(needed(separator, "separator"))[2]


def pad_left(text: Any, length: Any, fill: Any = " ") -> str:
    source, width, character = as_text(text), not_negative(length), one_character(fill)
    room_for_text(width)
    return source.rjust(width, character)


def pad_right(text: Any, length: Any, fill: Any = " ") -> str:
    source, width, character = as_text(text), not_negative(length), one_character(fill)
    room_for_text(width)
    return source.ljust(width, character)


def digits(text: Any) -> str:
    return "".join(character for character in as_text(text) if character in "0123456789")


def length(value: Any) -> int:
    return len(value) if isinstance(value, (list, tuple, dict)) else len(as_text(value))


def url_encode(text: Any) -> str:
    return made_text(quote(as_text(text), safe=""))


def needed(text: Any, what: str) -> str:
    """A text that may not be empty."""
    found = as_text(text)
    if not found:
        raise ExpressionError("value", f"The {what} may not be empty.")
    return found


def not_negative(value: Any) -> int:
    """A position or length from 0 up."""
    number = as_index(value, "position or length")
    if number < 0:
        raise ExpressionError("value", f"The position or length must be 0 or more, but is {number}.", value=number)
    return number


def one_character(fill: Any) -> str:
    """The character that a text is padded with."""
    text = as_text(fill)
    if len(text) != 1:
        raise ExpressionError("value", f"The fill must be one character, but is {describe(text)}.", value=text)
    return text


TEXT_HELPERS = (
    Helper("upper", "text", upper, "The text in capital letters.", (("upper('Oslo')", "OSLO"),)),
    Helper("lower", "text", lower, "The text in small letters.", (("lower('Oslo')", "oslo"),)),
    Helper("title", "text", title, "Each word with a capital letter.", (("title('new YORK')", "New York"),)),
    Helper(
        "trim",
        "text",
        trim,
        "The text without blanks (or the characters given) at both ends.",
        (("trim('  Oslo ')", "Oslo"), ("trim('--A-1--', '-')", "A-1")),
    ),
    Helper(
        "collapse",
        "text",
        collapse,
        "The text with every run of blanks and line ends as one blank.",
        (("collapse(' new   york ')", "new york"),),
    ),
    Helper(
        "replace",
        "text",
        replace,
        "The text with every occurrence of a part replaced.",
        (("replace('a-b-c', '-', '/')", "a/b/c"),),
    ),
    Helper(
        "split",
        "text",
        split,
        "The parts of a text between a separator, as a list.",
        (("split('a;b;c', ';')", ["a", "b", "c"]), ("split('a,b')[1]", "b")),
    ),
    Helper(
        "join",
        "text",
        join,
        "The entries of a list as one text, with a separator between them.",
        (("join(['a', 'b', 3], '; ')", "a; b; 3"),),
    ),
    Helper(
        "contains",
        "text",
        has,
        "Whether a text has a part, a list an entry or an object a field.",
        (("contains('Oslo', 'sl')", True), ("contains(['a', 'b'], 'c')", False)),
    ),
    Helper(
        "starts_with",
        "text",
        starts_with,
        "Whether a text starts with another.",
        (("starts_with('DE-1', 'DE')", True),),
    ),
    Helper(
        "ends_with", "text", ends_with, "Whether a text ends with another.", (("ends_with('a.csv', '.csv')", True),)
    ),
    Helper("left", "text", left, "The first characters of a text.", (("left('Oslo', 2)", "Os"),)),
    Helper("right", "text", right, "The last characters of a text.", (("right('Oslo', 2)", "lo"),)),
    Helper(
        "substring",
        "text",
        substring,
        "The characters from a position on (the first is 0), at most so many.",
        (("substring('20241231', 4, 2)", "12"), ("substring('DE-4711', 3)", "4711")),
    ),
    Helper("before", "text", before, "The text before a separator.", (("before('ann@example.com', '@')", "ann"),)),
    Helper("after", "text", after, "The text after a separator.", (("after('ann@example.com', '@')", "example.com"),)),
    Helper(
        "pad_left",
        "text",
        pad_left,
        "The text filled up on the left to a length.",
        (("pad_left(42, 6, '0')", "000042"),),
    ),
    Helper(
        "pad_right",
        "text",
        pad_right,
        "The text filled up on the right to a length.",
        (("pad_right('A', 3, '.')", "A.."),),
    ),
    Helper("digits", "text", digits, "Only the digits 0 to 9 of a text.", (("digits('+49 (30) 12-34')", "49301234"),)),
    Helper(
        "length",
        "text",
        length,
        "How many characters a text, entries a list or fields an object has.",
        (("length('Oslo')", 4), ("length([1, 2])", 2)),
    ),
    Helper(
        "url_encode",
        "text",
        url_encode,
        "The text as it may stand inside a URL.",
        (("url_encode('a b/ü')", "a%20b%2F%C3%BC"),),
    ),
)
