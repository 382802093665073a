"""A claimed run of a flow whose plan is built by hand, worked through the real journal and the real delivery."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from apps.engine.delivery import Delivery
from apps.engine.loop import Fetched
from apps.engine.plan import Plan
from apps.engine.ports import BadRecord, CheckpointValue, LedgerKey, Record
from apps.engine.records import Page, number_records, pack
from apps.engine.walk import identity
from apps.execution.check_books import differences
from apps.execution.claims import Claim, claim_run
from apps.execution.journal import RunJournal
from apps.flows.models import Flow, Step
from apps.runs.models import Run
from apps.runs.services import start_run
from tests.factories import make_flow
from tests.fakes.world import NOW, FakeDatabase, FakeOpened, FakeTable, chain, table_step


@dataclass
class Running:
    """One run under way. `run_page` takes records through fetch, store, delivery and page commit."""

    flow: Flow
    plan: Plan
    opened: FakeOpened
    run: Run
    claim: Claim
    journal: RunJournal
    keys: Any = field(default=lambda record: str(record.get("id", "")))

    def fetched(self, records: Sequence[Record | BadRecord], checkpoint: Any = None) -> Fetched:
        first = self.journal.next_ordinal
        items, malformed = number_records(records, first, self.keys)
        value = None if checkpoint is None else CheckpointValue({"at": checkpoint})
        return Fetched(items, malformed, pack(items, malformed), {"row": first + len(records)}, value, "a list", NOW)

    def store(self, records: Sequence[Record | BadRecord], checkpoint: Any = None) -> Page:
        return self.journal.store(self.fetched(records, checkpoint), claim=True)

    def deliver(self, page: Page) -> Any:
        return self.delivery().deliver(page)

    def delivery(self) -> Delivery:
        def ledger_key(page: Page, step: str) -> LedgerKey:
            return LedgerKey(1, self.run.pk, page.seq, page.part, step)

        return Delivery(self.plan, self.opened, ledger_key, identity(1, self.run.pk), announce=self.journal.announce)

    def run_page(self, records: Sequence[Record | BadRecord], checkpoint: Any = None) -> bool:
        page = self.store(records, checkpoint)
        return self.journal.commit(page, self.deliver(page))

    def finish(self) -> Run:
        self.journal.finish()
        return self.reloaded()

    def reloaded(self) -> Run:
        self.run.refresh_from_db()
        return self.run


@dataclass
class World:
    """A flow "source -> target" on a fake database, whose runs are begun one after the other."""

    flow: Flow
    plan: Plan
    database: FakeDatabase
    opened: FakeOpened

    def begin(self, **facts: Any) -> Running:
        run = start_run(flow=self.flow, **facts)
        return self.take(run)

    def take(self, run: Run) -> Running:
        claim = claim_run(run.pk)
        assert claim is not None
        run.refresh_from_db()
        steps = {step.key: step for step in Step.unscoped.filter(flow=self.flow)}
        journal = RunJournal(claim, run, self.plan, steps)
        return Running(self.flow, self.plan, self.opened, run, claim, journal)

    def refuse(self, *ids: Any, message: str = "refused") -> None:
        """From now on the destination refuses the records with these ids."""
        self.database.fails = lambda table, body: message if body.get("id") in ids else None


def make_world(account: Any = None, *, plan: Plan | None = None, **flow_fields: Any) -> World:
    flow = make_flow(account, **flow_fields)
    plan = plan or chain(table_step(1, "target"))
    plan = with_export_key(plan)
    database = FakeDatabase()
    targets = {n.key: FakeTable(database, n.key) for n in plan.nodes if n.is_transactional}
    return World(flow, plan, database, FakeOpened(targets=targets, sessions={"db": database}))


def with_export_key(plan: Plan) -> Plan:
    from dataclasses import replace

    return replace(plan, nodes=(replace(plan.nodes[0], key="source"), *plan.nodes[1:]))


def books() -> list[str]:
    """What `check_books` says, without the numbers of the rows."""
    return [re.sub(r"\s\d+:", ":", str(difference)) for difference in differences()]
