"""The way without a function: statements sent one behind the other, each under a savepoint, answers read at the end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import psycopg

from apps.connectors.sql.face import Column, Job, Outcome, Row
from apps.connectors.sql.postgresql.errors import is_outage, missing_row, row_failure, translated
from apps.connectors.sql.postgresql.function import page_statement
from apps.connectors.sql.postgresql.link import Connection, Cursor, Link
from apps.connectors.sql.postgresql.pages import Call, encode_row
from apps.engine.ports import ErrorSource

BEGIN, BACK, END = b"SAVEPOINT fm_row", b"ROLLBACK TO SAVEPOINT fm_row", b"RELEASE SAVEPOINT fm_row"
AT_ONCE = 100
"""So many units are on their way before the answers are read: more may fill both buffers and dead-lock."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What stands under one savepoint: a chunk or a single row."""

    rows: Sequence[Row]
    payload: bytes


class Pipeline:
    """Writes the rows of one call."""

    def __init__(self, link: Link, job: Job, columns: list[Column]) -> None:
        self.link = link
        self.job = job
        self.columns = columns
        self.needs_hit = job.operation in {"update", "delete"} and not job.ignore_missing
        if job.statement is not None:
            self.sql, self.order = job.statement.numbered()
        else:
            self.sql, self.order = page_statement(job, columns, "$1::json"), []

    def write(self, call: Call, outcome: Outcome, stop: Callable[[], bool]) -> None:
        if self.needs_hit or self.job.statement is not None:
            units = [self._unit(row) for row in call.rows]
        else:
            ends = [*call.starts[1:], len(call.rows)]
            units = [
                Unit(call.rows[start:end], chunk)
                for chunk, start, end in zip(call.chunks, call.starts, ends, strict=True)
            ]
        self._write_units(units, outcome, stop)
        # after a pipeline the server does not start its idle-in-transaction clock; after any other statement it does
        self.link.execute("SELECT 1")

    def _unit(self, row: Row) -> Unit:
        encoded = encode_row(row)
        assert isinstance(encoded, bytes), "rows that cannot be encoded were left out before"
        return Unit([row], b"[" + encoded + b"]")

    def _write_units(self, units: Sequence[Unit], outcome: Outcome, stop: Callable[[], bool]) -> None:
        at = 0
        while at < len(units):
            if stop():
                outcome.not_started += [row.at for unit in units[at:] for row in unit.rows]
                return
            done, error = self._send(units[at : at + AT_ONCE], outcome)
            at += done
            if error is None:
                continue
            failed = units[at]
            at += 1
            if len(failed.rows) > 1:
                self._write_units([self._unit(row) for row in failed.rows], outcome, stop)
            else:
                self._fail(failed.rows[0], error, outcome)

    def _send(self, units: Sequence[Unit], outcome: Outcome) -> tuple[int, psycopg.Error | None]:
        """Send units until one fails: how many went through, and the error of the next."""
        cursors: list[Cursor] = []
        with self.link.speaking() as connection:
            try:
                with connection.pipeline():
                    for unit in units:
                        connection.execute(BEGIN)
                        cursors.append(self._execute(connection, unit))
                        connection.execute(END)
            except psycopg.Error as error:
                self._check_alive(connection, error)
                connection.execute(BACK)
                connection.execute(END)
                done = sum(cursor.pgresult is not None and cursor.rowcount >= 0 for cursor in cursors)
                self._check_hits(units[:done], cursors, outcome)
                return done, error
        self._check_hits(units, cursors, outcome)
        return len(units), None

    def _check_alive(self, connection: Connection, error: psycopg.Error) -> None:
        is_lost = bool(connection.closed or connection.broken)
        if is_lost or not error.sqlstate or is_outage(error.sqlstate):
            raise translated(error, self.link.place, is_lost, ErrorSource.APPLICATION)

    def _execute(self, connection: Connection, unit: Unit) -> Cursor:
        if self.job.statement is None:
            return connection.execute(self.sql.encode(), [unit.payload.decode()])
        values = unit.rows[0].values
        return connection.execute(self.sql.encode(), [as_text(values[name]) for name in self.order] or None)

    def _check_hits(self, units: Sequence[Unit], cursors: Sequence[Cursor], outcome: Outcome) -> None:
        if not self.needs_hit:
            return
        assert self.job.table is not None
        for unit, cursor in zip(units, cursors, strict=False):
            if cursor.rowcount == 0:
                row = unit.rows[0]
                outcome.failures[row.at] = missing_row(self.job.words_for(row.values), self.job.table.name)

    def _fail(self, row: Row, error: psycopg.Error, outcome: Outcome) -> None:
        diag = error.diag
        columns = {column.name: column for column in self.columns}
        outcome.failures[row.at] = row_failure(
            error.sqlstate or "", diag.message_primary or str(error), diag.message_detail, diag.column_name, row.values,
            columns,
        )  # fmt: skip


def as_text(value: Any) -> str | None:
    """A parameter of the author's statement as text without a type: the server infers it from its place."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return orjson.dumps(value).decode()
    return str(value)
