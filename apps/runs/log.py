"""What is noted about a run itself: its start, its waits, its end. What a page says is written by its page commit.

A line about the run begins with what happened and a colon: `Run started: by schedule, worker w2`.
"""

from apps.accounts.models import Member
from apps.connectors.redaction import redact
from apps.core.clock import database_now
from apps.core.text import short, storable
from apps.runs.models import LogLevel, Run, RunLog
from apps.runs.statuses import TRIGGER_WORDS, RunKind, RunOutcome, RunStatus

LONGEST_LINE = 2_000
WAITING = "waiting: "
LEVELS = {RunOutcome.FAILED.value: LogLevel.ERROR, RunStatus.RETRYING.value: LogLevel.ERROR}


def log_run(run: Run, text: str, *, level: int = LogLevel.INFO, step: int | None = None) -> None:
    """One line about the run itself."""
    RunLog.objects.of(run.account_id).create(
        account_id=run.account_id, run_id=run.pk, at=database_now(), level=level, step_id=step, text=line_text(text)
    )


def line_text(text: str) -> str:
    """A text as a line of a log keeps it."""
    return short(redact(storable(text)[0]), LONGEST_LINE)


def log_start(run: Run, worker: str) -> None:
    log_run(run, f"Run started: {start_words(run)}, worker {worker}")


def start_words(run: Run) -> str:
    """`by schedule`, `retry, by hand`"""
    kind = "" if run.kind == RunKind.FLOW else f"{run.get_kind_display().lower()}, "
    attempt = f", attempt {run.attempt} of {run.attempts}" if run.attempt > 1 else ""
    return f"{kind}by {TRIGGER_WORDS.get(run.trigger, run.trigger)}{attempt}"


def log_takeover(run: Run, worker: str) -> None:
    """Whoever worked on the run before gave no sign of life any more."""
    text = f"Worker replaced: {run.lease_owner} gave no sign of life, {worker} goes on behind the last page saved"
    log_run(run, text, level=LogLevel.WARNING)


def log_wait(run: Run, reason: str) -> None:
    """Said once, however often the run wakes up and waits on for the same reason."""
    text = line_text(f"Waits: {reason.removeprefix(WAITING)}")
    newest = RunLog.objects.of(run.account_id).filter(run_id=run.pk).order_by("-id").values_list("text", flat=True)
    if reason and newest.first() != text:
        log_run(run, text, level=LogLevel.WARNING)


def log_end(run: Run, why: str = "") -> None:
    """How a run ended; of a failed one that waits to be run again, that its attempt did."""
    if run.status == RunStatus.CANCELED:
        log_run(run, f"Run canceled: {why or canceled_words(run)}", level=LogLevel.WARNING)
        return
    how = "failed" if run.status == RunStatus.RETRYING else RunOutcome(run.outcome).label.lower()
    log_run(run, f"Run ended: {how}", level=LEVELS.get(run.outcome or run.status, LogLevel.INFO))


def canceled_words(run: Run) -> str:
    member = Member.objects.of(run.account_id).filter(pk=run.canceled_by_id).select_related("user").first()
    return f"by {member.user.get_full_name() or member.user.get_username()}" if member else "by Flowmend"
