"""A database behind the connector, through its SQLAlchemy dialect."""

import time
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import sqlalchemy

from apps.connectors.base import Ping, Surroundings
from apps.connectors.sql.config import SqlConfig
from apps.connectors.sql.dialects.link import Link
from apps.connectors.sql.dialects.reading import DialectFinder, DialectReader, read_table
from apps.connectors.sql.dialects.session import DialectSession
from apps.connectors.sql.dialects.speech import Speech
from apps.connectors.sql.dialects.writer import DialectWriter
from apps.connectors.sql.face import Finder, Job, Outcome, Reader, Row, Table
from apps.connectors.sql.linked import LinkedDatabase
from apps.engine.ports import Batch, Classification, ConnectorError

SPEECHES = {
    "mysql": ("mysql", "MySqlSpeech"),
    "mariadb": ("mysql", "MariaDbSpeech"),
    "mssql": ("others", "SqlServerSpeech"),
    "oracle": ("others", "OracleSpeech"),
}


class DialectDatabase(LinkedDatabase[Link]):
    """A database that SQLAlchemy speaks to."""

    def __init__(self, config: SqlConfig, surroundings: Surroundings) -> None:
        self.config = config
        self.speech = speech_for(config, surroundings)
        link = Link(self.speech, config, surroundings)
        session = DialectSession(link)
        super().__init__(link, session, DialectWriter(link, session))
        self.wording = link.wording
        self._writable: set[str] = set()

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

    def read_table(self, name: str) -> Table:
        return read_table(self.link, name)

    def write(self, job: Job, rows: Sequence[Row], batch: Batch) -> Outcome:
        if job.table is not None and job.table.name not in self._writable:
            self._check_writable(job.table.name)
        return super().write(job, rows, batch)

    def _check_writable(self, name: str) -> None:
        schema, _, bare = name.rpartition(".")
        with self.link.speaking() as connection:
            options: dict[str, Any] = dict(sqlalchemy.inspect(connection).get_table_options(bare, schema or None))
        if refusal := self.speech.refused_table(options):
            text = f"Nothing can be written to {name} safely: {refusal}."
            raise ConnectorError("value", text, classification=Classification.VALUE)
        self._writable.add(name)

    def new_finder(self, find: Finder) -> DialectFinder:
        return DialectFinder(self.link, find)

    def new_reader(self) -> Reader:
        return DialectReader(self.link.sibling(is_reader=True))


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
