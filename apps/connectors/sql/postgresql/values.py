"""PostgreSQL's values as JSON, and pages of records as one binary parameter.

Whole numbers of at most 64 bits become numbers, and `numeric` too, unless a JSON number would lose digits: then text;
NaN and infinities become text; dates and times ISO text with their zone; bytea base64; JSON what it is; all else the
text that PostgreSQL shows.
"""

import base64
import struct
from functools import cache
from typing import Any

from psycopg import postgres
from psycopg.adapt import AdaptersMap, Buffer, Dumper, Loader
from psycopg.pq import Format

KEPT = frozenset({"int2", "int4", "int8", "oid", "bool", "json", "jsonb", "text", "varchar", "bpchar", "name"})
TIMES = frozenset({"timestamp", "timestamptz"})
BIGGEST = 2**63
BIGGEST_DIGITS = 20
SAFE_DIGITS = 15
"""Every decimal number of so many digits is the same again after it was a double."""


class TextLoader(Loader):
    def load(self, data: Buffer) -> str:
        return bytes(data).decode()


class TimeLoader(Loader):
    """`2024-01-02 03:04:05+00` -> `2024-01-02T03:04:05+00:00`; infinity and years before Christ stay as they are."""

    def load(self, data: Buffer) -> str:
        text = bytes(data).decode()
        if len(text) < 19 or text[10] != " ":
            return text
        text = f"{text[:10]}T{text[11:]}"
        return f"{text}:00" if text[-3] in "+-" else text


class NumericLoader(Loader):
    def load(self, data: Buffer) -> int | float | str:
        return numeric_value(bytes(data).decode())


class FloatLoader(Loader):
    def load(self, data: Buffer) -> float | str:
        text = bytes(data).decode()
        return text if text[-1] in "Ny" else float(text)


class BytesLoader(Loader):
    def load(self, data: Buffer) -> str:
        return base64.b64encode(bytes.fromhex(bytes(data)[2:].decode())).decode()


def numeric_value(text: str) -> int | float | str:
    """A `numeric` as JSON: a number if it keeps all digits, else the text."""
    if "." not in text:
        return whole_value(text)
    number = float(text)
    digits = text.replace(".", "").lstrip("-0").rstrip("0")
    if len(digits) <= SAFE_DIGITS:
        return number
    return text


def whole_value(text: str) -> int | str:
    if text[-1] in "Ny" or len(text) > BIGGEST_DIGITS or not -BIGGEST <= int(text) < BIGGEST:
        return text
    return int(text)


LOADERS: dict[str, type[Loader]] = {
    "numeric": NumericLoader,
    "float4": FloatLoader,
    "float8": FloatLoader,
    "bytea": BytesLoader,
    "timestamp": TimeLoader,
    "timestamptz": TimeLoader,
}


class Texts:
    """Texts to be sent as one `text[]`, already encoded."""

    __slots__ = ("parts",)

    def __init__(self, parts: list[bytes]) -> None:
        self.parts = parts


class TextsDumper(Dumper):
    """Binary: in the text form every quote of every JSON text would have to be escaped."""

    format = Format.BINARY
    oid = postgres.types["text"].array_oid

    def dump(self, obj: Any) -> Buffer:
        parts: list[bytes] = obj.parts
        out = [struct.pack("!iiIii", 1, 0, postgres.types["text"].oid, len(parts), 1)]
        for part in parts:
            out.append(struct.pack("!i", len(part)))
            out.append(part)
        return b"".join(out)


@cache
def adapters() -> AdaptersMap:
    """How values of our connections come and go."""
    made = AdaptersMap(postgres.adapters)
    for info in postgres.types:
        if info.name not in KEPT:
            made.register_loader(info.oid, LOADERS.get(info.name, TextLoader))
    made.register_dumper(Texts, TextsDumper)
    return made
