"""Real databases for tests: a PostgreSQL schema, a MariaDB database or a SQLite file each, gone after the test."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pymysql
import pytest

from apps.connectors.base import Limits, Surroundings
from apps.connectors.sql.connector import SqlConnector
from apps.engine.ports import Batch, Record, Scope, SourcePage, Window, Written

SERVER = {"host": "127.0.0.1", "port": 5432, "user": "postgres", "dbname": "test"}
UNHURRIED = "-c synchronous_commit=off"
"""A test does not wait for the disk: it would lose its rows in a power cut only."""
MARIADB = {"host": "127.0.0.1", "port": 3306, "user": "root"}
ADMIN = {**MARIADB, "ssl_disabled": True}
SCOPE = Scope(datetime(2026, 3, 1, 12, 0, tzinfo=UTC), settings={"country": "AT"})
STRIKES = {
    "postgresql": """CREATE TABLE strikes (id integer PRIMARY KEY, species varchar(20) NOT NULL, speed integer,
        cost numeric(10, 2) CONSTRAINT cost_not_negative CHECK (cost >= 0), seen_on date, details jsonb)""",
    "sqlite": """CREATE TABLE strikes (id INTEGER PRIMARY KEY, species TEXT NOT NULL CHECK (length(species) <= 20),
        speed INTEGER, cost REAL CONSTRAINT cost_not_negative CHECK (cost >= 0), seen_on TEXT, details TEXT) STRICT""",
    "mariadb": """CREATE TABLE strikes (id integer PRIMARY KEY, species varchar(20) NOT NULL, speed integer,
        cost decimal(10, 2), seen_on date, details json, CONSTRAINT cost_not_negative CHECK (cost >= 0))""",
}


class MariaDbAdmin:
    """A connection that is used as those of psycopg and sqlite3 are: the statement is run, its rows are asked for."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.close = connection.close

    def execute(self, sql: str, values: Any = None) -> Any:
        cursor = self.connection.cursor()
        cursor.execute(sql, values)
        return cursor


@dataclass
class SqlPlace:
    """A database that belongs to one test, with an administrator's connection beside the connector's."""

    kind: str
    schema: str
    root: Path
    connectors: list[SqlConnector] = field(default_factory=list)
    _admin: Any = None

    @property
    def is_postgresql(self) -> bool:
        return self.kind == "postgresql"

    @property
    def is_mariadb(self) -> bool:
        return self.kind == "mariadb"

    @property
    def config(self) -> dict[str, Any]:
        if self.is_postgresql:
            server = {"host": "127.0.0.1", "name": "test", "user": "postgres", "search_path": self.schema}
            return {"database": "postgresql", "synchronous_commit": False, **server}
        if self.is_mariadb:
            return {"database": "mariadb", **MARIADB, "name": self.schema}
        return {"database": "sqlite", "file": f"{self.schema}.sqlite3"}

    @property
    def surroundings(self) -> Surroundings:
        limits = Limits(connect_s=2, statement_s=10, lock_s=0.3)
        return Surroundings(1, self.root, self.root, allow_nets=("127.0.0.0/8", "::1/128"), limits=limits)

    def connector(self, **changes: Any) -> SqlConnector:
        made = SqlConnector(SqlConnector.Config(**{**self.config, **changes}), self.surroundings)
        self.connectors.append(made)
        return made

    def open_admin(self) -> Any:
        if self.is_postgresql:
            options = f"-c search_path={self.schema} {UNHURRIED}"
            return psycopg.connect(**SERVER, autocommit=True, options=options)
        if self.is_mariadb:
            return MariaDbAdmin(pymysql.connect(**ADMIN, database=self.schema, autocommit=True, charset="utf8mb4"))
        return sqlite3.connect(self.root / f"{self.schema}.sqlite3", isolation_level=None, timeout=5)

    @property
    def admin(self) -> Any:
        if self._admin is None:
            self._admin = self.open_admin()
        return self._admin

    def execute(self, sql: str) -> None:
        self.admin.execute(sql)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.admin.execute(sql).fetchall()]

    def make_strikes(self) -> None:
        self.execute(STRIKES[self.kind])

    def prepare(self) -> None:
        if self.is_postgresql:
            with psycopg.connect(**SERVER, autocommit=True, options=UNHURRIED) as admin:
                admin.execute(f"CREATE SCHEMA {self.schema}")
        elif self.is_mariadb:
            with pymysql.connect(**ADMIN) as admin, admin.cursor() as cursor:
                cursor.execute(f"CREATE DATABASE {self.schema} CHARACTER SET utf8mb4")
        else:
            self.admin.execute("PRAGMA journal_mode=WAL")

    def remove(self) -> None:
        for connector in self.connectors:
            connector.close()
        if self._admin is not None:
            self._admin.close()
        if self.is_postgresql:
            with psycopg.connect(**SERVER, autocommit=True, options=UNHURRIED) as admin:
                admin.execute("SET lock_timeout = '5s'")
                admin.execute(f"DROP SCHEMA {self.schema} CASCADE")
        if self.is_mariadb:
            with pymysql.connect(**ADMIN) as admin, admin.cursor() as cursor:
                cursor.execute("SET SESSION lock_wait_timeout = 5")
                cursor.execute(f"DROP DATABASE {self.schema}")


def batch_of(bodies: list[Record], **changes: Any) -> Batch:
    settings: dict[str, Any] = {"scope": SCOPE, **changes}
    return Batch(bodies, bodies, range(len(bodies)), lambda index: f"key-{index}", **settings)


def write(connector: SqlConnector, bodies: list[Record], **options: Any) -> Written:
    """One page in a transaction of its own."""
    target = connector.open_import(SqlConnector.ImportOptions(**options))
    session = connector.session()
    session.begin()
    try:
        written = target.write(batch_of(bodies))
    except BaseException:
        session.rollback()
        raise
    session.commit()
    return written


def find(connector: SqlConnector, records: list[Record], **options: Any) -> list[Any]:
    return list(connector.open_lookup(SqlConnector.LookupOptions(**options)).find(records, SCOPE))


def export(connector: SqlConnector, window: Window | None = None, **options: Any) -> list[SourcePage]:
    window = window or Window(page_size=3, now=SCOPE.now)
    return list(connector.open_export(SqlConnector.ExportOptions(**options), window).pages())


def records_of(pages: list[SourcePage]) -> list[Any]:
    return [record for page in pages for record in page.records]


def make_place(kind: str, root: Path) -> Iterator[SqlPlace]:
    place = SqlPlace(kind, f"fm_test_{uuid4().hex[:12]}", root)
    place.prepare()
    try:
        yield place
    finally:
        place.remove()


@pytest.fixture(params=["postgresql", "sqlite", "mariadb"])
def sql_target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlPlace]:
    """The same test on both databases."""
    yield from make_place(request.param, tmp_path)


@pytest.fixture
def postgresql_target(tmp_path: Path) -> Iterator[SqlPlace]:
    yield from make_place("postgresql", tmp_path)


@pytest.fixture
def sqlite_target(tmp_path: Path) -> Iterator[SqlPlace]:
    yield from make_place("sqlite", tmp_path)


@pytest.fixture
def mariadb_target(tmp_path: Path) -> Iterator[SqlPlace]:
    yield from make_place("mariadb", tmp_path)
