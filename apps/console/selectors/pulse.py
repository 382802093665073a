"""What is going on in an account, in one query: the shell's counts, and what tells that a page is out of date."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Aggregate, Count, Max, Min, Q, QuerySet, Subquery, Sum, Value
from django.http import HttpRequest

from apps.accounts.models import Account
from apps.console.access import Reach, reach_of
from apps.core.clock import database_now, read_now
from apps.errors.models import StepState
from apps.flows.models import Connection, ConnectionState, Flow
from apps.runs.models import FlowState, Machine, Run

WORKER_SILENCE_S = 15.0
"""A machine that gave no sign of life for longer counts as down."""


@dataclass(frozen=True)
class Pulse:
    flows: int
    running: int
    queued: int
    oldest_queued_at: datetime | None
    open_errors: int
    offline: int
    workers_up: int
    workers: int
    changed_at: datetime | None  # of the flows' states
    last_error_at: datetime | None
    changes: int  # of the runs under way
    newest_run: int

    @property
    def dashboard_version(self) -> str:
        """Moves when a flow's latest run or an open count does."""
        return f"{_micros(self.changed_at)}-{self.open_errors}-{_micros(self.last_error_at)}"

    @property
    def running_version(self) -> str:
        """Moves with every page of a run under way, and when one comes or goes."""
        return f"{self.running}-{self.queued}-{self.newest_run}-{self.changes}-{self.dashboard_version}"


def _micros(moment: datetime | None) -> int:
    return round(moment.timestamp() * 1e6) if moment else 0


def pulse_of(request: HttpRequest) -> Pulse:
    """Of the account and environment on screen; asked once a request. Raises Http404 without an account."""
    if not hasattr(request, "flowmend_pulse"):
        request.flowmend_pulse = take_pulse(reach_of(request))  # type: ignore[attr-defined]
    found: Pulse = request.flowmend_pulse  # type: ignore[attr-defined]
    return found


def take_pulse(reach: Reach) -> Pulse:
    account = reach.account_id
    flows = Flow.objects.of(account).present().filter(**reach.where())
    states = FlowState.objects.of(account).filter(**reach.where("flow__integration"))
    queued = Run.objects.of(account).queued().filter(**reach.where_copied())
    active = Run.objects.of(account).active().filter(**reach.where_copied())
    steps = StepState.objects.of(account).filter(**reach.where())
    machines = Machine.objects.annotate(account_id=Value(account))
    facts: dict[str, Any] = {
        "flows": _of(flows, Count("pk")),
        "running": _of(states, Sum("running")),
        "queued": _of(states, Sum("queued")),
        "changed_at": _of(states, Max("changed_at")),
        "oldest_queued_at": _of(queued, Min("created_at")),
        "changes": _of(active, Sum("change_no")),
        "newest_run": _of(active, Max("pk")),
        "open_errors": _of(steps, Sum("open_errors")),
        "last_error_at": _of(steps, Max("last_error_at")),
        "offline": _of(offline_connections(reach), Count("pk", distinct=True)),
        "workers": _of(machines, Sum("workers")),
        "workers_up": _of(machines.filter(seen_at__gt=database_now(seconds=-WORKER_SILENCE_S)), Sum("workers")),
    }
    row: dict[str, Any] = dict(Account.objects.filter(pk=account).values(**facts).get())
    known: Any = {name: value if name.endswith("_at") else value or 0 for name, value in row.items()}
    return Pulse(**known)


def _of(rows: "QuerySet[Any]", total: Aggregate) -> Subquery:
    """One number over all rows, as part of a larger query."""
    return Subquery(rows.order_by().values("account_id").annotate(total=total).values("total"))


def connections_in(reach: Reach) -> "QuerySet[Connection]":
    """The environment's connections; for a member of single integrations the ones that their steps use."""
    rows = Connection.objects.of(reach.account_id).filter(environment=reach.environment)
    if reach.integration_ids is None:
        return rows
    return rows.filter(steps__flow__integration__in=reach.integration_ids, steps__removed_at__isnull=True).distinct()


def offline_connections(reach: Reach) -> "QuerySet[Connection]":
    return connections_in(reach).filter(state=ConnectionState.OFFLINE)


@dataclass(frozen=True)
class Health:
    """Of the installation, not of an account. `reason` is blank while all is well."""

    workers: int
    machines: int
    reason: str = ""


def take_health(silence_s: float = 30.0) -> Health:
    """Workers on machines that gave a sign of life within `silence_s` seconds. Raises DatabaseError without one."""
    read_now()
    recent = Q(seen_at__gt=database_now(seconds=-silence_s), workers__gt=0)
    found = Machine.objects.filter(recent).aggregate(workers=Sum("workers"), machines=Count("pk"))
    if found["machines"]:
        return Health(found["workers"], found["machines"])
    return Health(0, 0, f"No worker has given a sign of life for {silence_s:.0f} seconds. Start one: manage.py work.")
