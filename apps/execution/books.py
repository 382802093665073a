"""The counters of a page commit: step runs, the run, analytics buckets, the checkpoint."""

import base64
from collections import Counter
from typing import Any

from django.db.models import F

from apps.core.bulk import add_up
from apps.core.clock import database_now
from apps.engine.loop import Fetched
from apps.engine.plan import Plan
from apps.engine.ports import CheckpointValue
from apps.engine.result import PageResult, Tally
from apps.errors.booking import Book, Booked
from apps.flows.models import Checkpoint
from apps.runs.models import Bucket, Grain, Run, StepRun

STEP_SUMS = [
    "came_in", "success", "ignored", "errors", "rolled_back", "unit_errors", "busy_ms", "pages", "open_errors",
    "auto_resolved", "user_resolved", "collisions",
]  # fmt: skip
BUCKET_SUMS = ["success", "ignored", "errors", "rolled_back", "resolved", "auto_resolved", "busy_ms"]


def count_page(book: Book, plan: Plan, result: PageResult, booked: Booked, *, is_through: bool) -> None:
    """Add a page's outcome to everything that counts it, in the order of the locks: run, step runs, buckets."""
    _count_run(book, result, booked, is_through)
    _count_steps(book, result, booked)
    _count_buckets(book, result, booked)
    _count_empty_fields(book, result)


def _count_run(book: Book, result: PageResult, booked: Booked, is_through: bool) -> None:
    units = booked.units_by_step.total()
    Run.unscoped.filter(pk=book.run).update(
        records_in=F("records_in") + result.success + result.ignored + result.failed + result.rolled_back,
        success=F("success") + result.success,
        ignored=F("ignored") + result.ignored,
        failed=F("failed") + result.failed,
        rolled_back=F("rolled_back") + result.rolled_back,
        errors=F("errors") + booked.rows - units,
        unit_errors=F("unit_errors") + units,
        pages_done=F("pages_done") + int(is_through),
        deliveries=0,
        change_no=F("change_no") + 1,
    )


def _count_steps(book: Book, result: PageResult, booked: Booked) -> None:
    rows: dict[tuple[int, int], list[int]] = {}
    for node, tally in result.tallies.items():
        if tally.came_in or tally.busy_s:
            rows[book.run, book.steps[node]] = _step_sums(tally)
    for name, units in booked.units_by_step.items():
        rows.setdefault((book.run, name), [0] * len(STEP_SUMS))[5] += units
    counted = (booked.open_errors, booked.auto_resolved, booked.user_resolved, booked.collisions)
    for column, live in enumerate(counted, 8):
        for key, change in live.items():
            if change:
                rows.setdefault(key, [0] * len(STEP_SUMS))[column] += change
    positions: dict[int, int] = {}
    for number, step in enumerate(book.steps):
        positions.setdefault(step, number)
    add_up(
        StepRun,
        ["run", "step"],
        STEP_SUMS,
        [(run, step, book.account, positions.get(step, 0), *sums) for (run, step), sums in rows.items()],
        fixed=["account", "position"],
    )


def _step_sums(tally: Tally) -> list[int]:
    done = (len(tally.succeeded), len(tally.ignored), len(tally.failed), len(tally.rolled_back))
    return [tally.came_in, *done, 0, round(tally.busy_s * 1000), 1, 0, 0, 0, 0]


def _count_buckets(book: Book, result: PageResult, booked: Booked) -> None:
    minute = int(book.now.timestamp()) // 60
    auto = booked.auto_resolved.total()
    busy_ms = round(result.busy_s * 1000)
    sums = (result.success, result.ignored, booked.rows, result.rolled_back, auto + booked.retried, auto, busy_ms)
    add_up(
        Bucket,
        ["flow", "grain", "slot"],
        BUCKET_SUMS,
        [(book.flow, grain, minute // grain, book.account, *sums) for grain in Grain],
        fixed=["account"],
    )


def _count_empty_fields(book: Book, result: PageResult) -> None:
    for node, tally in result.tallies.items():
        if tally.empty_fields:
            row = StepRun.unscoped.get(run_id=book.run, step_id=book.steps[node])
            row.empty_fields = dict(Counter(row.empty_fields) + tally.empty_fields)
            row.save(update_fields=["empty_fields"])


# --- checkpoint ---------------------------------------------------------------------------------------------------
def checkpoint_json(fetched: Fetched) -> dict[str, Any] | None:
    if fetched.checkpoint is None:
        return None
    return {"value": fetched.checkpoint.value, "seen": base64.b64encode(fetched.checkpoint.seen).decode()}


def move_checkpoint(run: Run, step_id: int, checkpoint: dict[str, Any]) -> None:
    """Move the export's checkpoint to where a page that is through has got."""
    Checkpoint.unscoped.get_or_create(flow_id=run.flow_id, step_id=step_id, defaults={"account_id": run.account_id})
    Checkpoint.unscoped.filter(flow_id=run.flow_id, step_id=step_id).update(
        value=checkpoint["value"],
        seen=base64.b64decode(checkpoint["seen"]),
        moved_by_run_id=run.pk,
        moved_at=database_now(),
        version=F("version") + 1,
    )


def stored_checkpoint(flow_id: int, step_id: int) -> CheckpointValue | None:
    row = Checkpoint.unscoped.filter(flow_id=flow_id, step_id=step_id).first()
    if row is None or row.value is None:
        return None
    return CheckpointValue(row.value, bytes(row.seen or b""))


# --- balance sheet ------------------------------------------------------------------------------------------------
def unbalanced(run: Run) -> str:
    """What does not add up in a run that went through, as a sentence; "" if all does."""
    stored = (run.position or {}).get("ordinal", 0)
    ended = run.success + run.ignored + run.failed + run.rolled_back
    if not (run.records_in == ended == stored):
        return f"The run's books differ: {stored:,} records stored, {run.records_in:,} in, {ended:,} came to an end."
    for row in StepRun.unscoped.filter(run_id=run.pk).order_by("position"):
        if not row.is_balanced:
            out = row.success + row.ignored + row.errors + row.rolled_back
            return f"The books of {row} differ: {row.came_in:,} records in, {out:,} out."
    return ""
