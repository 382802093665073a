"""The words of errors: states, reasons, classes, acts; and how each state looks."""

from django.db import models

from apps.runs.statuses import StatusLook


class ErrorState(models.TextChoices):
    OPEN = "open", "Open"
    RESOLVED = "resolved", "Resolved"


class ErrorUnit(models.TextChoices):
    RECORD = "record", "Record"
    PAGE = "page", "Page"
    RUN = "run", "Run"
    WINDOW = "window", "Window"


class Reason(models.TextChoices):
    """Why an error is resolved."""

    MANUAL = "manual", "Resolved by hand"
    SUPERSEDED = "superseded", "Superseded by a newer error"
    SUCCEEDED = "succeeded", "The record went through"
    IGNORED = "ignored", "The record was ignored"
    RETRIED = "retried", "Its retry went through"
    RETRY_FAILED = "retry_failed", "Its retry ended in a new error"
    HANDLED = "handled", "Handled by the step's policy"
    SENT = "sent", "Marked as sent"
    RULE = "rule", "Resolved by a rule"

    @classmethod
    def of_pass(cls, outcome: str) -> str:
        """Why an error is resolved, by how a newer pass of its key ended."""
        return {"success": cls.SUCCEEDED.value, "ignored": cls.IGNORED.value, "error": cls.SUPERSEDED.value}[outcome]

    @classmethod
    def automatic(cls) -> frozenset[str]:
        """The reasons that count as auto-resolved."""
        return frozenset({cls.SUPERSEDED.value, cls.SUCCEEDED.value, cls.IGNORED.value})

    @classmethod
    def by_hand(cls) -> frozenset[str]:
        """The reasons for which a member, or a rule, said that an error is settled."""
        return frozenset({cls.MANUAL.value, cls.SENT.value, cls.RULE.value})


class Classification(models.TextChoices):
    CONNECTION = "connection", "Connection"
    INTERMITTENT = "intermittent", "Intermittent"
    RATE_LIMIT = "rate_limit", "Rate limit"
    TOO_LARGE = "too_large", "Too large"
    DUPLICATE = "duplicate", "Duplicate"
    MISSING = "missing", "Missing"
    PARSE = "parse", "Parse"
    VALUE = "value", "Value"
    NONE = "none", "None"


class CauseState(models.TextChoices):
    NEW = "new", "New"
    ONGOING = "ongoing", "Ongoing"
    REGRESSED = "regressed", "Regressed"
    SNOOZED = "snoozed", "Snoozed"


class ItemState(models.TextChoices):
    WAITING = "waiting", "Waiting"
    DONE = "done", "Done"
    SKIPPED = "skipped", "Skipped"
    CANCELED = "canceled", "Canceled"


class Passed(models.TextChoices):
    """How a newer pass of an error's key ended, once there was one."""

    SUCCESS = "success", "Success"
    IGNORED = "ignored", "Ignored"
    ERROR = "error", "Error"


class BulkKind(models.TextChoices):
    RETRY = "retry", "Retry"
    RESOLVE = "resolve", "Resolve"
    REOPEN = "reopen", "Reopen"
    ASSIGN = "assign", "Assign"
    TAG = "tag", "Tag"
    CANCEL = "cancel", "Cancel retry"
    DELETE = "delete", "Delete"
    EDIT = "edit", "Edit retry data"
    CLASSIFY = "classify", "Change class"
    SENT = "sent", "Mark as sent"
    UPLOAD = "upload", "Upload retry data"


ERROR_LOOKS: dict[str, StatusLook] = {
    "open": StatusLook("Open", "err", "circle-dot"),
    "resolved": StatusLook("Resolved", "ok", "circle-check"),
    "auto_resolved": StatusLook("Auto-resolved", "ok", "zap"),
    "retrying": StatusLook("Retrying", "retry", "refresh-cw"),
    "auto_retrying": StatusLook("Auto-retrying", "retry", "refresh-cw"),
    "in_doubt": StatusLook("In doubt", "warn", "triangle-alert"),
    "retry_failed": StatusLook("Retry failed", "err", "rotate-cw"),
}
