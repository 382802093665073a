"""Writes pages to SQLite inside the open transaction, row by row: a row that fails undoes nothing but itself."""

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import orjson

from apps.connectors.sql.face import Job, Outcome, Row
from apps.connectors.sql.sqlite.errors import is_outage, missing_row, row_failure, translated, unstorable
from apps.connectors.sql.sqlite.link import Link
from apps.connectors.sql.statements import quote_name, quote_names, quote_table
from apps.engine.ports import Batch, ErrorSource, Record, RolledBack

ROW_ERRORS = (sqlite3.Error, OverflowError, UnicodeEncodeError)
AT_ONCE = 1000


class SqliteWriter:
    """Writes for one connection."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self._checked: set[str] = set()

    def write(self, job: Job, rows: Sequence[Row], batch: Batch) -> Outcome:
        outcome = Outcome()
        counts_hits = job.operation in {"update", "delete"} and not job.ignore_missing
        for shape, group in groupby(rows, key=lambda row: tuple(row.values)):
            sql, order = statement(job, shape)
            self._check(sql, len(order))
            stored = [row for given in group if (row := storable(given, outcome))]
            for start in range(0, len(stored), AT_ONCE):
                part = stored[start : start + AT_ONCE]
                if batch.stop():
                    outcome.not_started += [row.at for row in part]
                elif counts_hits or job.statement is not None:
                    self._one_by_one(job, sql, order, part, outcome, counts_hits)
                else:
                    self._many(sql, part, outcome)
        return outcome

    def _check(self, sql: str, parameters: int) -> None:
        """A statement that SQLite can't even prepare concerns the whole page, not one row after the other."""
        if sql not in self._checked:
            self.link.execute(f"EXPLAIN {sql}", [None] * parameters).fetchall()
            self._checked.add(sql)

    def _many(self, sql: str, rows: Sequence[Row], outcome: Outcome) -> None:
        """All rows with one prepared statement; after a failing row it goes on with the next."""
        connection = self.link.connection()
        feed = Feed(rows)
        while feed.at < len(rows):
            self.link.wind()
            try:
                connection.executemany(sql, feed)
                return
            except ROW_ERRORS as error:
                self._fail(error, rows[feed.at - 1], outcome)

    def _one_by_one(
        self, job: Job, sql: str, order: Sequence[str], rows: Sequence[Row], outcome: Outcome, counts_hits: bool
    ) -> None:
        connection = self.link.connection()
        for row in rows:
            values = row.values
            self.link.wind()
            try:
                cursor = connection.execute(sql, [values[name] for name in order])
                if cursor.description is not None:
                    cursor.fetchall()
            except ROW_ERRORS as error:
                self._fail(error, row, outcome)
                continue
            if counts_hits and cursor.rowcount == 0:
                outcome.failures[row.at] = missing_row(job, values)

    def _fail(self, error: Exception, row: Row, outcome: Outcome) -> None:
        if not self.link.has_transaction():
            raise RolledBack(row.at, row_failure(error, row.values)) from error
        failure = row_failure(error, row.values)
        if is_outage(failure.code) and isinstance(error, sqlite3.Error):
            raise translated(error, self.link.config.file, ErrorSource.APPLICATION) from error
        outcome.failures[row.at] = failure


class Feed(Iterator[tuple[Any, ...]]):
    """Hands the rows' values to `executemany` and knows how many were taken."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        self.at = 0

    def __next__(self) -> tuple[Any, ...]:
        if self.at >= len(self.rows):
            raise StopIteration
        self.at += 1
        return tuple(self.rows[self.at - 1].values.values())


def storable(row: Row, outcome: Outcome) -> Row | None:
    """The row with nested values as JSON text. A text with a NUL fails: SQLite's functions would cut it there."""
    nested: Record = {}
    for name, value in row.values.items():
        kind = value.__class__
        if kind is str and "\x00" in value:
            why = "contains a NUL character, at which SQLite would cut the text"
            outcome.failures[row.at] = unstorable(name, "encoding", why)
            return None
        if kind is dict or kind is list:
            nested[name] = value
    return with_json_texts(row, nested, outcome) if nested else row


def with_json_texts(row: Row, nested: Record, outcome: Outcome) -> Row | None:
    texts = {}
    for name, value in nested.items():
        try:
            texts[name] = orjson.dumps(value).decode()
        except (TypeError, ValueError) as error:
            outcome.failures[row.at] = unstorable(name, "nested", f"can't be written as JSON ({error})")
            return None
    return Row(row.at, {**row.values, **texts})


def statement(job: Job, shape: tuple[str, ...]) -> tuple[str, Sequence[str]]:
    """The SQL text for rows with these columns, and the names in the order of its parameters."""
    if job.statement is not None:
        order = list(dict.fromkeys(job.statement.names))
        return job.statement.render(lambda name: f"?{order.index(name) + 1}"), order
    assert job.table is not None
    table = quote_table(job.table.name)
    if job.operation in {"insert", "upsert"}:
        marks = ", ".join("?" * len(shape))
        sql = f"INSERT INTO {table} ({quote_names(shape)}) VALUES ({marks})"  # noqa: S608
        return sql + (conflict(job, shape) if job.operation == "upsert" else ""), shape
    where = " AND ".join(f"{quote_name(key)} = ?" for key in job.keys)
    if job.operation == "delete":
        return f"DELETE FROM {table} WHERE {where}", job.keys  # noqa: S608
    others = [name for name in shape if name not in job.keys] or [job.keys[0]]
    sets = ", ".join(f"{quote_name(name)} = ?" for name in others)
    return f"UPDATE {table} SET {sets} WHERE {where}", [*others, *job.keys]  # noqa: S608


def conflict(job: Job, shape: tuple[str, ...]) -> str:
    others = [name for name in shape if name not in job.keys]
    if not others:
        return f" ON CONFLICT ({quote_names(job.keys)}) DO NOTHING"
    sets = ", ".join(f"{quote_name(name)} = excluded.{quote_name(name)}" for name in others)
    return f" ON CONFLICT ({quote_names(job.keys)}) DO UPDATE SET {sets}"
