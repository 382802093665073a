"""PostgreSQL databases of the benchmark's own, dropped at the end."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

SERVER = os.environ.get("BENCH_SERVER", "postgresql://postgres@127.0.0.1:5432")


@contextmanager
def own_database(purpose: str) -> Iterator[str]:
    """Creates a database and yields its address. A target has one of its own: it must never be Flowmend's."""
    name = f"flowmend_{purpose}_{os.getpid()}"
    _administer(f'DROP DATABASE IF EXISTS "{name}"', f'CREATE DATABASE "{name}"')
    try:
        yield f"{SERVER}/{name}"
    finally:
        _administer(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _administer(*statements: str) -> None:
    with psycopg.connect(f"{SERVER}/postgres", autocommit=True) as server:
        for statement in statements:
            server.execute(statement.encode())
