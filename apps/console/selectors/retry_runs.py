"""The retry runs of a step or a flow, and what came of each error in one of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count, Exists, OuterRef

from apps.console.selectors.error_filters import ErrorFilter, matching
from apps.core.pagination import keyset_page
from apps.errors.models import Error, RetryItem
from apps.errors.states import ItemState, Reason
from apps.flows.models import Flow, Step
from apps.runs.models import Run
from apps.runs.querysets import RunQuerySet
from apps.runs.statuses import RunStatus

RETRIES_A_PAGE, ITEMS_A_PAGE = 50, 50
# what `result=` may name: words, and the conditions on an item
RESULTS: dict[str, tuple[str, dict[str, object]]] = {
    "success": ("went through", {"outcome": Reason.RETRIED.value}),
    "failed": ("failed again", {"outcome": Reason.RETRY_FAILED.value}),
    "skipped": ("not sent", {"state": ItemState.SKIPPED.value}),
    "waiting": ("waiting", {"state": ItemState.WAITING.value}),
    "canceled": ("canceled before it was sent", {"state": ItemState.CANCELED.value}),
}


@dataclass(frozen=True)
class RetryRow:
    """A retry run with its errors counted by what came of them; `results` has the names of RESULTS."""

    run: Run
    results: Counter[str]

    @property
    def total(self) -> int:
        return sum(self.results.values())

    @property
    def success(self) -> int:
        return self.results["success"]

    @property
    def failed(self) -> int:
        return self.results["failed"]

    @property
    def look(self) -> str:
        """The key of the look of its state."""
        return "retrying" if self.run.status == RunStatus.RUNNING else str(self.run.outcome or self.run.status)

    @property
    def lines(self) -> list[tuple[str, str, int]]:
        """(name, words, how many) of the results that occur."""
        return [(name, words, self.results[name]) for name, (words, _) in RESULTS.items() if self.results[name]]


@dataclass(frozen=True)
class RetryPage:
    rows: Sequence[RetryRow]
    newer: str
    older: str


def retry_runs(flow: Flow, step: Step | None = None, wanted: ErrorFilter | None = None) -> RunQuerySet:
    """The flow's retries and automatic attempts; with a step or a filter those that have errors of it."""
    rows = Run.objects.of(flow.account_id).for_flow(flow).retries()
    items = RetryItem.objects.of(flow.account_id).filter(run=OuterRef("pk"))
    if step is not None:
        items = items.filter(error__step=step)
    if wanted is not None and wanted.is_on:
        items = items.filter(error__in=matching(Error.objects.of(flow.account_id).for_flow(flow), wanted).values("pk"))
    elif step is None:
        return rows
    return rows.filter(Exists(items))


def retry_page(flow: Flow, step: Step | None, wanted: ErrorFilter, *, cursor: str) -> RetryPage:
    """Newest first; two queries. Raises BadCursorError for a cursor of another list."""
    found = retry_runs(flow, step, wanted).select_related("started_by__user", "canceled_by__user", "start_step")
    page = keyset_page(found, cursor=cursor, size=RETRIES_A_PAGE)
    return RetryPage(with_results(page.rows), page.previous_cursor, page.next_cursor)


def with_results(runs: Sequence[Run]) -> list[RetryRow]:
    """One query for all of them."""
    if not runs:
        return []
    counts: dict[int, Counter[str]] = {run.pk: Counter() for run in runs}
    items = RetryItem.objects.of(runs[0].account_id).filter(run__in=list(counts)).order_by()
    for run, state, outcome, number in items.values_list("run", "state", "outcome").annotate(number=Count("pk")):
        counts[run][result_of(state, outcome)] += number
    return [RetryRow(run, counts[run.pk]) for run in runs]


def result_of(state: str, outcome: str) -> str:
    """The name in RESULTS of what came of an error in a retry."""
    if state == ItemState.DONE:
        return "success" if outcome == Reason.RETRIED else "failed"
    return str(state)


@dataclass(frozen=True)
class ItemPage:
    """The errors of one retry run, oldest first."""

    row: RetryRow
    items: Sequence[RetryItem]
    result: str
    newer: str
    older: str


def item_page(run: Run, *, result: str, cursor: str) -> ItemPage:
    """Two queries. `result` is a name of RESULTS or "" for all. Raises BadCursorError for a cursor of another list."""
    items = RetryItem.objects.of(run.account_id).filter(run=run)
    if result in RESULTS:
        items = items.filter(**RESULTS[result][1])
    shown = items.select_related("error__step", "error__flow", "new_error").defer(
        "error__message", "error__effects", "new_error__message", "new_error__effects"
    )
    page = keyset_page(shown, cursor=cursor, size=ITEMS_A_PAGE, order=("id",))
    return ItemPage(with_results([run])[0], page.rows, result, page.previous_cursor, page.next_cursor)
