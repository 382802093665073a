"""How each flow is doing: what is open now, its latest run, and its runs over a range. Retry runs are left out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, F, FloatField, Func, Q, QuerySet, Sum

from apps.console.access import Reach
from apps.console.ranges import Range
from apps.console.selectors.strip import NOTHING_OPEN, OpenCount
from apps.flows.models import Flow
from apps.runs.models import Bucket, FlowState, Grain, Run

NEVER = "never_run"


class SecondsBetween(Func):
    """Seconds from one moment to another. Django subtracts them row by row in Python on SQLite: four times slower."""

    output_field = FloatField()
    template = "EXTRACT(EPOCH FROM (%(expressions)s))"
    arity = 2

    def __init__(self, start: str, end: str) -> None:
        super().__init__(end, start, arg_joiner=" - ")

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(
            compiler,
            connection,
            template="((julianday(%(expressions)s)) * 86400.0)",
            arg_joiner=") - julianday(",
            **context,
        )


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
    """Of the runs that started in the range and have ended; the attempts of one that was run again are one run."""

    runs: int = 0
    success: int = 0
    ignored: int = 0
    errors: int = 0
    average: float | None = None  # seconds a run


@dataclass(frozen=True)
class BucketSums:
    auto_resolved: int = 0
    success: int = 0
    busy_ms: int = 0

    @property
    def ms_per_record(self) -> float | None:
        """Milliseconds of processing per successful record."""
        return self.busy_ms / self.success if self.success else None


@dataclass(frozen=True)
class FlowRow:
    flow: Flow
    opened: OpenCount
    latest: Latest
    sums: RangeSums
    buckets: BucketSums


def flow_rows(reach: Reach, span: Range, opened: Mapping[int, OpenCount]) -> list[FlowRow]:
    """A row per flow, by name; three queries."""
    sums, buckets = range_sums(reach, span), bucket_sums(reach, span)
    return [
        FlowRow(
            flow,
            opened.get(flow.pk, NOTHING_OPEN),
            latest_of(flow),
            sums.get(flow.pk, RangeSums()),
            buckets.get(flow.pk, BucketSums()),
        )
        for flow in flows_in(reach)
    ]


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


def range_sums(reach: Reach, span: Range) -> dict[int, RangeSums]:
    rows = (
        Run.objects.of(reach.account_id)
        .without_retries()
        .created_between(span.since, span.until)
        .filter(ended_at__isnull=False, **reach.where_copied())
    )
    found = (
        rows.order_by()
        .values("flow_id")
        .annotate(
            n=Count("pk", filter=Q(attempt=1)),
            good=Sum("success"),
            left_out=Sum("ignored"),
            bad=Sum(F("errors") + F("unit_errors")),
            length=Sum(SecondsBetween("started_at", "ended_at")),
        )
        .values_list("flow_id", "n", "good", "left_out", "bad", "length")
    )
    return {
        flow: RangeSums(runs, good, left_out, bad, length / runs if runs and length is not None else None)
        for flow, runs, good, left_out, bad, length in found
    }


def bucket_sums(reach: Reach, span: Range) -> dict[int, BucketSums]:
    """Over the half hours that the range touches."""
    rows = Bucket.objects.of(reach.account_id).filter(
        grain=Grain.HALF_HOUR, slot__gte=span.first_slot, **reach.where("flow__integration")
    )
    if span.end_slot is not None:
        rows = rows.filter(slot__lt=span.end_slot)
    found: Iterable[Any] = (
        rows.order_by().values_list("flow_id").annotate(Sum("auto_resolved"), Sum("success"), Sum("busy_ms"))
    )
    return {flow: BucketSums(*numbers) for flow, *numbers in found}
