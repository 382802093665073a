"""Root causes as people read them: groups of merged causes as one, with their errors, trend and what they share."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django.db import connection
from django.db.models import (
    BigIntegerField,
    Case,
    Count,
    Exists,
    F,
    Max,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    When,
)
from django.db.models.functions import Coalesce, Left

from apps.console.access import Reach
from apps.console.selectors.common_values import CommonValue, strongest_value
from apps.core.pagination import KeysetPage, keyset_page
from apps.errors.cause_writing import NEW_FOR
from apps.errors.models import Cause, CauseBucket, Comment, Error
from apps.errors.querysets import DUE_FOR_RETRY, RETRYING
from apps.errors.states import CauseState, Classification
from apps.flows.models import Step

PAGE_SIZE = 25
HALF_HOUR_S = 1800
DAY_SLOTS, MONTH_DAYS = 48, 30
NEWEST = 20  # errors of a cause that its line in the list looks at
MOST_RECORDS, MOST_OTHERS, LARGEST_RECORD = 1_000, 200, 64_000
SHOWN_MESSAGE = 400
OPEN_ERROR = "state = 'open' AND retry_run_id IS NULL"
RESOLVED_FOR = timedelta(days=30)
TABS = {"open": "Open", "retrying": "Auto-retrying", "snoozed": "Snoozed", "resolved": "Resolved, last 30 days"}
ASSIGNED = {"": "anyone", "me": "me", "nobody": "nobody"}


@dataclass(frozen=True)
class CauseFilter:
    """What the list of root causes is narrowed to; `assigned` is "", `me` or `nobody`."""

    tab: str = "open"
    words: str = ""
    integration: str = ""
    classification: str = ""
    assigned: str = ""
    member: int = 0

    @property
    def is_on(self) -> bool:
        return bool(self.words or self.integration or self.classification or self.assigned)

    def matching(self) -> Q:
        found = Q()
        for word in self.words.split()[:8]:
            found &= Q(pattern__icontains=word) | Q(code__icontains=word)
        if self.integration:
            found &= Q(flow__integration__slug=self.integration)
        if self.classification:
            found &= Q(classification=self.classification)
        if self.assigned:
            found &= Q(assignee=self.member) if self.assigned == "me" else Q(assignee__isnull=True)
        return found


# --- groups ----------------------------------------------------------------------------------------------------------
def heads(reach: Reach) -> "QuerySet[Cause]":
    """Causes that stand for themselves or for what was merged into them, with the open errors of the whole group."""
    members = Cause.unscoped.filter(merged_into=OuterRef("pk")).order_by().values("merged_into")
    merged = Subquery(members.annotate(n=Sum("open_errors")).values("n"), output_field=BigIntegerField())
    rows = Cause.objects.of(reach.account_id).filter(merged_into__isnull=True, **reach.where("flow__integration"))
    return rows.annotate(group_open=F("open_errors") + Coalesce(merged, 0))


def _in_tab(reach: Reach, tab: str, now: datetime) -> Q:
    merged = Cause.objects.of(reach.account_id).filter(merged_into__isnull=False, open_errors__gt=0)
    is_open = Q(open_errors__gt=0) | Q(pk__in=merged.order_by().values("merged_into"))
    asleep = Q(state=CauseState.SNOOZED) & (Q(snoozed_until__isnull=True) | Q(snoozed_until__gt=now))
    if tab == "snoozed":
        return asleep
    if tab == "resolved":
        return ~is_open & Q(last_seen_at__gte=now - RESOLVED_FOR)
    if tab == "retrying":
        due = Error.objects.of(reach.account_id).filter(DUE_FOR_RETRY).order_by()
        return Q(pk__in=due.values_list(Coalesce("cause__merged_into", "cause_id")))
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
    merged = Exists(Cause.unscoped.filter(merged_into=OuterRef("pk")))
    page: KeysetPage[Any] = keyset_page(
        found.annotate(has_members=merged).select_related("step", "flow"), cursor=cursor, size=PAGE_SIZE, order=order
    )
    rows = [CauseRow(cause, cause.group_open, now) for cause in page.rows]
    fill_rows(reach, rows, now)
    return CausePage(rows, page.previous_cursor, page.next_cursor)


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
        row.next_attempt_at = min((at for at in (row.next_attempt_at, due) if at), default=None)
        row.attempts, row.retrying = max(row.attempts, attempts or 0), row.retrying + retrying
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
    """(cause, its next automatic attempt, most attempts of those that wait for one, errors under a retry)."""
    rows = Error.objects.of(reach.account_id).filter(DUE_FOR_RETRY | RETRYING, cause__in=ids).order_by()
    due = Case(When(DUE_FOR_RETRY, then="attempts"))
    facts = rows.values("cause").annotate(
        due=Min("next_attempt_at"), tried=Max(due), retrying=Count("pk", filter=RETRYING)
    )
    return list(facts.values_list("cause", "due", "tried", "retrying"))


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
    for row in rows:
        same_flow = [other for other in rows if other is not row and other.cause.flow_id == row.cause.flow_id]
        others = [record for other in same_flow for record in records[other.cause.pk]]
        row.common = strongest_value(records[row.cause.pk], others, message=row.message)


# --- one cause -------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class CauseDetail:
    """One cause, or the group that it is the head of, in full. What is shown is read when it is asked for."""

    reach: Reach
    cause: Cause
    members: Sequence[Cause]
    now: datetime

    @property
    def ids(self) -> list[int]:
        return [self.cause.pk, *(member.pk for member in self.members)]

    @property
    def causes(self) -> list[Cause]:
        return [self.cause, *self.members]

    @property
    def open_errors(self) -> int:
        return sum(cause.open_errors for cause in self.causes)

    @property
    def total_errors(self) -> int:
        return sum(cause.total_errors for cause in self.causes)

    @property
    def first_seen_at(self) -> datetime:
        return min(cause.first_seen_at for cause in self.causes)

    @property
    def last_seen_at(self) -> datetime:
        return max(cause.last_seen_at for cause in self.causes)

    @cached_property
    def retries(self) -> tuple[datetime | None, int, int]:
        """The next automatic attempt, the most attempts so far, and the errors under a retry."""
        facts = retry_facts(self.reach, self.ids)
        due = min((at for _, at, _, _ in facts if at), default=None)
        return due, max((tried or 0 for _, _, tried, _ in facts), default=0), sum(row[3] for row in facts)

    @property
    def state(self) -> str:
        due, _, retrying = self.retries
        return shown_state(self.cause, self.open_errors, now=self.now, retrying=retrying, is_due=due is not None)

    @cached_property
    def slots(self) -> dict[int, int]:
        """Half hour -> errors, of the last 30 days."""
        last = int(self.now.timestamp()) // HALF_HOUR_S
        rows = CauseBucket.objects.of(self.reach.account_id).filter(
            cause__in=self.ids, slot__gt=last - MONTH_DAYS * DAY_SLOTS, slot__lte=last
        )
        sums = rows.order_by().values_list("slot").annotate(n=Sum("errors"))
        return dict(sums)

    @property
    def hours(self) -> list[int]:
        """Errors in each of the last 24 hours."""
        return self._bars(DAY_SLOTS // 2, 2)

    @property
    def days(self) -> list[int]:
        """Errors in each of the last 30 days of 24 hours."""
        return self._bars(MONTH_DAYS, DAY_SLOTS)

    def _bars(self, bars: int, width: int) -> list[int]:
        first = int(self.now.timestamp()) // HALF_HOUR_S - bars * width + 1
        found = [0] * bars
        for slot, errors in self.slots.items():
            if slot >= first:
                found[(slot - first) // width] += errors
        return found

    @property
    def month_errors(self) -> int:
        return sum(self.days)

    @property
    def steps(self) -> list[Step]:
        """The steps at which it occurs, with the names of their flows."""
        found: dict[int, Step] = {}
        for cause in self.causes:
            cause.step.flow = cause.flow
            found.setdefault(cause.step_id, cause.step)
        return list(found.values())

    @cached_property
    def newest(self) -> list[Error]:
        """The newest errors."""
        rows = Error.objects.of(self.reach.account_id).filter(cause__in=self.ids)
        shown = rows.annotate(short_message=Left("message", SHOWN_MESSAGE)).defer("message", "effects")
        return list(shown.select_related("step", "flow", "cause").newest_first()[:NEWEST])

    @property
    def newest_id(self) -> int:
        return max((error.pk for error in self.newest), default=0)

    @property
    def sample(self) -> Error | None:
        return self.newest[0] if self.newest else None

    @cached_property
    def common(self) -> CommonValue | None:
        """The strongest value that its open records share; of the newest 1,000."""
        records, others = failed_records(self.cause.flow_id, self.ids)
        message = self.sample.short_message if self.sample else ""  # type: ignore[attr-defined]
        return strongest_value(records, others, message=message)

    @cached_property
    def comments(self) -> list[Comment]:
        rows = Comment.objects.of(self.reach.account_id).filter(cause__in=self.ids)
        return list(rows.select_related("member__user").order_by("id")[:200])


def failed_records(flow: int, ids: list[int]) -> tuple[list[bytes], list[bytes]]:
    """The records of the newest open errors of these causes, and of the others of the flow; one query."""
    marks = ", ".join(["%s"] * len(ids))
    rows = f"SELECT id, {{}} AS is_own FROM error WHERE {{}} AND {OPEN_ERROR} ORDER BY id DESC LIMIT {{}}"  # noqa: S608 (constants)
    own = rows.format(1, f"cause_id IN ({marks})", MOST_RECORDS)
    others = rows.format(0, f"flow_id = %s AND cause_id NOT IN ({marks})", MOST_OTHERS)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT e.is_own, d.record FROM "  # noqa: S608 (constants)
            f"(SELECT * FROM ({own}) AS own UNION ALL SELECT * FROM ({others}) AS others) AS e "
            f"JOIN retry_data d ON d.error_id = e.id WHERE length(d.record) <= {LARGEST_RECORD}",
            [*ids, flow, *ids],
        )
        found = [(bool(is_own), bytes(record)) for is_own, record in cursor.fetchall()]
    return [record for own_one, record in found if own_one], [record for own_one, record in found if not own_one]


def merge_candidates(reach: Reach, cause: Cause, words: str) -> list[Cause]:
    """Other causes that may be the same: of the same code or message first, then the newest; at most 50."""
    rows = heads(reach).exclude(pk=cause.merged_into_id or cause.pk).filter(CauseFilter(words=words).matching())
    alike = Case(When(code=cause.code, then=0), When(source=cause.source, then=1), default=2)
    return list(rows.select_related("step", "flow").order_by(alike, "-last_seen_at", "-id")[:50])


CLASSES = [(str(value), str(label)) for value, label in Classification.choices]
