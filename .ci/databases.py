"""Databases of this CI run's own: `databases.py make NAME...` before the tests, `databases.py drop NAME...` after them.

`make` prints what was not there and is now, one name a line; `drop` also drops what the tests have left of a name.
"""

import sys
from collections.abc import Sequence

import psycopg
from psycopg import sql

SERVER = "postgres://postgres@127.0.0.1:5432/postgres"


def present(server: psycopg.Connection) -> list[str]:
    return [name for (name,) in server.execute("SELECT datname FROM pg_database")]


def make(server: psycopg.Connection, names: Sequence[str]) -> None:
    for name in set(names) - set(present(server)):
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        print(name)


def drop(server: psycopg.Connection, names: Sequence[str]) -> None:
    for name in present(server):
        if name in names or name.startswith(tuple(f"test_{own}" for own in names)):
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


if __name__ == "__main__":
    with psycopg.connect(SERVER, autocommit=True, connect_timeout=10) as connection:
        {"make": make, "drop": drop}[sys.argv[1]](connection, sys.argv[2:])
