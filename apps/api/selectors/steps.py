"""Steps as exports and imports."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from apps.accounts.reach import Reach
from apps.api.selectors.flows import parts_of
from apps.flows.models import Step, StepKind

EXPORTS = (StepKind.EXPORT, StepKind.LOOKUP)
IMPORTS = (StepKind.IMPORT,)


@dataclass(frozen=True, slots=True)
class StepFacts:
    """A step as it is answered; `part` is what its flow's definition says of it."""

    step: Step
    part: Mapping[str, Any]

    @property
    def position(self) -> str:
        return str(self.step.position)

    @property
    def open_errors(self) -> int:
        state = getattr(self.step, "state", None)
        return state.open_errors if state else 0

    @property
    def is_lookup(self) -> bool:
        return self.step.kind == StepKind.LOOKUP

    @property
    def goes_on(self) -> bool:
        return bool(self.part.get("continue_on_error"))

    @property
    def mapping(self) -> Any:
        return self.part.get("response_mapping")


def steps_of(reach: Reach, kinds: Collection[str]) -> "QuerySet[Step]":
    """By name, each with its flow, revision, connection and open count; one query."""
    rows = Step.objects.of(reach.account_id).present().filter(kind__in=kinds, flow__removed_at__isnull=True)
    facts = rows.filter(**reach.where("flow__integration")).select_related("flow__revision", "connection", "state")
    return facts.order_by("name", "pk")


def with_parts(steps: Iterable[Step]) -> list[StepFacts]:
    return [StepFacts(step, parts_of(step.flow.revision).get(step.key, {})) for step in steps]
