"""Whether the installation can do its work: not of an account, and nothing of where it is."""

from dataclasses import dataclass
from threading import Event

from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count, Q, Sum

from apps.core.clock import database_now, read_now
from apps.runs.models import Machine

SILENCE_S = 30.0
"""A process that gave no sign of life for longer counts as dead."""
_is_migrated = Event()


@dataclass(frozen=True)
class Readiness:
    """`reasons` is empty while all is well."""

    migrations: str = "ok"
    workers: int = 0
    dispatchers: int = 0
    reasons: tuple[str, ...] = ()


def take_readiness() -> Readiness:
    """Asks further only while the tables are those of this code. Raises DatabaseError without a database."""
    read_now()
    missing = missing_migrations()
    if missing:
        words = f"{missing} migration{'' if missing == 1 else 's'} not applied: run manage.py migrate."
        return Readiness(migrations="missing", reasons=(words,))
    living = Machine.objects.filter(seen_at__gt=database_now(seconds=-SILENCE_S))
    found = living.aggregate(workers=Sum("workers"), dispatchers=Count("pk", filter=Q(dispatches=True)))
    workers, dispatchers = found["workers"] or 0, found["dispatchers"]
    silent = f"has given a sign of life for {SILENCE_S:.0f} seconds. Start one: manage.py work."
    reasons = [f"No {who} {silent}" for who, number in (("worker", workers), ("dispatcher", dispatchers)) if not number]
    return Readiness(workers=workers, dispatchers=dispatchers, reasons=tuple(reasons))


def missing_migrations() -> int:
    """How many this code brings that the database has not seen; none for good once it was none."""
    if _is_migrated.is_set():
        return 0
    executor = MigrationExecutor(connection)
    missing = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    if not missing:
        _is_migrated.set()
    return missing
