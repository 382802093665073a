"""The errors' part of a page commit: new errors with their retry data, auto-resolve, retries, and the counts of all.

One look-up of watched keys, then set-based writes, whatever the size of the page. The caller holds the transaction.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from apps.core.bulk import reserve_ids, set_rows, shift_rows
from apps.engine.ports import Failure
from apps.engine.records import Item
from apps.engine.result import FailedRecord, PageResult
from apps.errors.announcing import announce_errors
from apps.errors.auto_resolve import collisions, judge, judge_new, match_new, watched_errors
from apps.errors.cause_writing import write_causes
from apps.errors.facts import Book, Booked, NewError, new_error, next_generation
from apps.errors.handover import inherit_notes, move_notes
from apps.errors.models import Cause, Error, RetryData, StepState
from apps.errors.querysets import ErrorQuerySet
from apps.errors.retried import Retried, ended_retries, leave_old_causes, write_retried
from apps.errors.schedule import in_slots, next_attempt
from apps.errors.services.counting import count_resolved, lock_flow_states, lock_states, shift_open, shift_step_runs
from apps.errors.states import ErrorState, ErrorUnit, Reason
from apps.errors.writing import write_new, write_resolved, write_states

__all__ = ["Book", "Booked", "book_page", "book_unit", "resolve_windows"]


def book_page(book: Book, result: PageResult) -> Booked:
    """Write the errors of a delivered page and resolve those that its passes resolve."""
    states = _lock_states(book)
    retried = ended_retries(book.account, book.run, book.steps, result, is_auto=book.is_auto_retry)
    without = {r.id for r in retried if not r.makes_row}
    new = [new_error(book, entry) for entry in result.failures() if entry.item.error not in without]
    return _book(book, new, result, retried, states)


def book_unit(
    book: Book,
    failure: Failure,
    *,
    unit: str,
    node: int,
    window: Mapping[str, Any] | None = None,
    records: bytes | None = None,
    inner: int | None = None,
    effects: dict[str, Any] | None = None,
    retried: int | None = None,
) -> Booked:
    """Write one error that concerns a page, a run or a window; it has no key and is never resolved by one.

    `retried` is the error whose retry ended in this one, `records` the packed page that a retry sends again, `inner`
    the node inside the sub-flow where it failed.
    """
    item = Item(0, {})
    item.error = retried
    start = 0 if records is not None else node
    entry = FailedRecord(item, node, failure, start, {}, inner=inner, effects=effects or {})
    error = new_error(book, entry, unit=unit)
    error.window, error.records = window, records
    return _book(book, [error], PageResult(), [], _lock_states(book))


def _book(
    book: Book, new: list[NewError], result: PageResult, retried: list[Retried], states: list[StepState]
) -> Booked:
    states = _with_states(book, new, states)
    watched = watched_errors(book, result) if any(state.watched_keys for state in states) else []
    if watched:
        judge(book, result, watched)
    judge_new(book, result, new)
    for error, number in zip(new, reserve_ids(Error, len(new)), strict=True):
        error.id = number
    match_new(book, new, [old for old in watched if old.id not in {r.id for r in retried if r.is_resolved}])
    booked = Booked(errors=new, collisions=collisions(book, new, watched))
    write_resolved(book, watched, booked)
    _write_retries(book, retried, new, booked)
    moves = inherit_notes(watched, retried, new)
    write_new(book, new, booked)
    move_notes(book.account, moves)
    write_states(book, new, watched, retried)
    announce_errors(book, new)
    return booked


def _lock_states(book: Book) -> list[StepState]:
    return lock_flow_states(book.account, book.flow)


def _with_states(book: Book, new: list[NewError], states: list[StepState]) -> list[StepState]:
    """Begin the states that the first errors of a flow need: without a row to lock, two commits would not wait."""
    missing = {book.steps[error.node] for error in new} - {state.pk for state in states}
    if not missing:
        return states
    rows = [
        StepState(account_id=book.account, flow_id=book.flow, integration_id=book.integration, step_id=step)
        for step in sorted(missing)
    ]
    StepState.objects.of(book.account).bulk_create(rows, ignore_conflicts=True)
    return _lock_states(book)


def _write_retries(book: Book, retried: list[Retried], new: list[NewError], booked: Booked) -> None:
    """Resolve, or open again, the errors that this page retried; the new errors they ended in are linked."""
    if not retried:
        return
    followers = {error.entry.item.error: error for error in new}
    for old in retried:
        if old.id in followers:
            old.new_error = followers[old.id].id
            followers[old.id].tries += old.tries
        booked.open_errors[old.run, old.step] += not old.is_resolved
        if old.is_newly_resolved:
            booked.retried += 1
            booked.user_resolved[old.run, old.step] += old.reason == Reason.RETRIED
            booked.auto_resolved[old.run, old.step] += old.reason in Reason.automatic()
    write_retried(retried, now=book.now, run=book.run, member=book.member)
    again = [old for old in retried if old.is_again]
    booked.again = len(again)
    _write_again(book, again)
    skipped = Counter(old.cause for old in retried if not old.is_resolved and not old.is_again)
    shift_rows(Cause, ["open_errors"], list(skipped.items()))


def _write_again(book: Book, again: list[Retried]) -> None:
    """An automatic attempt failed: the same error takes the newest message and class, and its next attempt's time."""
    if not again:
        return
    leave_old_causes(book.account, again)
    errors = []
    for old in again:
        assert old.entry is not None
        error = new_error(book, old.entry)
        error.id = old.id
        errors.append(error)
    causes = write_causes(book, errors, Counter())
    planned = [(old.step, old.attempts + 1, _next(book, old, error)) for old, error in zip(again, errors, strict=True)]
    rows = [
        (old.id, error.message, causes[old.step, error.fingerprint], old.attempts + 1, due)
        for old, error, due in zip(again, errors, in_slots(planned, flow=book.flow), strict=True)
    ]
    set_rows(Error, ["message", "cause", "attempts", "next_attempt_at"], rows)
    set_rows(RetryData, ["generation"], [(error.id, next_generation(error.entry)) for error in errors])


def _next(book: Book, old: Retried, error: NewError) -> datetime | None:
    if not book.is_auto_retrying:
        return None
    retry_after_s = error.entry.failure.retry_after_s
    return next_attempt(
        error.classification, old.occurred_at, old.attempts + 1, now=book.now, retry_after_s=retry_after_s
    )


def resolve_windows(book: Book, *, has_own_window: bool) -> None:
    """A run went through: the windows at which earlier runs had failed have been exported with it.

    A run with dates of its own exported those and nothing else, so it resolves none but those of its own attempts.
    """
    if not book.is_auto_resolving:
        return
    older = _failed_windows(book).filter(pass_order__lt=book.pass_no << 32).select_related("retry_data")
    through = [e.pk for e in older if _is_attempt(book, e) or not (has_own_window or _has_dates(e))]
    _resolve_windows(book, through, Reason.SUCCEEDED)


def supersede_windows(book: Book, newer: int) -> None:
    """A further attempt of a run failed: the windows of its earlier ones are told by the error of the newest."""
    if book.is_auto_resolving:
        others = _failed_windows(book).exclude(pk=newer).select_related("retry_data")
        _resolve_windows(book, [e.pk for e in others if _is_attempt(book, e)], Reason.SUPERSEDED, newer)


def _failed_windows(book: Book) -> ErrorQuerySet:
    return Error.objects.of(book.account).filter(
        step_id=book.steps[0], state=ErrorState.OPEN, unit=ErrorUnit.WINDOW, retry_run__isnull=True
    )


def _resolve_windows(book: Book, ids: list[int], reason: str, by: int | None = None) -> None:
    if not ids:
        return
    lock_states(book.account, {book.steps[0]})
    errors = list(_failed_windows(book).filter(pk__in=ids).select_for_update().order_by("pk"))
    rows = [(e.pk, ErrorState.RESOLVED, reason, book.now, book.run, by) for e in errors]
    set_rows(Error, ["state", "reason", "resolved_at", "resolved_run", "resolved_error"], rows)
    shift_open(errors, -1)
    shift_step_runs(errors, "auto_resolved", +1)
    count_resolved(errors, book.now, is_automatic=True)


def _is_attempt(book: Book, error: Error) -> bool:
    """Whether an earlier attempt of the run failed with it."""
    return bool(error.retry_data.root_run_id == book.root_run)


def _has_dates(error: Error) -> bool:
    window = error.retry_data.window or {}
    return bool(window.get("from") or window.get("to"))
