"""Where the product stands while it is tormented: databases and queues of its own, gone afterwards."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import redis

from tests.chaos.servers import own_postgresql, own_redis, small_disk

SERVER = os.environ.get("CHAOS_SERVER", "postgresql://postgres@127.0.0.1:5432")
REDIS = os.environ.get("CHAOS_REDIS", "redis://127.0.0.1:6379/9")
LEASE_S = 3.0


@dataclass
class Stage:
    """The product's environment and its folder.

    `target` is the address of the target's PostgreSQL, or None for a SQLite file; `server` what may be hurt, if any.
    """

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    target: str | None = None
    server: Any = None

    @property
    def lease_s(self) -> float:
        return float(self.environment["LEASE_SECONDS"])

    @property
    def log(self) -> Path:
        return self.folder / "product.log"


@contextmanager
def stage(setup: str, more: Mapping[str, str]) -> Iterator[Stage]:
    """Lays the stage and sets Django up on it in this process; `more` is said to the product beside that."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="flowmend-chaos-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        found = Stage(folder)
        found.environment |= {
            "DATA_DIR": str(folder),
            "LEASE_SECONDS": str(LEASE_S),
            "WORKERS": "2",
            "EGRESS_ALLOW_NETS": "127.0.0.0/8",
            "LOG_LEVEL": "WARNING",
            "DJANGO_SETTINGS_MODULE": os.environ.get("DJANGO_SETTINGS_MODULE", "config.settings"),
            "DATABASE_URL": f"sqlite:///{folder / 'flowmend.sqlite3'}",
        }
        SETUPS[setup](found, stack)
        found.environment |= more
        os.environ.update(found.environment)
        import django

        django.setup()
        stack.callback(close_connections)
        begin_with_tables(found)
        yield found


def begin_with_tables(found: Stage) -> None:
    """What other tests keep ready; the product migrates what is missing."""
    from tests import migrated

    kind, file = found.environment["DATABASE_URL"].split(":", 1)
    if kind == "sqlite":
        migrated.copy_to(Path(file.removeprefix("//")))


def close_connections() -> None:
    from django.db import connections

    connections.close_all()


# --- setups ----------------------------------------------------------------------------------------------------------
def on_sqlite(found: Stage, stack: ExitStack) -> None:
    """As a newcomer has it."""


def on_postgresql(found: Stage, stack: ExitStack) -> None:
    found.environment["DATABASE_URL"] = stack.enter_context(own_database("chaos"))
    found.target = stack.enter_context(own_database("chaos_target"))


def with_redis(found: Stage, stack: ExitStack) -> None:
    on_postgresql(found, stack)
    found.environment["REDIS_URL"] = stack.enter_context(own_queue())


def with_own_redis(found: Stage, stack: ExitStack) -> None:
    on_postgresql(found, stack)
    found.server = stack.enter_context(own_redis(found.folder))
    found.environment["REDIS_URL"] = found.server.address


def on_own_postgresql(found: Stage, stack: ExitStack) -> None:
    """The target is in the same cluster: it is hurt at the same moment."""
    found.server = stack.enter_context(own_postgresql(found.folder / "cluster"))
    for name in ("chaos", "chaos_target"):
        with psycopg.connect(f"{found.server.address}/postgres", autocommit=True) as server:
            server.execute(f"CREATE DATABASE {name}".encode())
    found.environment["DATABASE_URL"] = f"{found.server.address}/chaos"
    found.target = f"{found.server.address}/chaos_target"


def on_small_disk(found: Stage, stack: ExitStack) -> None:
    """The product's database and the target lie on it."""
    disk = found.folder / "disk"
    found.server = stack.enter_context(small_disk(disk))
    found.environment["DATABASE_URL"] = f"sqlite:///{disk / 'flowmend.sqlite3'}"
    found.environment["SQLITE_ROOT"] = str(disk / "databases")


SETUPS: Mapping[str, Callable[[Stage, ExitStack], None]] = {
    "sqlite": on_sqlite,
    "postgresql": on_postgresql,
    "redis": with_redis,
    "own-redis": with_own_redis,
    "own-postgresql": on_own_postgresql,
    "small-disk": on_small_disk,
}


# --- on servers that are there ---------------------------------------------------------------------------------------
@contextmanager
def own_database(purpose: str) -> Iterator[str]:
    name = f"flowmend_{purpose}_{os.getpid()}"
    _administer(f'DROP DATABASE IF EXISTS "{name}"', f'CREATE DATABASE "{name}"')
    try:
        yield f"{SERVER}/{name}"
    finally:
        close_connections()
        _administer(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _administer(*statements: str) -> None:
    with psycopg.connect(f"{SERVER}/postgres", autocommit=True) as server:
        for statement in statements:
            server.execute(statement.encode())


@contextmanager
def own_queue() -> Iterator[str]:
    client = redis.Redis.from_url(REDIS)
    client.flushdb()
    try:
        yield REDIS
    finally:
        client.flushdb()
        client.close()
