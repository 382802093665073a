"""What the databases share: a link for writes and lookups, with its session, writer, tables and finders."""

from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from apps.connectors.base import LedgerRows
from apps.connectors.sql.face import Database, Finder, Job, Outcome, Reader, Row, Table
from apps.engine.ports import Batch, Failure, Record, Session


class AnyLink(Protocol):
    def has_transaction(self) -> bool: ...

    def close(self) -> None: ...


class LedgerSession(Session, Protocol):
    """The transaction of a target that keeps a ledger."""

    def trim_ledger(self, account: int, before_run: int, older_than: datetime) -> LedgerRows | None: ...


class Writer(Protocol):
    def write(self, job: Job, rows: Sequence[Row], batch: Batch) -> Outcome: ...


class RowFinder(Protocol):
    def rows(self, sets: Sequence[Record]) -> list[list[Record] | Failure]: ...


L = TypeVar("L", bound=AnyLink)


class LinkedDatabase(Database, Generic[L]):
    """One link for writes and lookups; each export opens its own."""

    def __init__(self, link: L, session: LedgerSession, writer: Writer) -> None:
        self.link = link
        self._session = session
        self._writer = writer
        self._tables: dict[str, Table] = {}
        self._finders: dict[Finder, RowFinder] = {}
        self._readers: list[Reader] = []

    @abstractmethod
    def read_table(self, name: str) -> Table:
        """A table as the catalog describes it now."""

    @abstractmethod
    def new_finder(self, find: Finder) -> RowFinder: ...

    @abstractmethod
    def new_reader(self) -> Reader:
        """A reader with a link of its own."""

    def session(self) -> Session:
        return self._session

    def has_transaction(self) -> bool:
        return self.link.has_transaction()

    def table(self, name: str) -> Table:
        if name not in self._tables:
            self._tables[name] = self.read_table(name)
        return self._tables[name]

    def write(self, job: Job, rows: Sequence[Row], batch: Batch) -> Outcome:
        return self._writer.write(job, rows, batch)

    def find_rows(self, find: Finder, sets: Sequence[Record]) -> list[list[Record] | Failure]:
        if find not in self._finders:
            self._finders[find] = self.new_finder(find)
        return self._finders[find].rows(sets)

    def reader(self) -> Reader:
        reader = self.new_reader()
        self._readers.append(reader)
        return reader

    def trim_ledger(self, account: int, before_run: int, older_than: datetime) -> LedgerRows | None:
        return self._session.trim_ledger(account, before_run, older_than)

    def close(self) -> None:
        for reader in self._readers:
            reader.close()
        self.link.close()
