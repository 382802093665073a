"""The errors' part of a page commit: new errors with their retry data, auto-resolve, and the counts of both.

One look-up of watched keys, then set-based writes, whatever the size of the page. The caller holds the transaction.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection

from apps.core.bulk import add_up, in_array, insert_rows, reserve_ids, set_rows, shift_rows
from apps.core.text import short, storable, storable_value
from apps.engine.classification import classify
from apps.engine.ports import Failure
from apps.engine.records import SHOWN_KEY_LENGTH, Item, key_hash, to_json
from apps.engine.result import FailedRecord, PageResult
from apps.errors.fingerprint import VERSION, fingerprint, shape_of
from apps.errors.models import Cause, CauseBucket, Error, RetryData, StepState
from apps.errors.search import write_texts
from apps.errors.states import CauseState, ErrorState, ErrorUnit, Passed, Reason
from apps.runs.models import Capture

LONGEST_MESSAGE = 10_000
HALF_HOUR_S = 1800


@dataclass(frozen=True, slots=True)
class Book:
    """Whose page is booked: ids of the run, its flow and its steps (by node index and the other way round)."""

    account: int
    integration: int
    flow: int
    run: int
    root_run: int
    pass_no: int
    now: datetime
    steps: Sequence[int]
    paths: Sequence[str]
    is_auto_resolving: bool
    page_seq: int | None = None

    def order_of(self, item: Item) -> int:
        return self.pass_no << 32 | item.ordinal


@dataclass(slots=True)
class Booked:
    """What was written, for the counters of run, steps and buckets. Keys of the counters: (run id, step id)."""

    rows: int = 0
    open_errors: Counter[tuple[int, int]] = field(default_factory=Counter)
    auto_resolved: Counter[tuple[int, int]] = field(default_factory=Counter)
    by_step: Counter[int] = field(default_factory=Counter)
    units_by_step: Counter[int] = field(default_factory=Counter)

    @property
    def resolved_now(self) -> int:
        return self.auto_resolved.total()


@dataclass(slots=True)
class Watched:
    """A stored error that a pass of its key may resolve or mark as passed."""

    id: int
    step: int
    run: int
    cause: int
    is_open: bool
    is_retrying: bool
    is_passed: bool
    is_in_doubt: bool
    key_hash: int
    payload_hash: int | None
    pass_order: int
    collision_no: int
    reason: str = ""
    resolved_error: int | None = None
    passed: str = ""
    passed_order: int | None = None


@dataclass(slots=True)
class NewError:
    """An error about to be written."""

    id: int
    node: int
    entry: FailedRecord
    unit: str
    classification: str
    message: str
    key: str
    key_hash: int | None
    payload_hash: int | None
    order: int
    fingerprint: str
    pattern: str
    window: Mapping[str, Any] | None = None
    collision_no: int = 0
    reason: str = ""
    resolved_error: int | None = None

    @property
    def is_open(self) -> bool:
        return not self.reason


def book_page(book: Book, result: PageResult) -> Booked:
    """Write the errors of a delivered page and resolve those that its passes resolve."""
    new = [_new_error(book, entry) for entry in result.failures()]
    return _book(book, new, result)


def book_unit(book: Book, failure: Failure, *, unit: str, node: int, window: Mapping[str, Any]) -> Booked:
    """Write one error that concerns a page, a run or a window; it has no key and is never resolved by one."""
    entry = FailedRecord(Item(0, {}), node, failure, node, {})
    error = _new_error(book, entry, unit=unit)
    error.window = window
    return _book(book, [error], PageResult())


def _book(book: Book, new: list[NewError], result: PageResult) -> Booked:
    states = _lock_states(book)
    watched = _watched(book, result) if any(state.watched_keys for state in states) else []
    if watched and book.is_auto_resolving:
        _judge(book, result, watched)
    for error, number in zip(new, reserve_ids(Error, len(new)), strict=True):
        error.id = number
    _match_new(book, new, watched)
    booked = Booked(rows=len(new))
    _write_resolved(book, watched, booked)
    _write_new(book, new, booked)
    _write_states(book, new, watched)
    return booked


# --- new errors ---------------------------------------------------------------------------------------------------
def _new_error(book: Book, entry: FailedRecord, *, unit: str = ErrorUnit.RECORD) -> NewError:
    failure = entry.failure
    message = short(storable(_placed(entry))[0], LONGEST_MESSAGE)
    code = short(storable(failure.code)[0], 128)
    pattern = shape_of(message)
    has_key = unit == ErrorUnit.RECORD and entry.raw is None
    key = (entry.key or entry.item.key) if has_key else ""
    return NewError(
        id=0,
        node=entry.node,
        entry=entry,
        unit=unit,
        classification=failure.classification or classify(failure.source, code, message) or "none",
        message=message,
        key=short(storable(key)[0], SHOWN_KEY_LENGTH),
        key_hash=key_hash(key),
        payload_hash=entry.item.payload_hash if has_key else None,
        order=book.order_of(entry.item),
        fingerprint=fingerprint(failure.source, code, pattern),
        pattern=pattern,
        reason=Reason.HANDLED if entry.is_handled else "",
    )


def _placed(entry: FailedRecord) -> str:
    """The failure's words after the place in the source; many connectors begin with it themselves."""
    message = entry.failure.message
    return f"{entry.place}: {message}" if entry.place and not message.startswith(entry.place) else message


def _match_new(book: Book, new: list[NewError], watched: list[Watched]) -> None:
    """Set each new error against the open ones of its key: the newer supersedes, other payloads of one run collide."""
    standing: dict[tuple[int, int], list[Watched | NewError]] = defaultdict(list)
    for old in watched:
        if old.is_open and not (old.reason and not old.is_retrying):
            standing[old.step, old.key_hash].append(old)
    for error in sorted(new, key=lambda e: e.order):
        if error.key_hash is None or not error.is_open:
            continue
        rivals = standing[book.steps[error.node], error.key_hash]
        if book.is_auto_resolving:
            rivals[:] = [rival for rival in rivals if not _supersedes(book, error, rival)]
        if error.is_open:
            error.collision_no = 1 + max((r.collision_no for r in rivals), default=-1)
            rivals.append(error)


def _supersedes(book: Book, error: NewError, rival: "Watched | NewError") -> bool:
    """Let the later of two open errors of one key resolve the earlier; True: the rival is resolved."""
    if isinstance(rival, Watched):
        rival_order, is_same_run = rival.pass_order, rival.run == book.run
    else:
        rival_order, is_same_run = rival.order, True
    if is_same_run and rival.payload_hash != error.payload_hash:
        return False  # a collision: two records of one run carry the same trace key
    if rival_order > error.order:
        error.reason, error.resolved_error = Reason.SUPERSEDED, rival.id
        return False
    if isinstance(rival, Watched) and rival.is_retrying:
        return False  # its retry will find that a newer pass went before
    rival.reason, rival.resolved_error = Reason.SUPERSEDED, error.id
    return True


# --- auto-resolve -------------------------------------------------------------------------------------------------
def _lock_states(book: Book) -> list[StepState]:
    return list(StepState.objects.of(book.account).select_for_update().filter(flow_id=book.flow).order_by("pk"))


def _watched(book: Book, result: PageResult) -> list[Watched]:
    """The stored errors of this flow whose key went by in this page; one look-up, one parameter for all keys."""
    hashes = {item.key_hash for item in _items(result)}
    hashes |= {key_hash(entry.key) for entry in result.failures() if entry.key}
    hashes.discard(None)
    if not hashes:
        return []
    condition, params = in_array("key_hash", [h for h in hashes if h is not None])
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, step_id, run_id, cause_id, state, retry_run_id, passed_run_id, in_doubt, key_hash, "  # noqa: S608
            "payload_hash, pass_order, collision_no FROM error WHERE flow_id = %s AND key_hash IS NOT NULL "
            f"AND (state = 'open' OR passed_run_id IS NULL) AND {condition} ORDER BY id",
            [book.flow, *params],
        )
        return [
            Watched(
                r[0], r[1], r[2], r[3], r[4] == ErrorState.OPEN, r[5] is not None, r[6] is not None, bool(r[7]), *r[8:]
            )
            for r in cursor.fetchall()
        ]


def _items(result: PageResult) -> Iterable[Item]:
    for tally in result.tallies.values():
        yield from tally.succeeded
        yield from tally.ignored


def _judge(book: Book, result: PageResult, watched: list[Watched]) -> None:
    """What the passes of this page say about each watched error."""
    wanted: set[int | None] = {old.key_hash for old in watched}
    visits, ended = _visits(book, result, wanted), _ended_elsewhere(result, wanted)
    for old in watched:
        passes = visits.get((old.step, old.key_hash)) or [
            (item, Passed.IGNORED) for item in ended.get(old.key_hash, [])
        ]
        for item, outcome in passes:
            _judge_pass(book, old, item, outcome)


def _judge_pass(book: Book, old: Watched, item: Item, outcome: str) -> None:
    order = book.order_of(item)
    if order <= old.pass_order or (old.run == book.run and old.payload_hash != item.payload_hash):
        return
    old.passed, old.passed_order = outcome, order
    if old.is_open and not old.is_retrying and outcome != Passed.ERROR:
        old.reason = Reason.SUCCEEDED if outcome == Passed.SUCCESS else Reason.IGNORED


def _visits(
    book: Book, result: PageResult, wanted: set[int | None]
) -> dict[tuple[int, int | None], list[tuple[Item, str]]]:
    """(step id, key hash) -> the visits of that key, in the order of the records."""
    found: dict[tuple[int, int | None], list[tuple[Item, str]]] = defaultdict(list)
    for node, tally in result.tallies.items():
        groups = (
            (Passed.SUCCESS, tally.succeeded),
            (Passed.IGNORED, tally.ignored),
            (Passed.ERROR, [entry.item for entry in tally.failed if not entry.is_handled]),
        )
        for outcome, items in groups:
            for item in items:
                if item.key_hash in wanted:
                    found[book.steps[node], item.key_hash].append((item, outcome))
    for visits in found.values():
        visits.sort(key=lambda visit: visit[0].ordinal)
    return found


def _ended_elsewhere(result: PageResult, wanted: set[int | None]) -> dict[int | None, list[Item]]:
    """Records that came to their end without a failure: a step that they never reached has no more use for them."""
    unfinished = {item.ordinal for item in result.rest}
    unfinished |= {item.ordinal for tally in result.tallies.values() for item in tally.rolled_back}
    found: dict[int | None, dict[int, Item]] = defaultdict(dict)
    for item in _items(result):
        if item.key_hash in wanted and not item.failed and item.ordinal not in unfinished:
            found[item.key_hash][item.ordinal] = item
    return {hashed: [items[o] for o in sorted(items)] for hashed, items in found.items()}


# --- writing ------------------------------------------------------------------------------------------------------
def _write_resolved(book: Book, watched: list[Watched], booked: Booked) -> None:
    resolved = [old for old in watched if old.reason]
    for old in resolved:
        if not old.passed:
            old.passed, old.passed_order = Passed.ERROR, old.pass_order
        booked.auto_resolved[old.run, old.step] += 1
        booked.open_errors[old.run, old.step] -= 1
    set_rows(
        Error,
        ["state", "reason", "resolved_at", "resolved_run", "resolved_error", "next_attempt_at"],
        [(o.id, ErrorState.RESOLVED, o.reason, book.now, book.run, o.resolved_error, None) for o in resolved],
    )
    set_rows(
        Error,
        ["passed_run", "passed_outcome", "passed_order"],
        [(o.id, book.run, o.passed, o.passed_order) for o in watched if o.passed],
    )
    gone = Counter(old.cause for old in resolved)
    shift_rows(Cause, ["open_errors"], [(cause, -count) for cause, count in gone.items()])


def _write_new(book: Book, new: list[NewError], booked: Booked) -> None:
    if not new:
        return
    causes = _write_causes(book, new)
    captures = _write_captures(book, new)
    insert_rows(Error, ERROR_FIELDS, [_error_row(book, e, causes, captures) for e in new])
    insert_rows(RetryData, RETRY_FIELDS, [_retry_row(book, e) for e in new])
    write_texts(book.account, [(e.id, f"{e.message} {e.key}") for e in new])
    for error in new:
        step = book.steps[error.node]
        booked.by_step[step] += error.unit == ErrorUnit.RECORD
        booked.units_by_step[step] += error.unit != ErrorUnit.RECORD
        booked.open_errors[book.run, step] += error.is_open
        booked.auto_resolved[book.run, step] += error.reason == Reason.SUPERSEDED


def _write_causes(book: Book, new: list[NewError]) -> dict[tuple[int, str], int]:
    """Begin or add to the causes; returns (step id, fingerprint) -> cause id."""
    totals: Counter[tuple[int, str]] = Counter()
    opens: Counter[tuple[int, str]] = Counter()
    samples: dict[tuple[int, str], NewError] = {}
    for error in new:
        name = (book.steps[error.node], error.fingerprint)
        samples.setdefault(name, error)
        totals[name] += 1
        opens[name] += error.is_open
    add_up(
        Cause,
        ["step", "version", "fingerprint"],
        ["open_errors", "total_errors"],
        [
            (step, VERSION, mark, *_cause_facts(book, samples[step, mark]), opens[step, mark], totals[step, mark])
            for step, mark in samples
        ],
        fixed=[
            "account",
            "flow",
            "source",
            "code",
            "pattern",
            "classification",
            "state",
            "sample_error",
            "first_seen_at",
        ],
        latest=["last_seen_at"],
    )
    rows = (
        Cause.objects.of(book.account)
        .filter(
            step_id__in={step for step, _ in samples}, version=VERSION, fingerprint__in={mark for _, mark in samples}
        )
        .values_list("step_id", "fingerprint", "id")
    )
    ids = {(step, mark): key for step, mark, key in rows}
    slot = int(book.now.timestamp()) // HALF_HOUR_S
    counted = [(ids[name], slot, book.account, count) for name, count in totals.items()]
    add_up(CauseBucket, ["cause", "slot"], ["errors"], counted, fixed=["account"])
    return ids


def _cause_facts(book: Book, error: NewError) -> tuple[Any, ...]:
    failure = error.entry.failure
    code = short(storable(failure.code)[0], 128)
    return (
        book.account,
        book.flow,
        failure.source,
        code,
        error.pattern,
        error.classification,
        CauseState.NEW,
        error.id,
        book.now,
        book.now,
    )


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
    "source_step_path", "key", "key_hash", "payload_hash", "collision_no", "ordinal", "pass_order", "message", "effects",
    "capture", "occurred_at", "attempts", "resolved_at", "reason", "resolved_run", "resolved_error", "passed_outcome",
    "has_notes", "keep",
]  # fmt: skip
RETRY_FIELDS = [
    "error", "account", "from_step", "record", "window", "root_run", "origin_ordinal", "occurrence", "generation", "version",
]  # fmt: skip
CAPTURE_FIELDS = ["id", "account", "run", "step", "sent_at", "ms", "method", "status", "request", "response"]


def _error_row(
    book: Book, e: NewError, causes: dict[tuple[int, str], int], captures: dict[int, int]
) -> tuple[Any, ...]:
    step = book.steps[e.node]
    is_record = e.unit == ErrorUnit.RECORD
    return (
        e.id, book.account, book.flow, step, book.run, book.page_seq, causes[step, e.fingerprint], e.unit,
        ErrorState.OPEN if e.is_open else ErrorState.RESOLVED, e.entry.failure.unknown, False,
        book.paths[e.node], e.key, e.key_hash, e.payload_hash, e.collision_no, e.entry.item.ordinal if is_record else None,
        e.order, e.message, _effects(e), captures.get(e.id), book.now, e.entry.item.attempt,
        None if e.is_open else book.now, e.reason, None if e.is_open else book.run, e.resolved_error, "", False, False,
    )  # fmt: skip


def _effects(error: NewError) -> dict[str, Any]:
    """What else is to be said about the failure: the field, the place in the source, the connector's own trace."""
    failure = error.entry.failure
    facts = {"field": failure.field, "place": error.entry.place, "trace": failure.trace}
    return {name: storable(str(value))[0] for name, value in facts.items() if value}


def _retry_row(book: Book, error: NewError) -> tuple[Any, ...]:
    entry = error.entry
    record = None if error.unit != ErrorUnit.RECORD else (entry.raw if entry.raw is not None else to_json(entry.record))
    window = dict(error.window) if error.window is not None else None
    ordinal = entry.item.ordinal if error.unit == ErrorUnit.RECORD else None
    start = book.steps[entry.start]
    return (error.id, book.account, start, record, window, book.root_run, ordinal, 0, entry.item.generation, 1)


def _write_states(book: Book, new: list[NewError], watched: list[Watched]) -> None:
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
    for old in watched:
        opened[old.step] -= bool(old.reason)
        doubts[old.step] -= bool(old.reason) and old.is_in_doubt
        still_open = old.is_open and not old.reason
        watching[old.step] -= not still_open and (old.is_passed or bool(old.passed))
    failed = {book.steps[error.node] for error in new}
    rows = [
        (step, book.account, book.flow, book.integration, book.now if step in failed else None,
         opened[step], units[step], doubts[step], watching[step])
        for step in failed | {old.step for old in watched if old.reason or old.passed}
    ]  # fmt: skip
    add_up(
        StepState,
        ["step"],
        ["open_errors", "open_units", "in_doubt", "watched_keys"],
        rows,
        fixed=["account", "flow", "integration"],
        latest=["last_error_at"],
    )
