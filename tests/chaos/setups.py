"""Where the product stands while it is tormented: databases and queues of its own, gone afterwards."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

SERVER = os.environ.get("CHAOS_SERVER", "postgresql://postgres@127.0.0.1:5432")
REDIS = os.environ.get("CHAOS_REDIS", "redis://127.0.0.1:6379/9")
LEASE_S = 3.0

SETUPS = {
    "sqlite": {"postgresql": False, "redis": False},
    "postgresql": {"postgresql": True, "redis": False},
    "redis": {"postgresql": True, "redis": True},
}


@dataclass(frozen=True)
class Stage:
    """The product's environment and its folder; `target` is the address of the target's PostgreSQL, or None."""

    folder: Path
    environment: dict[str, str]
    target: str | None


@contextmanager
def stage(setup: str) -> Iterator[Stage]:
    """Lays the stage and sets Django up on it in this process."""
    wanted = SETUPS[setup]
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="flowmend-chaos-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        environment = {
            "DATA_DIR": str(folder),
            "LEASE_SECONDS": str(LEASE_S),
            "WORKERS": "2",
            "EGRESS_ALLOW_NETS": "127.0.0.0/8",
            "LOG_LEVEL": "WARNING",
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "DATABASE_URL": f"sqlite:///{folder / 'flowmend.sqlite3'}",
        }
        target = None
        if wanted["postgresql"]:
            environment["DATABASE_URL"] = stack.enter_context(own_database("chaos"))
            target = stack.enter_context(own_database("chaos_target"))
        if wanted["redis"]:
            environment["REDIS_URL"] = REDIS
            stack.enter_context(own_queue())
        os.environ.update(environment)
        import django

        django.setup()
        yield Stage(folder, environment, target)


@contextmanager
def own_database(purpose: str) -> Iterator[str]:
    name = f"flowmend_{purpose}_{os.getpid()}"
    _administer(f'DROP DATABASE IF EXISTS "{name}"', f'CREATE DATABASE "{name}"')
    try:
        yield f"{SERVER}/{name}"
    finally:
        from django.db import connections

        connections.close_all()
        _administer(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _administer(*statements: str) -> None:
    with psycopg.connect(f"{SERVER}/postgres", autocommit=True) as server:
        for statement in statements:
            server.execute(statement.encode())


@contextmanager
def own_queue() -> Iterator[None]:
    import redis

    client = redis.Redis.from_url(REDIS)
    client.flushdb()
    try:
        yield
    finally:
        client.flushdb()
        client.close()
