"""The root causes of a page's errors: begun or added to, and moved on through their states, set-based.

A cause is *new* until errors come from a second run, or a day later: then it is *ongoing*. One that opens again after
its open count was 0 is *regressed*. A *snoozed* one wakes when its time has come, or as many errors as were allowed.
Causes that were merged have one state, that of their head; each keeps its own counts and its own class.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q
from django.db.models.functions import Coalesce

from apps.core.bulk import add_up, set_rows
from apps.core.text import short, storable
from apps.errors.announcing import announce_regressed
from apps.errors.facts import Book, NewError
from apps.errors.fingerprint import VERSION
from apps.errors.models import Cause, CauseBucket
from apps.errors.states import CauseState
from apps.runs.buckets import HALF_HOUR_S

NEW_FOR = timedelta(days=1)
FIXED = ["account", "flow", "source", "code", "pattern", "classification", "state", "sample_error", "first_seen_at"]

CauseName = tuple[int, str]
"""A cause as a page names it: step id, fingerprint."""


@dataclass(frozen=True, slots=True)
class KnownCause:
    """A cause as it stood before this page. `state` and `first_seen_at` are those of its head."""

    id: int
    head: int
    open_errors: int
    classification: str
    is_by_member: bool
    state: str
    first_seen_at: datetime
    first_run: int | None


def write_causes(book: Book, new: list[NewError], closed: Counter[int]) -> dict[CauseName, int]:
    """Begin or add to the causes; returns (step id, fingerprint) -> cause id.

    Errors of a cause that a member classified take his class. `closed` are the errors by cause id that this page has
    resolved already: a cause whose only error gives way to a newer one was open all the time.
    """
    named = _by_name(book, new)
    known = _known_causes(book, named)
    _take_classes(known, named)
    _add_errors(book, named)
    _move_states(book, known, named, closed)
    ids = {name: cause.id for name, cause in known.items()}
    if len(ids) < len(named):
        ids = {name: cause.id for name, cause in _known_causes(book, named).items()}
    slot = int(book.now.timestamp()) // HALF_HOUR_S
    counted = [(ids[name], slot, book.account, len(errors)) for name, errors in named.items()]
    add_up(CauseBucket, ["cause", "slot"], ["errors"], counted, fixed=["account"])
    return ids


def _by_name(book: Book, new: list[NewError]) -> dict[CauseName, list[NewError]]:
    named: dict[CauseName, list[NewError]] = {}
    for error in new:
        named.setdefault((book.steps[error.node], error.fingerprint), []).append(error)
    return named


def _known_causes(book: Book, named: dict[CauseName, list[NewError]]) -> dict[CauseName, KnownCause]:
    rows = Cause.objects.of(book.account).filter(
        step_id__in={step for step, _ in named}, version=VERSION, fingerprint__in={mark for _, mark in named}
    )
    facts = rows.annotate(
        head=Coalesce("merged_into", "id"),
        head_state=Coalesce("merged_into__state", "state"),
        head_seen_at=Coalesce("merged_into__first_seen_at", "first_seen_at"),
    ).values_list(
        "step_id", "fingerprint", "id", "head", "open_errors", "classification", "classified_by", "head_state",
        "head_seen_at", "sample_error__run",
    )  # fmt: skip
    return {
        (r[0], r[1]): KnownCause(r[2], r[3], r[4], r[5], r[6] is not None, r[7], r[8], r[9])
        for r in facts
        if (r[0], r[1]) in named
    }


def _take_classes(known: dict[CauseName, KnownCause], named: dict[CauseName, list[NewError]]) -> None:
    for name, cause in known.items():
        if cause.is_by_member:
            for error in named[name]:
                error.classification = cause.classification


def _add_errors(book: Book, named: dict[CauseName, list[NewError]]) -> None:
    rows = [
        (step, VERSION, mark, *_facts(book, errors[0]), sum(e.is_open for e in errors), len(errors))
        for (step, mark), errors in named.items()
    ]
    sums = ["open_errors", "total_errors"]
    add_up(Cause, ["step", "version", "fingerprint"], sums, rows, fixed=FIXED, latest=["last_seen_at"])


def _facts(book: Book, error: NewError) -> tuple[Any, ...]:
    failure = error.entry.failure
    code = short(storable(failure.code)[0], 128)
    return (
        book.account, book.flow, failure.source, code, error.pattern, error.classification, CauseState.NEW, error.id,
        book.now, book.now,
    )  # fmt: skip


# --- states ----------------------------------------------------------------------------------------------------------
def _move_states(
    book: Book, known: dict[CauseName, KnownCause], named: dict[CauseName, list[NewError]], closed: Counter[int]
) -> None:
    """Give the causes that came again their next state. What a retry failed with again is no news of its cause."""
    came: Counter[int] = Counter()
    moving: set[int] = set()
    for name, cause in known.items():
        fresh = sum(error.is_open and error.entry.item.error is None for error in named[name])
        came[cause.head] += fresh
        if fresh and _may_move(book, cause, closed):
            moving.add(cause.head)
    if not moving:
        return
    # a head may belong to another flow, whose commits do not wait for ours: the one that comes second leaves it
    heads = list(Cause.objects.of(book.account).select_for_update(skip_locked=True).filter(pk__in=moving))
    still_open = _open_before(book, moving, known, named, closed)
    again = {cause.head for cause in known.values() if cause.first_run != book.run}
    rows = [
        (head.pk, *next_state(head, came[head.pk], still_open[head.pk], now=book.now, is_again=head.pk in again))
        for head in heads
    ]
    set_rows(Cause, ["state", "snoozed_until", "snooze_until_count"], rows)
    states = {pk: state for pk, state, *_ in rows}
    announce_regressed(book, [head for head in heads if has_come_back(head, states[head.pk], still_open[head.pk])])


def _may_move(book: Book, cause: KnownCause, closed: Counter[int]) -> bool:
    if cause.state == CauseState.SNOOZED or cause.open_errors + closed[cause.id] <= 0:
        return True
    return cause.state == CauseState.NEW and (cause.first_run != book.run or cause.first_seen_at <= book.now - NEW_FOR)


def _open_before(
    book: Book,
    heads: set[int],
    known: dict[CauseName, KnownCause],
    named: dict[CauseName, list[NewError]],
    closed: Counter[int],
) -> Counter[int]:
    """Head -> the open errors of it and what was merged into it, as they were before this page."""
    group = Q(pk__in=heads) | Q(merged_into__in=heads)
    rows = Cause.objects.of(book.account).annotate(head=Coalesce("merged_into", "id")).filter(group)
    found: Counter[int] = Counter()
    for cause_id, head, open_errors in rows.values_list("id", "head", "open_errors"):
        found[head] += open_errors + closed[cause_id]
    for name, cause in known.items():
        found[cause.head] -= sum(error.is_open for error in named[name])
    return found


def has_come_back(head: Cause, state: str, open_before: int) -> bool:
    """Whether the state is news: a cause that came back stays *regressed* while more of it comes."""
    return state == CauseState.REGRESSED and (head.state != CauseState.REGRESSED or open_before <= 0)


def next_state(
    head: Cause, came: int, open_before: int, *, now: datetime, is_again: bool
) -> tuple[str, datetime | None, int | None]:
    """State, end of the snooze and errors still to come of a cause that got `came` new open errors."""
    if head.state == CauseState.SNOOZED:
        left = None if head.snooze_until_count is None else head.snooze_until_count - came
        is_over = head.snoozed_until is not None and head.snoozed_until <= now
        if not is_over and (left is None or left > 0):
            return head.state, head.snoozed_until, left
        return (CauseState.ONGOING if open_before > 0 else CauseState.REGRESSED), None, None
    if open_before <= 0:
        return CauseState.REGRESSED, None, None
    if head.state == CauseState.NEW and (is_again or head.first_seen_at <= now - NEW_FOR):
        return CauseState.ONGOING, None, None
    return head.state, None, None
