"""The rows of a page's booking: new errors with cause, retry data, search text and capture; resolves; open counts."""

from collections import Counter
from datetime import datetime
from typing import Any

from apps.connectors.redaction import redact
from apps.core.bulk import add_up, insert_rows, reserve_ids, set_rows, shift_rows
from apps.core.text import storable, storable_value
from apps.engine.records import to_json
from apps.errors.cause_writing import write_causes
from apps.errors.facts import Book, Booked, NewError, Watched, next_generation
from apps.errors.models import Cause, Error, RetryData, StepState
from apps.errors.retried import Retried
from apps.errors.schedule import in_slots, next_attempt
from apps.errors.search import searched_text, write_texts
from apps.errors.states import ErrorState, ErrorUnit, Passed, Reason
from apps.runs.models import Capture


def write_resolved(book: Book, watched: list[Watched], booked: Booked) -> None:
    for old in watched:
        if old.reason and not old.passed:
            old.passed, old.passed_order = Passed.ERROR, old.order
    resolved = [old for old in watched if old.is_resolved]
    for old in resolved:
        booked.auto_resolved[old.run, old.step] += 1
        booked.open_errors[old.run, old.step] -= 1
    set_rows(
        Error,
        ["state", "reason", "resolved_at", "resolved_run", "resolved_error", "next_attempt_at"],
        [(o.id, ErrorState.RESOLVED, o.reason, book.now, book.run, o.resolved_error, None) for o in resolved],
    )
    set_rows(  # what a retry has is resolved when the retry gives it back: see `Retried.verdict`
        Error,
        ["resolved_run", "resolved_error"],
        [(o.id, book.run, o.resolved_error) for o in watched if o.reason and o.is_retrying],
    )
    set_rows(
        Error,
        ["passed_run", "passed_outcome", "passed_order"],
        [(o.id, book.run, o.passed, o.passed_order) for o in watched if o.passed],
    )
    booked.closed_causes.update(old.cause for old in resolved)
    shift_rows(Cause, ["open_errors"], [(cause, -count) for cause, count in booked.closed_causes.items()])


def write_new(book: Book, new: list[NewError], booked: Booked) -> None:
    """Write new errors and what belongs to them, and count them for the run and its steps."""
    if not new:
        return
    causes = write_causes(book, new, booked.closed_causes)
    captures = _write_captures(book, new)
    due = _first_attempts(book, new)
    insert_rows(Error, ERROR_FIELDS, [_error_row(book, e, causes, captures, due) for e in new])
    insert_rows(RetryData, RETRY_FIELDS, [_retry_row(book, e) for e in new])
    write_texts(book.account, [(e.id, searched_text(e.message, e.key)) for e in new])
    for error in new:
        step = book.steps[error.node]
        booked.by_step[step] += error.unit == ErrorUnit.RECORD
        booked.units_by_step[step] += error.unit != ErrorUnit.RECORD
        booked.open_errors[book.run, step] += error.is_open
        booked.auto_resolved[book.run, step] += error.reason in Reason.automatic()


def _write_captures(book: Book, new: list[NewError]) -> dict[int, int]:
    """Error id -> the id of its captured request and answer."""
    captured = [e for e in new if e.entry.failure.capture is not None]
    ids = dict(zip([e.id for e in captured], reserve_ids(Capture, len(captured)), strict=True))
    rows = []
    for error in captured:
        capture = error.entry.failure.capture
        assert capture is not None
        status = "" if capture.status is None else str(capture.status)
        bodies = [storable_value(part)[0] for part in (capture.request, capture.response)]
        step = book.steps[error.node]
        rows.append(
            (ids[error.id], book.account, book.run, step, capture.sent_at, capture.ms, capture.method, status, *bodies)
        )
    insert_rows(Capture, CAPTURE_FIELDS, rows)
    return ids


ERROR_FIELDS = [
    "id", "account", "flow", "step", "run", "page_seq", "cause", "unit", "state", "in_doubt", "retry_failed",
    "previous_error", "source_step_path", "key", "key_hash", "payload_hash", "collision_no", "ordinal", "pass_order",
    "message", "effects", "capture", "occurred_at", "attempts", "next_attempt_at", "resolved_at", "reason",
    "resolved_run", "resolved_error", "passed_outcome", "assignee", "has_notes", "keep",
]  # fmt: skip
RETRY_FIELDS = [
    "error", "account", "from_step", "record", "window", "root_run", "origin_ordinal", "occurrence", "generation",
    "version",
]  # fmt: skip
CAPTURE_FIELDS = ["id", "account", "run", "step", "sent_at", "ms", "method", "status", "request", "response"]


def _error_row(
    book: Book,
    e: NewError,
    causes: dict[tuple[int, str], int],
    captures: dict[int, int],
    due: dict[int, datetime | None],
) -> tuple[Any, ...]:
    step, item = book.steps[e.node], e.entry.item
    return (
        e.id, book.account, book.flow, step, book.run, book.page_seq, causes[step, e.fingerprint], e.unit,
        ErrorState.OPEN if e.is_open else ErrorState.RESOLVED, e.entry.failure.unknown, item.error is not None,
        item.error, _path(book, e), e.key, e.key_hash, e.payload_hash, e.collision_no,
        item.ordinal if e.unit == ErrorUnit.RECORD else None, e.order,
        e.message, _effects(e), captures.get(e.id), book.now, 0, due.get(e.id),
        None if e.is_open else book.now, e.reason,
        None if e.is_open else book.run, e.resolved_error, "", e.assignee, e.has_notes, False,
    )  # fmt: skip


def _path(book: Book, error: NewError) -> str:
    """The step at which it failed; inside a sub-flow with the way that led there."""
    return book.paths[error.node if error.entry.inner is None else error.entry.inner]


def _first_attempts(book: Book, new: list[NewError]) -> dict[int, datetime | None]:
    """Error id -> when Flowmend tries by itself, None where it does not."""
    planned = [(book.steps[error.node], 0, _first_attempt(book, error)) for error in new]
    return dict(zip([error.id for error in new], in_slots(planned, flow=book.flow), strict=True))


def _first_attempt(book: Book, error: NewError) -> datetime | None:
    """When Flowmend tries by itself, if it does: records that failed for a passing reason, never one in doubt."""
    failure = error.entry.failure
    if not error.is_open or not book.is_auto_retrying or failure.unknown or error.unit != ErrorUnit.RECORD:
        return None
    return next_attempt(error.classification, book.now, 0, now=book.now, retry_after_s=failure.retry_after_s)


def _effects(error: NewError) -> dict[str, Any]:
    """What else is to be said about the failure: the field, the place in the source, the connector's own trace.

    And what became of what the record had written and sent: `committed`, `rolled_back`, `sent`, `dropped` by step,
    `uncompensated` with request and answer.
    `tries`: how often the record was tried until it ended in this error, where that was more than once.
    """
    failure = error.entry.failure
    facts = {"field": failure.field, "place": error.entry.place, "trace": failure.trace}
    tries: dict[str, Any] = {"tries": error.tries} if error.tries > 1 else {}
    done = redact(storable_value(error.entry.effects)[0]) if error.entry.effects else {}
    return done | tries | {name: storable(str(value))[0] for name, value in facts.items() if value}


def _retry_row(book: Book, error: NewError) -> tuple[Any, ...]:
    entry = error.entry
    own = entry.raw if entry.raw is not None else to_json(entry.record)
    record = own if error.unit == ErrorUnit.RECORD else error.records
    window = dict(error.window) if error.window is not None else ({"alone": True} if entry.is_alone else None)
    root, ordinal = entry.item.root or (book.root_run, entry.item.ordinal)
    start = book.steps[entry.start]
    origin = ordinal if error.unit == ErrorUnit.RECORD else None
    return (error.id, book.account, start, record, window, root, origin, 0, next_generation(entry), 1)


def write_states(book: Book, new: list[NewError], watched: list[Watched], retried: list[Retried]) -> None:
    """Keep the open counts of each step, and how many errors a pass of their key could still change."""
    opened: Counter[int] = Counter()
    units: Counter[int] = Counter()
    doubts: Counter[int] = Counter()
    watching: Counter[int] = Counter()
    for error in new:
        step = book.steps[error.node]
        opened[step] += error.is_open
        units[step] += error.is_open and error.unit != ErrorUnit.RECORD
        doubts[step] += error.is_open and error.entry.failure.unknown
        watching[step] += error.key_hash is not None
    by_retry = {r.id for r in retried if r.is_resolved}
    for old in watched:
        opened[old.step] -= old.is_resolved
        doubts[old.step] -= old.is_resolved and old.is_in_doubt
        still_open = old.is_open and not old.is_resolved and old.id not in by_retry
        watching[old.step] -= not still_open and (old.is_passed or bool(old.passed))
    known = {old.id for old in watched}
    for error_retried in retried:
        opened[error_retried.step] += not error_retried.is_resolved
        doubts[error_retried.step] += not error_retried.is_resolved and error_retried.is_in_doubt
        leaves = error_retried.is_newly_resolved and error_retried.has_key and bool(error_retried.passed)
        watching[error_retried.step] -= leaves and error_retried.id not in known
    failed = {book.steps[error.node] for error in new}
    touched = {old.step for old in watched if old.reason or old.passed} | {r.step for r in retried}
    rows = [
        (step, book.account, book.flow, book.integration, book.now if step in failed else None,
         opened[step], units[step], doubts[step], watching[step])
        for step in failed | touched
    ]  # fmt: skip
    add_up(
        StepState,
        ["step"],
        ["open_errors", "open_units", "in_doubt", "watched_keys"],
        rows,
        fixed=["account", "flow", "integration"],
        latest=["last_error_at"],
    )
