"""Root causes as people read them: groups of merged causes as one, with their errors, trend and what they share."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import (
    BigIntegerField,
    Case,
    Count,
    Exists,
    F,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    When,
)
from django.db.models.functions import Coalesce

from apps.console.access import Reach
from apps.console.selectors.common_values import CommonValue, Counted, counted, counted_together, strongest_of
from apps.core.pagination import KeysetPage, keyset_page
from apps.errors.cause_writing import NEW_FOR
from apps.errors.models import Cause, CauseBucket, Error, ErrorTag
from apps.errors.querysets import DUE_FOR_RETRY, RETRYING, STORED_OPEN
from apps.errors.states import CauseState, Classification
from apps.runs.buckets import HALF_HOUR_S

PAGE_SIZE = 25
DAY_SLOTS = 48
NEWEST = 20  # errors of a cause that its line in the list looks at
LARGEST_RECORD = 64_000  # bytes; larger ones are not looked at
SHOWN_MESSAGE = 400
RESOLVED_FOR = timedelta(days=30)
TABS = {"open": "Open", "retrying": "Auto-retrying", "snoozed": "Snoozed", "resolved": "Resolved, last 30 days"}
CLASSES = [(str(value), str(label)) for value, label in Classification.choices]


@dataclass(frozen=True)
class CauseFilter:
    """What the list of root causes is narrowed to. A tag is one that an error of the cause has: an open one, but in
    the tab of the resolved."""

    tab: str = "open"
    words: str = ""
    integration: str = ""
    classification: str = ""
    assigned: str = ""  # as the address says it
    assignee: int | None = None  # blank with `nobody`
    tag: int | None = None
    account: int = 0
    is_impossible: bool = False

    @property
    def is_on(self) -> bool:
        given = (self.words, self.integration, self.classification, self.assigned, self.tag, self.is_impossible)
        return any(given)

    def matching(self) -> Q:
        found = Q(pk__in=[]) if self.is_impossible else Q()
        for word in map(re.escape, self.words.split()[:8]):  # a regex: of SQLite's LIKE only A to Z have two cases
            found &= Q(pattern__iregex=word) | Q(code__iregex=word)
        if self.integration:
            found &= Q(flow__integration__slug=self.integration)
        if self.classification:
            found &= Q(classification=self.classification)
        if self.assigned:
            found &= Q(assignee__isnull=True) if self.assignee is None else Q(assignee=self.assignee)
        return found & self._tagged()

    def _tagged(self) -> Q:
        if self.tag is None:
            return Q()
        tagged = ErrorTag.objects.of(self.account).filter(tag=self.tag)
        errors = Error.objects.of(self.account).filter(pk__in=tagged.values("error_id"))
        if self.tab != "resolved":
            errors = errors.filter(STORED_OPEN)
        causes = Cause.objects.of(self.account).filter(pk__in=errors.values("cause"))
        return Q(pk__in=causes.values("pk")) | Q(pk__in=causes.filter(merged_into__isnull=False).values("merged_into"))


# --- groups ----------------------------------------------------------------------------------------------------------
def heads(reach: Reach) -> "QuerySet[Cause]":
    """Causes that stand for themselves or for what was merged into them, with the open errors of the whole group."""
    members = Cause.objects.of(OuterRef("account")).filter(merged_into=OuterRef("pk")).order_by().values("merged_into")
    rows = Cause.objects.of(reach.account_id).filter(merged_into__isnull=True, **reach.where("flow__integration"))
    into = Cause.objects.of(reach.account_id).filter(merged_into__isnull=False).order_by().values("merged_into")
    # few are groups: only theirs are summed up
    merged = F("open_errors") + Subquery(members.annotate(n=Sum("open_errors")).values("n"))
    total = Case(When(pk__in=into, then=merged), default="open_errors", output_field=BigIntegerField())
    return rows.annotate(group_open=total)


def with_members(rows: "QuerySet[Cause]") -> "QuerySet[Cause]":
    """The same with `has_members`: whether others were merged into it."""
    members = Cause.objects.of(OuterRef("account")).filter(merged_into=OuterRef("pk"))
    # said for the planner, which else reads all causes
    return rows.annotate(has_members=Exists(members.filter(merged_into__isnull=False)))


def _in_tab(reach: Reach, tab: str, now: datetime) -> Q:
    merged = Cause.objects.of(reach.account_id).filter(merged_into__isnull=False, open_errors__gt=0)
    is_open = Q(open_errors__gt=0) | Q(pk__in=merged.order_by().values("merged_into"))
    asleep = Q(state=CauseState.SNOOZED) & (Q(snoozed_until__isnull=True) | Q(snoozed_until__gt=now))
    if tab == "snoozed":
        return asleep
    if tab == "resolved":
        return ~is_open & Q(last_seen_at__gte=now - RESOLVED_FOR)
    if tab == "retrying":
        # an open cause is asked for one error that is due: many are due at once when a service is down
        due = Error.objects.of(reach.account_id).filter(DUE_FOR_RETRY, cause=OuterRef("pk")).order_by()
        tried = Cause.objects.of(reach.account_id).open().annotate(due=Subquery(due.values("pk")[:1]))
        return Q(pk__in=tried.filter(due__isnull=False).order_by().values_list(Coalesce("merged_into", "pk")))
    return is_open & ~asleep


def tab_counts(reach: Reach, now: datetime) -> dict[str, int]:
    """How many root causes there are in each tab, and the open errors of those in the first; one query."""
    counts = {tab: Count("pk", filter=_in_tab(reach, tab, now)) for tab in TABS}
    rows = Cause.objects.of(reach.account_id).filter(merged_into__isnull=True, **reach.where("flow__integration"))
    return dict(rows.aggregate(**counts))


# --- the list --------------------------------------------------------------------------------------------------------
@dataclass
class CauseRow:
    """One line: a cause, or several that were merged, as `cause`."""

    cause: Cause
    open_errors: int
    now: datetime
    members: list[Cause] = field(default_factory=list)
    hours: list[int] = field(default_factory=list)
    next_attempt_at: datetime | None = None
    attempts: int = 0
    retrying: int = 0
    newest: int = 0  # the id of its newest error; an act on all of them means those up to it
    message: str = ""
    common: CommonValue | None = None

    @property
    def ids(self) -> list[int]:
        return [self.cause.pk, *(member.pk for member in self.members)]

    @property
    def state(self) -> str:
        """The state that people see, a key of the table of looks."""
        return shown_state(
            self.cause, self.open_errors, now=self.now, retrying=self.retrying, is_due=self.next_attempt_at is not None
        )

    @property
    def total_errors(self) -> int:
        return sum(cause.total_errors for cause in (self.cause, *self.members))

    @property
    def first_seen_at(self) -> datetime:
        return min(cause.first_seen_at for cause in (self.cause, *self.members))

    @property
    def last_seen_at(self) -> datetime:
        return max(cause.last_seen_at for cause in (self.cause, *self.members))

    @property
    def other_steps(self) -> int:
        return len({member.step_id for member in self.members} - {self.cause.step_id})


def shown_state(cause: Cause, open_errors: int, *, now: datetime, retrying: int, is_due: bool) -> str:
    """A cause's state from what is stored and what happens to its errors just now."""
    if open_errors == 0:
        return "retrying" if retrying else "resolved"
    is_over = cause.snoozed_until is not None and cause.snoozed_until <= now
    if cause.state == CauseState.SNOOZED and not is_over:
        return "snoozed"
    if is_due:
        return "auto_retrying"
    if cause.state == CauseState.NEW and cause.first_seen_at > now - NEW_FOR:
        return "new"
    return "regressed" if cause.state == CauseState.REGRESSED else "ongoing"


@dataclass(frozen=True)
class CausePage:
    rows: Sequence[CauseRow]
    newer: str
    older: str


def cause_page(reach: Reach, wanted: CauseFilter, *, now: datetime, cursor: str) -> CausePage:
    """One page, those with the most open errors first. Raises BadCursorError for a bad cursor."""
    order = ("-last_seen_at", "-id") if wanted.tab == "resolved" else ("-group_open", "-id")
    found = heads(reach).filter(_in_tab(reach, wanted.tab, now), wanted.matching())
    page: KeysetPage[Any] = keyset_page(
        with_members(found).select_related("step", "flow"), cursor=cursor, size=PAGE_SIZE, order=order
    )
    rows = [CauseRow(cause, cause.group_open, now) for cause in page.rows]
    fill_rows(reach, rows, now)
    return CausePage(rows, page.previous_cursor, page.next_cursor)


def cause_rows(reach: Reach, ids: Sequence[int], *, now: datetime) -> list[CauseRow]:
    """The lines of these causes, in any state; ids out of reach are left out."""
    found: QuerySet[Any] = with_members(heads(reach).filter(pk__in=ids))
    rows = [CauseRow(cause, cause.group_open, now) for cause in found.select_related("step", "flow").order_by("pk")]
    fill_rows(reach, rows, now)
    return rows


def has_news(reach: Reach, tab: str, ids: Sequence[int], *, since: datetime, now: datetime) -> bool:
    """Whether a cause that is not among these has come into a tab."""
    return heads(reach).filter(_in_tab(reach, tab, now), last_seen_at__gt=since).exclude(pk__in=ids).exists()


def fill_rows(reach: Reach, rows: list[CauseRow], now: datetime) -> None:
    """Read what the lines show beside the causes themselves."""
    if not rows:
        return
    _fill_members(reach, [row for row in rows if row.cause.has_members])  # type: ignore[attr-defined]
    of = {cause: row for row in rows for cause in row.ids}
    hours = hours_of(reach, list(of), now)
    for row in rows:
        row.hours = [sum(hours[cause][hour] for cause in row.ids) for hour in range(DAY_SLOTS // 2)]
    for cause, due, attempts, retrying in retry_facts(reach, list(of)):
        row = of[cause]
        row.retrying += retrying
        if due is not None and (row.next_attempt_at is None or due < row.next_attempt_at):
            row.next_attempt_at, row.attempts = due, attempts or 0
    _fill_values(rows, newest_errors(reach, list(of)), of)


def _fill_members(reach: Reach, rows: list[CauseRow]) -> None:
    if not rows:
        return
    by_head = {row.cause.pk: row for row in rows}
    members = Cause.objects.of(reach.account_id).filter(merged_into__in=by_head).select_related("step", "flow")
    for member in members.order_by("pk"):
        by_head[member.merged_into_id or 0].members.append(member)


def hours_of(reach: Reach, ids: list[int], now: datetime) -> dict[int, list[int]]:
    """Cause -> errors in each of the last 24 hours, the oldest first."""
    last = int(now.timestamp()) // HALF_HOUR_S
    first = last - DAY_SLOTS + 1
    found: dict[int, list[int]] = defaultdict(lambda: [0] * (DAY_SLOTS // 2))
    buckets = CauseBucket.objects.of(reach.account_id).filter(cause__in=ids, slot__gte=first, slot__lte=last)
    for cause, slot, errors in buckets.values_list("cause", "slot", "errors"):
        found[cause][(slot - first) // 2] += errors
    return found


def retry_facts(reach: Reach, ids: list[int]) -> list[tuple[int, datetime | None, int | None, int]]:
    """(cause, its next automatic attempt, how often that error was tried, errors under a retry); one query."""
    errors = Error.objects.of(reach.account_id).filter(cause=OuterRef("pk")).order_by()
    soonest = errors.filter(DUE_FOR_RETRY).order_by("next_attempt_at")
    under_retry = errors.filter(RETRYING, ~DUE_FOR_RETRY).values("cause").annotate(n=Count("*"))
    facts = Cause.objects.of(reach.account_id).filter(pk__in=ids).order_by()
    return list(
        facts.values_list(
            "pk",
            Subquery(soonest.values("next_attempt_at")[:1]),
            Subquery(soonest.values("attempts")[:1]),
            Coalesce(Subquery(under_retry.values("n")), 0, output_field=BigIntegerField()),
        )
    )


NewestError = tuple[int, int, str, bytes | None]
"""Cause, error id, message, record."""


def newest_errors(reach: Reach, ids: list[int]) -> list[NewestError]:
    """The newest errors of each cause, whatever its number of errors; one query."""
    newest = " UNION ALL ".join(
        "SELECT * FROM (SELECT id, cause_id, message FROM error WHERE cause_id = %s "  # noqa: S608 (constants)
        f"ORDER BY id DESC LIMIT {NEWEST}) AS c{number}"
        for number in range(len(ids))
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT e.cause_id, e.id, substr(e.message, 1, {SHOWN_MESSAGE}), "  # noqa: S608 (constants)
            f"CASE WHEN length(d.record) <= {LARGEST_RECORD} THEN d.record END "
            f"FROM ({newest}) AS e LEFT JOIN retry_data d ON d.error_id = e.id ORDER BY e.id DESC",
            ids,
        )
        return [(*row[:3], bytes(row[3]) if row[3] is not None else None) for row in cursor.fetchall()]


def _fill_values(rows: list[CauseRow], errors: list[NewestError], of: dict[int, CauseRow]) -> None:
    records: dict[int, list[bytes]] = defaultdict(list)
    for cause, number, message, record in errors:
        row = of[cause]
        row.newest, row.message = max(row.newest, number), row.message or message
        if record is not None:
            records[row.cause.pk].append(record)
    own = {row.cause.pk: counted(records[row.cause.pk]) for row in rows}
    of_flow: dict[int, list[Counted]] = defaultdict(list)
    for row in rows:
        of_flow[row.cause.flow_id].append(own[row.cause.pk])
    everyone = {flow: counted_together(parts) for flow, parts in of_flow.items()}
    for row in rows:
        row.common = strongest_of(own[row.cause.pk], everyone[row.cause.flow_id], message=row.message)
