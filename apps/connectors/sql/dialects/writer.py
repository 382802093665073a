"""Writes pages inside the open transaction and pins every failing row: many rows at once, halves of what fails."""

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from typing import Any

from sqlalchemy.exc import DBAPIError, IntegrityError

from apps.connectors.sql.dialects.errors import (
    ROW_ERRORS,
    code_of,
    is_outage,
    missing_row,
    number_of,
    row_failure,
    suspect_among,
)
from apps.connectors.sql.dialects.link import Link
from apps.connectors.sql.dialects.reading import checked
from apps.connectors.sql.dialects.session import DialectSession
from apps.connectors.sql.dialects.values import PLAIN, as_parameter, for_time, is_time
from apps.connectors.sql.face import Job, Outcome, Row
from apps.engine.ports import Batch, Record

AT_ONCE = 100
AT_ONCE_CHARACTERS = 500_000
"""A statement stays below what servers take at once (1 MB in old settings)."""
SAVEPOINT = "fm_write"


class DialectWriter:
    """Writes for one connection."""

    def __init__(self, link: Link, session: DialectSession) -> None:
        self.link = link
        self.session = session

    def write(self, job: Job, rows: Sequence[Row], batch: Batch) -> Outcome:
        outcome = Outcome()
        if job.statement is not None:
            checked(self.link, job.statement)
        for shape, group in groupby(rows, key=lambda row: tuple(row.values)):
            work = Work(self.link, self.session, job, shape, outcome)
            for part in portions(list(group)):
                if batch.stop():
                    outcome.not_started += [row.at for row in part]
                else:
                    work.write(part)
        return outcome


def portions(rows: Sequence[Row]) -> Iterator[list[Row]]:
    part: list[Row] = []
    size = 0
    for row in rows:
        length = sum(len(value) if isinstance(value, str) else 20 for value in row.values.values())
        if part and (len(part) >= AT_ONCE or size + length > AT_ONCE_CHARACTERS):
            yield part
            part, size = [], 0
        part.append(row)
        size += length
    if part:
        yield part


class Work:
    """The rows of a page that have the same columns."""

    def __init__(self, link: Link, session: DialectSession, job: Job, shape: tuple[str, ...], outcome: Outcome) -> None:
        self.link = link
        self.session = session
        self.job = job
        self.shape = shape
        self.outcome = outcome
        self.needs_hit = job.operation in {"update", "delete"} and not job.ignore_missing
        columns = job.table.columns if job.table else {}
        self._times = frozenset(name for name in shape if name in columns and is_time(columns[name].type))
        self._ending = self._upsert_ending()
        self._is_wide = link.speech.has_rows_of_values and (job.operation == "insert" or self._ending is not None)
        self._is_hurried = False
        self._texts: dict[int, str] = {}

    def _upsert_ending(self) -> str | None:
        """Only where the keys are the one unique index: with a second one another row could be overwritten."""
        job = self.job
        if job.operation != "upsert" or job.table is None or job.table.unique_keys != {frozenset(job.keys)}:
            return None
        ending = self.link.speech.upsert_ending(self.link.wording, self.shape, job.keys)
        return self.link.literal(ending) if ending else None

    # --- many and one ------------------------------------------------------------------------------------------------
    def write(self, rows: Sequence[Row]) -> None:
        if self._is_wide:
            self._halving(rows)
        else:
            for row in rows:
                self._single(row)

    def _halving(self, rows: Sequence[Row]) -> None:
        """One statement takes all rows or none; the half that fails is cut again. The order stays."""
        try:
            self._insert(rows)
        except ROW_ERRORS as error:
            self._check_alive(error)
            if len(rows) == 1:
                self._fail(rows[0], error)
                return
            self._parts_of(rows, suspect_among(error, [row.values for row in rows]))

    def _parts_of(self, rows: Sequence[Row], suspect: int | None) -> None:
        """Around the row that the database seems to mean, else in halves; a wrong guess costs time and nothing else."""
        middle = len(rows) // 2
        cuts = [0, middle, len(rows)] if suspect is None else [0, suspect, suspect + 1, len(rows)]
        for start, end in pairwise(cuts):
            if start < end:
                self._halving(rows[start:end])

    def _single(self, row: Row) -> None:
        """Under a savepoint of its own unless the database undoes a failed statement by itself."""
        is_guarded = not self.link.speech.has_rows_of_values
        if is_guarded:
            self.session.savepoint(SAVEPOINT)
        try:
            hits = self._written(row)
        except ROW_ERRORS as error:
            self._check_alive(error)
            if is_guarded:
                self.session.rollback_to(SAVEPOINT)
            self._fail(row, error)
            return
        if is_guarded:
            self.session.release(SAVEPOINT)
        if self.needs_hit and hits == 0:
            self.outcome.failures[row.at] = missing_row(self.job, row.values)

    def _written(self, row: Row) -> int:
        operation = self.job.operation
        if operation == "insert":
            return self._insert([row])
        if operation == "upsert":
            return self._upsert(row)
        if operation == "update":
            return self._update(row)
        if operation == "delete":
            where, values = self._by_keys(row.values, 0)
            return self._run(f"DELETE FROM {self._table()} WHERE {where}", values)  # noqa: S608
        assert self.job.statement is not None
        text, bound = self.link.bind(self.job.statement, row.values)
        return self._sent(text, bound)

    def _upsert(self, row: Row) -> int:
        """Change the row or make it; one that somebody else made in between is changed after all."""
        if self._update(row):
            return 1
        try:
            return self._insert([row])
        except IntegrityError:
            if self._update(row):
                return 1
            raise

    # --- statements --------------------------------------------------------------------------------------------------
    def _insert(self, rows: Sequence[Row]) -> int:
        text = self._texts.get(len(rows)) or self._insert_text(len(rows))
        return self._run(text, [value for row in rows for value in self._values(row.values, self.shape)])

    def _insert_text(self, count: int) -> str:
        width = len(self.shape)
        lines = ", ".join(
            "(" + ", ".join(self.link.mark(at * width + n) for n in range(width)) + ")" for at in range(count)
        )
        names = self.link.literal(self.link.wording.names(self.shape))
        made = f"INSERT INTO {self._table()} ({names}) VALUES {lines}{self._ending or ''}"  # noqa: S608
        self._texts[count] = made
        return made

    def _update(self, row: Row) -> int:
        others = [name for name in self.shape if name not in self.job.keys] or [self.job.keys[0]]
        sets = ", ".join(f"{self._name(name)} = {self.link.mark(n)}" for n, name in enumerate(others))
        where, values = self._by_keys(row.values, len(others))
        text = f"UPDATE {self._table()} SET {sets} WHERE {where}"  # noqa: S608
        return self._run(text, [*self._values(row.values, others), *values])

    def _by_keys(self, values: Record, first: int) -> tuple[str, Sequence[Any]]:
        keys = self.job.keys
        where = " AND ".join(f"{self._name(key)} = {self.link.mark(first + n)}" for n, key in enumerate(keys))
        return where, self._values(values, keys)

    def _values(self, values: Record, names: Sequence[str]) -> Sequence[Any]:
        if names is self.shape and not self._times and PLAIN.issuperset(map(type, values.values())):
            return list(values.values())
        return [for_time(values[name]) if name in self._times else as_parameter(values[name]) for name in names]

    def _name(self, name: str) -> str:
        return self.link.literal(self.link.wording.name(name))

    def _table(self) -> str:
        assert self.job.table is not None
        return self.link.literal(self.link.wording.table(self.job.table.name))

    def _run(self, text: str, values: Sequence[Any]) -> int:
        return self._sent(text, self.link.parameters(values))

    def _sent(self, text: str, bound: Any) -> int:
        result = self.link.send(text, bound)
        if result.returns_rows:
            result.fetchall()
        hits = result.rowcount
        result.close()
        return hits

    # --- what fails --------------------------------------------------------------------------------------------------
    def _check_alive(self, error: Exception) -> None:
        """Raises what concerns all rows: an outage, a transaction that is gone, a statement that can't be right."""
        if not isinstance(error, DBAPIError):
            return
        speech = self.link.speech
        number = number_of(code_of(speech, error))
        if is_outage(speech, error) or number in speech.general:
            raise self.link.refused(error) from error
        if number in speech.waiting and not self._is_hurried:
            self._is_hurried = True
            for text in speech.short_lock():
                self.link.run(text)

    def _fail(self, row: Row, error: Exception) -> None:
        self.outcome.failures[row.at] = row_failure(self.link.speech, error, row.values)
