"""How a retry ends for errors that it did not send: they return to where they were, or to what runs said meanwhile."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from apps.core.bulk import set_rows
from apps.core.clock import read_now
from apps.errors.models import Cause, Error, RetryItem
from apps.errors.schedule import OFFSETS_S, TRIED_AGAIN, next_attempt
from apps.errors.services.counting import count_resolved, shift_open, shift_step_runs, shift_watched
from apps.errors.services.resolving import locked_errors
from apps.errors.states import ErrorState, ItemState, Reason
from apps.runs.models import Run

POSTPONED = "The first page of this attempt failed the same way, so the others wait for the next one."


def release_waiting(run: Run) -> None:
    """A retry ended before all its errors were sent: the others return to the state they had."""
    returned, due = _given_back(run, ItemState.CANCELED)
    _give_schedule_back(run, returned, due)


def postpone_waiting(run: Run) -> None:
    """An automatic attempt sees no use in going on: what it did not send waits for the next attempt, with the rest."""
    returned, _ = _given_back(run, ItemState.SKIPPED, POSTPONED)
    items = RetryItem.objects.of(run.account_id).filter(run=run, state=ItemState.DONE)
    now = read_now()
    tried = Error.objects.of(run.account_id).filter(next_attempt_at__isnull=False, pk__in=items.values("error_id"))
    soonest = tried.order_by("-next_attempt_at").values_list("next_attempt_at", flat=True).first() or now
    causes = Cause.objects.of(run.account_id).filter(pk__in={e.cause_id for e in returned})
    classes = dict(causes.values_list("pk", "classification"))
    rows = []
    for error in returned:
        due = next_attempt(classes[error.cause_id], error.occurred_at, error.attempts + 1, now=now)
        rows.append((error.pk, error.attempts + 1, max(due, soonest) if due else None))
    set_rows(Error, ["attempts", "next_attempt_at"], rows)


def _given_back(run: Run, state: str, message: str = "") -> tuple[list[Error], Mapping[int, datetime | None]]:
    """Take the errors that wait from the retry; returns those that are open again, and when each was to be tried."""
    waiting = RetryItem.objects.of(run.account_id).filter(run=run, state=ItemState.WAITING)
    due = dict(waiting.values_list("error_id", "due_at"))
    if not due:
        return [], due
    errors = [e for e in locked_errors(run.account_id, list(due)) if e.retry_run_id == run.pk]
    Error.objects.of(run.account_id).filter(pk__in=[e.pk for e in errors]).update(retry_run=None)
    now = read_now()
    waiting.update(state=state, message=message, at=now)
    _resolve_as_told([e for e in errors if e.verdict], now)
    returned = [e for e in errors if e.state == ErrorState.OPEN and not e.verdict]
    shift_open(returned, +1)
    return returned, due


def _resolve_as_told(errors: list[Error], now: datetime) -> None:
    """A newer pass of their keys was booked while the retry had them: it resolves them now."""
    rows = [(e.pk, ErrorState.RESOLVED, e.verdict, now) for e in errors]
    set_rows(Error, ["state", "reason", "resolved_at"], rows)
    shift_watched(errors, -1)
    shift_step_runs(errors, "auto_resolved", +1)
    count_resolved(errors, now, is_automatic=True)


def _give_schedule_back(run: Run, errors: list[Error], due: Mapping[int, datetime | None]) -> None:
    """Let the automatic attempts go on that were pending when the retry took the errors.

    One whose time passed meanwhile comes half a minute after a cancel, so that who canceled can look. After a failed
    run it stays away: what failed on its own would be begun again and again, without ever using up an attempt.
    """
    now = read_now()
    is_canceled = run.cancel_requested_at is not None
    planned = [(e, at) for e in errors if (at := due[e.pk]) is not None and (at > now or is_canceled)]
    if not planned or not run.flow.is_auto_retrying:
        return
    causes = Cause.objects.of(run.account_id).filter(pk__in={e.cause_id for e, _ in planned})
    tried = set(causes.filter(classification__in=TRIED_AGAIN).values_list("pk", flat=True))
    later = now + timedelta(seconds=OFFSETS_S[0])
    rows = [(e.pk, at if at > now else later) for e, at in planned if e.cause_id in tried]
    set_rows(Error, ["next_attempt_at"], rows)


def end_unit_retry(run: Run, *, succeeded: bool, new_error: int | None = None) -> None:
    """The retry of a page, run or window ended: its error is resolved, by success or by the new error."""
    item = RetryItem.objects.of(run.account_id).filter(run=run, state=ItemState.WAITING).first()
    if item is None:
        return
    (error,) = locked_errors(run.account_id, [item.error_id])
    reason = Reason.RETRIED if succeeded else Reason.RETRY_FAILED
    now = read_now()
    if error.state == ErrorState.OPEN:
        set_rows(
            Error,
            ["state", "reason", "resolved_at", "resolved_by", "resolved_run", "resolved_error", "retry_run"],
            [(error.pk, ErrorState.RESOLVED, reason, now, run.started_by_id, run.pk, new_error, None)],
        )
        _close([error], reason, now)
    else:
        Error.objects.of(run.account_id).filter(pk=error.pk).update(retry_run=None)
    fields = ["state", "outcome", "new_error", "at"]
    set_rows(RetryItem, fields, [(item.pk, ItemState.DONE, reason, new_error, now)])


def _close(errors: Iterable[Error], reason: str, now: datetime) -> None:
    """Keep the counts of errors that were retrying and are resolved now."""
    errors = list(errors)
    shift_watched([e for e in errors if e.passed_run_id is not None], -1)
    if reason == Reason.RETRIED:
        shift_step_runs(errors, "user_resolved", +1)
    count_resolved(errors, now)
