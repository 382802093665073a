"""Trims the ledgers that stand in targets: a row is of use until its run has ended, and is kept a while to look at."""

from datetime import timedelta

from django.db.models import Exists, F, Max, Min, OuterRef

from apps.core.clock import database_now, read_now
from apps.core.queue import enqueue
from apps.core.text import storable
from apps.engine.plan import StepKind
from apps.engine.ports import ConnectorError
from apps.flows.connections import open_connector, surroundings_for
from apps.flows.models import Connection, ConnectionState, Ledger, Step
from apps.runs.models import Run

TRIM = "apps.execution.tasks.trim_ledger"
EVERY = timedelta(hours=1)
KEPT = timedelta(days=7)
KINDS = ("sql",)
MOST_AT_ONCE = 100


def hint_ledgers() -> int:
    """Hint at the ledgers that are due to be trimmed; returns how many."""
    note_new_targets()
    due = Ledger.unscoped.filter(due_at__lte=database_now(), connection__state=ConnectionState.ONLINE)
    mine = [
        pk for pk, due_at in due.order_by("due_at").values_list("pk", "due_at")[:MOST_AT_ONCE] if claimed(pk, due_at)
    ]
    for pk in mine:
        enqueue(TRIM, pk)
    return len(mine)


def note_new_targets() -> None:
    """Databases that an import writes to, and that answered, may hold a ledger."""
    imports = Step.unscoped.filter(connection=OuterRef("pk"), kind=StepKind.IMPORT)
    targets = Connection.unscoped.filter(Exists(imports), kind__in=KINDS, state=ConnectionState.ONLINE)
    new = targets.filter(ledger__isnull=True).order_by("pk").values_list("account_id", "pk")[:MOST_AT_ONCE]
    rows = [Ledger(account_id=account, connection_id=connection) for account, connection in new]
    Ledger.unscoped.bulk_create(rows, ignore_conflicts=True)


def claimed(ledger_id: int, due_at: object) -> bool:
    """Compare-and-swap on the time it is due."""
    return bool(Ledger.unscoped.filter(pk=ledger_id, due_at=due_at).update(due_at=read_now() + EVERY))


def trim(ledger_id: int) -> None:
    """Remove what no run can ask for any more, and note what is left; what went wrong is told on the page."""
    ledger = Ledger.unscoped.select_related("connection").get(pk=ledger_id)
    mine = Ledger.unscoped.filter(pk=ledger_id)
    try:
        connector = open_connector(ledger.connection, surroundings_for(ledger.account_id))
        try:
            found = connector.trim_ledger(
                ledger.account_id, before_run=first_unended(ledger.account_id), older_than=read_now() - KEPT
            )
        finally:
            connector.close()
    except ConnectorError as error:
        mine.update(trimmed_at=database_now(), problem=storable(error.message)[0])
        return
    mine.update(
        trimmed_at=database_now(),
        problem="",
        rows=found.kept if found else None,
        oldest_at=found.oldest if found else None,
        removed=F("removed") + (found.removed if found else 0),
    )


def first_unended(account_id: int) -> int:
    """Runs below this one have ended: nobody asks the ledger for them again."""
    runs = Run.unscoped.filter(account_id=account_id)
    first = runs.filter(ended_at__isnull=True).aggregate(first=Min("pk"))["first"]
    return int(first or (runs.aggregate(last=Max("pk"))["last"] or 0) + 1)
