"""How each flow is doing: what is open now, its latest run, and its runs over a range. Retry runs are left out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Q, Sum

from apps.console.access import Reach
from apps.console.ranges import Range
from apps.console.selectors.strip import NOTHING_OPEN, OpenCount
from apps.flows.models import Flow
from apps.flows.querysets import FlowQuerySet
from apps.runs.models import Bucket, Grain
from apps.runs.statuses import RunStatus

NEVER = "never_run"
HALVES_A_QUARTER = Grain.QUARTER // Grain.HALF_HOUR


@dataclass(frozen=True)
class Latest:
    """A flow's latest run: a key of the statuses' looks, and the moment that its age counts from.

    Of one that is queued there is no such moment yet: `at` is of the run before it.
    """

    status: str = NEVER
    run_id: int | None = None
    at: datetime | None = None
    took: timedelta | None = None
    letters: str = ""

    @property
    def is_queued(self) -> bool:
        return self.status == RunStatus.QUEUED


@dataclass(frozen=True)
class RangeSums:
    """Of the half hours that the range touches: the runs that started there and have ended, and the work done there.

    The attempts of a run that was run again are one run. `good` and `busy_ms` are of all work, retries too.
    """

    runs: int = 0
    run_ms: int = 0
    success: int = 0
    ignored: int = 0
    errors: int = 0
    auto_resolved: int = 0
    good: int = 0
    busy_ms: int = 0

    @property
    def average(self) -> float | None:
        """Seconds a run."""
        return self.run_ms / 1000 / self.runs if self.runs else None

    @property
    def ms_per_record(self) -> float | None:
        """Milliseconds of processing per successful record."""
        return self.busy_ms / self.good if self.good else None


SUMS = ("runs", "run_ms", "run_success", "run_ignored", "run_errors", "auto_resolved", "success", "busy_ms")


class IntegrationFacts(NamedTuple):
    pk: int
    slug: str
    name: str


class FlowFacts(NamedTuple):
    """What a list shows of a flow. Of hundreds of flows whole objects take most of a page's time."""

    pk: int
    name: str
    enabled: bool
    integration: IntegrationFacts
    running: int  # runs under way


@dataclass(frozen=True)
class FlowRow:
    flow: FlowFacts
    opened: OpenCount
    latest: Latest
    sums: RangeSums = RangeSums()


FACTS = ("pk", "name", "enabled", "integration_id", "integration__slug", "integration__name", "state__running")
STATE = (
    "state__last_status", "state__last_run_id", "state__last_started_at", "state__last_ended_at", "state__last_runs",
)  # fmt: skip


def flow_rows(reach: Reach, opened: Mapping[int, OpenCount], flow_ids: Iterable[int] | None = None) -> list[FlowRow]:
    """A row per flow (of these), by name, without sums; one query."""
    flows = present_flows(reach) if flow_ids is None else present_flows(reach).filter(pk__among=list(flow_ids))
    found = flows.order_by("name", "pk").values_list(*FACTS, *STATE)
    return [_flow_row(opened, *values) for values in found]


def _flow_row(
    opened: Mapping[int, OpenCount],
    pk: int,
    name: str,
    enabled: bool,
    integration_id: int,
    slug: str,
    integration: str,
    running: int | None,
    *state: Any,
) -> FlowRow:
    flow = FlowFacts(pk, name, enabled, IntegrationFacts(integration_id, slug, integration), running or 0)
    return FlowRow(flow, opened.get(pk, NOTHING_OPEN), _latest(*state) if state[0] else Latest())


def with_sums(reach: Reach, span: Range, rows: Sequence[FlowRow]) -> list[FlowRow]:
    """The same rows with the sums of the range; one query."""
    sums = range_sums(reach, span, [row.flow.pk for row in rows])
    return [replace(row, sums=sums.get(row.flow.pk, RangeSums())) for row in rows]


def present_flows(reach: Reach) -> FlowQuerySet:
    return Flow.objects.of(reach.account_id).present().filter(**reach.where())


def flows_in(reach: Reach) -> FlowQuerySet:
    """Whole flows, each with its integration and state, by name."""
    return present_flows(reach).select_related("integration", "state").order_by("name", "pk")


def _latest(status: str, run_id: int | None, started: datetime | None, ended: datetime | None, letters: str) -> Latest:
    is_over = bool(ended and (started is None or ended >= started))
    took = ended - started if started and ended and is_over and status != RunStatus.QUEUED else None
    return Latest(status, run_id, ended if is_over else started, took, letters)


def range_sums(reach: Reach, span: Range, flow_ids: Iterable[int]) -> dict[int, RangeSums]:
    """By flow; flows without any bucket in the range are left out."""
    rows = Bucket.objects.of(reach.account_id).filter(slots_of(span), flow__pk__among=list(flow_ids))
    found: Iterable[Any] = rows.order_by().values_list("flow_id").annotate(*map(Sum, SUMS))
    return {flow: RangeSums(*numbers) for flow, *numbers in found}


def slots_of(span: Range) -> Q:
    """The half hours that the range touches, whole quarters of days in one: a month is 120 buckets of a flow."""
    first, end = span.first_slot, span.end_slot
    quarter = -(-first // HALVES_A_QUARTER)
    if end is None:
        return _slots(Grain.QUARTER, quarter) | _slots(Grain.HALF_HOUR, first, quarter * HALVES_A_QUARTER)
    last = end // HALVES_A_QUARTER
    if last <= quarter:
        return _slots(Grain.HALF_HOUR, first, end)
    before = _slots(Grain.HALF_HOUR, first, quarter * HALVES_A_QUARTER)
    return before | _slots(Grain.QUARTER, quarter, last) | _slots(Grain.HALF_HOUR, last * HALVES_A_QUARTER, end)


def _slots(grain: Grain, first: int, end: int | None = None) -> Q:
    slots = Q(grain=grain, slot__gte=first)
    return slots if end is None else slots & Q(slot__lt=end)
