"""Watching a run from the command line: a moving bar on a terminal, a line every few seconds elsewhere."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from django.core.management.base import OutputWrapper

from apps.core.clock import database_now
from apps.runs.models import Machine, Run
from apps.runs.statuses import RunOutcome, RunStatus

LOOK_EVERY_S = 0.3
LINE_EVERY_S = 5.0
SIGN_OF_LIFE_S = 20.0
BAR_WIDTH = 16
EXIT_STATUS = {
    RunOutcome.COMPLETED: 0,
    RunOutcome.EMPTY: 0,
    RunOutcome.FAILED: 1,
    RunOutcome.COMPLETED_WITH_ERRORS: 3,
    RunOutcome.CANCELED: 4,
}


def is_worker_alive() -> bool:
    """Whether any machine with workers gave a sign of life lately."""
    return Machine.objects.filter(workers__gt=0, seen_at__gt=database_now(seconds=-SIGN_OF_LIFE_S)).exists()


def counts_of(run: Run) -> str:
    return f"{run.success:,} success, {run.ignored:,} ignored, {run.errors:,} errors"


def records_done(run: Run) -> int:
    return run.success + run.ignored + run.failed + run.rolled_back


@dataclass
class Watch:
    """Follows one run until it ends or waits to be run again.

    `clock` counts seconds, `pause` waits that many, `check` may end the watching.
    """

    run: Run
    stream: OutputWrapper
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    check: Callable[[], None] = lambda: None
    _seen: list[tuple[float, int]] = field(default_factory=list)
    _last_line: float | None = None
    _last_status: str = ""
    _ticks: int = 0

    def until_ended(self) -> Run:
        while True:
            self.run.refresh_from_db()
            earlier = self._seen[-20:] if self.run.records_in else []
            self._seen = [*earlier, (self.clock(), records_done(self.run))]
            if self.run.has_stopped:
                self._clear()
                return self.run
            self.check()
            self.show()
            self.pause(LOOK_EVERY_S)

    def show(self) -> None:
        self._ticks += 1
        if self.stream.isatty():
            width = shutil.get_terminal_size().columns - 1
            self._write("\r" + self.bar_line()[:width].ljust(width))
        elif self._is_line_due():
            self._last_line, self._last_status = self.clock(), self.run.status
            self._write(self.plain_line() + "\n")

    def _is_line_due(self) -> bool:
        if self._last_line is None or self.run.status != self._last_status:
            return True
        return self.clock() - self._last_line >= LINE_EVERY_S

    def _clear(self) -> None:
        if self.stream.isatty() and self._ticks:
            self._write("\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r")

    def _write(self, text: str) -> None:
        self.stream.write(text, style_func=str, ending="")
        self.stream.flush()

    # --- what it says ----------------------------------------------------------------------------------------------
    def rate(self) -> float:
        """Records a second over the last few looks."""
        (first_at, first), (last_at, last) = self._seen[0], self._seen[-1]
        return (last - first) / (last_at - first_at) if last_at > first_at else 0.0

    def plain_line(self) -> str:
        run = self.run
        if run.status == RunStatus.QUEUED and not run.records_in:
            return f"{run} queued{self._waiting()}"
        pages = f"page {run.pages_done:,} of {run.pages_fetched:,}" if run.pages_fetched else "no page yet"
        text = (
            f"{run} {run.get_status_display().lower()}: {records_done(run):,} records ({self.rate():,.0f}/s), {pages}, "
        )
        return text + counts_of(run) + self._waiting()

    def _waiting(self) -> str:
        return f"; waits: {self.run.wait_reason}" if self.run.wait_reason else ""

    def bar_line(self) -> str:
        run = self.run
        return (
            f"{run} {self.bar()} {records_done(run):,} records {self.rate():,.0f}/s  {counts_of(run)}{self._waiting()}"
        )

    def bar(self) -> str:
        """Filled by the share that is done once the export has come to its end; before that a mark that moves."""
        if self.run.done_exporting and self.run.records_in:
            filled = round(BAR_WIDTH * min(1.0, records_done(self.run) / self.run.records_in))
            return "[" + "#" * filled + "." * (BAR_WIDTH - filled) + "]"
        place = self._ticks % BAR_WIDTH
        return "[" + "." * place + "#" + "." * (BAR_WIDTH - place - 1) + "]"


def summary_of(run: Run) -> str:
    """How a run ended, in a sentence or two."""
    took = f" in {duration(run.ended_at - run.started_at)}" if run.ended_at and run.started_at else ""
    outcome = run.get_outcome_display() or run.get_status_display()
    parts = [f"{run.success:,} success", f"{run.ignored:,} ignored", f"{run.failed:,} failed"]
    if run.rolled_back:
        parts.append(f"{run.rolled_back:,} rolled back")
    text = f"{run} {outcome.lower()}{took}: {run.records_in:,} records in = {' + '.join(parts)}."
    errors = run.errors + run.unit_errors
    if errors:
        text += f" {errors:,} error{'' if errors == 1 else 's'}: manage.py flow errors {run.flow.key}"
    if run.status == RunStatus.RETRYING and run.not_before is not None:
        text += f"\nIt failed and {run.wait_reason} at {run.not_before:%Y-%m-%d %H:%M:%S} UTC."
    return text


def duration(span: timedelta) -> str:
    seconds = span.total_seconds()
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60)} s"
