"""The SQL connector: PostgreSQL and SQLite natively, other databases by their dialects, all behind one face."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from apps.connectors.base import ConnectionConfig, Connector, LedgerRows, Options, Ping, Surroundings
from apps.connectors.extras import load_extra
from apps.connectors.sql.config import LABELS, ExportOptions, ImportOptions, LookupOptions, SqlConfig
from apps.connectors.sql.export import SqlSource
from apps.connectors.sql.face import Database
from apps.connectors.sql.lookup import SqlLookup
from apps.connectors.sql.postgresql.database import PostgresqlDatabase
from apps.connectors.sql.sqlite.database import SqliteDatabase
from apps.connectors.sql.target import SqlTarget
from apps.engine.ports import Batch, Built, Lookup, Session, Source, Target, Window

NATIVE: dict[str, type[PostgresqlDatabase] | type[SqliteDatabase]] = {
    "postgresql": PostgresqlDatabase,
    "sqlite": SqliteDatabase,
}


class SqlConnector(Connector):
    """One database connection for lookups and imports, and one more for each export."""

    kind = "sql"
    label = "SQL database"
    Config: ClassVar[type[ConnectionConfig]] = SqlConfig
    ExportOptions: ClassVar[type[Options] | None] = ExportOptions
    LookupOptions: ClassVar[type[Options] | None] = LookupOptions
    ImportOptions: ClassVar[type[Options] | None] = ImportOptions
    export_example: ClassVar[Mapping[str, Any]] = {"query": "SELECT 1 AS id, 'first' AS name"}

    def __init__(self, config: SqlConfig, surroundings: Surroundings) -> None:
        super().__init__(config, surroundings)
        self._database: Database = opened_database(config, surroundings)

    def ping(self) -> Ping:
        return self._database.ping()

    def open_export(self, options: Any, window: Window) -> Source:
        return SqlSource(self._database, options, window)

    def open_lookup(self, options: Any) -> Lookup:
        return SqlLookup(self._database, options)

    def open_import(self, options: Any) -> Target:
        return SqlTarget(self._database, options)

    def build(self, options: Any, batch: Batch) -> Built:
        """The rows, with what is done with them."""
        place = {"statement": options.statement} if options.operation == "statement" else {"table": options.table}
        said = {"operation": options.operation, **place}
        return Built({index: {**said, "row": body} for index, body in enumerate(batch.bodies)})

    def takes_back(self, options: Any) -> bool:
        """A procedure of a database that is not ours natively may commit by itself."""
        words = (options.statement or "").lstrip(" \t\r\n(").lower()
        return self.config.database in NATIVE or not words.startswith("call")

    def session(self) -> Session:
        return self._database.session()

    def trim_ledger(self, account: int, *, before_run: int, older_than: datetime) -> LedgerRows | None:
        return self._database.trim_ledger(account, before_run, older_than)

    @classmethod
    def default_trace_key(cls, options: Any) -> str | None:
        """The unique column of the export, if it is one."""
        return options.unique[0] if len(options.unique) == 1 else None

    def close(self) -> None:
        self._database.close()


def opened_database(config: SqlConfig, surroundings: Surroundings) -> Database:
    """Raises ConnectorError where the library of a database is not installed; connects later."""
    if config.database in NATIVE:
        return NATIVE[config.database](config, surroundings)
    module = load_extra(
        "apps.connectors.sql.dialects.database",
        library="sqlalchemy",
        extra="databases",
        what=f"A connection to {LABELS[config.database]}",
    )
    database: Database = module.DialectDatabase(config, surroundings)
    return database
