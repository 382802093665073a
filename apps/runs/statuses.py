"""The one table of statuses for runs and pages: word, color role and icon of each.

Roles are the ones of the design system: `ok`, `warn`, `err`, `run`, `retry`, `idle`. Icons are names of the sprite.
"""

from dataclasses import dataclass

from django.db import models


class RunKind(models.TextChoices):
    FLOW = "flow", "Flow"
    RETRY = "retry", "Retry"
    AUTO_RETRY = "auto_retry", "Auto-retry"
    TEST = "test", "Test"


class RunStatus(models.TextChoices):
    """`retrying`: this attempt failed, and the next one is pending. A run has failed for good once it is `failed`."""

    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    RETRYING = "retrying", "Retrying"
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"
    CANCELED = "canceled", "Canceled"

    @classmethod
    def ended(cls) -> frozenset[str]:
        """The statuses that a run never leaves."""
        return frozenset({cls.COMPLETED.value, cls.FAILED.value, cls.CANCELED.value})


class RunOutcome(models.TextChoices):
    """How a run ended; blank until then. `empty`: completed with success, ignored and errors all 0."""

    COMPLETED = "completed", "Completed"
    COMPLETED_WITH_ERRORS = "completed_with_errors", "Completed with errors"
    FAILED = "failed", "Failed"
    CANCELED = "canceled", "Canceled"
    EMPTY = "empty", "Empty"


class Trigger(models.TextChoices):
    MANUAL = "manual", "By hand"
    SCHEDULE = "schedule", "Schedule"
    WEBHOOK = "webhook", "Webhook"
    FLOW = "flow", "Another flow"
    API = "api", "API"
    COMMAND = "command", "Command line"
    AUTO = "auto", "Flowmend"
    RULE = "rule", "Rule"


TRIGGER_WORDS = {
    Trigger.SCHEDULE.value: "schedule",
    Trigger.WEBHOOK.value: "webhook",
    Trigger.FLOW.value: "the flow before it",
    Trigger.API.value: "API",
    Trigger.COMMAND.value: "command line",
    Trigger.AUTO.value: "Flowmend",
    Trigger.RULE.value: "a rule",
    Trigger.MANUAL.value: "hand",
}
"""What started a run, behind "by"."""


class PageState(models.TextChoices):
    FETCHED = "fetched", "Waiting"
    DELIVERING = "delivering", "In work"
    PARKED = "parked", "Parked"
    DONE = "done", "Done"


@dataclass(frozen=True, slots=True)
class StatusLook:
    """How a status looks wherever it is shown: never by color alone."""

    word: str
    role: str
    icon: str


STATUS_LOOKS: dict[str, StatusLook] = {
    "queued": StatusLook("Queued", "idle", "clock"),
    "running": StatusLook("Running", "run", "loader-circle"),
    "retrying": StatusLook("Retrying", "retry", "refresh-cw"),
    "completed": StatusLook("Completed", "ok", "circle-check"),
    "completed_with_errors": StatusLook("Completed with errors", "warn", "triangle-alert"),
    "failed": StatusLook("Failed", "err", "octagon-x"),
    "canceled": StatusLook("Canceled", "idle", "ban"),
    "empty": StatusLook("Empty", "idle", "circle-slash"),
    "waiting": StatusLook("Waiting", "idle", "circle-dashed"),
    "fetched": StatusLook("Waiting", "idle", "circle-dashed"),
    "delivering": StatusLook("In work", "run", "loader-circle"),
    "parked": StatusLook("Parked", "idle", "pause"),
    "done": StatusLook("Done", "ok", "circle-check"),
}

# The letters of `FlowState.last_runs`: a strip of the last twelve runs, newest last.
OUTCOME_LETTERS: dict[str, str] = {
    RunOutcome.COMPLETED.value: "o",
    RunOutcome.COMPLETED_WITH_ERRORS.value: "w",
    RunOutcome.FAILED.value: "f",
    RunOutcome.CANCELED.value: "c",
    RunOutcome.EMPTY.value: "e",
    RunStatus.RUNNING.value: "r",
}
