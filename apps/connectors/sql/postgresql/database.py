"""PostgreSQL behind the connector."""

import time

from apps.connectors.base import Ping, Surroundings
from apps.connectors.sql.config import SqlConfig
from apps.connectors.sql.face import Finder, Reader, Table
from apps.connectors.sql.linked import LinkedDatabase
from apps.connectors.sql.postgresql.catalog import read_table
from apps.connectors.sql.postgresql.link import Link
from apps.connectors.sql.postgresql.reading import PostgresqlFinder, PostgresqlReader
from apps.connectors.sql.postgresql.session import PostgresqlSession
from apps.connectors.sql.postgresql.writer import PostgresqlWriter
from apps.engine.ports import ConnectorError


class PostgresqlDatabase(LinkedDatabase[Link]):
    """PostgreSQL through psycopg."""

    def __init__(self, config: SqlConfig, surroundings: Surroundings) -> None:
        self.config = config
        self.surroundings = surroundings
        link = Link(config, surroundings)
        session = PostgresqlSession(link)
        super().__init__(link, session, PostgresqlWriter(link, session))

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

    def read_table(self, name: str) -> Table:
        return read_table(self.link, name)

    def new_finder(self, find: Finder) -> PostgresqlFinder:
        return PostgresqlFinder(self.link, find)

    def new_reader(self) -> Reader:
        return PostgresqlReader(Link(self.config, self.surroundings, is_reader=True))
