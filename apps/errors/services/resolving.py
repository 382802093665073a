"""Resolve, mark as sent and reopen by hand, a chunk at a time inside the caller's transaction."""

from collections.abc import Iterable

from apps.core.bulk import in_array
from apps.core.clock import read_now
from apps.errors.models import BulkAct, Error
from apps.errors.services.counting import count_resolved, lock_states, shift_open, shift_step_runs, shift_watched
from apps.errors.services.planning import (
    REOPENED,
    RESOLVE_CONDITIONS,
    SENT_CONDITIONS,
    Conditions,
    with_why_not,
)
from apps.errors.states import ErrorState, Reason


def locked_errors(account: int, ids: list[int]) -> list[Error]:
    """The errors, locked, behind the locks of their steps' states."""
    rows = Error.objects.of(account).filter(pk__in=ids)
    lock_states(account, set(rows.values_list("step_id", flat=True)))
    return list(rows.select_for_update().order_by("pk"))


def resolve_chunk(act: BulkAct, ids: list[int]) -> dict[int, str]:
    """Error id -> what came of it."""
    reason = Reason.RULE if "rule" in act.options else Reason.MANUAL
    return _settle(act, ids, reason, RESOLVE_CONDITIONS, "resolved")


def sent_chunk(act: BulkAct, ids: list[int]) -> dict[int, str]:
    """The same for what somebody found at the destination: only errors in doubt are marked as sent."""
    return _settle(act, ids, Reason.SENT, SENT_CONDITIONS, "marked as sent")


def _settle(act: BulkAct, ids: list[int], reason: str, conditions: Conditions, done: str) -> dict[int, str]:
    errors = locked_errors(act.account_id, ids)
    asked = with_why_not(Error.objects.of(act.account_id).filter(pk__in=[e.pk for e in errors]), conditions)
    reasons = dict(asked.values_list("pk", "why_not"))
    chosen = [e for e in errors if not reasons[e.pk]]
    now = read_now()
    Error.objects.of(act.account_id).filter(pk__in=[e.pk for e in chosen]).update(
        state=ErrorState.RESOLVED, reason=reason, resolved_at=now, resolved_by_id=act.member_id, next_attempt_at=None
    )
    shift_open(chosen, -1)
    shift_watched([e for e in chosen if e.passed_run_id is not None], -1)
    shift_step_runs(chosen, "user_resolved", +1)
    count_resolved(chosen, now)
    return {e.pk: reasons[e.pk] or done for e in errors}


def reopen_chunk(act: BulkAct, ids: list[int]) -> dict[int, str]:
    """Error id -> what came of it."""
    errors = locked_errors(act.account_id, ids)
    taken = open_keys(act.account_id, errors)
    chosen = []
    results = {}
    for error in reversed(errors):  # of two of one record the newer one is opened
        name = (error.step_id, error.key_hash)
        if error.state == ErrorState.OPEN or error.reason not in REOPENED or error.retry_run_id is not None:
            results[error.pk] = "not reopened"
        elif error.key_hash is not None and name in taken:
            results[error.pk] = "a newer one is open"
        else:
            taken.add(name)
            chosen.append(error)
            results[error.pk] = "reopened"
    _reopen(act.account_id, chosen)
    return results


def open_keys(account: int, errors: Iterable[Error]) -> set[tuple[int, int | None]]:
    """(step id, key hash) of the keys that have an open error now."""
    hashes = [e.key_hash for e in errors if e.key_hash is not None]
    condition, params = in_array("key_hash", hashes)
    rows = Error.objects.of(account).filter(state=ErrorState.OPEN).extra(where=[condition], params=params)  # noqa: S610
    return set(rows.values_list("step_id", "key_hash"))


def _reopen(account: int, errors: list[Error]) -> None:
    Error.objects.of(account).filter(pk__in=[e.pk for e in errors]).update(
        state=ErrorState.OPEN, reason="", resolved_at=None, resolved_by=None, resolved_run=None, resolved_error=None
    )
    shift_open(errors, +1)
    shift_watched([e for e in errors if e.passed_run_id is not None], +1)
    shift_step_runs([e for e in errors if e.reason in Reason.automatic()], "auto_resolved", -1)
    shift_step_runs([e for e in errors if e.reason in Reason.by_hand()], "user_resolved", -1)
