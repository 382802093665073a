"""A small world for the engine: tables with transactions, lookups, a plan built by hand. Dicts inside, real acts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from apps.engine.delivery import Delivery
from apps.engine.plan import END, Node, Plan, Policy, ScopeKind, StepKind
from apps.engine.ports import (
    BadRecord,
    Batch,
    ConnectorError,
    Failure,
    LedgerKey,
    Outage,
    Record,
    Repeats,
    Scope,
    Written,
)
from apps.engine.records import Page, number_records
from apps.engine.result import PageResult

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass
class FakeDatabase:
    """Rows by table and id, one transaction at a time, savepoints. `fails(table, body)` says why a row is refused."""

    rows: dict[str, dict[Any, Record]] = field(default_factory=dict)
    ledger: dict[LedgerKey, bytes] = field(default_factory=dict)
    fails: Callable[[str, Record], str | None] = lambda table, body: None
    is_down: bool = False
    dies_at_commit: bool = False
    refuses_at_commit: Callable[[Any], bool] = lambda rows: False
    writes: int = 0
    _saved: dict[str, Any] = field(default_factory=dict)

    def begin(self) -> None:
        if self.is_down:
            raise Outage("connection_refused", "Could not connect.")
        assert not self._saved, "a transaction is open already"
        self.savepoint("begin")

    def savepoint(self, name: str) -> None:
        self._saved[name] = (deepcopy(self.rows), dict(self.ledger))

    def rollback_to(self, name: str) -> None:
        rows, ledger = self._saved[name]
        self.rows, self.ledger = deepcopy(rows), dict(ledger)

    def commit(self) -> None:
        if self.refuses_at_commit(self.rows):
            raise ConnectorError("23503", "A constraint that is checked at COMMIT does not hold.")
        self._saved.clear()
        if self.dies_at_commit:
            self.dies_at_commit = False
            raise Outage("connection_lost", "The connection was lost at COMMIT.")

    def rollback(self) -> None:
        if "begin" in self._saved:
            self.rollback_to("begin")
        self._saved.clear()

    def read_ledger(self, key: LedgerKey) -> bytes | None:
        return self.ledger.get(key)

    def write_ledger(self, key: LedgerKey, outcomes: bytes) -> None:
        self.ledger[key] = outcomes

    @property
    def is_idle(self) -> bool:
        return not self._saved


@dataclass
class FakeTable:
    database: FakeDatabase
    name: str
    repeats: Repeats = Repeats.SAFE
    transactional: bool = True
    sent: list[int] = field(default_factory=list)

    def write(self, batch: Batch) -> Written:
        if self.database.is_down:
            raise Outage("connection_refused", "Could not connect.")
        written = Written()
        for index, body in enumerate(batch.bodies):
            self.database.writes += 1
            self.sent.append(batch.ordinals[index])
            reason = self.database.fails(self.name, body)
            if reason:
                written.failures[index] = Failure("application", "refused", reason, "value")
            else:
                self._store(batch, index, body)
        return written

    def _store(self, batch: Batch, index: int, body: Record) -> None:
        rows = self.database.rows.setdefault(self.name, {})
        key = body.get("id", batch.ordinals[index])
        if self.repeats is Repeats.LEDGER:
            key = f"{key}#{len([k for k in rows if str(k).startswith(f'{key}#')])}"
        rows[key] = body


@dataclass
class FakeLookup:
    answers: dict[Any, list[Record]]
    asked: list[Any] = field(default_factory=list)

    def find(self, records: Sequence[Record], scope: Scope) -> list[list[Record] | Failure]:
        self.asked.extend(record["id"] for record in records)
        return [self.answers.get(record["id"], []) for record in records]

    def words_for(self, record: Record, scope: Scope) -> str:
        return f'the list with id "{record["id"]}"'


@dataclass
class FakeOpened:
    """The steps' connections by step key; sessions by connection name."""

    targets: dict[str, Any] = field(default_factory=dict)
    lookups: dict[str, Any] = field(default_factory=dict)
    sessions: dict[str, Any] = field(default_factory=dict)

    def target(self, node: Node) -> Any:
        return self.targets[node.key]

    def lookup(self, node: Node) -> Any:
        return self.lookups[node.key]

    def session(self, connection: str) -> Any:
        return self.sessions[connection]


def node(index: int, key: str, kind: StepKind, *, next: int | None = None, **facts: Any) -> Node:  # noqa: A002
    return Node(index=index, key=key, name=key, kind=kind, next=index + 1 if next is None else next, **facts)


def chain(*nodes: Node, scope: ScopeKind = ScopeKind.NONE) -> Plan:
    """An export and the nodes given, in a row; the last one ends the way."""
    last = Node(**{**{f: getattr(nodes[-1], f) for f in Node.__dataclass_fields__}, "next": END})
    return Plan((node(0, "export", StepKind.EXPORT), *nodes[:-1], last), scope=scope)


def table_step(index: int, key: str, policy: Policy | None = None, **facts: Any) -> Node:
    return node(index, key, StepKind.IMPORT, connection="db", is_transactional=True, policy=policy or Policy(), **facts)


def page_of(records: Sequence[Record | BadRecord], *, seq: int = 0, part: int = 0) -> Page:
    items, malformed = number_records(records, 0, lambda record: str(record.get("id", "")))
    return Page(seq, part, NOW, items, malformed)


def deliver(plan: Plan, opened: FakeOpened, page: Page, **facts: Any) -> PageResult:
    delivery = Delivery(
        plan,
        opened,
        lambda page, step: LedgerKey(1, 1, page.seq, page.part, step),
        lambda node, item: f"{node.key}:{item.ordinal}",
        **facts,
    )
    return delivery.deliver(page)


def counts(result: PageResult) -> tuple[int, int, int, int]:
    """(success, ignored, failed, rolled back) of the records."""
    return result.success, result.ignored, result.failed, result.rolled_back


def visits(result: PageResult, index: int) -> tuple[int, int, int, int]:
    """(success, ignored, errors, rolled back) of a step."""
    tally = result.tally(index)
    return len(tally.succeeded), len(tally.ignored), len(tally.failed), len(tally.rolled_back)
