"""The runs of a flow: at most the newest thousand, filtered, a page at a time, each with its steps when unfolded."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Q, Sum

from apps.accounts.models import Member
from apps.accounts.selectors import person
from apps.console.selectors.attempts import attempts_of
from apps.console.selectors.flow_page import FlowHead
from apps.console.selectors.run_page import StepRow, duration_of, step_state
from apps.console.selectors.run_words import canceled_text, started_by_text
from apps.console.spans import Span
from apps.core.pagination import keyset_page
from apps.flows.models import Flow
from apps.runs.models import Run, StepRun
from apps.runs.querysets import RunQuerySet
from apps.runs.statuses import RunKind, RunOutcome, RunStatus

LAST_RUNS = 1000
PAGE_SIZE = 25
MOST_UNFOLDED = 10
RETRIES = (RunKind.RETRY, RunKind.AUTO_RETRY)
UNDER_WAY = (RunStatus.RUNNING, RunStatus.QUEUED, RunStatus.RETRYING)
# the choices of the status filter: the word on screen and the condition
STATUSES: dict[str, tuple[str, Q]] = {
    "completed": ("completed", Q(outcome__in=[RunOutcome.COMPLETED, RunOutcome.EMPTY])),
    "with_errors": ("completed with errors", Q(outcome=RunOutcome.COMPLETED_WITH_ERRORS)),
    "failed": ("failed", Q(status=RunStatus.FAILED)),
    "canceled": ("canceled", Q(status=RunStatus.CANCELED)),
    "ended": ("ended, retries aside", Q(kind=RunKind.FLOW, ended_at__isnull=False)),
    "active": ("running, queued or retrying", Q(status__in=UNDER_WAY)),
    "retries": ("retry runs", Q(kind__in=RETRIES)),
}
NOTHING = Q(success=0, ignored=0, errors=0, unit_errors=0) & ~Q(status__in=UNDER_WAY)


@dataclass(frozen=True)
class HistoryFilter:
    """Which runs are listed. `hides_empty`: without those that ended with success, ignored and errors all 0."""

    span: Span
    status: str = ""
    hides_empty: bool = False
    canceler: int | None = None
    """The member who canceled them; None: whoever it was, or nobody."""
    canceler_text: str = ""

    @property
    def status_text(self) -> str:
        return STATUSES[self.status][0] if self.status in STATUSES else "any"

    @property
    def names(self) -> list[str]:
        """The filters that are on, in words, for a list that is empty because of them."""
        found = [f"started {self.span.text}"] if self.span.name else []
        found += [f"status {self.status_text}"] if self.status else []
        found += [f"canceled by {self.canceler_text}"] if self.canceler is not None else []
        return found + (["without empty runs"] if self.hides_empty else [])


@dataclass(frozen=True)
class HistoryRow:
    """A run; one that was run again is one row, the newest of its `attempts`."""

    run: Run
    is_unfolded: bool
    busy_ms: int | None
    steps: Sequence[StepRow]
    attempts: Sequence[Run] = ()

    @property
    def look(self) -> str:
        return self.run.outcome or self.run.status

    @property
    def duration(self) -> timedelta | None:
        return duration_of(self.run)

    @property
    def ms_per_record(self) -> float | None:
        return self.busy_ms / self.run.records_in if self.busy_ms is not None and self.run.records_in else None

    @property
    def error_rows(self) -> int:
        return self.run.errors + self.run.unit_errors

    @property
    def started_by(self) -> str:
        return started_by_text(self.run)

    @property
    def canceled_by(self) -> str:
        return canceled_text(self.run)


@dataclass(frozen=True)
class History:
    rows: Sequence[HistoryRow]
    hidden: int
    newer: str
    older: str


def history_of(flow: Flow, head: FlowHead, chosen: HistoryFilter, *, cursor: str, unfolded: Iterable[int]) -> History:
    """Four queries, whatever the number of runs; one more if some were run again.

    Raises BadCursorError for a cursor of another list.
    """
    rows = filtered(last_runs(flow), chosen).last_attempts()
    hidden = rows.filter(NOTHING).count()
    shown = rows.exclude(NOTHING) if chosen.hides_empty else rows
    people = shown.select_related("started_by__user", "canceled_by__user")
    page = keyset_page(people, cursor=cursor, size=PAGE_SIZE)
    open_ids = set(list(unfolded)[:MOST_UNFOLDED])
    counts = step_counts(flow, [run.pk for run in page.rows])
    attempts = attempts_of(page.rows)
    found = [
        history_row(run, head, counts.get(run.pk, {}), attempts.get(run.pk, ()), run.pk in open_ids)
        for run in page.rows
    ]
    return History(found, hidden, page.previous_cursor, page.next_cursor)


def history_rows(flow: Flow, chosen: HistoryFilter) -> list[tuple[Run, int]]:
    """All runs that match, newest first, each with the milliseconds that its steps worked. Three queries."""
    rows = filtered(last_runs(flow), chosen).last_attempts()
    shown = rows.exclude(NOTHING) if chosen.hides_empty else rows
    runs = list(shown.select_related("started_by__user", "canceled_by__user", "revision").newest_first())
    worked = StepRun.objects.of(flow.account_id).filter(run__in=[run.pk for run in runs]).values("run")
    busy_ms = dict(worked.annotate(busy=Sum("busy_ms")).values_list("run", "busy"))
    return [(run, busy_ms.get(run.pk, 0)) for run in runs]


def last_runs(flow: Flow) -> RunQuerySet:
    """The flow's newest thousand runs, tests aside."""
    rows = Run.objects.of(flow.account_id).for_flow(flow)
    oldest = rows.newest_first().values_list("pk", flat=True)[LAST_RUNS - 1 : LAST_RUNS]
    first = next(iter(oldest), None)
    return rows if first is None else rows.filter(pk__gte=first)


def cancelers(flow: Flow) -> list[tuple[int, str]]:
    """Id and name of each member who canceled one of the runs in the list, by name; one query."""
    rows = last_runs(flow).filter(status=RunStatus.CANCELED, canceled_by__isnull=False)
    ids = rows.order_by().values("canceled_by").distinct()
    members = Member.objects.of(flow.account_id).filter(pk__in=ids).select_related("user")
    return sorted(((member.pk, person(member)) for member in members), key=lambda found: found[1].casefold())


def filtered(rows: RunQuerySet, chosen: HistoryFilter) -> RunQuerySet:
    if chosen.status in STATUSES:
        rows = rows.filter(STATUSES[chosen.status][1])
    if chosen.canceler is not None:
        rows = rows.filter(status=RunStatus.CANCELED, canceled_by=chosen.canceler)
    since, until = chosen.span.since, chosen.span.until
    if since is not None:
        rows = rows.filter(Q(started_at__gte=since) | Q(started_at__isnull=True, created_at__gte=since))
    if until is not None:
        rows = rows.filter(Q(started_at__lt=until) | Q(started_at__isnull=True, created_at__lt=until))
    return rows


def step_counts(flow: Flow, run_ids: Sequence[int]) -> dict[int, dict[int, StepRun]]:
    """Run id -> step id -> counts; one query for a page of runs."""
    found: dict[int, dict[int, StepRun]] = {}
    for row in StepRun.objects.of(flow.account_id).filter(run__in=run_ids):
        found.setdefault(row.run_id, {})[row.step_id] = row
    return found


def history_row(
    run: Run, head: FlowHead, counts: dict[int, StepRun], attempts: Sequence[Run], is_unfolded: bool
) -> HistoryRow:
    nodes = [*head.nodes, *(node for node in head.removed if node.step.pk in counts)]
    rows = [StepRow(node, counts.get(node.step.pk), step_state(run, node, counts.get(node.step.pk))) for node in nodes]
    busy_ms = sum(row.busy_ms for row in counts.values()) if counts else None
    return HistoryRow(run, is_unfolded, busy_ms, rows if is_unfolded else (), attempts)
