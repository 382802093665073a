"""The export: the author's query, wrapped to be read in pages.

With unique columns the pages are keyset pages, each a short query that starts after the last row of the page before:
the export can go on at any page, and rows that shift meanwhile are neither lost nor doubled. Without them one cursor is
read from beginning to end. With a watermark column only rows from the checkpoint on are read.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from apps.connectors.sql.config import ExportOptions
from apps.connectors.sql.face import BadText, Database, Reader, Rows
from apps.connectors.sql.inputs import InputError, Inputs
from apps.connectors.sql.statements import Statement, fragment, parse_query
from apps.connectors.sql.watermark import NAME, Progress, comparable, row_hash, step_back, written_like
from apps.engine.expressions import Scope
from apps.engine.ports import (
    BadRecord,
    Classification,
    ConnectorError,
    ErrorSource,
    Failure,
    Record,
    SourcePage,
    Window,
)

LOWER, UPPER = "fm_from_", "fm_until_"


class SqlSource:
    """An opened export."""

    def __init__(self, database: Database, options: ExportOptions, window: Window) -> None:
        self.options = options
        self.window = window
        self.resumable = bool(options.unique)
        self.in_order = options.watermark is not None
        self.query = parse_query(options.query)
        self.order = tuple(dict.fromkeys(filter(None, (options.watermark, *options.unique))))
        self.progress = Progress(options.overlap, window.checkpoint) if options.watermark else None
        self._reader: Reader | None = None
        self._database = database
        self.wording = database.wording
        self._rows = 0

    def pages(self) -> Iterator[SourcePage]:
        self._reader = self._database.reader()
        try:
            values = self._values()
            conditions = self._bounds(values)
            self._check_not_empty(values)
            pages = self._keyset_pages(values, conditions) if self.resumable else self._stream(values, conditions)
            yield from pages
        finally:
            self.close()

    def finish(self) -> None:
        """Nothing to do: what was read stays where it is."""

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    @property
    def reader(self) -> Reader:
        assert self._reader is not None
        return self._reader

    # --- what is asked -----------------------------------------------------------------------------------------------
    def _values(self) -> Record:
        """The values of the author's parameters."""
        window = self.window
        watermark = window.checkpoint.value.get(NAME) if window.checkpoint else None
        run: Record = {
            "parameters": dict(window.parameters),
            "start": window.start,
            "end": window.end,
            "watermark": watermark,
        }
        try:
            return Inputs(self.options.parameters).values({}, Scope(window.now, window.flow, run, window.settings))
        except InputError as error:
            raise error.as_error(ErrorSource.APPLICATION) from error

    def _bounds(self, values: Record) -> list[str]:
        """The conditions that keep to the window; their values go into `values`."""
        column = self.options.watermark
        if column is None:
            return []
        bounds = {LOWER: self._lower(values, column), UPPER: self._moment(values, column, self.window.end)}
        values.update({name: value for name, value in bounds.items() if value is not None})
        signs = {LOWER: ">=", UPPER: "<"}
        return [f"{self.wording.name(column)} {signs[name]} :{name}" for name in bounds if name in values]

    def _lower(self, values: Record, column: str) -> Any:
        checkpoint = self.window.checkpoint
        if checkpoint is not None and NAME in checkpoint.value:
            return step_back(checkpoint.value[NAME], self.options.overlap)
        return self._moment(values, column, self.window.start)

    def _moment(self, values: Record, column: str, moment: dt.datetime | None) -> Any:
        """A border of the window as the column writes times; None where there is none or the column holds no times."""
        if moment is None:
            return None
        kind = self.reader.watermark_type(self.query, values, column)
        if kind:
            return {"time": moment.isoformat(), "date": moment.date().isoformat()}.get(kind)
        sample = self._sample(values, column)
        is_time = isinstance(sample, str) and isinstance(comparable(sample), dt.datetime)
        return written_like(moment, sample) if is_time else None

    def _sample(self, values: Record, column: str) -> Any:
        name = self.wording.name(column)
        rows = self.reader.rows(self._wrapped(name, [f"{name} IS NOT NULL"], self.wording.first(1)), values)
        return rows.values[0][0] if rows.values else None

    def _wrapped(self, picks: str, conditions: list[str], tail: str) -> Statement:
        """The author's query as a table, with our conditions (whose parameters are ours) around it."""
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        return self.query.within(f"SELECT {picks} FROM (", fragment(f"\n) fm_q{where} {tail}"))  # noqa: S608

    def _check_not_empty(self, values: Record) -> None:
        """A row without a value in an ordering column would never be found again: better say so than lose it."""
        if not self.order or self.window.position is not None:
            return
        empty = " OR ".join(f"{self.wording.name(name)} IS NULL" for name in self.order)
        own = {name: value for name, value in values.items() if name in self.query.names}
        found = self.reader.rows(self._wrapped("*", [f"({empty})"], self.wording.first(1)), own)
        for name in self.order:
            self._place(found, name)  # SQLite takes a quoted name that it doesn't know for a text
        if found.values:
            message = (
                f"The query returns a row in which {' or '.join(self.order)} is empty. Rows are found by these "
                "columns: leave such rows out in the query, or fill them."
            )
            raise ConnectorError("missing", message, classification=Classification.MISSING)

    # --- keyset pages ------------------------------------------------------------------------------------------------
    def _keyset_pages(self, values: Record, conditions: list[str]) -> Iterator[SourcePage]:
        size = self.window.page_size
        position = self.window.position
        last = list(position["after"]) if position else None
        self._rows = position["rows"] if position else 0
        while True:
            rows = self._page_after(last, values, conditions, size)
            more = len(rows.values) > size
            if more:
                self._check_unique(rows, size)
                rows = replace(rows, values=rows.values[:size])
            if rows.values:
                last = self._keys_of(rows, rows.values[-1])
            if rows.values or not position:
                yield self._made(rows, {"after": last or [], "rows": self._rows + len(rows.values)}, is_last=not more)
            if not more:
                return

    def _page_after(self, last: list[Any] | None, values: Record, conditions: list[str], size: int) -> Rows:
        tail = self.wording.first(size + 1, f"ORDER BY {self.wording.names(self.order)}")
        if last is None:
            return self.reader.rows(self._wrapped("*", conditions, tail), values)
        names = [f"fm_key_{n}" for n in range(len(self.order))]
        after = self.wording.after(self.order, [f":{name}" for name in names])
        bound = {name: value for name, value in values.items() if name != LOWER}
        kept = [text for text in conditions if LOWER not in text]
        return self.reader.rows(
            self._wrapped("*", [*kept, after], tail), {**bound, **dict(zip(names, last, strict=True))}
        )

    def _keys_of(self, rows: Rows, row: tuple[Any, ...]) -> list[Any]:
        keys = [row[self._place(rows, name)] for name in self.order]
        for name, key in zip(self.order, keys, strict=True):
            if isinstance(key, BadText) or name in rows.blobs:
                message = f"The column {name} holds bytes; rows can only be found by numbers, texts and times."
                raise ConnectorError("value", message, classification=Classification.VALUE)
        return keys

    def _place(self, rows: Rows, name: str) -> int:
        try:
            return rows.names.index(name)
        except ValueError:
            message = f"The query returns no column {name}. It returns: {', '.join(rows.names)}."
            raise ConnectorError("unknown_column", message, classification=Classification.VALUE) from None

    def _check_unique(self, rows: Rows, size: int) -> None:
        """Two rows with the same keys around the end of a page: the second would be lost."""
        first, second = (self._keys_of(rows, rows.values[at]) for at in (size - 1, size))
        if first == second:
            message = f"The columns {', '.join(self.order)} are not unique: two rows have {', '.join(map(str, first))}."
            raise ConnectorError("duplicate", message, classification=Classification.DUPLICATE)

    # --- one cursor --------------------------------------------------------------------------------------------------
    def _stream(self, values: Record, conditions: list[str]) -> Iterator[SourcePage]:
        tail = f"ORDER BY {self.wording.names(self.order)}" if self.order else ""
        statement = self._wrapped("*", conditions, tail) if conditions or tail else self.query
        held: Rows | None = None
        for rows in self.reader.stream(statement, values, self.window.page_size):
            if held is not None:
                yield self._made(held, {"rows": self._rows + len(held.values)}, is_last=False)
            held = rows
        if held is None:
            held = Rows(list(self.order), [])
        yield self._made(held, {"rows": self._rows + len(held.values)}, is_last=True)

    # --- what is handed on -------------------------------------------------------------------------------------------
    def _made(self, rows: Rows, position: Record, *, is_last: bool) -> SourcePage:
        begin = self._rows + 1
        self._rows += len(rows.values)
        records = [self._record(rows, begin + at, row) for at, row in enumerate(self._new_rows(rows))]
        checkpoint = self.progress.checkpoint(is_last=is_last) if self.progress else None
        return SourcePage(records, position, checkpoint, self._reference(begin))

    def _reference(self, begin: int) -> str:
        return f"rows {begin:,} to {self._rows:,} of the query" if self._rows >= begin else "no rows"

    def _new_rows(self, rows: Rows) -> list[tuple[Any, ...]]:
        """The rows without those that an earlier export of the overlap handed on already."""
        if self.progress is None or not rows.values:
            return rows.values
        assert self.options.watermark is not None
        at = self._place(rows, self.options.watermark)
        keys = [self._place(rows, name) for name in self.order] if self.resumable else range(len(rows.names))
        return [row for row in rows.values if self.progress.is_new(row[at], row_hash([row[key] for key in keys]))]

    def _record(self, rows: Rows, number: int, row: tuple[Any, ...]) -> Record | BadRecord:
        for name, value in zip(rows.names, row, strict=True):
            if isinstance(value, BadText):
                message = f'Column "{name}" holds a text that is not UTF-8.'
                failure = Failure(ErrorSource.APPLICATION, "encoding", message, Classification.PARSE, field=name)
                return BadRecord(bytes(value), f"row {number:,}", failure)
        return dict(zip(rows.names, row, strict=True))
