"""How each flow is doing: what is open now, its latest run, and its runs over a range. Retry runs are left out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet, Sum

from apps.console.access import Reach
from apps.console.ranges import Range
from apps.console.selectors.strip import NOTHING_OPEN, OpenCount
from apps.flows.models import Flow
from apps.runs.models import Bucket, FlowState, Grain

NEVER = "never_run"


@dataclass(frozen=True)
class Latest:
    """A flow's latest run: a key of the statuses' looks, and the moment that its age counts from."""

    status: str = NEVER
    run_id: int | None = None
    at: datetime | None = None
    took: timedelta | None = None
    letters: str = ""


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


@dataclass(frozen=True)
class FlowRow:
    flow: Flow
    opened: OpenCount
    latest: Latest
    sums: RangeSums = RangeSums()


def flow_rows(reach: Reach, opened: Mapping[int, OpenCount]) -> list[FlowRow]:
    """A row per flow, by name, without sums; one query."""
    return [FlowRow(flow, opened.get(flow.pk, NOTHING_OPEN), latest_of(flow)) for flow in flows_in(reach)]


def with_sums(reach: Reach, span: Range, rows: Sequence[FlowRow]) -> list[FlowRow]:
    """The same rows with the sums of the range; one query."""
    sums = range_sums(reach, span, [row.flow.pk for row in rows])
    return [replace(row, sums=sums.get(row.flow.pk, RangeSums())) for row in rows]


def flows_in(reach: Reach) -> "QuerySet[Flow]":
    rows = Flow.objects.of(reach.account_id).present().filter(**reach.where())
    return rows.select_related("integration", "state").order_by("name", "pk")


def latest_of(flow: Flow) -> Latest:
    """From the state that is kept for the flow; one without a state has never run."""
    state: FlowState | None = getattr(flow, "state", None)
    if state is None or not state.last_status:
        return Latest()
    started, ended = state.last_started_at, state.last_ended_at
    is_over = bool(ended and (started is None or ended >= started))
    took = ended - started if started and ended and is_over else None
    return Latest(state.last_status, state.last_run_id, ended if is_over else started, took, state.last_runs)


def range_sums(reach: Reach, span: Range, flow_ids: Iterable[int]) -> dict[int, RangeSums]:
    """By flow; flows without any bucket in the range are left out."""
    rows = Bucket.objects.of(reach.account_id).filter(
        flow__in=list(flow_ids), grain=Grain.HALF_HOUR, slot__gte=span.first_slot
    )
    if span.end_slot is not None:
        rows = rows.filter(slot__lt=span.end_slot)
    found: Iterable[Any] = rows.order_by().values_list("flow_id").annotate(*map(Sum, SUMS))
    return {flow: RangeSums(*numbers) for flow, *numbers in found}
