"""The database that the demo's flows write to: a SQLite file, or a schema in PostgreSQL by DEMO_DATABASE_URL."""

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import psycopg
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from psycopg.sql import SQL, Identifier

from apps.accounts.models import Account
from apps.flows.connections import surroundings_for

HERE = Path(__file__).resolve().parent
SQLITE_FILE = "demo-warehouse.sqlite3"
SCHEMA = "flowmend_demo"


@dataclass(frozen=True, slots=True)
class Warehouse:
    """How a connection reaches the warehouse: its plain fields and its secrets."""

    config: dict[str, Any]
    secrets: dict[str, str] = field(default_factory=dict)


def prepare_warehouse(account: Account) -> Warehouse:
    """Make the tables unless they are there. Raises ImproperlyConfigured when the database cannot be used."""
    url = settings.DEMO_DATABASE_URL
    return prepare_postgresql(url) if url else prepare_sqlite(surroundings_for(account).sqlite_root)


def prepare_sqlite(root: Path) -> Warehouse:
    root.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(root / SQLITE_FILE, timeout=20)
    try:
        connection.executescript((HERE / "warehouse.sqlite.sql").read_text())
        connection.executescript((HERE / "shop.sql").read_text())
    finally:
        connection.close()
    return Warehouse({"database": "sqlite", "file": SQLITE_FILE})


def prepare_postgresql(url: str) -> Warehouse:
    """A schema of the demo's own. Flows reach a private address only if EGRESS_ALLOW_NETS names its network."""
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            schema = Identifier(SCHEMA)
            connection.execute(SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))
            connection.execute(SQL("SET search_path TO {}").format(schema))
            connection.execute((HERE / "warehouse.postgresql.sql").read_bytes())
            connection.execute((HERE / "shop.sql").read_bytes())
    except psycopg.Error as error:
        raise ImproperlyConfigured(f"The demo's database cannot be used, see DEMO_DATABASE_URL: {error}") from error
    return postgresql_warehouse(url)


def postgresql_warehouse(url: str) -> Warehouse:
    """The parts of the URL as fields of a connection."""
    parts = urlsplit(url)
    config: dict[str, Any] = {
        "database": "postgresql",
        "host": parts.hostname or "127.0.0.1",
        "port": parts.port or 5432,
        "name": unquote(parts.path.lstrip("/")),
        "user": unquote(parts.username or "postgres"),
        "search_path": SCHEMA,
    }
    if sslmode := parse_qs(parts.query).get("sslmode"):
        config["sslmode"] = sslmode[0]
    return Warehouse(config, {"password": unquote(parts.password)} if parts.password else {})
