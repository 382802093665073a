"""The face that all databases share: what the connector's export, lookup and import ask of a database."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from apps.connectors.base import LedgerRows, Ping
from apps.connectors.sql.statements import STANDARD, Statement, Wording
from apps.engine.ports import Batch, Classification, ConnectorError, ErrorSource, Failure, Record, Session

LEDGER_TABLE = "flowmend_ledger"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: `type` in the database's own words; `holds_json`: nested values may go there."""

    name: str
    type: str
    holds_json: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table as the catalog describes it. `unique_keys`: the column sets that stand under a unique index."""

    name: str
    columns: Mapping[str, Column]
    unique_keys: frozenset[frozenset[str]] = frozenset()

    def unknown_words(self, name: str) -> str:
        shown = list(self.columns)[:40]
        more = ", …" if len(self.columns) > len(shown) else ""
        return f'Column "{short(name)}" does not exist in table {self.name}. It has: {", ".join(shown)}{more}.'

    def unknown_column(self, name: str, source: str) -> ConnectorError:
        return ConnectorError("42703", self.unknown_words(name), classification=Classification.VALUE, source=source)


class BadText(bytes):
    """A text that is not UTF-8, as it stands in the database."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What a query delivered: column names, the values, JSON already, and which columns hold bytes (now base64)."""

    names: list[str]
    values: list[tuple[Any, ...]]
    blobs: frozenset[str] = frozenset()

    def records(self) -> list[Record]:
        names = self.names
        return [dict(zip(names, row, strict=True)) for row in self.values]


class Row(NamedTuple):
    """One record to write: its index into the batch and its values by column (or by parameter name)."""

    at: int
    values: Record


@dataclass(frozen=True, slots=True)
class Job:
    """What an import does with its rows. `statement` is set only for the operation `statement`."""

    operation: str
    table: Table | None = None
    keys: tuple[str, ...] = ()
    statement: Statement | None = None
    ignore_missing: bool = False

    def words_for(self, row: Record) -> str:
        """The key of a row in words: `id = 5`."""
        return " and ".join(f"{key} = {short(row.get(key))}" for key in self.keys)


@dataclass(slots=True)
class Outcome:
    """What became of the rows: failures by index of the batch, and the indexes that were not started."""

    failures: dict[int, Failure] = field(default_factory=dict)
    not_started: list[int] = field(default_factory=list)


class Reader(Protocol):
    """A connection of its own for an export: every call is one read-only transaction."""

    def rows(self, sql: Statement, values: Record) -> Rows: ...

    def stream(self, sql: Statement, values: Record, size: int) -> Iterator[Rows]:
        """Pages of `size` rows through a server-side cursor."""

    def watermark_type(self, sql: Statement, values: Record, column: str) -> str:
        """`time` or `date` where the database says that the column holds such, `other`, or "" if it can't say."""

    def close(self) -> None: ...


class Database(ABC):
    """One database behind the connector, with at most one open transaction. Raises ConnectorError and Outage."""

    wording: Wording = STANDARD

    @abstractmethod
    def ping(self) -> Ping: ...

    @abstractmethod
    def session(self) -> Session: ...

    @abstractmethod
    def has_transaction(self) -> bool: ...

    @abstractmethod
    def table(self, name: str) -> Table:
        """The table's description, read once per opened connection. Raises ConnectorError when there is none."""

    @abstractmethod
    def write(self, job: Job, rows: Sequence[Row], batch: Batch) -> Outcome:
        """Write inside the open transaction, every failing row pinned."""

    @abstractmethod
    def find_rows(self, find: "Finder", sets: Sequence[Record]) -> "list[list[Record] | Failure]":
        """The rows for each set of parameters, in order."""

    @abstractmethod
    def reader(self) -> Reader: ...

    @abstractmethod
    def trim_ledger(self, account: int, before_run: int, older_than: datetime) -> LedgerRows | None:
        """See `Connector.trim_ledger`; in a transaction of its own."""

    @abstractmethod
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Finder:
    """What a lookup asks: a statement with parameters, or rows of a table whose columns equal the parameters."""

    statement: Statement | None = None
    table: str = ""
    columns: tuple[str, ...] = ()
    match: tuple[str, ...] = ()
    is_locking: bool = False
    max_rows: int = 100_000


def short(value: Any) -> str:
    """A value for a message, cut to a readable length."""
    text = "empty" if value is None else str(value)
    return text if len(text) <= 60 else text[:60] + "…"


def half_character(values: Record) -> str:
    """The column whose text holds half of a character (a lone surrogate), which no database takes; blank for none."""
    return next((name for name, value in values.items() if isinstance(value, str) and not is_text(value)), "")


def is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def too_many_rows(limit: int) -> ConnectorError:
    message = f"The lookup found more than {limit:,} rows for one page; make it narrower or the page smaller."
    return ConnectorError("too_large", message, classification=Classification.TOO_LARGE, source=ErrorSource.LOOKUP)
