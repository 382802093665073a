"""What has to be known of a database beyond its dialect: how to connect, what to set, what its errors mean."""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from sqlalchemy.engine import Connection, Dialect

from apps.connectors.base import Limits
from apps.connectors.sql.config import SqlConfig
from apps.connectors.sql.statements import Statement, StatementError, Wording

GRACE_S = 5.0
"""How long after its own statement time-out a server may take to say so."""
EXPORT_IDLE_S = 900


class Quoting(Wording):
    """Names as the dialect quotes them."""

    def __init__(self, dialect: Dialect) -> None:
        self._preparer = dialect.identifier_preparer

    def name(self, name: str) -> str:
        return self._preparer.quote_identifier(name)

    def after(self, columns: tuple[str, ...], marks: list[str]) -> str:
        """Written out: not every database compares rows, and MySQL finds no index for it."""
        ways = []
        for at, (column, mark) in enumerate(zip(columns, marks, strict=True)):
            equal = [f"{self.name(columns[n])} = {marks[n]}" for n in range(at)]
            ways.append(" AND ".join([*equal, f"{self.name(column)} > {mark}"]))
        return "(" + " OR ".join(f"({way})" for way in ways) + ")"


class Speech(ABC):
    """One kind of database. `prefix` begins its codes; the numbers are the database's own."""

    label: ClassVar[str]
    dialect: ClassVar[str]
    library: ClassVar[str]
    prefix: ClassVar[str]
    begin: ClassVar[tuple[str, ...]] = ()
    begin_reading: ClassVar[tuple[str, ...]] = ()
    lock_ending: ClassVar[str] = " FOR UPDATE"
    has_rows_of_values: ClassVar[bool] = False
    """Whether one INSERT takes many rows, and is undone as a whole when one of them fails."""
    outages: ClassVar[frozenset[str]] = frozenset()
    undoing: ClassVar[frozenset[str]] = frozenset()
    """Codes with which the server has rolled the whole transaction back."""
    waiting: ClassVar[frozenset[str]] = frozenset()
    """Codes that say that somebody else's lock was waited for in vain."""
    general: ClassVar[frozenset[str]] = frozenset()
    """Codes that concern the statement, not the row: the same for every record."""
    refused_text: ClassVar[re.Pattern[str] | None] = None

    def __init__(self, config: SqlConfig, limits: Limits) -> None:
        self.config = config
        self.limits = limits

    @property
    def statement_s(self) -> float:
        return self.config.statement_timeout_s or self.limits.statement_s

    @property
    def lock_s(self) -> float:
        return self.config.lock_timeout_s or self.limits.lock_s

    @abstractmethod
    def connect(self, driver: Any, address: str) -> Any:
        """A connection of the driver to a judged numeric address."""

    def abandon(self, driver: Any) -> None:  # noqa: B027 (most drivers need nothing)
        """Let go of a connection of the driver in the middle of an answer."""

    @abstractmethod
    def set_up(self, connection: Connection, *, is_reader: bool) -> list[str]:
        """The statements that set time-outs and strictness."""

    @abstractmethod
    def code_of(self, error: BaseException) -> str:
        """The database's own number of an error, or ""."""

    def message_of(self, error: BaseException) -> str:
        parts = [part for part in error.args if isinstance(part, str)]
        return " ".join((parts[-1] if parts else str(error)).split())

    def wording(self, dialect: Dialect) -> Wording:
        return Quoting(dialect)

    def unlimited(self) -> list[str]:
        """What lets a cursor stay open while pages are worked on."""
        return []

    def short_lock(self) -> list[str]:
        """What makes the rest of a page wait only shortly for locks, once one was waited for in vain."""
        return []

    def upsert_ending(self, wording: Wording, shape: Sequence[str], keys: Sequence[str]) -> str | None:
        """What makes an upsert out of an INSERT, where the database has that."""
        return None

    def checked(self, statement: Statement) -> Statement:
        """The author's statement. Raises StatementError for what only this database would do."""
        text = "".join(statement.pieces)
        if self.refused_text is not None and (found := self.refused_text.search(text)):
            raise StatementError(f"{self.label} statements may not contain {' '.join(found[0].split())} here.")
        return statement

    def refused_table(self, options: dict[str, Any]) -> str:
        """Why nothing can be written to a table with these options, or ""."""
        return ""
