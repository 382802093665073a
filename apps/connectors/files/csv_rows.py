"""Rows of a CSV file. A broken row is pinned alone: reading goes on with the line after the one that broke."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from apps.connectors.files.detect import SAMPLE_BYTES, dialect_of, is_header
from apps.connectors.files.lines import PAGE_BYTES, Lines, at_any_line_end
from apps.connectors.files.rows import Row, bad_row, too_large
from apps.connectors.files.streams import WIDE_ENCODINGS, Stream, read_sample
from apps.engine.ports import BadRecord, Classification, ConnectorError, Record

MAX_COLUMNS = 10_000
UTF8_MARK = b"\xef\xbb\xbf"

csv.field_size_limit(2**31 - 1)  # fields are bounded by bytes here, not by the module's own 128 kB


@dataclass(frozen=True, slots=True)
class CsvLayout:
    """What is known about a CSV file before it is read; an empty delimiter or quote means "find out"."""

    delimiter: str = ""
    quote: str = ""
    encoding: str = "utf-8"
    header: str = "auto"
    columns: tuple[str, ...] = ()
    empty_as_null: bool = False


class TooLongError(Exception):
    """A record does not end within the limit: a quote was probably never closed."""


class Feed(Iterator[str]):
    """Decoded lines for csv.reader. It can be turned back, to read on after a row that broke.

    `tainted` says, by index, what is wrong with the bytes of a line; its text then holds surrogates in their place.
    """

    def __init__(self, lines: Lines, encoding: str, max_bytes: int) -> None:
        self.lines = lines
        self.at = 0
        self.tainted: dict[int, str] = {}
        self.filled_bytes = 0
        self._texts: list[str] = []
        self._encoding = encoding
        self._max_bytes = max_bytes
        self._record_start = 0
        self._bytes_at_start = 0

    def __next__(self) -> str:
        if self.at == len(self._texts):
            if self.filled_bytes - self._bytes_at_start > self._max_bytes and self.at > self._record_start:
                raise TooLongError
            if not self._fill():
                raise StopIteration
        self.at += 1
        return self._texts[self.at - 1]

    def begin_record(self) -> None:
        self._record_start = self.at
        self._bytes_at_start = self.filled_bytes

    def raw(self, start: int, end: int) -> bytes:
        return b"".join(self.lines.waiting[start:end])

    def let_go(self) -> None:
        """Forget the lines before `at`."""
        self.lines.consume(self.at)
        del self._texts[: self.at]
        self.tainted = {index - self.at: what for index, what in self.tainted.items() if index >= self.at}
        self.at = 0
        self.filled_bytes = 0

    def taint_between(self, start: int, end: int) -> tuple[int, str] | None:
        return next(((index, self.tainted[index]) for index in range(start, end) if index in self.tainted), None)

    def _fill(self) -> bool:
        before = len(self._texts)
        added = self.lines.fill()
        self.filled_bytes += added
        new = self.lines.waiting[before:]
        try:
            self._texts += [line.decode(self._encoding) for line in new]
        except UnicodeDecodeError:
            self._texts += [self._decoded(index, line) for index, line in enumerate(new, before)]
        for index, line in enumerate(new, before) if any(b"\0" in line for line in new) else ():
            if b"\0" in line:
                self.tainted.setdefault(index, f"byte {line.index(0) + 1} of the line is NUL, which no text holds")
        for index in self.lines.cut:
            self._texts[index] = ""  # its beginning alone could open a quote and swallow its neighbours
        return added > 0

    def _decoded(self, index: int, line: bytes) -> str:
        try:
            return line.decode(self._encoding)
        except UnicodeDecodeError as error:
            byte = f"byte {error.start + 1} of the line (0x{line[error.start]:02X})"
            self.tainted[index] = f"{byte} is not valid in the encoding {self._encoding}"
            return line.decode(self._encoding, "surrogateescape" if self._encoding == "utf-8" else "replace")


class CsvRows:
    """Reads rows from a stream that begins at the file's first byte, or at a mark.

    `open_at(offset)` opens the stream anew (bytes); `mark` is what `mark()` gave out before.
    """

    def __init__(
        self, open_at: Callable[[int], Stream], name: str, layout: CsvLayout, max_bytes: int, mark: Record | None
    ) -> None:
        self._name = name
        self._layout = layout
        self._max_bytes = max_bytes
        self._open_at = open_at
        self._is_done = False
        self._read_beginning()
        self._is_done = not self._names
        offset, line = (mark["offset"], mark["line"]) if mark else self._first_row
        self._feed = self._new_feed(offset, line)

    def read(self, count: int) -> list[Row]:
        rows: list[Row] = []
        while not rows and not self._is_done:
            while len(rows) < count and self._feed.filled_bytes <= PAGE_BYTES and not self._is_done:
                self._read_some(rows, count)
            self._feed.let_go()
        return rows

    def mark(self) -> Record:
        return {"offset": self._feed.lines.offset, "line": self._feed.lines.number}

    def close(self) -> None:
        pass

    # --- rows --------------------------------------------------------------------------------------------------------
    def _read_some(self, rows: list[Row], count: int) -> None:
        """Read until a row breaks (a new reader goes on after it), the page is full, or the file ends."""
        feed = self._feed
        reader = self._reader(feed)
        names, width, has_nulls = self._names, len(self._names), self._layout.empty_as_null
        while len(rows) < count and feed.filled_bytes <= PAGE_BYTES:
            start = feed.at
            feed.begin_record()
            try:
                cells = next(reader)
            except StopIteration:
                self._is_done = True
                return
            except (csv.Error, TooLongError) as error:
                rows.append(self._broken(start, error))
                return
            if feed.tainted or feed.lines.cut or len(cells) != width:
                if cells or start in feed.lines.cut:
                    rows.append(self._judged(start, cells))
            elif has_nulls:
                rows.append(dict(zip(names, [cell or None for cell in cells], strict=True)))
            else:
                rows.append(dict(zip(names, cells, strict=True)))

    def _judged(self, start: int, cells: list[str]) -> Row:
        """A row near something unusual: is it itself a bad one?"""
        feed, end = self._feed, self._feed.at
        place = self._place(start)
        for at in range(start, end):
            if at in feed.lines.cut:
                return too_large(feed.lines.waiting[at], self._place(at), feed.lines.cut[at], self._max_bytes)
        taint = feed.taint_between(start, end)
        if taint is not None:
            return bad_row(feed.raw(start, end), self._place(taint[0]), "bad_bytes", taint[1])
        if len(cells) != len(self._names):
            what = f"{_fields(len(cells))}, the header has {len(self._names)}"
            return bad_row(feed.raw(start, end), place, "field_count", what)
        return dict(
            zip(self._names, [cell or None if self._layout.empty_as_null else cell for cell in cells], strict=True)
        )

    def _broken(self, start: int, error: Exception) -> BadRecord:
        """The row at `start` cannot be read: only its first line is given up, the next ones are read anew."""
        feed, place = self._feed, self._place(start)
        end, feed.at = feed.at, start + 1
        if start in feed.lines.cut:
            return too_large(feed.raw(start, start + 1), place, feed.lines.cut[start], self._max_bytes)
        taint = feed.taint_between(start, start + 1)
        if taint is not None:
            return bad_row(feed.raw(start, start + 1), place, "bad_bytes", taint[1])
        return bad_row(feed.raw(start, start + 1), place, "broken_quotes", self._quote_fault(error, end - start))

    def _quote_fault(self, error: Exception, lines: int) -> str:
        quote = self._dialect.quote
        if isinstance(error, TooLongError):
            return f"a quote ({quote}) is opened and not closed within {self._max_bytes} bytes"
        if "unexpected end" in str(error):
            return f"a quote ({quote}) is opened and never closed"
        where = "" if lines == 1 else f" ({lines - 1} lines further down)"
        return f"text follows a closing quote ({quote}){where}; a quote inside a field is written twice"

    def _place(self, index: int) -> str:
        return f"line {self._feed.lines.number + index}"

    # --- the beginning of the file -----------------------------------------------------------------------------------
    def _read_beginning(self) -> None:
        """Find out dialect and names, and where the first row begins."""
        sample = read_sample(self._open_at(0), SAMPLE_BYTES)
        self._encoding = self._layout.encoding
        if self._encoding.startswith(WIDE_ENCODINGS) or self._encoding == "utf-8-sig":
            self._encoding = "utf-8"  # the stream is UTF-8 already; the mark at the beginning is skipped below
        self._skip = len(UTF8_MARK) if sample.startswith(UTF8_MARK) else 0
        text = sample[self._skip :].decode(self._encoding, "replace")
        whole_lines = text if len(sample) < SAMPLE_BYTES else text[: text.rfind("\n") + 1] or text
        self._dialect = dialect_of(whole_lines, self._layout.delimiter, self._layout.quote)
        self._first_row = (self._skip, 1)
        self._names: list[str] = []
        self._read_header()

    def _read_header(self) -> None:
        feed = self._new_feed(self._skip, 1)
        try:
            first = next((row for row in self._reader(feed) if row), None)
        except (csv.Error, TooLongError) as error:
            text = f"{self._name}: the header (line 1) cannot be read: {self._quote_fault(error, feed.at)}."
            raise ConnectorError("header_broken", text, classification=Classification.PARSE) from None
        if first is None:
            return
        if len(first) > MAX_COLUMNS:
            text = f"{self._name}: line 1 has {len(first)} fields; at most {MAX_COLUMNS} are read."
            raise ConnectorError("header_broken", text, classification=Classification.TOO_LARGE)
        has_header = self._layout.header == "yes" or (self._layout.header == "auto" and is_header(first))
        self._names = self._checked_names(first if has_header else [], len(first))
        if has_header:
            feed.let_go()
            self._first_row = (feed.lines.offset, feed.lines.number)

    def _checked_names(self, header: list[str], width: int) -> list[str]:
        given = list(self._layout.columns)
        if given and header and len(given) != width:
            text = f"{self._name}: the step names {len(given)} columns, but the header has {width}."
            raise ConnectorError("columns_differ", text, classification=Classification.PARSE)
        names = given or [name.strip() or f"column_{at}" for at, name in enumerate(header, 1)]
        names = names or [f"column_{at}" for at in range(1, width + 1)]
        twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
        if twice is not None:
            places = " and ".join(str(at) for at, name in enumerate(names, 1) if name == twice)
            text = f'{self._name}: the header names "{twice}" more than once (columns {places}). '
            hint = "Give the step its own list of column names."
            raise ConnectorError("duplicate_columns", text + hint, classification=Classification.DUPLICATE)
        return names

    def _new_feed(self, offset: int, line: int) -> Feed:
        lines = Lines(self._open_at(offset), at_any_line_end, self._max_bytes, offset=offset, number=line)
        return Feed(lines, self._encoding, self._max_bytes)

    def _reader(self, feed: Feed) -> Iterator[list[str]]:
        return csv.reader(feed, delimiter=self._dialect.delimiter, quotechar=self._dialect.quote, strict=True)


def _fields(count: int) -> str:
    return "1 field" if count == 1 else f"{count} fields"
