"""Reads: exports on a connection of their own, lookups inside the open transaction where there is one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import DBAPIError, NoSuchTableError

from apps.connectors.sql.dialects.errors import ROW_ERRORS, is_outage, number_of, row_failure
from apps.connectors.sql.dialects.link import Link
from apps.connectors.sql.dialects.values import as_parameter, rows_as_json
from apps.connectors.sql.face import Column, Finder, Rows, Table, too_many_rows
from apps.connectors.sql.statements import Statement, StatementError, fragment
from apps.engine.ports import Classification, ConnectorError, ErrorSource, Failure, Record

AT_ONCE = 50
"""So many sets of keys are looked up by one query."""
BYTE_KINDS = (bytes, bytearray, memoryview)


class DialectReader:
    """The connection of an export; every call is one read-only transaction, where the database has such."""

    def __init__(self, link: Link) -> None:
        self.link = link

    def rows(self, sql: Statement, values: Record) -> Rows:
        text, bound = self._bound(sql, values)
        with reading(self.link):
            return fetched(self.link.run(text, bound))

    def stream(self, sql: Statement, values: Record, size: int) -> Iterator[Rows]:
        text, bound = self._bound(sql, values)
        with reading(self.link):
            for setting in self.link.speech.unlimited():
                self.link.run(setting)
            with self.link.speaking() as connection:
                streaming = connection.execution_options(stream_results=True, max_row_buffer=size)
                is_read = False
                try:
                    result = streaming.exec_driver_sql(text, bound)
                    names = names_of(result)
                    while rows := result.fetchmany(size):
                        yield made_rows(names, rows)
                    is_read = True
                finally:
                    if not is_read:
                        self.link.abandon()  # else the driver would read all that is still to come

    def _bound(self, sql: Statement, values: Record) -> Any:
        return self.link.bind(checked(self.link, sql), values)

    def watermark_type(self, sql: Statement, values: Record, column: str) -> str:
        return ""

    def close(self) -> None:
        self.link.close()


def checked(link: Link, statement: Statement) -> Statement:
    try:
        return link.speech.checked(statement)
    except StatementError as error:
        raise ConnectorError("value", str(error), classification=Classification.VALUE) from None


@contextmanager
def reading(link: Link) -> Iterator[None]:
    """A read-only transaction, or the open one as it is."""
    if link.has_transaction():
        yield
        return
    link.begin(is_reading=True)
    try:
        yield
    finally:
        link.rollback()


def names_of(result: CursorResult[Any]) -> list[str]:
    """The column names. Raises ConnectorError for names that stand twice."""
    names = [str(column[0]) for column in result.cursor.description or ()] if result.cursor else []
    if len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        message = f'The query returns two columns named "{double}"; give one of them another name with AS.'
        raise ConnectorError("value", message, classification=Classification.VALUE)
    return names


def fetched(result: CursorResult[Any]) -> Rows:
    names = names_of(result)
    return made_rows(names, result.fetchall())


def made_rows(names: list[str], rows: Sequence[Sequence[Any]]) -> Rows:
    blobs = {name for row in rows for name, value in zip(names, row, strict=True) if isinstance(value, BYTE_KINDS)}
    return Rows(names, rows_as_json(rows), frozenset(blobs))


def read_table(link: Link, name: str) -> Table:
    """Describe a table. Raises ConnectorError when the user sees none of that name."""
    schema, _, bare = name.rpartition(".")
    with link.speaking() as connection:
        inspector = sqlalchemy.inspect(connection)
        try:
            columns = inspector.get_columns(bare, schema or None)
        except NoSuchTableError:
            config = link.config
            message = f"There is no table {name} in the database {config.name}, or {config.user} may not see it."
            raise ConnectorError("42P01", message, classification=Classification.MISSING) from None
        primary = inspector.get_pk_constraint(bare, schema or None).get("constrained_columns") or []
        indexes = inspector.get_indexes(bare, schema or None)
    unique = {frozenset(filter(None, index["column_names"])) for index in indexes if index.get("unique")}
    unique |= {frozenset(primary)} if primary else set()
    described = {str(column["name"]): _column(column) for column in columns}
    return Table(name, described, frozenset(unique))


def _column(column: Any) -> Column:
    kind = str(column["type"])
    return Column(str(column["name"]), kind, holds_json=kind.upper().startswith(("JSON", "LONGTEXT", "CLOB", "NCLOB")))


class DialectFinder:
    """Looks up rows: in a table with one query for many records, with an author's query once for each parameter set."""

    def __init__(self, link: Link, find: Finder) -> None:
        self.link = link
        self.find = find
        if find.statement is None:
            self.table = read_table(link, find.table)
            for name in (*find.match, *find.columns):
                if name not in self.table.columns:
                    raise self.table.unknown_column(name, ErrorSource.LOOKUP)

    def rows(self, sets: Sequence[Record]) -> list[list[Record] | Failure]:
        found: list[list[Record] | Failure] = []
        size = 1 if self.find.statement is not None or self.find.is_locking else AT_ONCE
        with reading(self.link):
            for start in range(0, len(sets), size):
                found += self._found(sets[start : start + size])
        if sum(len(rows) for rows in found if isinstance(rows, list)) > self.find.max_rows:
            raise too_many_rows(self.find.max_rows)
        return found

    def _found(self, sets: Sequence[Record]) -> list[list[Record] | Failure]:
        """What cannot be asked together is asked one by one, so that one set fails alone."""
        try:
            return [*self._asked(sets)]
        except ROW_ERRORS as error:
            if isinstance(error, DBAPIError):
                self._check_alive(error)
            if len(sets) == 1:
                return [row_failure(self.link.speech, error, sets[0], ErrorSource.LOOKUP)]
            return [found for one in sets for found in self._found([one])]

    def _check_alive(self, error: DBAPIError) -> None:
        speech = self.link.speech
        number = number_of(speech.code_of(error.orig) if error.orig else "")
        if is_outage(speech, error) or number in speech.general:
            raise self.link.refused(error, ErrorSource.LOOKUP) from error

    def _asked(self, sets: Sequence[Record]) -> list[list[Record]]:
        if self.find.statement is not None:
            text, bound = self.link.bind(self._query(self.find.statement), sets[0])
            return [fetched(self.link.send(text, bound)).records()]
        text = " UNION ALL ".join(self._select(at, len(sets)) for at in range(len(sets)))
        values = [as_parameter(value) for one in sets for value in one.values()]
        result = self.link.send(text, self.link.parameters(values))
        rows = fetched(result)
        found: list[list[Record]] = [[] for _ in sets]
        names = rows.names[1:]
        for place, *row in rows.values:
            found[int(place)].append(dict(zip(names, row, strict=True)))
        return found

    def _query(self, statement: Statement) -> Statement:
        """Nothing but a reading text can stand in the place of a table; a plain SELECT keeps its order."""
        checked(self.link, statement)
        if statement.pieces[0].lstrip("( \n\t").lower().startswith("with"):
            return statement.within("SELECT * FROM (", fragment("\n) fm_q"))
        return statement

    def _select(self, at: int, count: int) -> str:
        """The rows of one set of keys, with its number; constants in a comparison let the database use its index."""
        link, find, wording = self.link, self.find, self.link.wording
        picks = ", ".join(f"fm_t.{wording.name(name)}" for name in find.columns) or "fm_t.*"
        first = at * len(find.match)
        where = " AND ".join(
            f"fm_t.{link.literal(wording.name(name))} = {link.mark(first + n)}" for n, name in enumerate(find.match)
        )
        lock = link.speech.lock_ending if find.is_locking else ""
        table = link.literal(wording.table(find.table))
        text = f"SELECT {at} fm_at_, {link.literal(picks)} FROM {table} fm_t WHERE {where}{lock}"  # noqa: S608
        return text if count == 1 else f"({text})"
