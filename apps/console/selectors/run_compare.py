"""Two runs of a flow beside each other: their counts step by step, and the errors that are new or gone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Count, F, Q
from django.db.models.functions import Coalesce, Greatest

from apps.console.selectors.flow_page import FlowHead, Node
from apps.console.selectors.history import step_counts
from apps.console.selectors.run_page import StepRow, duration_of, step_state
from apps.errors.models import Cause, Error
from apps.flows.models import Flow
from apps.runs.models import Run, StepRun

MOST_CAUSES = 100


@dataclass(frozen=True)
class Pair:
    """A number of the first run and of the second; None where there is none."""

    first: float | None
    second: float | None

    @property
    def change(self) -> float:
        return (self.second or 0) - (self.first or 0)

    @property
    def has_both(self) -> bool:
        return self.first is not None and self.second is not None


@dataclass(frozen=True)
class StepPair:
    """A step in both runs; a run that did not reach it has 0 of everything."""

    node: Node
    rows: tuple[StepRow, StepRow]

    @property
    def came_in(self) -> Pair:
        return self._pair("came_in")

    @property
    def success(self) -> Pair:
        return self._pair("success")

    @property
    def ignored(self) -> Pair:
        return self._pair("ignored")

    @property
    def errors(self) -> Pair:
        return Pair(*(row.error_rows for row in self.rows))

    @property
    def ms_per_record(self) -> Pair:
        return Pair(*(row.ms_per_record for row in self.rows))

    def _pair(self, name: str) -> Pair:
        return Pair(*(getattr(row.counts, name) if row.counts else 0 for row in self.rows))


@dataclass(frozen=True)
class CausePair:
    cause: Cause
    errors: Pair

    @property
    def word(self) -> str:
        if not self.errors.first:
            return "new"
        return "gone" if not self.errors.second else "more" if self.errors.change > 0 else "fewer"


@dataclass(frozen=True)
class Comparison:
    first: Run
    second: Run
    steps: Sequence[StepPair]
    causes: Sequence[CausePair]

    @property
    def durations(self) -> tuple[timedelta | None, timedelta | None]:
        return duration_of(self.first), duration_of(self.second)

    @property
    def seconds(self) -> Pair:
        return Pair(*(length.total_seconds() if length is not None else None for length in self.durations))

    @property
    def totals(self) -> list[tuple[str, Pair]]:
        """The counts of the runs themselves, with their words."""
        names = {"Records in": "records_in", "Success": "success", "Ignored": "ignored", "Pages": "pages_done"}
        found = [(words, Pair(getattr(self.first, name), getattr(self.second, name))) for words, name in names.items()]
        rows = [run.errors + run.unit_errors for run in (self.first, self.second)]
        return [*found[:3], ("Errors", Pair(*rows)), *found[3:]]

    @property
    def revisions(self) -> tuple[int, int] | None:
        """The numbers of two revisions, the older one first; None where both runs have one, or one of them has none."""
        found = {run.revision.number for run in (self.first, self.second) if run.revision is not None}
        return (min(found), max(found)) if len(found) == 2 else None

    def causes_that(self, *words: str) -> list[CausePair]:
        return [pair for pair in self.causes if pair.word in words]

    @property
    def new_causes(self) -> list[CausePair]:
        return self.causes_that("new")

    @property
    def gone_causes(self) -> list[CausePair]:
        return self.causes_that("gone")

    @property
    def kept_causes(self) -> list[CausePair]:
        return self.causes_that("more", "fewer")


def compare_runs(flow: Flow, head: FlowHead, first: Run, second: Run) -> Comparison:
    """Three queries: the counts of the steps, the errors of both by root cause, the root causes."""
    counts = step_counts(flow, [first.pk, second.pk])
    found = {key for rows in counts.values() for key in rows}
    nodes = [*head.nodes, *(node for node in head.removed if node.step.pk in found)]
    steps = [StepPair(node, (row_of(first, node, counts), row_of(second, node, counts))) for node in nodes]
    return Comparison(first, second, steps, cause_pairs(first, second))


def row_of(run: Run, node: Node, counts: dict[int, dict[int, StepRun]]) -> StepRow:
    mine = counts.get(run.pk, {}).get(node.step.pk)
    return StepRow(node, mine, step_state(run, node, mine))


def cause_pairs(first: Run, second: Run) -> list[CausePair]:
    """The root causes of both runs' errors, those with the most first; merged ones count as one."""
    rows = Error.objects.of(first.account_id).filter(run__in=[first.pk, second.pk])
    by_head = rows.annotate(head=Coalesce("cause__merged_into", "cause")).values("head").order_by()
    counted = by_head.annotate(in_first=Count("id", filter=Q(run=first)), in_second=Count("id", filter=Q(run=second)))
    ranked = counted.order_by(Greatest(F("in_first"), F("in_second")).desc(), "head")[:MOST_CAUSES]
    numbers = {row["head"]: Pair(row["in_first"], row["in_second"]) for row in ranked}
    causes = Cause.objects.of(first.account_id).filter(pk__in=numbers).select_related("step").in_bulk()
    return [CausePair(causes[key], pair) for key, pair in numbers.items() if key in causes]
