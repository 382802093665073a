"""How connections have been doing: what their tests took, when they were offline, what fails for want of them."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from django.db.models import F, Sum, Window
from django.db.models.functions import RowNumber

from apps.accounts.models import AuditEntry
from apps.console.access import Reach
from apps.core.clock import wall_now
from apps.errors.models import Cause, Classification
from apps.flows.models import Connection, ConnectionState, Step
from apps.runs.waking import Waiting, waiting_among, waiting_runs

LAST_TESTS = 20
LAST_INCIDENTS = 20
WENT, CAME = "connection.offline", "connection.online"


def latencies(account_id: int, connections: Collection[int]) -> dict[int, int]:
    """The median time of the tests that were answered, among the last 20 of each connection, in ms; one query."""
    rows = AuditEntry.objects.of(account_id).filter(
        object_kind="connection", object_id__in=connections, act="connection.test"
    )
    newest = Window(RowNumber(), partition_by="object_id", order_by=F("id").desc())
    taken: dict[int, list[int]] = defaultdict(list)
    for key, after in rows.annotate(place=newest).filter(place__lte=LAST_TESTS).values_list("object_id", "after"):
        if after and after.get("ok"):
            taken[key].append(after.get("ms") or 0)
    return {key: round(median(times)) for key, times in taken.items()}


@dataclass(frozen=True)
class Incident:
    """One time that a connection was offline. What waited is counted when it ends; None: nobody counted."""

    since: datetime
    reason: str
    until: datetime | None = None
    runs: int | None = None
    records: int | None = None

    @property
    def lasted(self) -> timedelta:
        return (self.until or wall_now()) - self.since


def incidents_of(connection: Connection) -> list[Incident]:
    """The last 20, newest first, from the audit log; one query."""
    rows = AuditEntry.objects.of(connection.account_id).filter(
        object_kind="connection", object_id=connection.pk, act__in=[WENT, CAME]
    )
    found: list[Incident] = []
    end: AuditEntry | None = None
    for entry in rows.order_by("-id")[: 2 * LAST_INCIDENTS]:
        if entry.act == CAME:
            end = entry
            continue
        found.append(_incident(entry, end))
        end = None
    return found


def _incident(went: AuditEntry, came: AuditEntry | None) -> Incident:
    reason = str((went.after or {}).get("error", ""))
    if came is None:
        return Incident(went.at, reason)
    waited: Mapping[str, Any] = came.after or {}
    return Incident(went.at, reason, came.at, waited.get("runs"), waited.get("records"))


def connection_errors(account_id: int, steps: Iterable[Step]) -> dict[int, int]:
    """Step id -> its open errors of the class connection; one query."""
    rows = Cause.objects.of(account_id).filter(step__in=list(steps), classification=Classification.CONNECTION)
    totals = rows.filter(open_errors__gt=0).order_by().values_list("step").annotate(total=Sum("open_errors"))
    return dict(totals)


def waiting_on(connection: Connection, reach: Reach) -> Waiting:
    """The work within reach that waits until it is back; no query while it is not offline."""
    if connection.state != ConnectionState.OFFLINE:
        return Waiting()
    return waiting_among(waiting_runs(connection).filter(**reach.where_copied()))
