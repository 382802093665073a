"""What a changed class means for open errors: automatic attempts begin, or the pending ones end."""

from datetime import datetime

from apps.core.bulk import set_rows
from apps.core.clock import read_now
from apps.errors.models import BulkAct, Cause, Error
from apps.errors.schedule import TRIED_AGAIN, next_attempt
from apps.errors.services.resolving import locked_errors
from apps.errors.states import ErrorState, ErrorUnit
from apps.flows.models import Flow


def classify_chunk(act: BulkAct, ids: list[int]) -> dict[int, str]:
    """Error id -> what came of it. The class is read now, so that of two corrections the later one holds."""
    errors = locked_errors(act.account_id, ids)
    causes = Cause.objects.of(act.account_id).filter(pk__in={e.cause_id for e in errors})
    classes = dict(causes.values_list("pk", "classification"))
    flows = Flow.objects.of(act.account_id).filter(
        pk__in={e.flow_id for e in errors}, auto_resolve=True, auto_retry=True
    )
    trying = set(flows.values_list("pk", flat=True))
    now = read_now()
    results = {}
    rows = []
    for error in errors:
        due = _due(error, classes[error.cause_id] if error.flow_id in trying else "", now)
        results[error.pk] = _words(error.next_attempt_at, due)
        if due != error.next_attempt_at:
            rows.append((error.pk, due))
    set_rows(Error, ["next_attempt_at"], rows)
    return results


def _due(error: Error, classification: str, now: datetime) -> datetime | None:
    if error.state != ErrorState.OPEN or error.retry_run_id is not None or classification not in TRIED_AGAIN:
        return None
    if error.next_attempt_at is not None:
        return error.next_attempt_at
    if error.in_doubt or error.unit != ErrorUnit.RECORD:
        return None
    return next_attempt(classification, error.occurred_at, error.attempts, now=now)


def _words(before: datetime | None, after: datetime | None) -> str:
    if before == after:
        return "left alone"
    return "attempts canceled" if after is None else "attempts begin"
