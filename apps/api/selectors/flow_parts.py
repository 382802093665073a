"""What hangs on a flow: its export and checkpoint, what it uses, who needs it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apps.accounts.reach import Reach
from apps.api.failures import invalid
from apps.core.ids import Kind, wire_id
from apps.flows.last_export import last_export_at
from apps.flows.models import Checkpoint, Flow, Step, StepKind
from apps.flows.services import flows_that_need


@dataclass(frozen=True, slots=True)
class LastExport:
    """How far an export has got; without a checkpoint nothing was exported yet."""

    checkpoint: Checkpoint | None

    @property
    def at(self) -> datetime | None:
        return last_export_at(self.checkpoint)

    @property
    def value(self) -> Any:
        return self.checkpoint.value if self.checkpoint else None

    @property
    def moved_at(self) -> datetime | None:
        return self.checkpoint.moved_at if self.checkpoint else None


def export_of(flow: Flow) -> Step:
    """The flow's export, with its connection; raises a Refusal for a flow without a definition."""
    steps = Step.objects.of(flow.account_id).present().filter(flow=flow, kind=StepKind.EXPORT)
    found: Step | None = steps.select_related("connection").first()
    if found is None:
        raise invalid("This flow has no export yet: apply a definition first.", code="invalid_operation")
    return found


def last_export_of(step: Step) -> LastExport:
    return LastExport(Checkpoint.objects.of(step.account_id).filter(step=step).first())


def dependencies_of(flow: Flow, reach: Reach) -> dict[str, Any]:
    """By kind, each with id and name; two queries. Flows that the caller does not see are left out."""
    steps = list(Step.objects.of(flow.account_id).present().filter(flow=flow).select_related("connection"))
    connections = {step.connection.pk: step.connection for step in steps if step.connection}
    seen = [other for other in flows_that_need(flow) if is_seen(other, reach)]
    return {
        "integrations": named(Kind.INTEGRATION, [flow.integration]),
        "connections": named(Kind.CONNECTION, connections.values()),
        "exports": named(Kind.STEP, [step for step in steps if step.kind in (StepKind.EXPORT, StepKind.LOOKUP)]),
        "imports": named(Kind.STEP, [step for step in steps if step.kind == StepKind.IMPORT]),
        "flows": named(Kind.FLOW, seen),
    }


def is_seen(flow: Flow, reach: Reach) -> bool:
    return reach.integration_ids is None or flow.integration_id in reach.integration_ids


def named(kind: Kind, rows: Iterable[Any]) -> list[dict[str, str]]:
    return [{"_id": wire_id(kind, row.pk), "name": row.name} for row in rows]
