"""Removes errors for good, a chunk at a time inside the caller's transaction.

What a run counted stays as it was: its books say how many of its errors were removed since. Attempts stay too.
"""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from apps.core.bulk import add_up, shift_rows
from apps.errors.models import (
    Assignment,
    BulkAct,
    Cause,
    Comment,
    Error,
    ErrorTag,
    RetryData,
    RetryItem,
    RetryVersion,
    RuleHit,
)
from apps.errors.search import remove_texts
from apps.errors.services.counting import shift_open, shift_step_runs, shift_watched
from apps.errors.services.resolving import locked_errors
from apps.errors.states import ErrorState, ErrorUnit, Reason
from apps.runs.models import RunLog, StepRun

REMOVED = "deleted"
REMOVED_SUMS = ["removed_errors", "removed_unit_errors", "removed_attempts"]


def delete_chunk(act: BulkAct, ids: list[int]) -> dict[int, str]:
    """Error id -> what came of it."""
    errors = locked_errors(act.account_id, ids)
    chosen = [e for e in errors if e.state == ErrorState.RESOLVED and e.retry_run_id is None]
    remove_errors(act.account_id, chosen)
    RunLog.objects.of(act.account_id).filter(
        run__in={e.run_id for e in chosen}, error_id__in=[e.pk for e in chosen]
    ).delete()
    return dict.fromkeys((e.pk for e in errors), "is open") | dict.fromkeys((e.pk for e in chosen), REMOVED)


def remove_errors(account: int, errors: Sequence[Error]) -> None:
    """Take errors, which the caller has locked and no retry has, out of every table and every live count.

    The lines about them in the logs of their runs are the caller's to remove.
    """
    ids = [e.pk for e in errors]
    _count_removed(account, errors)
    remove_texts(ids)
    for kept in (Assignment, Comment, ErrorTag, RetryVersion, RetryData, RuleHit):
        kept.objects.of(account).filter(error_id__in=ids).delete()
    for table in upper_tables():
        table.objects.of(account).filter(error_id__in=ids).delete()
    causes = Cause.objects.of(account).filter(pk__in={e.cause_id for e in errors})
    causes.filter(sample_error_id__in=ids).update(sample_error=None)
    rows = Error.objects.of(account).filter(pk__in=ids)
    rows._raw_delete(rows.db)  # nothing points to an error with a constraint: no need to read them all first


@lru_cache(maxsize=1)
def upper_tables() -> list[Any]:
    """Tables of the floors above that hold a row for an error, such as who was told of it: it goes with the error."""
    return [
        found.field.model
        for found in Error._meta.related_objects
        if found.field.name == "error" and found.field.model._meta.app_label != Error._meta.app_label
    ]


def _count_removed(account: int, errors: Sequence[Error]) -> None:
    shift_open([e for e in errors if e.state == ErrorState.OPEN], -1)
    shift_watched([e for e in errors if e.state == ErrorState.OPEN or e.passed_run_id is None], -1)
    shift_step_runs([e for e in errors if e.reason in Reason.automatic()], "auto_resolved", -1)
    shift_step_runs([e for e in errors if e.reason in Reason.by_hand() | {Reason.RETRIED}], "user_resolved", -1)
    shift_rows(Cause, ["removed_errors"], list(Counter(e.cause_id for e in errors).items()))
    records = Counter((e.run_id, e.step_id) for e in errors if e.unit == ErrorUnit.RECORD)
    units = Counter((e.run_id, e.step_id) for e in errors if e.unit != ErrorUnit.RECORD)
    tries = _failed_attempts(account, errors)
    rows = [(*place, account, records[place], units[place], tries[place]) for place in records | units | tries]
    add_up(StepRun, ["run", "step"], REMOVED_SUMS, rows, fixed=["account"])


def _failed_attempts(account: int, errors: Sequence[Error]) -> Counter[tuple[int, int]]:
    """(run, step) of the attempts that failed on these errors and made no error of their own, which runs count too."""
    steps = {e.pk: e.step_id for e in errors}
    items = RetryItem.objects.of(account).filter(error_id__in=steps, outcome=Reason.RETRY_FAILED, new_error=None)
    return Counter((run, steps[error]) for run, error in items.values_list("run_id", "error_id"))
