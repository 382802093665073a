"""The work that waits for a connection which is offline, and how it goes on once that is back."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2

from django.db.models import QuerySet, Sum

from apps.core.clock import database_now
from apps.flows.models import Connection
from apps.flows.services.health import bring_online
from apps.runs.models import Page, Run
from apps.runs.services import hint

WAVE_S = 3.0
"""One run first, two more after that time, then four, eight, …"""


def waiting_reason(name: str) -> str:
    """How the wait reason of a run begins that waits for a connection."""
    return f"waiting: connection {name}:"


@dataclass(frozen=True)
class Waiting:
    """Runs that wait for a connection, the oldest first, and the records that they hold ready."""

    runs: Sequence[int] = ()
    records: int = 0


def waiting_runs(connection: Connection) -> "QuerySet[Run]":
    return Run.objects.of(connection.account_id).active().filter(
        environment=connection.environment, wait_reason__startswith=waiting_reason(connection.name)
    )  # fmt: skip


def waiting_among(runs: "QuerySet[Run]") -> Waiting:
    """Two queries at most. A run whose source is away holds no records."""
    found = list(runs.only("pk", "account_id").order_by("pk"))
    if not found:
        return Waiting()
    pages = Page.objects.of(found[0].account_id).not_done().filter(run__in=found)
    return Waiting([run.pk for run in found], pages.aggregate(total=Sum("records"))["total"] or 0)


def come_back(connection: Connection) -> bool:
    """An offline connection answers: online from now on. False if it was already."""
    waiting = waiting_among(waiting_runs(connection))
    return bring_online(connection, waited={"runs": len(waiting.runs), "records": waiting.records})


def wake_waiting(connection: Connection) -> None:
    """Let the runs that waited go on, the oldest first, in waves that double."""
    waiting = waiting_runs(connection)
    for number, key in enumerate(waiting.order_by("pk").values_list("pk", flat=True)):
        wave = int(log2(number + 1))
        Run.objects.of(connection.account_id).filter(pk=key).update(
            not_before=database_now(seconds=wave * WAVE_S), hinted_at=database_now()
        )
        if wave == 0:
            hint(key)
