"""What a page commit leaves in the log of its run: what the steps said, what failed, what was resolved, the outcome.

A log is bounded: so many lines a page, and so many a run before only the outcomes of its pages are added.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import nlargest

from apps.connectors.redaction import Redactor
from apps.core.bulk import insert_rows
from apps.core.text import short, storable
from apps.engine.records import SHOWN_KEY_LENGTH, Name, Page
from apps.engine.result import LogLine, PageResult
from apps.errors.booking import Book, Booked
from apps.errors.facts import NewError
from apps.runs.log import LONGEST_LINE
from apps.runs.models import LogLevel, RunLog

MOST_LINES = 200
"""Lines of one page; the most severe are kept, and what is left out is counted."""
MOST_RUN_LINES = 10_000
LONGEST_MESSAGE = 1_000
"""Of an error's message; the error has all of it."""

LEVELS = {"debug": LogLevel.DEBUG, "info": LogLevel.INFO, "warning": LogLevel.WARNING, "error": LogLevel.ERROR}
FIELDS = ["account", "run", "at", "page_seq", "level", "step", "key", "error_id", "text"]


@dataclass(frozen=True, slots=True)
class Line:
    level: int
    step: int | None
    text: str
    key: str = ""
    error: int | None = None


def log_page(book: Book, page: Page, result: PageResult, booked: Booked, redactor: Redactor) -> None:
    """The lines of a page, or of a part of it; the last one is its outcome."""
    said = list(_said(book, result, booked))
    told = {line.error for line in said}
    lines = [*said, *(line for line in _failed(book, booked) if line.error not in told), *_resolved(book, booked)]
    room = _room(book, page.seq) if lines else 0
    shown = _most_severe(lines, room)
    if len(shown) < len(lines):
        shown.append(Line(LogLevel.INFO, None, _left_out(page, len(lines) - len(shown))))
    _write(book, [*shown, Line(LogLevel.INFO, None, _outcome(page, result))], redactor)


def log_units(book: Book, booked: Booked, redactor: Redactor) -> None:
    """The errors of a page, a window or the run: one line each."""
    _write(book, _failed(book, booked), redactor)


def _said(book: Book, result: PageResult, booked: Booked) -> Iterator[Line]:
    """What the steps said. A line about a record that failed belongs to its error."""
    errors = _by_place(booked.errors)
    for line in result.log:
        level = LEVELS[line.level]
        error = _error_of(line, errors) if level >= LogLevel.WARNING else None
        yield Line(level, None if line.node is None else book.steps[line.node], line.text, line.key, error)


def _by_place(errors: Iterable[NewError]) -> dict[tuple[int | None, Name], int]:
    """(step, record) -> its error, and under (None, record) its last one: a handler speaks of what its step failed."""
    found: dict[tuple[int | None, Name], int] = {}
    for error in errors:
        name = error.entry.item.name
        found[error.node, name] = found[None, name] = error.id
    return found


def _error_of(line: LogLine, errors: Mapping[tuple[int | None, Name], int]) -> int | None:
    if line.name is None:
        return None
    return errors.get((line.node, line.name)) or errors.get((None, line.name))


def _failed(book: Book, booked: Booked) -> Iterator[Line]:
    """The new open errors. What was handled is told by the step that handled it, if its definition wants that."""
    for error in booked.errors:
        if error.is_open:
            yield Line(
                LogLevel.ERROR, book.steps[error.node], short(error.message, LONGEST_MESSAGE), error.key, error.id
            )


def _resolved(book: Book, booked: Booked) -> Iterator[Line]:
    """How many errors of earlier runs this page resolved, by step."""
    for words, counted in (("Auto-resolved", booked.auto_resolved), ("Resolved by this retry", booked.user_resolved)):
        by_step: Counter[int] = Counter()
        for (run, step), number in counted.items():
            by_step[step] += number if run != book.run else 0
        for step, number in sorted(by_step.items()):
            if number > 0:
                yield Line(LogLevel.INFO, step, f"{words}: {number:,} older error{'' if number == 1 else 's'}")


def _room(book: Book, seq: int) -> int:
    """How many lines this page may write. Only a long run has to be counted."""
    if seq < MOST_RUN_LINES // MOST_LINES:
        return MOST_LINES
    written = RunLog.objects.of(book.account).filter(run_id=book.run).count()
    return max(0, min(MOST_LINES, MOST_RUN_LINES - written))


def _most_severe(lines: list[Line], room: int) -> list[Line]:
    """As many as there is room for, in their order; of two that are as severe the earlier one."""
    if len(lines) <= room:
        return lines
    kept = nlargest(room, enumerate(lines), key=lambda place: (place[1].level, -place[0]))
    return [line for _, line in sorted(kept, key=lambda place: place[0])]


def _left_out(page: Page, number: int) -> str:
    lines = "1 more line" if number == 1 else f"{number:,} more lines"
    return f"Left out: {lines} of page {page.seq + 1:,}; the list of errors has every error"


def _outcome(page: Page, result: PageResult) -> str:
    part = f", part {page.part}" if page.part else ""
    counts = f"{result.success:,} success, {result.ignored:,} ignored, {result.failed:,} failed"
    waiting = f", {len(result.rest):,} wait ({result.wait.reason})" if result.rest and result.wait else ""
    return f"Page {page.seq + 1}{part} saved: {len(page):,} records: {counts}{waiting}"


def _write(book: Book, lines: Iterable[Line], redactor: Redactor) -> None:
    rows = [
        (
            book.account,
            book.run,
            book.now,
            book.page_seq,
            line.level,
            line.step,
            short(storable(line.key)[0], SHOWN_KEY_LENGTH),
            line.error,
            short(redactor.text(storable(line.text)[0]), LONGEST_LINE),
        )
        for line in lines
    ]
    insert_rows(RunLog, FIELDS, rows)
