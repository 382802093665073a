"""SQLite behind the connector."""

import sqlite3
import time

from apps.connectors.base import Ping, Surroundings
from apps.connectors.sql.config import SqlConfig
from apps.connectors.sql.face import Finder, Reader, Table
from apps.connectors.sql.linked import LinkedDatabase
from apps.connectors.sql.sqlite.link import Link
from apps.connectors.sql.sqlite.reading import SqliteFinder, SqliteReader, read_table
from apps.connectors.sql.sqlite.session import SqliteSession
from apps.connectors.sql.sqlite.writer import SqliteWriter
from apps.engine.ports import ConnectorError


class SqliteDatabase(LinkedDatabase[Link]):
    """A file below the databases folder."""

    def __init__(self, config: SqlConfig, surroundings: Surroundings) -> None:
        self.config = config
        self.surroundings = surroundings
        link = Link(config, surroundings)
        super().__init__(link, SqliteSession(link), SqliteWriter(link))

    def ping(self) -> Ping:
        tried = f"Opened the SQLite database {self.config.file} and counted its tables."
        started = time.monotonic()
        try:
            row = self.link.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()
        except ConnectorError as error:
            return Ping(False, tried, error.message, int(1000 * (time.monotonic() - started)))
        ms = int(1000 * (time.monotonic() - started))
        return Ping(True, tried, f"SQLite {sqlite3.sqlite_version} answered; tables: {row[0]}.", ms)

    def read_table(self, name: str) -> Table:
        return read_table(self.link, name)

    def new_finder(self, find: Finder) -> SqliteFinder:
        return SqliteFinder(self.link, find)

    def new_reader(self) -> Reader:
        return SqliteReader(Link(self.config, self.surroundings, is_reader=True))
