"""Writes pages to PostgreSQL inside the open transaction and pins every failing row.

The way of choice is a temporary function (one call a page). Where the role may not create one, or a statement ran into
its time-out, the same statements go as a pipeline of chunks under savepoints.
"""

import hashlib
from collections.abc import Sequence

from apps.connectors.sql.face import Column, Job, Outcome, Row
from apps.connectors.sql.postgresql.catalog import parameter_types
from apps.connectors.sql.postgresql.errors import is_outage, missing_row, one_line, row_failure
from apps.connectors.sql.postgresql.function import function_text
from apps.connectors.sql.postgresql.link import Link
from apps.connectors.sql.postgresql.pages import Call, calls, same_shapes
from apps.connectors.sql.postgresql.pipeline import Pipeline
from apps.connectors.sql.postgresql.session import PostgresqlSession
from apps.connectors.sql.postgresql.values import Texts
from apps.engine.ports import Batch, Classification, ConnectorError, ErrorSource, Failure, Outage

MAX_FUNCTIONS = 64
TOO_SLOW = "57014"
GONE = frozenset({"42883", "3F000"})  # behind a pooler the server connection may have changed
LACKS = frozenset({"42501", "42704", "0LP01", "0A000"})  # no privilege, no such language


class PostgresqlWriter:
    """Writes for one connection; keeps the functions that it created there."""

    def __init__(self, link: Link, session: PostgresqlSession) -> None:
        self.link = link
        self.session = session
        self._names: dict[object, str] = {}
        self._types: dict[str, list[Column]] = {}

    def write(self, job: Job, rows: Sequence[Row], batch: Batch) -> Outcome:
        outcome = Outcome()
        for group in same_shapes(job, rows):
            columns = self._columns(job, group[0])
            for call in calls(job, group, outcome.failures):
                if batch.stop():
                    outcome.not_started += [row.at for row in call.rows]
                else:
                    self._write_call(job, columns, call, outcome, batch)
        return outcome

    def _columns(self, job: Job, row: Row) -> list[Column]:
        if job.statement is None:
            assert job.table is not None
            return [job.table.columns[name] for name in row.values]
        sql, order = job.statement.numbered()
        if sql not in self._types:
            types = parameter_types(self.link, sql, ErrorSource.APPLICATION)
            self._types[sql] = [Column(name, kind) for name, kind in zip(order, types, strict=True)]
        return self._types[sql]

    def _write_call(self, job: Job, columns: list[Column], call: Call, outcome: Outcome, batch: Batch) -> None:
        name = self._function(job, columns)
        if name is None:
            Pipeline(self.link, job, columns).write(call, outcome, batch.stop)
            return
        try:
            answers = self._call(name, call)
        except Outage:
            raise
        except ConnectorError as error:
            if error.code not in GONE and error.code != TOO_SLOW:
                raise
            self.session.rollback_to("fm_write")
            self.session.created.forget_all()
            Pipeline(self.link, job, columns).write(call, outcome, batch.stop)
            return
        by_name = {column.name: column for column in columns}
        for at, code, message, detail, column in answers:
            row = call.rows[at]
            self._raise_outage(code, message, detail)
            outcome.failures[row.at] = self._failure(job, row, by_name, code, message, detail, column)

    def _call(self, name: str, call: Call) -> list[tuple[int, str, str, str, str]]:
        starts = "{" + ",".join(map(str, call.starts)) + "}"
        sql = f'SELECT * FROM pg_temp."{name}"($1, $2::integer[])'  # noqa: S608
        self.link.execute("SAVEPOINT fm_write")
        answers = self.link.execute(sql, [Texts(call.chunks), starts]).fetchall()
        self.link.execute("RELEASE SAVEPOINT fm_write")
        return answers

    def _failure(
        self, job: Job, row: Row, columns: dict[str, Column], code: str, message: str, detail: str, column: str
    ) -> Failure:
        if code == "02000" and not message:
            assert job.table is not None
            return missing_row(job.words_for(row.values), job.table.name)
        return row_failure(code, message, detail, column, row.values, columns)

    def _raise_outage(self, code: str, message: str, detail: str) -> None:
        if is_outage(code):
            words = f"PostgreSQL at {self.link.place} can't take anything now: {one_line(message, detail)}"
            raise Outage(code, words, classification=Classification.INTERMITTENT)

    # --- functions ---------------------------------------------------------------------------------------------------
    def _function(self, job: Job, columns: list[Column]) -> str | None:
        """The name of the function for this job and these columns, created if need be; None: go without."""
        if not self.link.may_create_functions:
            return None
        name = self._name(job, columns)
        created = self.session.created
        if not created.has(name):
            if created.count() >= MAX_FUNCTIONS or not self._create(function_text(name, job, columns)):
                return None
            created.add(name)
        return name

    def _name(self, job: Job, columns: list[Column]) -> str:
        key = (job.operation, job.table and job.table.name, job.keys, job.ignore_missing, job.statement, tuple(columns))
        if key not in self._names:
            text = function_text("", job, columns)
            self._names[key] = "fm_" + hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
        return self._names[key]

    def _create(self, text: str) -> bool:
        self.session.savepoint("fm_function")
        try:
            self.link.execute(text)
        except Outage:
            raise
        except ConnectorError as error:
            self.session.rollback_to("fm_function")
            if error.code not in LACKS:
                raise
            self.link.may_create_functions = False
        self.link.execute("RELEASE SAVEPOINT fm_function")
        return self.link.may_create_functions
