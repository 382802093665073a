"""The ledger in the target: what a delivery wrote stands there with what it wrote, so that a repeated one can tell."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import orjson

from apps.engine.plan import Node
from apps.engine.ports import Batch, Failure, LedgerKey, Outage, Repeats, RolledBack, Session, Target, Written
from apps.engine.records import Item, Page
from apps.engine.walk import NOT_SENT, Opened, Walk


@dataclass
class StatementScope:
    """Scope `none`: wraps each write to a transactional target in a transaction of its own, ledger row included."""

    inner: Opened
    ledger_key: Callable[[Page, str], LedgerKey]
    page: Page
    walk: Walk

    def lookup(self, node: Node) -> Any:
        return self.inner.lookup(node)

    def session(self, connection: str) -> Session:
        return self.inner.session(connection)

    def target(self, node: Node) -> Any:
        target = self.inner.target(node)
        if not node.is_transactional:
            return target
        return StatementTarget(target, self.inner.session(node.connection), self._names(node), self.walk)

    def _names(self, node: Node) -> list[LedgerKey]:
        return ledger_names(self.ledger_key(self.page, node.key), self.page)


@dataclass
class StatementTarget:
    target: Target
    session: Session
    names: list[LedgerKey]
    walk: Walk

    @property
    def transactional(self) -> bool:
        return True

    @property
    def repeats(self) -> Repeats:
        return Repeats(self.target.repeats)

    def write(self, batch: Batch) -> Written:
        """Write in a transaction of its own; again, without the record at which the target ended it by itself."""
        places = list(range(len(batch.bodies)))
        failures: dict[int, Failure] = {}
        while True:
            try:
                known = {batch.ordinals[index]: failure for index, failure in failures.items()}
                return placed(self._in_transaction(some_of(batch, places), known), places, failures)
            except RolledBack as gone:
                failures[places.pop(gone.at)] = gone.known

    def _in_transaction(self, batch: Batch, known: dict[int, Failure]) -> Written:
        self.session.begin()
        try:
            written = self._write(batch, known)
            self.session.commit()
        except BaseException:
            with suppress(Outage):
                self.session.rollback()
            raise
        return written

    def _write(self, batch: Batch, known: dict[int, Failure]) -> Written:
        if self.target.repeats is not Repeats.LEDGER:
            return self.target.write(batch)
        stored = read_first(self.session, self.names)
        if stored is None:
            written = self.target.write(batch)
            unsent = dict.fromkeys(written.not_sent, NOT_SENT)
            rows = [("", batch.ordinals[index], failure) for index, failure in (written.failures | unsent).items()]
            rows += [("", ordinal, failure) for ordinal, failure in known.items()]
            self.session.write_ledger(self.names[0], pack_outcomes(rows))
            return written
        told = unpack_outcomes(stored)
        found = {i: told["", o] for i, o in enumerate(batch.ordinals) if ("", o) in told}
        return Written(
            {i: failure for i, failure in found.items() if failure != NOT_SENT},
            not_sent={i: 0.0 for i, failure in found.items() if failure == NOT_SENT},
        )


def some_of(batch: Batch, indexes: list[int]) -> Batch:
    """A batch of some records of another one."""
    if len(indexes) == len(batch.bodies):
        return batch
    return replace(
        batch,
        bodies=[batch.bodies[i] for i in indexes],
        records=[batch.records[i] for i in indexes],
        ordinals=[batch.ordinals[i] for i in indexes],
        keys=lambda index: batch.keys(indexes[index]),
    )


def placed(written: Written, indexes: list[int], failures: dict[int, Failure]) -> Written:
    """The outcome of some records of a batch, by their indexes in the whole of it, and the failures of others."""
    if not failures:
        return written
    return Written(
        {**{indexes[i]: failure for i, failure in written.failures.items()}, **failures},
        {indexes[i]: answer for i, answer in written.answers.items()},
        {indexes[i]: wait for i, wait in written.not_sent.items()},
        written.reason,
    )


def ledger_part(items: list[Item]) -> str:
    return f"{items[0].ordinal}-{items[-1].ordinal}"


def ledger_names(own: LedgerKey, page: Page) -> list[LedgerKey]:
    """The name of a part's ledger row, and those under which its outcomes may stand since before it was cut out."""
    return [own, *(replace(own, part=part) for part in reversed(page.cut_from))]


def read_first(session: Session, names: list[LedgerKey]) -> bytes | None:
    return next((stored for name in names if (stored := session.read_ledger(name)) is not None), None)


def pack_outcomes(rows: Iterable[tuple[str, int, Failure]]) -> bytes:
    return orjson.dumps(
        [[step, ordinal, f.source, f.code, f.message, f.classification, f.field] for step, ordinal, f in rows]
    )


def unpack_outcomes(stored: bytes) -> dict[tuple[str, int], Failure]:
    return {(row[0], row[1]): Failure(*row[2:7]) for row in orjson.loads(stored)}
