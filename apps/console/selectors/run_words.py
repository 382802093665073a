"""Who started and who canceled a run, in words: the same on every page."""

from apps.accounts.selectors import person
from apps.runs.models import Run
from apps.runs.statuses import TRIGGER_WORDS, RunKind


def started_by_text(run: Run) -> str:
    """`schedule`, `Mara Lindqvist`, `retry, Mara Lindqvist`, `auto-retry`."""
    if run.kind == RunKind.AUTO_RETRY:
        return "auto-retry"
    who = person(run.started_by) or TRIGGER_WORDS.get(run.trigger, run.trigger)
    return f"{run.get_kind_display().lower()}, {who}" if run.kind != RunKind.FLOW else who


def canceled_text(run: Run) -> str:
    """The name of whoever canceled a run; "" for nobody."""
    return person(run.canceled_by)
