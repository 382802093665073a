"""PostgreSQL behind the connector."""

import time
from collections.abc import Sequence
from datetime import datetime

from apps.connectors.base import LedgerRows, Ping, Surroundings
from apps.connectors.sql.config import SqlConfig
from apps.connectors.sql.face import Database, Finder, Job, Outcome, Reader, Row, Table
from apps.connectors.sql.postgresql.catalog import read_table
from apps.connectors.sql.postgresql.link import Link
from apps.connectors.sql.postgresql.reading import PostgresqlFinder, PostgresqlReader
from apps.connectors.sql.postgresql.session import PostgresqlSession
from apps.connectors.sql.postgresql.writer import PostgresqlWriter
from apps.engine.ports import Batch, ConnectorError, Failure, Record


class PostgresqlDatabase(Database):
    """One connection for writes and lookups; each export opens its own."""

    def __init__(self, config: SqlConfig, surroundings: Surroundings) -> None:
        self.config = config
        self.surroundings = surroundings
        self.link = Link(config, surroundings)
        self._session = PostgresqlSession(self.link)
        self._writer = PostgresqlWriter(self.link, self._session)
        self._tables: dict[str, Table] = {}
        self._finders: dict[Finder, PostgresqlFinder] = {}
        self._readers: list[PostgresqlReader] = []

    def ping(self) -> Ping:
        tried = f"Signed in to PostgreSQL at {self.link.place}, database {self.config.name}, as {self.config.user}."
        started = time.monotonic()
        try:
            self.link.execute("SELECT 1")
            ms = int(1000 * (time.monotonic() - started))
            is_encrypted = self.link.connection().pgconn.ssl_in_use
        except ConnectorError as error:
            return Ping(False, tried, error.message, int(1000 * (time.monotonic() - started)))
        tls = "encrypted" if is_encrypted else "not encrypted"
        return Ping(True, tried, f"PostgreSQL {self.link.server_version} answered; the connection is {tls}.", ms)

    def session(self) -> PostgresqlSession:
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
            self._finders[find] = PostgresqlFinder(self.link, find)
        return self._finders[find].rows(sets)

    def reader(self) -> Reader:
        reader = PostgresqlReader(Link(self.config, self.surroundings, is_reader=True))
        self._readers.append(reader)
        return reader

    def trim_ledger(self, account: int, before_run: int, older_than: datetime) -> LedgerRows | None:
        return self._session.trim_ledger(account, before_run, older_than)

    def close(self) -> None:
        for reader in self._readers:
            reader.close()
        self.link.close()
