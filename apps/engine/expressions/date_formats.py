"""Date formats in the letters that integrators know: `DD.MM.YYYY HH:mm`. Text in square brackets stands for itself."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from .errors import ExpressionError, cut

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MAX_FORMAT = 64
Parts = dict[str, int]

TOKEN = re.compile(r"\[([^\]]*)\]|(YYYY|YY|MMMM|MMM|MM|M|DDDD|DDD|DD|D|HH|H|hh|h|mm|m|ss|s|SSS|A|Z)|(.)", re.DOTALL)
DIGITS = {
    "YYYY": ("year", r"\d{4}"),
    "YY": ("short_year", r"\d{2}"),
    "MM": ("month", r"\d{2}"),
    "M": ("month", r"\d{1,2}"),
    "DD": ("day", r"\d{2}"),
    "D": ("day", r"\d{1,2}"),
    "HH": ("hour", r"\d{2}"),
    "H": ("hour", r"\d{1,2}"),
    "hh": ("hour_of_12", r"\d{2}"),
    "h": ("hour_of_12", r"\d{1,2}"),
    "mm": ("minute", r"\d{2}"),
    "m": ("minute", r"\d{1,2}"),
    "ss": ("second", r"\d{2}"),
    "s": ("second", r"\d{1,2}"),
    "SSS": ("millisecond", r"\d{3}"),
}
WORDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "MMMM": ("month", MONTHS),
    "MMM": ("month", tuple(month[:3] for month in MONTHS)),
    "DDDD": ("weekday", DAYS),
    "DDD": ("weekday", tuple(day[:3] for day in DAYS)),
    "A": ("half", ("AM", "PM")),
}
WRITERS: dict[str, Callable[[dt.datetime], str]] = {
    "YYYY": lambda time: f"{time.year:04}",
    "YY": lambda time: f"{time.year % 100:02}",
    "MMMM": lambda time: MONTHS[time.month - 1],
    "MMM": lambda time: MONTHS[time.month - 1][:3],
    "MM": lambda time: f"{time.month:02}",
    "M": lambda time: str(time.month),
    "DDDD": lambda time: DAYS[time.weekday()],
    "DDD": lambda time: DAYS[time.weekday()][:3],
    "DD": lambda time: f"{time.day:02}",
    "D": lambda time: str(time.day),
    "HH": lambda time: f"{time.hour:02}",
    "H": lambda time: str(time.hour),
    "hh": lambda time: f"{time.hour % 12 or 12:02}",
    "h": lambda time: str(time.hour % 12 or 12),
    "mm": lambda time: f"{time.minute:02}",
    "m": lambda time: str(time.minute),
    "ss": lambda time: f"{time.second:02}",
    "s": lambda time: str(time.second),
    "SSS": lambda time: f"{time.microsecond // 1000:03}",
    "A": lambda time: "AM" if time.hour < 12 else "PM",
    "Z": lambda time: offset_text(time),
}


def offset_text(time: dt.datetime) -> str:
    """The offset from UTC as `+01:00`; UTC itself for a time without one."""
    minutes = int((time.utcoffset() or dt.timedelta()).total_seconds() // 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


@lru_cache(maxsize=256)
def tokens(format_text: str) -> tuple[tuple[str, bool], ...]:
    """The pieces of a format as (text, is a token); raises kind `value` for a format that is too long or unknown."""
    if not 0 < len(format_text) <= MAX_FORMAT:
        raise ExpressionError("value", f"A date format has 1 to {MAX_FORMAT} characters, such as DD.MM.YYYY.")
    found: list[tuple[str, bool]] = []
    for match in TOKEN.finditer(format_text):
        quoted, token, other = match.groups()
        if other and other.isascii() and other.isalpha() and other != "T":
            raise ExpressionError(
                "value", f'The date format "{format_text}" has the unknown letter {other}; text goes in [brackets].'
            )
        found.append((token, True) if token else (other or quoted or "", False))
    return tuple(found)


@lru_cache(maxsize=256)
def reader(format_text: str) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """A pattern for texts of this format, and the token of each of its groups."""
    pieces: list[str] = []
    groups: list[str] = []
    for text, is_token in tokens(format_text):
        if is_token:
            if part_name(text) in map(part_name, groups):
                raise ExpressionError("value", f'The date format "{format_text}" has the same part twice.')
            groups.append(text)
            pieces.append(f"({token_pattern(text)})")
        else:
            pieces.append(re.escape(text))
    return re.compile("".join(pieces), re.ASCII | re.IGNORECASE), tuple(groups)


def part_name(token: str) -> str:
    """What a token says: the month, for MM as for MMMM. Each part may stand once, so that reading stays linear."""
    return DIGITS[token][0] if token in DIGITS else WORDS[token][0] if token in WORDS else "offset"


def token_pattern(token: str) -> str:
    """What a token may look like in a text."""
    if token == "Z":  # noqa: S105 - the letter of a date format
        return r"Z|[+-]\d{2}:?\d{2}"
    return DIGITS[token][1] if token in DIGITS else "|".join(WORDS[token][1])


def read_time(text: str, format_text: str) -> dt.datetime:
    """The time that a text says in this format, with a zone only if the format has one; raises kind `parse`."""
    pattern, groups = reader(format_text)
    match = pattern.fullmatch(text.strip()) if len(text) <= 4 * MAX_FORMAT else None
    if match is None:
        raise ExpressionError("parse", f'The text "{cut(text)}" is not a date in the format {format_text}.', value=text)
    parts: Parts = {}
    for token, found in zip(groups, match.groups(), strict=True):
        part, number = read_part(token, found)
        parts[part] = number
    try:
        return made_time(parts)
    except ValueError as error:
        raise ExpressionError("parse", f'The text "{cut(text)}" is not a real date: {error}.', value=text) from None


def read_part(token: str, found: str) -> tuple[str, int]:
    """The name and number of one part."""
    if token in DIGITS:
        return DIGITS[token][0], int(found)
    if token in WORDS:
        part, words = WORDS[token]
        return part, [word.lower() for word in words].index(found.lower()) + 1
    return "offset", read_offset(found)


def read_offset(found: str) -> int:
    """Minutes from UTC."""
    if found in "zZ":
        return 0
    plain = found.replace(":", "")
    minutes = int(plain[1:3]) * 60 + int(plain[3:5])
    return -minutes if plain[0] == "-" else minutes


def made_time(parts: Parts) -> dt.datetime:
    """A time of its parts. Two-digit years: 69 to 99 are 19xx, 00 to 68 are 20xx (as POSIX says)."""
    short = parts.get("short_year", 0)
    year = parts.get("year", short + (1900 if short >= 69 else 2000) if "short_year" in parts else 1900)
    hour = parts.get("hour", parts.get("hour_of_12", 0) % 12 + (12 if parts.get("half") == 2 else 0))
    zone = dt.timezone(dt.timedelta(minutes=parts["offset"])) if "offset" in parts else None
    return dt.datetime(
        year,
        parts.get("month", 1),
        parts.get("day", 1),
        hour,
        parts.get("minute", 0),
        parts.get("second", 0),
        parts.get("millisecond", 0) * 1000,
        zone,
    )


def write_time(time: dt.datetime, format_text: str) -> str:
    """The time as a text of this format."""
    return "".join(WRITERS[text](time) if is_token else text for text, is_token in tokens(format_text))


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """The names of all time zones."""
    return frozenset(available_timezones())


def zone(name: str) -> ZoneInfo:
    """The time zone of a name such as Europe/Berlin; raises kind `value`."""
    if name not in zone_names():
        raise ExpressionError("value", f'"{cut(name)}" is not a time zone; write it such as Europe/Berlin or UTC.')
    return ZoneInfo(name)
