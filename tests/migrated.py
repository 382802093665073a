"""Migrating takes longer than most files of tests: it is done once, and every test process begins with a copy.

The copy is kept for as long as no migration changes: of SQLite as a file, of PostgreSQL as a database beside ours.
"""

import fcntl
import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from unittest.mock import patch

import django
from django.apps import apps
from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper

FOLDER = Path(settings.BASE_DIR) / ".pytest_cache" / "migrated"


class Copy(Protocol):
    def is_kept(self) -> bool: ...
    def keep(self) -> None: ...
    def begin_with_it(self) -> None:
        """Called when there is a copy, before the database of the tests is made."""

    def fill(self) -> None:
        """Called when the database of the tests is there, instead of migrating it."""


def begin_with_a_copy(connection: BaseDatabaseWrapper) -> None:
    """Let the test database of this connection be made from the kept copy; if there is none, migrate and keep one."""
    create: Callable[..., str] = connection.creation.create_test_db

    def create_test_db(*args: Any, **options: Any) -> str:
        if options.get("keepdb"):
            return create(*args, **options)
        copy: Copy = FileCopy(connection) if connection.vendor == "sqlite" else DatabaseCopy(connection)
        with alone():
            if not copy.is_kept():
                name = create(*args, **options)
                copy.keep()
                return name
            copy.begin_with_it()

            def instead(command: str, **_: Any) -> None:
                if command == "migrate":
                    copy.fill()

            with patch("django.core.management.call_command", instead):
                return create(*args, **options)

    connection.creation.create_test_db = create_test_db  # type: ignore[method-assign]


@contextmanager
def alone() -> Iterator[None]:
    """One process at a time: the others wait for the copy that the first one makes."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def digest() -> str:
    """Changes whenever migrating might come to something else."""
    found = hashlib.sha256(django.__version__.encode())
    for config in apps.get_app_configs():
        for file in sorted(Path(config.path).glob("migrations/*.py")):
            found.update(f"{config.label}/{file.name}".encode() + file.read_bytes())
    return found.hexdigest()[:16]


def copy_to(file: Path) -> None:
    """Begin a database of one's own with the copy, for a process that migrates it; nothing where none is kept yet."""
    kept = FOLDER / f"{digest()}.sqlite3"
    if kept.exists():
        file.write_bytes(kept.read_bytes())


class FileCopy:
    """Of a database in memory."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection
        self.file = FOLDER / f"{digest()}.sqlite3"

    def is_kept(self) -> bool:
        return self.file.exists()

    def keep(self) -> None:
        for older in FOLDER.glob("*.sqlite3"):
            older.unlink()
        unfinished = self.file.with_suffix(f".{os.getpid()}")
        self._copy_to(sqlite3.connect(unfinished))
        unfinished.rename(self.file)

    def begin_with_it(self) -> None: ...

    def fill(self) -> None:
        self.connection.ensure_connection()
        kept = sqlite3.connect(self.file)
        kept.backup(self.connection.connection)
        kept.close()

    def _copy_to(self, other: sqlite3.Connection) -> None:
        self.connection.connection.backup(other)
        other.close()


class DatabaseCopy:
    """A database of the server that tests take as their template; its comment says of which migrations it is."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection
        self.name = f"test_{connection.settings_dict['NAME'].removeprefix('test_')}_migrated"

    def is_kept(self) -> bool:
        with self.connection._nodb_cursor() as cursor:
            cursor.execute(
                "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", [self.name]
            )
            return cursor.fetchone() == (digest(),)

    def keep(self) -> None:
        own, name = self._quoted(self.connection.settings_dict["NAME"]), self._quoted(self.name)
        self.connection.close()  # a template is copied only while nobody uses it
        with self.connection._nodb_cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {name}")
            cursor.execute(f"CREATE DATABASE {name} TEMPLATE {own}")
            cursor.execute(f"COMMENT ON DATABASE {name} IS '{digest()}'")

    def begin_with_it(self) -> None:
        self.connection.settings_dict["TEST"]["TEMPLATE"] = self.name

    def fill(self) -> None: ...

    def _quoted(self, name: str) -> str:
        return str(self.connection.ops.quote_name(name))
