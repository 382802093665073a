"""A database behind the connector, through its SQLAlchemy dialect."""

import time
from collections.abc import Sequence
from datetime import datetime
from importlib import import_module
from typing import Any

import sqlalchemy

from apps.connectors.base import LedgerRows, Ping, Surroundings
from apps.connectors.sql.config import SqlConfig
from apps.connectors.sql.dialects.link import Link
from apps.connectors.sql.dialects.reading import DialectFinder, DialectReader, read_table
from apps.connectors.sql.dialects.session import DialectSession
from apps.connectors.sql.dialects.speech import Speech
from apps.connectors.sql.dialects.writer import DialectWriter
from apps.connectors.sql.face import Database, Finder, Job, Outcome, Reader, Row, Table
from apps.engine.ports import Batch, Classification, ConnectorError, Failure, Record

SPEECHES = {
    "mysql": ("mysql", "MySqlSpeech"),
    "mariadb": ("mysql", "MariaDbSpeech"),
    "mssql": ("others", "SqlServerSpeech"),
    "oracle": ("others", "OracleSpeech"),
}


class DialectDatabase(Database):
    """One connection for writes and lookups; each export opens its own."""

    def __init__(self, config: SqlConfig, surroundings: Surroundings) -> None:
        self.config = config
        self.surroundings = surroundings
        self.speech = speech_for(config, surroundings)
        self.link = Link(self.speech, config, surroundings)
        self.wording = self.link.wording
        self._session = DialectSession(self.link)
        self._writer = DialectWriter(self.link, self._session)
        self._tables: dict[str, Table] = {}
        self._writable: set[str] = set()
        self._finders: dict[Finder, DialectFinder] = {}
        self._readers: list[DialectReader] = []

    def ping(self) -> Ping:
        config, label = self.config, self.speech.label
        tried = f"Signed in to {label} at {self.link.place}, database {config.name}, as {config.user}."
        started = time.monotonic()
        try:
            version = ".".join(map(str, self.link.connection().dialect.server_version_info or ()))
        except ConnectorError as error:
            return Ping(False, tried, error.message, int(1000 * (time.monotonic() - started)))
        ms = int(1000 * (time.monotonic() - started))
        return Ping(True, tried, f"{label} {version} answered.", ms)

    def session(self) -> DialectSession:
        return self._session

    def has_transaction(self) -> bool:
        return self.link.has_transaction()

    def table(self, name: str) -> Table:
        if name not in self._tables:
            self._tables[name] = read_table(self.link, name)
        return self._tables[name]

    def write(self, job: Job, rows: Sequence[Row], batch: Batch) -> Outcome:
        if job.table is not None and job.table.name not in self._writable:
            self._check_writable(job.table.name)
        return self._writer.write(job, rows, batch)

    def _check_writable(self, name: str) -> None:
        schema, _, bare = name.rpartition(".")
        with self.link.speaking() as connection:
            options: dict[str, Any] = dict(sqlalchemy.inspect(connection).get_table_options(bare, schema or None))
        if refusal := self.speech.refused_table(options):
            text = f"Nothing can be written to {name} safely: {refusal}."
            raise ConnectorError("value", text, classification=Classification.VALUE)
        self._writable.add(name)

    def find_rows(self, find: Finder, sets: Sequence[Record]) -> list[list[Record] | Failure]:
        if find not in self._finders:
            self._finders[find] = DialectFinder(self.link, find)
        return self._finders[find].rows(sets)

    def reader(self) -> Reader:
        reader = DialectReader(self.link.sibling(is_reader=True))
        self._readers.append(reader)
        return reader

    def trim_ledger(self, account: int, before_run: int, older_than: datetime) -> LedgerRows | None:
        return self._session.trim_ledger(account, before_run, older_than)

    def close(self) -> None:
        for reader in self._readers:
            reader.close()
        self.link.close()


def speech_for(config: SqlConfig, surroundings: Surroundings) -> Speech:
    """The module of a database is loaded only when it is needed: its driver may not be installed."""
    module, name = SPEECHES[config.database]
    try:
        made = getattr(import_module(f"apps.connectors.sql.dialects.{module}"), name)
    except ModuleNotFoundError as error:
        text = f"{name.removesuffix('Speech')} needs the Python library {error.name}, which is not installed. "
        text += "Install it where Flowmend runs: pip install 'flowmend[databases]'; then start Flowmend again."
        raise ConnectorError("library_missing", text, classification=Classification.CONNECTION) from None
    speech: Speech = made(config, surroundings.limits)
    return speech
