"""What is going on in an account, in one query: the shell's counts, and what tells that a page is out of date."""

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.db.models import Count, Q, QuerySet, Sum
from django.http import HttpRequest

from apps.console.access import Reach, reach_of
from apps.console.sharing import shared
from apps.core.clock import database_now, read_now
from apps.flows.models import Connection, ConnectionState
from apps.runs.models import WORKER_SILENCE_S, Machine
from apps.runs.statuses import RunStatus


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
    big_purge_at: datetime | None  # when much reaches the end of its retention

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
        reach = reach_of(request)
        request.flowmend_pulse = shared(request, "pulse", lambda: take_pulse(reach))  # type: ignore[attr-defined]
    found: Pulse = request.flowmend_pulse  # type: ignore[attr-defined]
    return found


def take_pulse(reach: Reach) -> Pulse:
    """One statement, written out: every page asks it, and Django took longer to put it together than PostgreSQL to
    answer it for 500 flows."""
    silent_since, (seconds,) = database_now(seconds=-WORKER_SILENCE_S).as_sql(None, connection)  # type: ignore[arg-type]
    keys = reach.integration_ids
    text = STATEMENT.format(
        within="TRUE" if keys is None else f"id IN ({', '.join(map(str, keys)) or 'NULL'})",
        used="TRUE" if keys is None else USED,
        silent_since=silent_since.replace("%s", "%(seconds)s"),
    )
    named = {"account": reach.account_id, "environment": reach.environment, "seconds": seconds}
    with connection.cursor() as cursor:
        cursor.execute(text, named)
        row = dict(zip(COLUMNS, cursor.fetchone(), strict=True))
    facts: dict[str, Any] = {
        name: _moment(value) if name in MOMENTS else int(value or 0) for name, value in row.items()
    }
    return Pulse(**facts)


COLUMNS = tuple(column.name for column in fields(Pulse))
MOMENTS = {name for name in COLUMNS if name.endswith("_at")}
STATEMENT = f"""
WITH seen AS (SELECT id FROM integration
  WHERE account_id = %(account)s AND %(environment)s IN ('', environment) AND {{within}})
SELECT {", ".join(COLUMNS)}
FROM (SELECT count(*) FILTER (WHERE f.removed_at IS NULL) AS flows, sum(s.running) AS running, sum(s.queued) AS queued,
    max(s.changed_at) AS changed_at
  FROM flow f JOIN seen ON seen.id = f.integration_id LEFT JOIN flow_state s ON s.flow_id = f.id) AS of_flows,
  (SELECT sum(r.change_no) AS changes, max(r.id) AS newest_run,
    min(r.created_at) FILTER (WHERE r.status = '{RunStatus.QUEUED}') AS oldest_queued_at
  FROM run r JOIN seen ON seen.id = r.integration_id
  WHERE r.account_id = %(account)s
    AND (r.status = '{RunStatus.QUEUED}' OR r.status = '{RunStatus.RUNNING}')) AS of_runs,
  (SELECT sum(t.open_errors) AS open_errors, max(t.last_error_at) AS last_error_at
  FROM step_state t JOIN seen ON seen.id = t.integration_id WHERE t.account_id = %(account)s) AS of_steps,
  (SELECT count(*) AS offline FROM connection WHERE account_id = %(account)s
  AND %(environment)s IN ('', environment) AND state = '{ConnectionState.OFFLINE}' AND {{used}}) AS of_connections,
  (SELECT sum(workers) AS workers, sum(workers) FILTER (WHERE seen_at > {{silent_since}}) AS workers_up
  FROM machine) AS of_machines,
  (SELECT max(big_at) AS big_purge_at FROM purge_plan WHERE account_id = %(account)s) AS of_purges
"""  # noqa: S608 (constants)
USED = """id IN (SELECT p.connection_id
  FROM step p JOIN flow f ON f.id = p.flow_id JOIN seen ON seen.id = f.integration_id
  WHERE p.account_id = %(account)s AND p.removed_at IS NULL)"""


def _moment(value: datetime | str | None) -> datetime | None:
    """SQLite has texts, in UTC."""
    return datetime.fromisoformat(value).replace(tzinfo=UTC) if isinstance(value, str) else value


def connections_in(reach: Reach) -> "QuerySet[Connection]":
    """The environment's connections; for a member of single integrations the ones that their steps use."""
    rows = Connection.objects.of(reach.account_id).filter(environment=reach.environment)
    if reach.integration_ids is None:
        return rows
    return rows.filter(steps__flow__integration__in=reach.integration_ids, steps__removed_at__isnull=True).distinct()


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
