"""Integrations as tiles: what each is made of, and how it is doing."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet, Sum

from apps.console.access import Reach
from apps.console.selectors.completed import FlowRow, flow_rows
from apps.errors.models import StepState
from apps.flows.models import Connection, ConnectionState, Integration, Step, StepKind


@dataclass(frozen=True)
class Tile:
    """`source` and `target` are kinds of applications, `letters` the last runs of the flow that ran last.

    `words` are what it is found by: its name, description and the names and kinds of its connections.
    """

    integration: Integration
    flows: int
    source: str
    target: str
    open_errors: int
    is_running: bool
    last_at: datetime | None
    letters: str
    offline: Connection | None
    words: str


def tiles(reach: Reach, only: Iterable[int] | None = None) -> list[Tile]:
    """One per integration, by name; four queries."""
    rows = integrations_in(reach).select_related("owner__user")
    if only is not None:
        rows = rows.filter(pk__in=list(only))
    flows = _flows_by_integration(reach)
    opened = open_by_integration(reach)
    steps = _steps_by_integration(reach)
    return [_tile(row, flows.get(row.pk, []), opened.get(row.pk, 0), steps.get(row.pk, [])) for row in rows]


def integrations_in(reach: Reach) -> "QuerySet[Integration]":
    return Integration.objects.of(reach.account_id).filter(**reach.where("")).order_by("name", "pk")


def _tile(integration: Integration, flows: list[FlowRow], open_errors: int, steps: list[Step]) -> Tile:
    states = [row.latest for row in flows]
    newest = max(states, key=lambda state: (state.at is not None, state.at), default=None)
    return Tile(
        integration=integration,
        flows=len(flows),
        source=_kind([step for step in steps if step.kind == StepKind.EXPORT], "call"),
        target=_kind([step for step in reversed(steps) if step.kind == StepKind.IMPORT], "call"),
        open_errors=open_errors,
        is_running=any(row.flow.running for row in flows),
        last_at=newest.at if newest else None,
        letters=newest.letters if newest else "",
        offline=_offline(steps),
        words=_words(integration, steps),
    )


def _words(integration: Integration, steps: list[Step]) -> str:
    used = {step.connection for step in steps if step.connection}
    names = " ".join(f"{connection.name} {connection.kind}" for connection in used)
    return f"{integration.name} {integration.description} {names}".casefold()


def _kind(steps: list[Step], none: str) -> str:
    return next((step.connection.kind for step in steps if step.connection), none)


def _offline(steps: list[Step]) -> Connection | None:
    connections = (step.connection for step in steps)
    return next((found for found in connections if found and found.state == ConnectionState.OFFLINE), None)


def _flows_by_integration(reach: Reach) -> dict[int, list[FlowRow]]:
    found: dict[int, list[FlowRow]] = {}
    for row in flow_rows(reach, {}):
        found.setdefault(row.flow.integration.pk, []).append(row)
    return found


def _steps_by_integration(reach: Reach) -> dict[int, list[Step]]:
    rows = (
        Step.objects.of(reach.account_id)
        .present()
        .filter(connection__isnull=False, flow__removed_at__isnull=True, **reach.where("flow__integration"))
    )
    found: dict[int, list[Step]] = {}
    for step in rows.select_related("connection", "flow").order_by("flow_id", "position", "id"):
        found.setdefault(step.flow.integration_id, []).append(step)
    return found


def open_by_integration(reach: Reach) -> dict[int, int]:
    rows = StepState.objects.of(reach.account_id).filter(**reach.where()).order_by()
    return {key: total or 0 for key, total in rows.values_list("integration_id").annotate(Sum("open_errors"))}
