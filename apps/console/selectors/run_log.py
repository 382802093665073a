"""The lines of a run's log, by level and step, each with the error that it belongs to as it is now."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import JSONObject

from apps.core.ids import LARGEST_KEY
from apps.core.pagination import KeysetPage, keyset_page
from apps.errors.models import Error
from apps.runs.models import LogLevel, Run, RunLog

LOG_PAGE = 200
LEVELS = {"info": LogLevel.INFO, "warning": LogLevel.WARNING, "error": LogLevel.ERROR}
SHOWN_OF_ERROR = (
    "flow_id",
    "step_id",
    "state",
    "reason",
    "retry_run_id",
    "next_attempt_at",
    "in_doubt",
    "retry_failed",
)


@dataclass(frozen=True)
class LogFilter:
    """Which lines are shown: of this level and above, of this step. `text` is its form in an address."""

    level: str = ""
    step: int | None = None

    @property
    def is_on(self) -> bool:
        return bool(self.level) or self.step is not None

    @property
    def text(self) -> str:
        return f"{self.level}.{self.step or ''}"

    def lines(self, run: Run) -> "QuerySet[RunLog]":
        rows = RunLog.objects.of(run.account_id).filter(run=run)
        if self.level:
            rows = rows.filter(level__gte=LEVELS[self.level])
        return rows if self.step is None else rows.filter(step=self.step)


def log_filter(level: str, step: str) -> LogFilter:
    """What an address says; what is neither a level nor a step is passed over."""
    number = int(step) if step.isascii() and step.isdigit() and len(step) < 20 else 0
    return LogFilter(level if level in LEVELS else "", number if 0 < number <= LARGEST_KEY else None)


@dataclass(frozen=True)
class LogRow:
    line: RunLog
    error: Error | None

    @property
    def is_open(self) -> bool:
        """Whether a retry of the error is at hand: open, and no retry has it."""
        return self.error is not None and self.error.state == "open" and self.error.retry_run_id is None


def log_page(run: Run, chosen: LogFilter, cursor: str) -> KeysetPage[RunLog]:
    """Newest first. Raises BadCursorError for a cursor of another list."""
    return keyset_page(with_errors(chosen.lines(run)), cursor=cursor, size=LOG_PAGE)


def newest_lines(run: Run, chosen: LogFilter) -> list[RunLog]:
    return list(with_errors(chosen.lines(run)).order_by("-id")[:LOG_PAGE])


def lines_between(run: Run, chosen: LogFilter, last: int, newest: int) -> list[RunLog]:
    """What has come behind a line, up to the one that was newest then, newest first; of very many the newest."""
    rows = with_errors(chosen.lines(run)).filter(pk__gt=last, pk__lte=newest)
    return list(rows.order_by("-id")[:LOG_PAGE])


def newest_line(run: Run, chosen: LogFilter) -> int:
    """The id of the newest line; 0 for none."""
    return chosen.lines(run).order_by("-id").values_list("pk", flat=True).first() or 0


def log_rows(lines: Iterable[RunLog]) -> list[LogRow]:
    """The lines with their errors, which were read with them; an error that is gone is none."""
    return [LogRow(line, Error(pk=line.error_id, **facts) if (facts := facts_of(line)) else None) for line in lines]


def facts_of(line: RunLog) -> dict[str, Any]:
    found: dict[str, Any] | None = getattr(line, "error_facts", None)
    return found or {}


def with_errors(rows: "QuerySet[RunLog]") -> "QuerySet[RunLog]":
    """The lines with step and connection, and what of its error is shown beside each: no query of their own."""
    facts = JSONObject(**{name: name for name in SHOWN_OF_ERROR})
    errors = Error.objects.of(OuterRef("account")).filter(pk=OuterRef("error_id")).values(facts=facts)
    return rows.select_related("step__connection").annotate(error_facts=Subquery(errors))
