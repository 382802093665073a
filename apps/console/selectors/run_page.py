"""One run: its steps' counts (a snapshot), what became of its errors since (live), its pages, and what happened."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Left

from apps.console.selectors.attempts import attempts_of
from apps.console.selectors.flow_page import FlowHead, Node
from apps.core.clock import wall_now
from apps.errors.models import Error
from apps.flows.models import StepKind
from apps.runs.models import Page, Run, RunLog, StepRun
from apps.runs.querysets import NOT_DONE
from apps.runs.statuses import PageState, RunStatus

NEWEST_ERRORS, NEWEST_LINES = 5, 8
MOST_PAGES = 5_000  # pages with errors that are looked at for the row of squares
SHOWN_MESSAGE = 300  # characters of a message in a list
MOST_EMPTY_FIELDS = 8


@dataclass(frozen=True)
class StepRow:
    """A step in one run; `counts` is None while no record has reached it."""

    node: Node
    counts: StepRun | None
    state: str

    @property
    def state_text(self) -> str:
        """Words of its own for a step that no record came to; else the status table's."""
        return "Not reached" if self.state == "empty" else ""

    @property
    def ms_per_record(self) -> float | None:
        counts = self.counts
        return counts.busy_ms / counts.came_in if counts and counts.came_in else None

    @property
    def empty_fields(self) -> list[tuple[str, int]]:
        """Mapped fields that came out empty, with the number of records, the most frequent first."""
        found = dict(self.counts.empty_fields) if self.counts else {}
        return sorted(found.items(), key=lambda item: (-item[1], item[0]))[:MOST_EMPTY_FIELDS]

    @property
    def error_rows(self) -> int:
        """All errors of the step in the run: of records, and of pages, windows or the run."""
        return self.counts.errors + self.counts.unit_errors if self.counts else 0

    @property
    def handled(self) -> int:
        """Errors of this run that were neither open since nor resolved by a person or a later run."""
        row = self.counts
        if row is None:
            return 0
        return max(self.error_rows - row.open_errors - row.auto_resolved - row.user_resolved, 0)


@dataclass(frozen=True)
class Squares:
    """The pages of a run, for the row of squares; `is_total` is False while the export goes on."""

    done: int
    at_work: int
    total: int
    with_errors: frozenset[int]
    is_total: bool


@dataclass(frozen=True)
class RunView:
    run: Run
    rows: Sequence[StepRow]
    squares: Squares
    errors: Sequence[Error]
    lines: Sequence[RunLog]
    attempts: Sequence[Run] = ()

    @property
    def has_rolled_back(self) -> bool:
        return any(row.counts and row.counts.rolled_back for row in self.rows)

    @property
    def error_rows(self) -> int:
        return self.run.errors + self.run.unit_errors

    @property
    def with_empty_fields(self) -> list[StepRow]:
        return [row for row in self.rows if row.empty_fields]

    @property
    def with_collisions(self) -> list[StepRow]:
        """Steps at which records with different contents carried the same trace key."""
        return [row for row in self.rows if row.counts and row.counts.collisions]

    @property
    def balance(self) -> "Balance":
        run = self.run
        return Balance(run.records_in, run.success, run.ignored, run.failed, run.rolled_back)

    @property
    def duration(self) -> timedelta | None:
        return duration_of(self.run)

    @property
    def is_waiting(self) -> bool:
        return bool(self.run.wait_reason) and not self.run.has_stopped


@dataclass(frozen=True)
class Balance:
    """Each record that came in is exactly one of the four."""

    came_in: int
    success: int
    ignored: int
    failed: int
    rolled_back: int

    @property
    def adds_up(self) -> bool:
        return self.came_in == self.success + self.ignored + self.failed + self.rolled_back


def run_view(run: Run, head: FlowHead) -> RunView:
    """Three queries: step counts, pages, newest lines of the log. One more if it has errors, or was run again."""
    counts = {row.step_id: row for row in StepRun.objects.of(run.account_id).filter(run=run)}
    nodes = [*head.nodes, *(node for node in head.removed if node.step.pk in counts)]
    rows = [StepRow(node, counts.get(node.step.pk), step_state(run, node, counts.get(node.step.pk))) for node in nodes]
    attempts = attempts_of([run]).get(run.pk, ())
    errors = newest_errors(run) if run.errors + run.unit_errors else []
    return RunView(run, rows, squares_of(run), errors, newest_lines(run), attempts)


def step_state(run: Run, node: Node, counts: StepRun | None) -> str:
    """The key of the look of a step's state in a run."""
    if run.status == RunStatus.QUEUED or (counts is None and not run.has_stopped):
        return "waiting"
    if not run.has_stopped:
        is_exported = node.step.kind == StepKind.EXPORT and run.done_exporting
        return "completed" if is_exported else "waiting" if run.wait_reason else "running"
    if counts is None:
        return "empty"
    if counts.unit_errors and run.status in (RunStatus.FAILED, RunStatus.RETRYING):
        return "failed"
    return "completed_with_errors" if counts.errors or counts.unit_errors else "completed"


def squares_of(run: Run) -> Squares:
    rows = Page.objects.of(run.account_id).for_run(run).filter(NOT_DONE | Q(error_rows__gt=0))
    pages = list(rows.order_by("seq").values_list("seq", "state", "error_rows")[:MOST_PAGES])
    at_work = len({seq for seq, state, _ in pages if state == PageState.DELIVERING})
    with_errors = frozenset(seq for seq, _, errors in pages if errors)
    return Squares(run.pages_done, at_work, max(run.pages_fetched, run.pages_done), with_errors, run.done_exporting)


def newest_errors(run: Run) -> list[Error]:
    rows = Error.objects.of(run.account_id).for_run(run).annotate(short_message=Left("message", SHOWN_MESSAGE))
    return list(rows.defer("message", "effects").select_related("step").newest_first()[:NEWEST_ERRORS])


def newest_lines(run: Run) -> list[RunLog]:
    """What happened to the run: the lines of its log that are about no single record."""
    rows = RunLog.objects.of(run.account_id).filter(run=run, error_id__isnull=True, key="")
    return list(rows.select_related("step").order_by("-id")[:NEWEST_LINES])


def duration_of(run: Run) -> timedelta | None:
    """How long a run took, or has been running for; None before its start."""
    if run.started_at is None:
        return None
    return (run.ended_at or wall_now()) - run.started_at
