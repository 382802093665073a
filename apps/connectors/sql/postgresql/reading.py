"""Reads from PostgreSQL: exports on a connection of their own, lookups inside the open transaction if there is one."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from psycopg import postgres

from apps.connectors.sql.face import Column, Finder, Row, Rows, too_many_rows
from apps.connectors.sql.postgresql.catalog import parameter_types, read_table
from apps.connectors.sql.postgresql.errors import row_failure
from apps.connectors.sql.postgresql.function import NUMBER, picked, source
from apps.connectors.sql.postgresql.link import Cursor, Link
from apps.connectors.sql.postgresql.pages import encode_row
from apps.connectors.sql.postgresql.pipeline import as_text
from apps.connectors.sql.statements import Statement, quote_name, quote_table
from apps.engine.ports import Classification, ConnectorError, ErrorSource, Failure, Outage, Record

BYTEA = postgres.types["bytea"].oid
TIMES = {"timestamptz": "time", "timestamp": "time", "date": "date"}
TYPE_SIZE = re.compile(r"\(\d+(?:,-?\d+)?\)")
BACK = "ROLLBACK TO SAVEPOINT fm_find; RELEASE SAVEPOINT fm_find"
ANY_LENGTH = {"character": "bpchar", "bit": "varbit"}


class PostgresqlReader:
    """The connection of an export; every call is one read-only transaction."""

    def __init__(self, link: Link) -> None:
        self.link = link

    def rows(self, sql: Statement, values: Record) -> Rows:
        text, bound = bind(sql, values)
        with reading(self.link, ErrorSource.APPLICATION):
            return fetched(self.link.execute(text, bound), None)

    def stream(self, sql: Statement, values: Record, size: int) -> Iterator[Rows]:
        text, bound = bind(sql, values)
        with reading(self.link, ErrorSource.APPLICATION):
            self.link.execute(f"DECLARE fm_export NO SCROLL CURSOR FOR {text}", bound)
            while True:
                rows = fetched(self.link.execute(f"FETCH FORWARD {size} FROM fm_export"), None)
                if rows.values:
                    yield rows
                if len(rows.values) < size:
                    return

    def watermark_type(self, sql: Statement, values: Record, column: str) -> str:
        text, bound = bind(sql, values)
        with reading(self.link, ErrorSource.APPLICATION):
            found = self.link.execute(f"SELECT {quote_name(column)} FROM ({text}\n) AS fm_q LIMIT 0", bound)  # noqa: S608
        info = postgres.types.get(found.description[0].type_code) if found.description else None
        return TIMES.get(info.name, "other") if info else "other"

    def close(self) -> None:
        self.link.close()


def bind(sql: Statement, values: Record) -> tuple[str, list[Any]]:
    text, order = sql.numbered()
    return text, [as_text(values[name]) for name in order]


def fetched(cursor: Cursor, skip: int | None) -> Rows:
    """The rows of a cursor, without the first `skip` columns. Raises ConnectorError for names that stand twice."""
    names = [column.name for column in cursor.description or ()][skip:]
    blobs = frozenset(c.name for c in cursor.description or () if c.type_code == BYTEA)
    if len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        message = f'The query returns two columns named "{double}"; give one of them another name with AS.'
        raise ConnectorError("42702", message, classification=Classification.VALUE)
    try:
        return Rows(names, cursor.fetchall(), blobs)
    except (UnicodeDecodeError, ValueError) as error:
        message = f"A row holds a value that cannot be read: {error}."
        raise ConnectorError("22021", message, classification=Classification.PARSE) from error


@contextmanager
def reading(link: Link, source: str, *, is_locking: bool = False) -> Iterator[None]:
    """A read-only transaction, or a read-only stretch of the open one; what it locks stays locked if asked for."""
    nested = link.has_transaction()
    if nested:
        link.execute("SAVEPOINT fm_find" if is_locking else "SAVEPOINT fm_find; SET LOCAL transaction_read_only = on")
    else:
        link.execute("BEGIN" if is_locking else "BEGIN READ ONLY", source=source)
    is_done = False
    try:
        yield
        is_done = True
    finally:
        keeps = is_done and (is_locking or not nested)
        end = ("RELEASE SAVEPOINT fm_find" if nested else "COMMIT") if keeps else (BACK if nested else "ROLLBACK")
        if is_done:
            link.execute(end)
        elif link.has_transaction():
            with suppress(Outage):
                link.execute(end)


class PostgresqlFinder:
    """Looks up rows for a page of parameter sets with one query; a set that cannot be converted is found by halving."""

    def __init__(self, link: Link, find: Finder) -> None:
        self.link = link
        self.find = find
        self.columns = self._table_columns() if find.statement is None else self._query_columns(find.statement)
        self.sql = self._table_sql() if find.statement is None else self._query_sql(find.statement)

    def _table_columns(self) -> list[Column]:
        table = read_table(self.link, self.find.table)
        for name in (*self.find.match, *self.find.columns):
            if name not in table.columns:
                raise table.unknown_column(name, ErrorSource.LOOKUP)
        return [Column(name, any_size(table.columns[name].type)) for name in self.find.match]

    def _query_columns(self, statement: Statement) -> list[Column]:
        sql, order = statement.numbered()
        types = parameter_types(self.link, sql, ErrorSource.LOOKUP)
        return [Column(name, kind) for name, kind in zip(order, types, strict=True)]

    def _table_sql(self) -> str:
        picks = ", ".join(f"fm_t.{quote_name(name)}" for name in self.find.columns) or "fm_t.*"
        where = " AND ".join(f"fm_t.{quote_name(column.name)} = {picked(column)}" for column in self.columns)
        lock = " FOR UPDATE OF fm_t" if self.find.is_locking else ""
        return (
            f"SELECT fm_x.{NUMBER}, 0, {picks} FROM {source('$1::json', self.columns, numbered=True)} "  # noqa: S608
            f"JOIN {quote_table(self.find.table)} AS fm_t ON {where} "
            f"ORDER BY 1 LIMIT {self.find.max_rows + 1}{lock}"
        )

    def _query_sql(self, statement: Statement) -> str:
        if not self.columns:
            rows = f"json_array_elements($1::json) WITH ORDINALITY AS fm_x(fm_none, {NUMBER})"
        else:
            rows = source("$1::json", self.columns, numbered=True)
        inner = statement.render(lambda name: f"fm_x.{quote_name(name)}")
        return (
            f"SELECT fm_x.{NUMBER}, fm_q.* FROM {rows} CROSS JOIN LATERAL "  # noqa: S608
            f"(SELECT row_number() OVER () AS fm_order_, fm_s.* FROM ({inner}\n) AS fm_s) AS fm_q "
            f"ORDER BY 1, 2 LIMIT {self.find.max_rows + 1}"
        )

    def rows(self, sets: Sequence[Record]) -> list[list[Record] | Failure]:
        found: list[list[Record] | Failure] = [[] for _ in sets]
        good: list[int] = []
        encoded: list[bytes] = []
        for at, values in enumerate(sets):
            made = encode_row(Row(at, values))
            if isinstance(made, Failure):
                found[at] = made
            else:
                good.append(at)
                encoded.append(made)
        if good:
            self._fill(good, encoded, sets, found)
        return found

    def _fill(
        self, places: list[int], encoded: list[bytes], sets: Sequence[Record], found: list[list[Record] | Failure]
    ) -> None:
        try:
            rows = self._ask(encoded)
        except Outage:
            raise
        except ConnectorError as error:
            if error.code[:2] != "22":
                raise
            if len(places) == 1:
                found[places[0]] = self._failure(error, sets[places[0]])
                return
            half = len(places) // 2
            self._fill(places[:half], encoded[:half], sets, found)
            self._fill(places[half:], encoded[half:], sets, found)
            return
        for number, record in rows:
            place = found[places[number - 1]]
            assert isinstance(place, list)
            place.append(record)

    def _ask(self, encoded: list[bytes]) -> list[tuple[int, Record]]:
        page = b"[" + b",".join(encoded) + b"]"
        with reading(self.link, ErrorSource.LOOKUP, is_locking=self.find.is_locking):
            cursor = self.link.execute(self.sql, [page.decode()], source=ErrorSource.LOOKUP)
            rows = fetched(cursor, 2)
        if len(rows.values) > self.find.max_rows:
            raise too_many_rows(self.find.max_rows)
        return [(row[0], dict(zip(rows.names, row[2:], strict=True))) for row in rows.values]

    def _failure(self, error: ConnectorError, values: Record) -> Failure:
        columns = {column.name: column for column in self.columns}
        return row_failure(error.code, error.message, None, None, values, columns, source=ErrorSource.LOOKUP)


def any_size(type_name: str) -> str:
    """A type without its size: a text that is too long for a column equals none of its values."""
    bare = TYPE_SIZE.sub("", type_name)
    return ANY_LENGTH.get(bare, bare)
