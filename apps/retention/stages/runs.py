"""Runs that began too long ago, with their pages, requests, logs and attempts.

A run stays while an error of it is kept, or something else still names it; then what is beside it goes.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.db.models import Exists, OuterRef, Q

from apps.core.bulk import add_up
from apps.errors.models import Error, RetryData, RetryItem
from apps.flows.models import Checkpoint
from apps.retention.models import Purge, PurgedSums, PurgeKind
from apps.retention.stages.base import ROWS_AT_ONCE, RUNS_AT_ONCE, delete_rows, take
from apps.retention.stages.errors import behind
from apps.runs.buckets import RUN_SUMS, took_ms
from apps.runs.models import Arrival, Capture, FlowState, Intent, Page, Run, RunLog, StepRun
from apps.runs.statuses import RunKind, RunStatus

SUMS = ["success", "ignored", "errors", *RUN_SUMS]


def purge_runs(purge: Purge) -> bool:
    runs = list(old_runs(purge)[:RUNS_AT_ONCE])
    if not runs:
        return True
    held = set() if purge.kind == PurgeKind.CLOSING else held_runs(purge.account_id, runs)
    free = [run for run in runs if run.pk not in held]
    if take_beside(purge, [run.pk for run in free]) or trim(purge, held):
        return False  # more may be left beside these runs
    remove_runs(purge.account_id, free)
    purge.count(runs=len(free))
    purge.position = {"at": runs[-1].created_at.isoformat(), "id": runs[-1].pk}
    return len(runs) < RUNS_AT_ONCE


def old_runs(purge: Purge) -> Any:
    rows = Run.objects.of(purge.account_id).filter(created_at__lt=purge.before)
    if purge.kind != PurgeKind.CLOSING:
        rows = rows.filter(status__in=RunStatus.ended())
    return behind(rows, "created_at", purge.position)


def held_runs(account: int, runs: Sequence[Run]) -> set[int]:
    """The ids of those runs that something still needs or names."""
    keys = [run.pk for run in runs]
    flows = {run.flow_id for run in runs}
    stored = Error.objects.of(account).filter(pk=OuterRef("error_id"))
    following = Run.objects.of(account).filter(root_run__in=keys, kind=RunKind.FLOW)
    places: list[tuple[Any, str]] = [
        (Error.objects.of(account).filter(run__in=keys), "run_id"),
        (RetryItem.objects.of(account).filter(Exists(stored), run__in=keys), "run_id"),
        (RetryData.objects.of(account).filter(page__in=Page.objects.of(account).filter(run__in=keys)), "page__run_id"),
        (following.exclude(status__in=RunStatus.ended()), "root_run_id"),
        (Arrival.objects.of(account).filter(run__in=keys), "run_id"),
        (FlowState.objects.of(account).filter(flow__in=flows, last_run__in=keys), "last_run_id"),
        (Checkpoint.objects.of(account).filter(flow__in=flows, moved_by_run__in=keys), "moved_by_run_id"),
    ]
    return {key for rows, column in places for key in rows.order_by().values_list(column, flat=True).distinct()}


def take_beside(purge: Purge, runs: list[int]) -> bool:
    """A batch of what is stored beside runs; whether there was any."""
    account = purge.account_id
    return (
        noted(purge, log_lines=take(RunLog.objects.of(account).filter(run_id__in=runs)))
        or noted(purge, requests=take(Capture.objects.of(account).filter(run_id__in=runs)))
        or noted(purge, pages=take_pages(account, runs))
        or noted(purge, attempts=take(RetryItem.objects.of(account).filter(run_id__in=runs)))
    )


def take_pages(account: int, runs: list[int]) -> int:
    rows = Page.objects.of(account).filter(run_id__in=runs)
    pages = list(rows.order_by("pk").values_list("pk", flat=True)[:ROWS_AT_ONCE])
    if pages and take(Intent.objects.of(account).filter(page_id__in=pages)):
        return 1  # the pages wait until nothing points to them
    return delete_rows(rows.filter(pk__in=pages)) if pages else 0


def trim(purge: Purge, runs: set[int]) -> bool:
    """Of runs that stay, a batch of what belongs to no error that is still there; whether there was any."""
    account = purge.account_id
    lines = Q(error_id__isnull=True) | ~Exists(Error.objects.of(account).filter(pk=OuterRef("error_id")))
    needed = Error.objects.of(account).filter(run=OuterRef("run"), capture=OuterRef("pk"))
    stored = Error.objects.of(account).filter(pk=OuterRef("error_id"))
    return (
        noted(purge, log_lines=take(RunLog.objects.of(account).filter(lines, run_id__in=runs)))
        or noted(purge, requests=take(Capture.objects.of(account).filter(~Exists(needed), run_id__in=runs)))
        or noted(purge, attempts=take(RetryItem.objects.of(account).filter(~Exists(stored), run_id__in=runs)))
    )


def noted(purge: Purge, **numbers: int) -> bool:
    purge.count(**numbers)
    return any(numbers.values())


def remove_runs(account: int, runs: Sequence[Run]) -> None:
    """The runs and their counts; their flow keeps what they had counted."""
    if not runs:
        return
    keys = [run.pk for run in runs]
    add_up(PurgedSums, ["flow"], SUMS, sums_of(runs), fixed=["account"])
    delete_rows(StepRun.objects.of(account).filter(run_id__in=keys))
    delete_rows(Run.objects.of(account).filter(pk__in=keys))


def sums_of(runs: Sequence[Run]) -> list[tuple[int, ...]]:
    """(flow, account, sums…) as `check_books` compares runs with half hours."""
    found: dict[tuple[int, int], Counter[str]] = {}
    for run in runs:
        sums = found.setdefault((run.flow_id, run.account_id), Counter())
        sums.update(success=run.success, ignored=run.ignored, errors=run.errors + run.unit_errors)
        if run.kind == RunKind.FLOW and run.ended_at is not None:
            sums.update(
                runs=int(run.attempt == 1), run_ms=took_ms(run), run_success=run.success, run_ignored=run.ignored,
                run_errors=run.errors + run.unit_errors,
            )  # fmt: skip
    return [(*place, *(sums[name] for name in SUMS)) for place, sums in found.items()]
