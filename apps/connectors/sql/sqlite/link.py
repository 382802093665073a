"""One SQLite connection: which file it may open, and what may be done in it."""

import os
import sqlite3
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from apps.connectors.base import Surroundings
from apps.connectors.sql.config import SqlConfig
from apps.connectors.sql.face import BadText
from apps.connectors.sql.sqlite.errors import translated
from apps.engine.ports import Classification, ErrorSource, Outage

REFUSED = frozenset({sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH})
READING_PRAGMAS = frozenset({"table_xinfo", "table_info", "index_list", "index_info", "data_version"})
REFUSED_FUNCTIONS = frozenset({"load_extension", "fts3_tokenizer"})
STEPS_BETWEEN_LOOKS = 20_000
"""SQLite looks at the clock once in so many machine steps (a few hundred rows): below one percent of the time."""


def read_text(raw: bytes) -> Any:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return BadText(raw)


class Link:
    """A connection that is opened when it is first needed."""

    def __init__(self, config: SqlConfig, surroundings: Surroundings, *, is_reader: bool = False) -> None:
        self.config = config
        self.surroundings = surroundings
        self.is_reader = is_reader
        self.statement_s = config.statement_timeout_s or surroundings.limits.statement_s
        self.lock_s = config.lock_timeout_s or surroundings.limits.lock_s
        self._connection: sqlite3.Connection | None = None
        self._deadline = 0.0
        self._is_ours = False

    def connection(self) -> sqlite3.Connection:
        """The open connection. Raises Outage."""
        if self._connection is None:
            path = self._path()
            try:
                self._connection = self._open(path)
            except sqlite3.Error as error:
                raise translated(error, self.config.file, ErrorSource.APPLICATION) from error
        return self._connection

    def _path(self) -> Path:
        """The file, which must be a regular one below the root, also after following its links."""
        root = self.surroundings.sqlite_root.resolve()
        try:
            path = (root / self.config.file).resolve()
            is_inside = path.is_relative_to(root) and path != root and not Path(self.config.file).is_absolute()
            if not is_inside:
                raise self._refused("blocked", "it is outside of the databases folder")
            if not stat.S_ISREG(os.stat(path).st_mode):
                raise self._refused("SQLITE_CANTOPEN", "it is not a file")
        except FileNotFoundError:
            raise self._refused("SQLITE_CANTOPEN", "there is no such file in the databases folder") from None
        except (ValueError, OSError, RuntimeError) as error:
            raise self._refused("SQLITE_CANTOPEN", "its path cannot be used") from error
        if any(is_same_file(path, own) for own in self.surroundings.own_databases):
            raise self._refused("blocked", "it is Flowmend's own database, which flows may not touch")
        return path

    def _refused(self, code: str, why: str) -> Outage:
        message = f"Could not open the SQLite database {self.config.file}: {why}."
        return Outage(code, message, classification=Classification.CONNECTION)

    def _open(self, path: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode=rw",
            uri=True,
            timeout=self.lock_s,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        try:
            self._set_up(connection)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _set_up(self, connection: sqlite3.Connection) -> None:
        connection.text_factory = read_text
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("PRAGMA foreign_keys=ON")
        if self.is_reader:
            connection.execute("PRAGMA query_only=ON")
        else:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(f"PRAGMA synchronous={'FULL' if self.config.synchronous_commit else 'NORMAL'}")
        connection.set_authorizer(self._judge)
        connection.set_progress_handler(self._is_too_late, STEPS_BETWEEN_LOOKS)

    def _judge(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        """Called by SQLite for every part of a statement before it runs."""
        if action in REFUSED:
            return sqlite3.SQLITE_DENY
        if action == sqlite3.SQLITE_PRAGMA and not self._is_ours and (first or "").lower() not in READING_PRAGMAS:
            return sqlite3.SQLITE_DENY
        if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in REFUSED_FUNCTIONS:
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK

    def _is_too_late(self) -> bool:
        return time.monotonic() > self._deadline

    def wind(self) -> None:
        """Start the statement time-out anew."""
        self._deadline = time.monotonic() + self.statement_s

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # --- using -------------------------------------------------------------------------------------------------------
    @contextmanager
    def speaking(self, source: str = ErrorSource.APPLICATION) -> Iterator[sqlite3.Connection]:
        """The connection; database errors inside leave as ConnectorError or Outage."""
        connection = self.connection()
        self.wind()
        try:
            yield connection
        except sqlite3.Error as error:
            raise translated(error, self.config.file, source) from error

    def execute(self, sql: str, values: Sequence[Any] = (), source: str = ErrorSource.APPLICATION) -> sqlite3.Cursor:
        with self.speaking(source) as connection:
            return connection.execute(sql, values)

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Nothing may be written meanwhile, also inside an open transaction."""
        self._pragma("query_only=ON")
        try:
            yield
        finally:
            self._pragma(f"query_only={'ON' if self.is_reader else 'OFF'}")

    def _pragma(self, text: str) -> None:
        self._is_ours = True
        try:
            self.execute(f"PRAGMA {text}")
        finally:
            self._is_ours = False

    def has_transaction(self) -> bool:
        return self._connection is not None and self._connection.in_transaction


def is_same_file(path: Path, own: str) -> bool:
    try:
        return os.path.samefile(path, own)
    except (OSError, ValueError):
        return False
