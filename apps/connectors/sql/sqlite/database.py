"""SQLite behind the connector."""

import sqlite3
import time
from collections.abc import Sequence
from datetime import datetime

from apps.connectors.base import LedgerRows, Ping, Surroundings
from apps.connectors.sql.config import SqlConfig
from apps.connectors.sql.face import Database, Finder, Job, Outcome, Reader, Row, Table
from apps.connectors.sql.sqlite.link import Link
from apps.connectors.sql.sqlite.reading import SqliteFinder, SqliteReader, read_table
from apps.connectors.sql.sqlite.session import SqliteSession
from apps.connectors.sql.sqlite.writer import SqliteWriter
from apps.engine.ports import Batch, ConnectorError, Failure, Record


class SqliteDatabase(Database):
    """One connection for writes and lookups; each export opens its own."""

    def __init__(self, config: SqlConfig, surroundings: Surroundings) -> None:
        self.config = config
        self.surroundings = surroundings
        self.link = Link(config, surroundings)
        self._session = SqliteSession(self.link)
        self._writer = SqliteWriter(self.link)
        self._tables: dict[str, Table] = {}
        self._finders: dict[Finder, SqliteFinder] = {}
        self._readers: list[SqliteReader] = []

    def ping(self) -> Ping:
        tried = f"Opened the SQLite database {self.config.file} and counted its tables."
        started = time.monotonic()
        try:
            row = self.link.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()
        except ConnectorError as error:
            return Ping(False, tried, error.message, int(1000 * (time.monotonic() - started)))
        ms = int(1000 * (time.monotonic() - started))
        return Ping(True, tried, f"SQLite {sqlite3.sqlite_version} answered; tables: {row[0]}.", ms)

    def session(self) -> SqliteSession:
        return self._session

    def has_transaction(self) -> bool:
        return self.link.has_transaction()

    def table(self, name: str) -> Table:
        if name not in self._tables:
            self._tables[name] = read_table(self.link, name)
        return self._tables[name]

    def write(self, job: Job, rows: Sequence[Row], batch: Batch) -> Outcome:
        return self._writer.write(job, rows, batch)

    def find_rows(self, find: Finder, sets: Sequence[Record]) -> list[list[Record] | Failure]:
        if find not in self._finders:
            self._finders[find] = SqliteFinder(self.link, find)
        return self._finders[find].rows(sets)

    def reader(self) -> Reader:
        reader = SqliteReader(Link(self.config, self.surroundings, is_reader=True))
        self._readers.append(reader)
        return reader

    def trim_ledger(self, account: int, before_run: int, older_than: datetime) -> LedgerRows | None:
        return self._session.trim_ledger(account, before_run, older_than)

    def close(self) -> None:
        for reader in self._readers:
            reader.close()
        self.link.close()
