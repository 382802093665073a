"""Connections that keep nothing: writes are rolled back, sends are built and not sent, and each is seen."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from apps.engine.plan import Node
from apps.engine.ports import (
    Batch,
    Built,
    ConnectorError,
    LedgerKey,
    Lookup,
    Outage,
    Record,
    Repeats,
    Scope,
    Session,
    Target,
    Written,
)
from apps.engine.seen import Seen
from apps.engine.walk import Opened


class Connections(Opened, Protocol):
    """The steps' connections, and what their imports would send."""

    def build(self, node: Node, batch: Batch) -> Built: ...
    def takes_back(self, node: Node) -> bool: ...


class UndoneSession:
    """One target transaction around the whole test, which is never committed; those of the engine are savepoints."""

    def __init__(self, inner: Session) -> None:
        self._inner = inner
        self._is_open = False

    def begin(self) -> None:
        if not self._is_open:
            self._inner.begin()
            self._is_open = True
        self._inner.savepoint("fm_test")

    def savepoint(self, name: str) -> None:
        self._inner.savepoint(name)

    def rollback_to(self, name: str) -> None:
        self._inner.rollback_to(name)

    def commit(self) -> None:
        """What was written stays until the end of the test, so that what follows sees it."""

    def rollback(self) -> None:
        if self._is_open:
            self._inner.rollback_to("fm_test")

    def read_ledger(self, key: LedgerKey) -> bytes | None:
        return None

    def write_ledger(self, key: LedgerKey, outcomes: bytes) -> None:
        """Nothing is written, so nothing is told of it."""

    def find(self, lookup: Lookup, records: Any, scope: Scope) -> Any:
        """Ask within the open transaction so that a refusal leaves it usable."""
        if not self._is_open:
            return lookup.find(records, scope)
        self._inner.savepoint("fm_look")
        try:
            return lookup.find(records, scope)
        except Outage:
            raise
        except Exception:
            self._inner.rollback_to("fm_look")
            raise

    def end(self) -> None:
        if self._is_open:
            self._is_open = False
            with suppress(ConnectorError):
                self._inner.rollback()


@dataclass
class TestedTarget:
    """Tells what would be sent; writes only what is rolled back."""

    __test__: ClassVar[bool] = False

    node: Node
    inner: Target | None
    build: Callable[[Node, Batch], Built]
    seen: Seen
    repeats: Repeats = Repeats.SAFE

    def __post_init__(self) -> None:
        self.transactional = self.inner is not None

    def write(self, batch: Batch) -> Written:
        built = self.build(self.node, batch)
        for index, request in built.requests.items():
            self.seen.built[self.node.index, batch.ordinals[index]] = request
        return Written(dict(built.failures)) if self.inner is None else self.inner.write(batch)


@dataclass
class TestedLookup:
    __test__: ClassVar[bool] = False

    inner: Lookup
    session: UndoneSession

    def find(self, records: Any, scope: Scope) -> Any:
        return self.session.find(self.inner, records, scope)

    def words_for(self, record: Record, scope: Scope) -> str:
        return self.inner.words_for(record, scope)


class TestedSteps:
    """The connections of a plan for a test; `end` rolls everything back."""

    __test__ = False

    def __init__(self, inner: Connections, seen: Seen) -> None:
        self._inner = inner
        self._seen = seen
        self._sessions: dict[str, UndoneSession] = {}

    def lookup(self, node: Node) -> Lookup:
        found = self._inner.lookup(node)
        return TestedLookup(found, self._session(node.connection)) if node.is_transactional else found

    def target(self, node: Node) -> Target:
        is_run = node.is_transactional and self._inner.takes_back(node)
        return TestedTarget(node, self._inner.target(node) if is_run else None, self._inner.build, self._seen)

    def session(self, connection: str) -> Session:
        return self._session(connection)

    def _session(self, connection: str) -> UndoneSession:
        if connection not in self._sessions:
            self._sessions[connection] = UndoneSession(self._inner.session(connection))
        return self._sessions[connection]

    def end(self) -> None:
        for session in self._sessions.values():
            session.end()
