"""Rows of a JSON Lines file: one object a line. A line that is none is pinned alone."""

from collections.abc import Callable
from typing import Any

import orjson

from apps.connectors.files.json_exact import InexactError, check_exact, is_exact
from apps.connectors.files.lines import PAGE_BYTES, Lines, at_line_feed
from apps.connectors.files.rows import Row, bad_row, too_large
from apps.connectors.files.streams import Stream
from apps.engine.ports import BadRecord, Classification, Record

UTF8_MARK = b"\xef\xbb\xbf"


class JsonLinesRows:
    """Reads objects from a stream, from its first byte on or from a mark; `open_at(offset)` opens it (bytes)."""

    def __init__(self, open_at: Callable[[int], Stream], max_bytes: int, mark: Record | None) -> None:
        offset, number = (mark["offset"], mark["line"]) if mark else (0, 1)
        self._max_bytes = max_bytes
        self._lines = Lines(open_at(offset), at_line_feed, max_bytes, offset=offset, number=number)

    def read(self, count: int) -> list[Row]:
        while True:
            waiting = self._fill(count)
            taken = self._lines.waiting[:count]
            if self._lines.number == 1 and taken:
                taken[0] = taken[0].removeprefix(UTF8_MARK)
            rows = self._parse(taken)
            self._lines.consume(len(taken))
            if rows or not waiting:
                return rows

    def mark(self) -> Record:
        return {"offset": self._lines.offset, "line": self._lines.number}

    def close(self) -> None:
        pass

    def _fill(self, count: int) -> int:
        """Have enough lines waiting for a page, or as many as its bytes allow."""
        lines, filled = self._lines, 0
        while len(lines.waiting) < count and filled <= PAGE_BYTES:
            added = lines.fill()
            if not added:
                break
            filled += added
        return len(lines.waiting)

    def _parse(self, lines: list[bytes]) -> list[Row]:
        loads = orjson.loads
        rows: list[Row] = []
        odd: set[int] = set()
        for index, line in enumerate(lines):
            try:
                value = loads(line)
            except ValueError as error:
                odd.add(index)
                self._add_broken(rows, index, line, error)
                continue
            if value.__class__ is dict and not self._lines.cut:
                rows.append(value)
            else:
                rows.append(self._judged(index, line, value))
                if isinstance(rows[-1], BadRecord):
                    odd.add(index)
        self._refuse_inexact(rows, lines, odd)
        return rows

    def _refuse_inexact(self, rows: list[Row], lines: list[bytes], odd: set[int]) -> None:
        """Put a bad row in the place of each record that lost something; all are looked at together first."""
        whole = [line for index, line in enumerate(lines) if index not in odd] if odd else lines
        records = [row for row in rows if row.__class__ is dict] if odd else rows
        if not records or is_exact(b"[" + b",".join(whole).replace(b"\n", b"") + b"]", records):
            return
        places = [at for at, row in enumerate(rows) if row.__class__ is dict]
        indexes = [index for index in range(len(lines)) if index not in odd]
        for at, index in zip(places, indexes, strict=True):
            rows[at] = exact_or_bad(rows[at], lines[index], f"line {self._lines.number + index}")

    def _judged(self, index: int, line: bytes, value: Any) -> Row:
        place = f"line {self._lines.number + index}"
        if index in self._lines.cut:
            return too_large(line, place, self._lines.cut[index], self._max_bytes)
        return object_or_bad(value, line, place)

    def _add_broken(self, rows: list[Row], index: int, line: bytes, error: ValueError) -> None:
        number = self._lines.number + index
        if index in self._lines.cut:
            rows.append(self._judged(index, line, None))
        elif line.strip():
            rows.append(bad_row(line, f"line {number}", "json_malformed", json_fault(error)))


def json_fault(error: ValueError) -> str:
    """What is wrong with a JSON text, as the rest of a sentence."""
    place = f" at character {error.pos + 1}" if isinstance(error, orjson.JSONDecodeError) and error.pos else ""
    reason = error.msg if isinstance(error, orjson.JSONDecodeError) else str(error)
    return f"this is not valid JSON{place} ({reason.partition(':')[0]})"


def exact_or_bad(row: Row, raw: bytes, place: str) -> Row:
    """The record, or a bad row where parsing its text lost something."""
    if is_exact(raw, row):
        return row
    try:
        check_exact(raw)
    except InexactError as error:
        return bad_row(raw, place, error.code, str(error))
    return row


def object_or_bad(value: Any, raw: bytes, place: str) -> Row:
    """The value if it is a record."""
    if isinstance(value, dict):
        return value
    shown = (
        "null" if value is None else {list: "a list", str: "a text", bool: "true or false"}.get(type(value), "a number")
    )
    return bad_row(raw, place, "not_an_object", f"{shown} is not a JSON object", Classification.PARSE)
