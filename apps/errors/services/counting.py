"""Keeps the open counts when the state of stored errors changes: step state, cause, step run, buckets."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from apps.core.bulk import add_up, shift_rows
from apps.errors.models import Cause, Error, StepState
from apps.errors.states import ErrorUnit
from apps.runs.models import Bucket, Grain, StepRun


def lock_states(account: int, step_ids: set[int]) -> None:
    """Take the locks of a change in the order of the house: step states by id, before causes and errors."""
    list(StepState.objects.of(account).select_for_update(no_key=True).filter(step_id__in=step_ids).order_by("pk"))


def lock_flow_states(account: int, flow: int) -> list[StepState]:
    """Lock the states of all steps of a flow, in the same order; what ends or commits in it begins with this."""
    states = StepState.objects.of(account).select_for_update(no_key=True).filter(flow_id=flow)
    return list(states.order_by("pk"))


def shift_open(errors: Sequence[Error], change: int) -> None:
    """Count errors as open (+1) or not open any more (-1), everywhere open errors are counted."""
    steps: Counter[int] = Counter(e.step_id for e in errors)
    units: Counter[int] = Counter(e.step_id for e in errors if e.unit != ErrorUnit.RECORD)
    doubts: Counter[int] = Counter(e.step_id for e in errors if e.in_doubt)
    rows = [(s, change * n, change * units[s], change * doubts[s]) for s, n in steps.items()]
    shift_rows(StepState, ["open_errors", "open_units", "in_doubt"], rows)
    causes = Counter(e.cause_id for e in errors)
    shift_rows(Cause, ["open_errors"], [(cause, change * n) for cause, n in causes.items()])
    shift_step_runs(errors, "open_errors", change)


def shift_step_runs(errors: Sequence[Error], column: str, change: int) -> None:
    """Add to a live column of the step runs that the errors belong to."""
    counted = Counter((e.run_id, e.step_id, e.account_id) for e in errors)
    rows = [(run, step, account, change * n) for (run, step, account), n in counted.items()]
    add_up(StepRun, ["run", "step"], [column], rows, fixed=["account"])


def shift_watched(errors: Sequence[Error], change: int) -> None:
    """Count errors that a pass of their key could still change."""
    keyed = Counter(e.step_id for e in errors if e.key_hash is not None)
    shift_rows(StepState, ["watched_keys"], [(step, change * n) for step, n in keyed.items()])


def count_resolved(errors: Sequence[Error], now: datetime, *, is_automatic: bool = False) -> None:
    """Add to the resolved errors of the present minute, half hour and quarter, and to those that runs resolved."""
    minute = int(now.timestamp()) // 60
    flows = Counter((e.flow_id, e.account_id) for e in errors)
    rows = [
        (flow, grain, minute // grain, account, n, n * is_automatic)
        for (flow, account), n in flows.items()
        for grain in Grain
    ]
    add_up(Bucket, ["flow", "grain", "slot"], ["resolved", "auto_resolved"], rows, fixed=["account"])
