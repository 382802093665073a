"""The runs under way and in the queue: who started them, how far they are, and what holds them up."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from apps.console.access import Reach
from apps.console.selectors.run_words import started_by_text
from apps.core.clock import wall_now
from apps.flows.models import Flow, Step
from apps.runs.models import Bucket, Grain, Run
from apps.runs.querysets import RunQuerySet
from apps.runs.statuses import RunKind, RunStatus

MOST_RUNS = 200
MOST_PLACES = 2_000
FAR_BEHIND = f"behind {MOST_PLACES:,} others"
MINUTES = 12  # of the line of records per second
PLACES = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
RETRY_KINDS = (RunKind.RETRY, RunKind.AUTO_RETRY)


@dataclass(frozen=True)
class Work:
    """One run under way or waiting."""

    run: Run
    status: str  # a key of the statuses' looks
    since: datetime
    elapsed: timedelta
    step: str
    rates: tuple[float, ...]  # records per second, minute by minute
    place: str = ""  # in the queue: "first in queue"

    @property
    def is_queued(self) -> bool:
        return bool(self.run.status == RunStatus.QUEUED)

    @property
    def waits_until(self) -> datetime | None:
        """When a failed run is run again."""
        return self.run.not_before if self.run.status == RunStatus.RETRYING else None

    @property
    def records(self) -> int:
        run = self.run
        return run.success + run.ignored + run.failed + run.rolled_back

    @property
    def rate(self) -> float:
        """Records per second since the run started."""
        return self.records / max(self.elapsed.total_seconds(), 1.0)

    @property
    def worker(self) -> str:
        """The process number of the worker, short enough for a column; the machine stands before it in the lease."""
        parts = self.run.lease_owner.split(":")
        return parts[1] if len(parts) > 1 else parts[0]

    @property
    def pages_total(self) -> int:
        """At least 1, for the progress bar."""
        return max(self.run.pages_fetched, self.run.pages_done, 1)

    @property
    def errors(self) -> int:
        return self.run.errors + self.run.unit_errors

    @property
    def started_by(self) -> str:
        """`schedule`, `Mara Lindqvist`, `retry, Ana Reyes`"""
        return started_by_text(self.run)

    @property
    def is_ended(self) -> bool:
        return self.run.is_ended

    @property
    def can_be_canceled(self) -> bool:
        return not self.is_ended and self.run.cancel_requested_at is None


def works(reach: Reach) -> list[Work]:
    """Runs at work or waiting to be run again by their start, then the queue in its order; four queries."""
    rows = _with_names(Run.objects.of(reach.account_id).under_way().filter(**reach.where_copied()))
    return works_of(reach, rows.order_by("pk")[:MOST_RUNS])


def queue_places(reach: Reach) -> dict[int, str]:
    """By run, its place in the environment's whole queue: the workers know no other, whatever a page shows of it."""
    whole = replace(reach, integration_ids=None)
    queue = Run.objects.of(reach.account_id).queued().filter(**whole.where_copied()).order_by("pk")
    return {run: _place(number) for number, run in enumerate(queue.values_list("pk", flat=True)[:MOST_PLACES])}


def works_by_id(reach: Reach, run_ids: list[int]) -> list[Work]:
    """These runs, also the ones that have ended since."""
    return works_of(reach, _with_names(Run.objects.of(reach.account_id).filter(pk__in=run_ids, **reach.where_copied())))


def runs_since(reach: Reach, run_id: int) -> int:
    """Runs under way or queued that are younger than this one."""
    return Run.objects.of(reach.account_id).active().filter(pk__gt=run_id, **reach.where_copied()).count()


def next_due_flow(reach: Reach) -> Flow | None:
    """The flow whose schedule starts the next run; one query."""
    rows = Flow.objects.of(reach.account_id).present().filter(enabled=True, next_due_at__isnull=False, **reach.where())
    return rows.order_by("next_due_at").first()


def _with_names(runs: RunQuerySet) -> RunQuerySet:
    return runs.select_related("flow", "integration", "started_by__user")


def works_of(reach: Reach, runs: Iterable[Run]) -> list[Work]:
    found = sorted(runs, key=lambda run: (run.status == RunStatus.QUEUED, run.started_at or run.created_at, run.pk))
    flow_ids = {run.flow_id for run in found}
    steps, rates = _steps(reach, flow_ids), _rates(reach, flow_ids)
    places = queue_places(reach) if any(run.status == RunStatus.QUEUED for run in found) else {}
    return [
        _work(run, steps.get(run.flow_id, []), rates.get(run.flow_id, ()), places.get(run.pk, FAR_BEHIND))
        for run in found
    ]


def _work(run: Run, steps: list[str], rates: tuple[float, ...], place: str) -> Work:
    since = run.created_at if run.status == RunStatus.QUEUED else run.started_at or run.created_at
    status = "retrying" if run.kind in RETRY_KINDS and run.status == RunStatus.RUNNING else run.outcome or run.status
    step = run.wait_reason or ("not started" if run.status == RunStatus.QUEUED else step_at_work(run, steps))
    is_queued = run.status == RunStatus.QUEUED
    return Work(run, status, since, (run.ended_at or wall_now()) - since, step, rates, place if is_queued else "")


def step_at_work(run: Run, steps: list[str]) -> str:
    """A page goes through all steps after the export together, so they are at work together."""
    if run.is_ended or not steps:
        return ""
    if not run.done_exporting and run.pages_done >= run.pages_fetched:
        return f"1 of {len(steps)} {steps[0]}"
    if len(steps) == 2:
        return f"2 of 2 {steps[1]}"
    return f"2 to {len(steps)} of {len(steps)}, page {run.pages_done + 1:,}"


def _place(number: int) -> str:
    return f"{PLACES[number]} in queue" if number < len(PLACES) else f"number {number + 1} in queue"


def _steps(reach: Reach, flow_ids: set[int]) -> dict[int, list[str]]:
    rows = Step.objects.of(reach.account_id).present().filter(flow__in=flow_ids)
    found: dict[int, list[str]] = {}
    for flow_id, name in rows.values_list("flow_id", "name"):
        found.setdefault(flow_id, []).append(name)
    return found


def _rates(reach: Reach, flow_ids: set[int]) -> dict[int, tuple[float, ...]]:
    """By flow, records per second in each of the last full minutes."""
    this_minute = int(wall_now().timestamp()) // 60
    rows = Bucket.objects.of(reach.account_id).filter(
        flow__in=flow_ids, grain=Grain.MINUTE, slot__gte=this_minute - MINUTES, slot__lt=this_minute
    )
    found: dict[int, list[float]] = {}
    for flow_id, slot, *counts in rows.values_list("flow_id", "slot", "success", "ignored", "errors", "rolled_back"):
        minutes = found.setdefault(flow_id, [0.0] * MINUTES)
        minutes[slot - this_minute + MINUTES] = sum(counts) / 60
    return {flow_id: tuple(minutes) for flow_id, minutes in found.items()}
