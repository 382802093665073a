"""All that is stored about one trace key: its errors and what became of each, in the order of time, by pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any

from django.db.models import BigIntegerField, CharField, Count, Exists, F, Max, Min, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Cast, Coalesce, Concat, Left

from apps.accounts.models import Member
from apps.accounts.reach import Reach
from apps.core.pagination import KeysetPage, keyset_page
from apps.errors.models import Comment, Error, RetryItem, RetryVersion, RuleHit
from apps.errors.querysets import OPEN, RETRYING, ErrorQuerySet
from apps.errors.rules.naming import DEALT
from apps.errors.states import Passed, Reason

PAGE_SIZE = 50
MOST_OPEN = 20  # open errors that the head of the page names and retries
SHOWN_TEXT = 400
NEWEST_FIRST = ("-happened_at", "-kind", "-number")
TOLD = (Reason.MANUAL, Reason.SUCCEEDED, Reason.IGNORED, Reason.SENT, Reason.RULE)
"""Reasons that are an event of their own; of the others another event tells: a newer error, an attempt."""


class EventKind(IntEnum):
    """What happened; of several things at one moment the larger one came last."""

    EDITED = 0
    RETRIED = 1
    FAILED = 2
    PASSED = 3
    RESOLVED = 4
    NOTED = 5
    RULED = 6


COLUMNS = ("happened_at", "kind", "number", "error_no", "run_no", "member_no", "word", "words", "other_no")


# --- the record ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class FlowPart:
    """What one flow knows of a trace key."""

    flow: int
    name: str
    key: str
    errors: int
    open_errors: int
    retrying: int
    auto_resolved: int
    runs: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True)
class Record:
    """A trace key within reach; `parts` are those of the flows that are asked for, `flows` all that know the key."""

    flows: Sequence[FlowPart]
    parts: Sequence[FlowPart]
    open: Sequence[Error]

    @property
    def key(self) -> str:
        """The key as it is stored: of a long one the part that is shown."""
        return self.flows[0].key

    @property
    def errors(self) -> int:
        return sum(part.errors for part in self.parts)

    @property
    def open_errors(self) -> int:
        return sum(part.open_errors for part in self.parts)

    @property
    def retrying(self) -> int:
        return sum(part.retrying for part in self.parts)

    @property
    def auto_resolved(self) -> int:
        return sum(part.auto_resolved for part in self.parts)

    @property
    def runs(self) -> int:
        """Runs in which it failed."""
        return sum(part.runs for part in self.parts)

    @property
    def first_at(self) -> datetime:
        return min(part.first_at for part in self.parts)

    @property
    def last_at(self) -> datetime:
        return max(part.last_at for part in self.parts)


def errors_of_key(reach: Reach, hashed: int, flow: int | None = None) -> ErrorQuerySet:
    """The errors of a trace key within reach; those of one flow, if given."""
    rows = Error.objects.of(reach.account_id).with_key(hashed).filter(**reach.where("flow__integration"))
    return rows if flow is None else rows.for_flow(flow)


def find_record(reach: Reach, hashed: int, flow: int | None = None) -> Record | None:
    """Two queries, one for a key that nothing is known of: then None."""
    flows = _flows_of(reach, hashed)
    parts = [part for part in flows if flow in (None, part.flow)]
    if not parts:
        return None
    rows = errors_of_key(reach, hashed, flow).open().select_related("step", "flow")
    found = list(rows.defer("message", "effects").newest_first()[:MOST_OPEN])
    return Record(flows, parts, found)


def _flows_of(reach: Reach, hashed: int) -> list[FlowPart]:
    facts = errors_of_key(reach, hashed).order_by().values_list("flow", "flow__name")
    counted = facts.annotate(
        shown=Max("key"),
        n=Count("pk"),
        n_open=Count("pk", filter=OPEN),
        n_retrying=Count("pk", filter=RETRYING),
        n_auto=Count("pk", filter=Q(reason__in=Reason.automatic())),
        n_runs=Count("run", distinct=True),
        first_at=Min("occurred_at"),
        last_at=Max("occurred_at"),
    )
    return [FlowPart(*row) for row in counted.order_by("flow__name", "flow")]


# --- its journey -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Event:
    """Something that happened to an error of the record. `word` and `text` are what that kind of event stores."""

    at: datetime
    kind: str
    number: int
    error: Error
    run: int
    member: Member | None
    word: str
    text: str
    other: int


@dataclass(frozen=True)
class Journey:
    events: Sequence[Event]
    newer: str
    older: str


def journey_of(reach: Reach, hashed: int, flow: int | None = None, *, cursor: str = "") -> Journey:
    """One page, newest first; three queries at most. Raises BadCursorError for a cursor of another list."""
    errors = errors_of_key(reach, hashed, flow)
    merged: Any = _Merged(_sources(reach, errors))
    page: KeysetPage[Any] = keyset_page(merged, cursor=cursor, size=PAGE_SIZE, order=NEWEST_FIRST)
    rows = page.rows
    known = _errors_in_full(reach, {row.error_no for row in rows})
    members = _members(reach, {row.member_no for row in rows if row.member_no})
    events = [_event(row, known, members) for row in rows if row.error_no in known]
    return Journey(events, page.previous_cursor, page.next_cursor)


class _Merged:
    """Several querysets of the same columns as one list."""

    def __init__(self, sources: "Sequence[QuerySet[Any, Any]]") -> None:
        self.sources = sources

    def filter(self, condition: Q) -> "_Merged":
        return _Merged([rows.filter(condition) for rows in self.sources])

    def order_by(self, *names: str) -> "QuerySet[Any, Any]":
        first, *rest = self.sources
        return first.union(*rest, all=True).order_by(*names)


def _sources(reach: Reach, errors: ErrorQuerySet) -> "list[QuerySet[Any, Any]]":
    errors = errors.order_by()
    keys = errors.values("pk")
    items = RetryItem.objects.of(reach.account_id).filter(error__in=keys)
    versions = RetryVersion.objects.of(reach.account_id).filter(error__in=keys, version__gt=1)
    hits = RuleHit.objects.of(reach.account_id).filter(error__in=keys, state__in=DEALT)
    comments = Comment.objects.of(reach.account_id).filter(error__in=keys)
    return [
        _columns(errors, EventKind.FAILED, F("occurred_at"), F("pk"), run=F("run")),
        _columns(
            errors.resolved().filter(reason__in=TOLD), EventKind.RESOLVED, F("resolved_at"), F("pk"),
            run=F("resolved_run"), member=F("resolved_by"), word=F("reason"),
        ),
        _columns(
            _passed(errors), EventKind.PASSED,
            Coalesce("passed_run__started_at", "passed_run__created_at", "occurred_at"), F("pk"),
            run=F("passed_run"), word=F("passed_outcome"),
        ),
        _columns(
            items.order_by(), EventKind.RETRIED, Coalesce("at", "run__started_at", "run__created_at"), F("error"),
            run=F("run"), member=F("member"), word=F("state"), text=F("outcome"), other=F("new_error"),
        ),
        _columns(
            versions.order_by(), EventKind.EDITED, F("at"), F("error"), member=F("member"), other=F("version")
        ),
        _columns(
            hits.order_by(), EventKind.RULED, F("at"), F("error"), word=F("state"), other=F("rule"),
            text=Concat("rule__name", Value("@"), Cast("revision__number", CharField())),
        ),
        _columns(
            comments.order_by(), EventKind.NOTED, F("at"), F("error"), member=F("member"), text=Left("text", SHOWN_TEXT)
        ),
    ]  # fmt: skip


def _passed(errors: ErrorQuerySet) -> ErrorQuerySet:
    """The newest error of each step that a later run put through without resolving it, as it was resolved already."""
    later = errors.filter(pk__gt=OuterRef("pk"), step=OuterRef("step"), passed_run=OuterRef("passed_run"))
    went = errors.filter(passed_run__isnull=False).exclude(passed_outcome=Passed.ERROR)
    by_it = Q(resolved_run=F("passed_run"), reason__in=Reason.automatic())
    return went.exclude(by_it).filter(~Exists(later))


def _columns(
    rows: "QuerySet[Any]",
    kind: EventKind,
    at: Any,
    error: Any,
    *,
    run: Any = None,
    member: Any = None,
    word: Any = None,
    text: Any = None,
    other: Any = None,
) -> "QuerySet[Any, Any]":
    """The same columns from every table; no number is 0, no text is blank."""
    return rows.annotate(
        happened_at=at,
        kind=Value(int(kind)),
        number=Cast("pk", BigIntegerField()),
        error_no=Cast(error, BigIntegerField()),
        run_no=_number(run),
        member_no=_number(member),
        word=_text(word),
        words=_text(text),
        other_no=_number(other),
    ).values_list(*COLUMNS, named=True)


def _number(expression: Any) -> Any:
    return Value(0, BigIntegerField()) if expression is None else Coalesce(Cast(expression, BigIntegerField()), 0)


def _text(expression: Any) -> Any:
    return Cast(Value("") if expression is None else expression, CharField())


def _errors_in_full(reach: Reach, keys: set[int]) -> dict[int, Error]:
    rows = Error.objects.of(reach.account_id).filter(pk__in=keys)
    shown = rows.annotate(short_message=Left("message", SHOWN_TEXT)).defer("message", "effects")
    return {error.pk: error for error in shown.select_related("step", "flow", "cause", "resolved_by__user")}


def _members(reach: Reach, keys: set[int]) -> dict[int, Member]:
    if not keys:
        return {}
    return {row.pk: row for row in Member.objects.of(reach.account_id).filter(pk__in=keys).select_related("user")}


def _event(row: Any, errors: dict[int, Error], members: dict[int, Member]) -> Event:
    return Event(
        row.happened_at,
        EventKind(row.kind).name.lower(),
        row.number,
        errors[row.error_no],
        row.run_no,
        members.get(row.member_no),
        row.word,
        row.words,
        row.other_no,
    )
