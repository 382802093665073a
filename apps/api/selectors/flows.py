"""Flows with what the API tells about each: its steps, its schedule, its latest run and its open errors."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db.models import QuerySet, Sum

from apps.accounts.reach import Reach
from apps.api.caller import FLOW_FACTS
from apps.api.schedules import schedule_of
from apps.errors.models import StepState
from apps.flows.definition import DefinitionError
from apps.flows.definition.document import read_document
from apps.flows.definition.steps import placed_steps
from apps.flows.models import Flow, Revision, Step, StepKind
from apps.runs.models import FlowState

READING_STEPS = {StepKind.EXPORT: "export", StepKind.LOOKUP: "export", StepKind.IMPORT: "import"}
"""The kinds that others call exports and imports."""


@dataclass(frozen=True, slots=True)
class FlowFacts:
    """A flow as it is answered."""

    flow: Flow
    steps: tuple[Step, ...]
    open_errors: int
    parts: Mapping[str, Mapping[str, Any]]  # what the definition says of each step, by key

    @property
    def is_disabled(self) -> bool:
        return not self.flow.enabled

    @property
    def schedule(self) -> str:
        """Six fields: our five behind the one for seconds; blank for a flow without."""
        return schedule_of(self.flow.cron)

    @property
    def last_executed_at(self) -> datetime | None:
        state: FlowState | None = getattr(self.flow, "state", None)
        return state.last_started_at if state else None

    @property
    def last_modified(self) -> datetime:
        return self.flow.revision.at if self.flow.revision else self.flow.created_at

    @property
    def generators(self) -> list[dict[str, int]]:
        return [{"export": step.pk} for step in self.steps if step.kind == StepKind.EXPORT]

    @property
    def processors(self) -> list[dict[str, Any]]:
        return [self._processor(step) for step in self.steps if step.kind in (StepKind.LOOKUP, StepKind.IMPORT)]

    def _processor(self, step: Step) -> dict[str, Any]:
        part = self.parts.get(step.key, {})
        kind = READING_STEPS[StepKind(step.kind)]
        return {
            "type": kind,
            kind: step.pk,
            "goes_on": bool(part.get("continue_on_error")),
            "mapping": part.get("response_mapping"),
        }


def flows_of(reach: Reach) -> "QuerySet[Flow]":
    """By name, each with its integration, revision and state."""
    rows = Flow.objects.of(reach.account_id).present().filter(**reach.where())
    return rows.select_related(*FLOW_FACTS).order_by("name", "pk")


def with_facts(flows: Iterable[Flow]) -> list[FlowFacts]:
    """Two queries for any number of flows of one account."""
    found = list(flows)
    if not found:
        return []
    account, keys = found[0].account_id, [flow.pk for flow in found]
    steps: dict[int, list[Step]] = defaultdict(list)
    for step in Step.objects.of(account).present().filter(flow__in=keys).order_by("flow_id", "position", "id"):
        steps[step.flow_id].append(step)
    counts = StepState.objects.of(account).filter(flow__in=keys).order_by().values_list("flow_id")
    opened = dict(counts.annotate(Sum("open_errors")))
    return [FlowFacts(flow, tuple(steps[flow.pk]), opened.get(flow.pk) or 0, parts_of(flow.revision)) for flow in found]


def parts_of(revision: Revision | None) -> Mapping[str, Mapping[str, Any]]:
    return parts_in(revision.sha256, revision.definition) if revision else {}


@lru_cache(maxsize=2048)
def parts_in(sha256: str, definition: str) -> Mapping[str, Mapping[str, Any]]:
    """What a definition says of each of its steps, those of branches too; read once, for a text never changes."""
    try:
        value = read_document(definition).value
    except DefinitionError:
        return {}
    return {str(step.get("key")): step for _, step in placed_steps(value)}
