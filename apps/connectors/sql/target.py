"""The import: checks what a record's fields are, hands the rows to the database, tells what became of each record."""

import datetime as dt
import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from apps.connectors.sql.config import ImportOptions
from apps.connectors.sql.face import Database, Job, Row, Table
from apps.connectors.sql.inputs import InputError, Inputs
from apps.connectors.sql.statements import parse_statement
from apps.engine.classification import classify
from apps.engine.ports import Batch, Classification, ConnectorError, ErrorSource, Failure, Record, Repeats, Written

PLAIN = frozenset({str, int, bool, type(None)})
NESTED = (dict, list)
TEXTS = (dt.date, dt.time, Decimal, uuid.UUID)
BY_LEDGER = frozenset({"insert", "statement", "delete"})
WITHOUT_LEDGER = frozenset({"insert", "statement"})


def repeats(options: ImportOptions) -> Repeats:
    """What a second delivery of the same page does."""
    ledger = options.operation in BY_LEDGER if options.ledger is None else options.ledger
    if ledger:
        return Repeats.LEDGER
    return Repeats.UNSAFE if options.operation in WITHOUT_LEDGER else Repeats.SAFE


class SqlTarget:
    """Writes batches inside the open transaction of the connection's session."""

    transactional = True

    def __init__(self, database: Database, options: ImportOptions) -> None:
        self.database = database
        self.options = options
        self.repeats = repeats(options)
        self._inputs = Inputs(options.parameters)
        self._job: Job | None = None
        self._shapes: dict[tuple[str, ...], Shape | Failure] = {}

    def write(self, batch: Batch) -> Written:
        assert self.database.has_transaction(), "an SQL target writes only inside the transaction of its session"
        written = Written()
        job = self._opened()
        rows = self._statement_rows(job, batch, written) if job.statement else self._table_rows(job, batch, written)
        outcome = self.database.write(job, rows, batch)
        written.failures.update(outcome.failures)
        written.not_sent = dict.fromkeys(outcome.not_started, 0.0)
        return written

    # --- what is done ------------------------------------------------------------------------------------------------
    def _opened(self) -> Job:
        if self._job is None:
            self._job = self._statement_job() if self.options.operation == "statement" else self._table_job()
        return self._job

    def _statement_job(self) -> Job:
        return Job("statement", statement=parse_statement(self.options.statement or ""))

    def _table_job(self) -> Job:
        options = self.options
        assert options.table is not None
        table = self.database.table(options.table)
        for name in (*options.keys, *options.columns):
            if name not in table.columns:
                raise table.unknown_column(name, ErrorSource.APPLICATION)
        if options.operation == "upsert":
            check_unique(table, options.keys)
        return Job(options.operation, table, options.keys, ignore_missing=options.ignore_missing)

    # --- rows of a table ---------------------------------------------------------------------------------------------
    def _table_rows(self, job: Job, batch: Batch, written: Written) -> list[Row]:
        """The bodies as rows; what can't be one is a failure."""
        rows = []
        shapes = self._shapes
        for index, body in enumerate(batch.bodies):
            names = tuple(body)
            shape = shapes.get(names) or self._shape(job, names)
            if isinstance(shape, Failure):
                written.failures[index] = shape
                continue
            made = shape.values(body)
            if isinstance(made, Failure):
                written.failures[index] = made
            else:
                rows.append(Row(index, made))
        return rows

    def _shape(self, job: Job, names: tuple[str, ...]) -> "Shape | Failure":
        assert job.table is not None
        if len(self._shapes) > 10_000:
            self._shapes.clear()
        made = self._shapes[names] = shape_of(job, self.options.columns, names)
        return made

    # --- rows of a statement -----------------------------------------------------------------------------------------
    def _statement_rows(self, job: Job, batch: Batch, written: Written) -> list[Row]:
        assert job.statement is not None
        names = list(dict.fromkeys(job.statement.names))
        rows = []
        for index, body in enumerate(batch.bodies):
            made = self._parameters(names, body, batch)
            if isinstance(made, Failure):
                written.failures[index] = made
            else:
                rows.append(Row(index, made))
        return rows

    def _parameters(self, names: Sequence[str], body: Record, batch: Batch) -> Record | Failure:
        values: Record = {}
        for name in names:
            if name in self._inputs:
                try:
                    values[name] = self._inputs.value(name, body, batch.scope)
                except InputError as error:
                    return error.failure(ErrorSource.MAPPING)
            elif name in body:
                values[name] = body[name]
            else:
                return missing_field(f"The statement needs :{name}, but the record has no such field.", name)
        return checked(values, None)


@dataclass(frozen=True, slots=True)
class Shape:
    """What is known of all bodies with the same field names: which are written, and which must not be empty."""

    table: Table
    picks: tuple[str, ...] | None
    keys: tuple[str, ...]
    operation: str

    def values(self, body: Record) -> Record | Failure:
        if self.picks is not None:
            body = {name: body[name] for name in self.picks}
        for key in self.keys:
            if body[key] is None:
                return empty_key(self.operation, key)
        if PLAIN.issuperset(map(type, body.values())):
            return body
        return checked(body, self.table)


def shape_of(job: Job, columns: tuple[str, ...], names: tuple[str, ...]) -> Shape | Failure:
    assert job.table is not None
    wanted = job.keys if job.operation == "delete" else columns
    picks = tuple(name for name in names if name in wanted) if wanted else names
    for name in picks:
        if name not in job.table.columns:
            return replace(job.table.unknown_column(name, ErrorSource.APPLICATION).failure(), field=name)
    for key in job.keys:
        if key not in picks:
            return missing_field(f'The record has no field "{key}", which the {job.operation} needs as its key.', key)
    if not picks:
        return missing_field(f"The record has none of the columns of table {job.table.name}.", "")
    return Shape(job.table, None if picks == names else picks, job.keys, job.operation)


def check_unique(table: Table, keys: tuple[str, ...]) -> None:
    """An upsert needs a unique index over exactly its keys; where the catalog can't tell, the database will."""
    if not table.unique_keys or frozenset(keys) in table.unique_keys:
        return
    has = "; ".join(sorted(", ".join(sorted(key)) for key in table.unique_keys))
    message = (
        f"An upsert into {table.name} by {', '.join(keys)} needs a unique index over exactly these columns. "
        f"The table has unique indexes over: {has}."
    )
    raise ConnectorError("42P10", message, classification=Classification.VALUE)


def checked(values: Record, table: Table | None) -> Record | Failure:
    """The values with everything that is no JSON scalar either made text, left for a JSON column, or refused."""
    made = {}
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            return refused(name, "not_finite", "holds a number that is infinite or undefined, which is no JSON")
        if isinstance(value, NESTED) and table is not None and not table.columns[name].holds_json:
            what = "an object" if isinstance(value, dict) else "a list"
            kind = table.columns[name].type
            return refused(
                name, "nested", f"holds {what}, but the column is of the type {kind}; map it to single fields"
            )
        made[name] = as_text(value) if isinstance(value, TEXTS) else value
    return made


def as_text(value: Any) -> str:
    return value.isoformat() if isinstance(value, dt.date | dt.time) else str(value)


def refused(name: str, code: str, why: str) -> Failure:
    message = f'The field "{name}" {why}.'
    found = classify(ErrorSource.APPLICATION, code, message)
    return Failure(ErrorSource.APPLICATION, code, message, found, field=name)


def missing_field(message: str, name: str) -> Failure:
    return Failure(ErrorSource.APPLICATION, "missing", message, Classification.MISSING, field=name or None)


def empty_key(operation: str, key: str) -> Failure:
    return missing_field(f'The field "{key}" is empty, but the {operation} needs it as its key.', key)
