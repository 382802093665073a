"""Reads from SQLite: exports on a connection of their own, lookups inside the open transaction where there is one."""

import base64
import math
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from apps.connectors.sql.face import BadText, Column, Finder, Rows, Table, too_many_rows
from apps.connectors.sql.sqlite.errors import row_failure, translated
from apps.connectors.sql.sqlite.link import Link
from apps.connectors.sql.sqlite.writer import ROW_ERRORS
from apps.connectors.sql.statements import Statement, quote_name, quote_table
from apps.engine.ports import Classification, ConnectorError, ErrorSource, Failure, Record

UNPLAIN = frozenset({bytes, float, BadText})


class SqliteReader:
    """The connection of an export. It cannot write."""

    def __init__(self, link: Link) -> None:
        self.link = link

    def rows(self, sql: Statement, values: Record) -> Rows:
        return fetched(self._asked(sql, values))

    def stream(self, sql: Statement, values: Record, size: int) -> Iterator[Rows]:
        cursor = self._asked(sql, values)
        names = names_of(cursor)
        while True:
            with self.link.speaking():
                rows = cursor.fetchmany(size)
            if rows:
                yield made_rows(names, rows)
            if len(rows) < size:
                return

    def _asked(self, sql: Statement, values: Record) -> sqlite3.Cursor:
        text, bound = bind(sql, values)
        try:
            return self.link.execute(text, bound)
        except (OverflowError, UnicodeEncodeError) as error:
            raise ConnectorError("value", f"A parameter of the query can't be used: {error}.") from error

    def watermark_type(self, sql: Statement, values: Record, column: str) -> str:
        return ""

    def close(self) -> None:
        self.link.close()


def bind(sql: Statement, values: Record) -> tuple[str, list[Any]]:
    order = list(dict.fromkeys(sql.names))
    text = sql.render(lambda name: f"?{order.index(name) + 1}")
    return text, [as_parameter(values[name]) for name in order]


def as_parameter(value: Any) -> Any:
    return orjson.dumps(value).decode() if isinstance(value, (dict, list)) else value


def names_of(cursor: sqlite3.Cursor) -> list[str]:
    """The column names. Raises ConnectorError for names that stand twice."""
    names = [column[0] for column in cursor.description or ()]
    if len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        message = f'The query returns two columns named "{double}"; give one of them another name with AS.'
        raise ConnectorError("SQLITE_ERROR", message, classification=Classification.VALUE)
    return names


def fetched(cursor: sqlite3.Cursor) -> Rows:
    return made_rows(names_of(cursor), cursor.fetchall())


def made_rows(names: list[str], rows: list[tuple[Any, ...]]) -> Rows:
    odd = [row for row in rows if not UNPLAIN.isdisjoint(map(type, row))]
    if not odd:
        return Rows(names, rows)
    blobs = frozenset(name for row in odd for name, value in zip(names, row, strict=True) if type(value) is bytes)
    return Rows(names, [as_json(row) for row in rows], blobs)


def as_json(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Blobs become base64, infinities text; a text that is not UTF-8 stays as it is, for the caller to set aside."""
    if UNPLAIN.isdisjoint(map(type, row)):
        return row
    return tuple([single(value) for value in row])


def single(value: Any) -> Any:
    if isinstance(value, BadText):
        return value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def read_table(link: Link, name: str) -> Table:
    """Describe a table. Raises ConnectorError when there is none."""
    schema, _, bare = name.rpartition(".")
    sql = "SELECT name, type FROM pragma_table_xinfo(?, ?) WHERE hidden <> 1"
    rows = link.execute(sql, [bare, schema or "main"]).fetchall()
    if not rows:
        message = f"There is no table {name} in the SQLite database {link.config.file}."
        raise ConnectorError("SQLITE_ERROR", message, classification=Classification.MISSING)
    columns = {row[0]: Column(row[0], row[1], holds_json=True) for row in rows}
    return Table(name, columns, unique_keys(link, bare, schema or "main"))


def unique_keys(link: Link, table: str, schema: str) -> frozenset[frozenset[str]]:
    """The column sets over which a table has a whole unique index, its primary key among them."""
    own = link.execute("SELECT name FROM pragma_table_xinfo(?, ?) WHERE pk > 0", [table, schema])
    keys = {frozenset(row[0] for row in own.fetchall())}
    indexes = 'SELECT name FROM pragma_index_list(?, ?) WHERE "unique" AND NOT partial'
    for (index,) in link.execute(indexes, [table, schema]).fetchall():
        parts = link.execute("SELECT name FROM pragma_index_info(?, ?)", [index, schema])
        keys.add(frozenset(row[0] for row in parts.fetchall()))
    return frozenset(key for key in keys if key and None not in key)


class SqliteFinder:
    """Looks up rows: in a table with one query a page, with an author's query once for each parameter set."""

    def __init__(self, link: Link, find: Finder) -> None:
        self.link = link
        self.find = find
        if find.statement is None:
            table = read_table(link, find.table)
            for name in (*find.match, *find.columns):
                if name not in table.columns:
                    raise table.unknown_column(name, ErrorSource.LOOKUP)

    def rows(self, sets: Sequence[Record]) -> list[list[Record] | Failure]:
        with self.link.read_only():
            if self.find.statement is None:
                return self._in_table(sets)
            return [self._by_query(self.find.statement, values) for values in sets]

    def _in_table(self, sets: Sequence[Record]) -> list[list[Record] | Failure]:
        found: list[list[Record] | Failure] = [[] for _ in sets]
        asked = []
        for at, values in enumerate(sets):
            try:
                asked.append(orjson.dumps([at, *values.values()]))
            except (TypeError, ValueError) as error:
                message = f"A value to look for can't be sent to SQLite: {error}."
                found[at] = Failure(ErrorSource.LOOKUP, "value", message, Classification.VALUE)
        page = (b"[" + b",".join(asked) + b"]").decode()
        cursor = self.link.execute(self._table_sql(), [page], source=ErrorSource.LOOKUP)
        names, rows = names_of(cursor)[1:], cursor.fetchall()
        if len(rows) > self.find.max_rows:
            raise too_many_rows(self.find.max_rows)
        for row in rows:
            place = found[row[0]]
            assert isinstance(place, list)
            place.append(dict(zip(names, as_json(row[1:]), strict=True)))
        return found

    def _table_sql(self) -> str:
        picks = ", ".join(f"fm_t.{quote_name(name)}" for name in self.find.columns) or "fm_t.*"
        where = " AND ".join(
            f"fm_t.{quote_name(name)} = json_extract(fm_x.value, '$[{n}]')" for n, name in enumerate(self.find.match, 1)
        )
        return (
            f"SELECT json_extract(fm_x.value, '$[0]') AS fm_at_, {picks} FROM json_each(?) AS fm_x "  # noqa: S608
            f"CROSS JOIN {quote_table(self.find.table)} AS fm_t WHERE {where} LIMIT {self.find.max_rows + 1}"
        )

    def _by_query(self, statement: Statement, values: Record) -> list[Record] | Failure:
        sql, bound = bind(statement, values)
        connection = self.link.connection()
        self.link.wind()
        try:
            return fetched(connection.execute(sql, bound)).records()
        except ROW_ERRORS as error:
            if isinstance(error, sqlite3.Error) and not isinstance(error, (sqlite3.IntegrityError, sqlite3.DataError)):
                raise translated(error, self.link.config.file, ErrorSource.LOOKUP) from error
            return row_failure(error, values, ErrorSource.LOOKUP)
