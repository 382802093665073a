"""Errors, their root causes, retry data and attempts. Counts live on step states and causes; lists never count."""

from typing import Any, ClassVar

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q

from apps.accounts.models import Member
from apps.core.clock import wall_now
from apps.core.models import FIRM, LOOSE, AccountScoped, HotScoped, ScopedBy
from apps.errors.note_models import Assignment as Assignment
from apps.errors.note_models import Comment as Comment
from apps.errors.note_models import ErrorTag as ErrorTag
from apps.errors.note_models import SavedView as SavedView
from apps.errors.note_models import Tag as Tag
from apps.errors.querysets import (
    AT_WORK,
    DUE_FOR_RETRY,
    KEYED,
    NOTED,
    OPEN,
    OPEN_UNITS,
    RESOLVED,
    RETRYING,
    STORED_OPEN,
    TO_AUTO_RESOLVE,
    CauseQuerySet,
    ErrorQuerySet,
    StepStateQuerySet,
)
from apps.errors.rule_models import Rule as Rule
from apps.errors.rule_models import RuleHit as RuleHit
from apps.errors.rule_models import RuleRevision as RuleRevision
from apps.errors.states import (
    BulkKind,
    CauseState,
    Classification,
    ErrorState,
    ErrorUnit,
    ItemState,
    Passed,
    Reason,
)
from apps.errors.upload_models import Upload as Upload
from apps.flows.models import Flow, Integration, Step
from apps.runs.models import Capture, Page, Run

KEY_SHOWN = 128  # characters of a trace key that are shown; matching is on the hash of the whole key


class StepState(AccountScoped):
    """A step's open counts: those of a flow, an integration, an account are sums over these."""

    step = models.OneToOneField(Step, primary_key=True, on_delete=models.CASCADE, related_name="state")
    flow = models.ForeignKey(Flow, **FIRM)
    integration = models.ForeignKey(Integration, **FIRM)
    open_errors = models.BigIntegerField(default=0)
    open_units = models.BigIntegerField(default=0)
    in_doubt = models.BigIntegerField(default=0)
    watched_keys = models.BigIntegerField(default=0)
    data_kept_from = models.BigIntegerField(default=0, help_text="Errors with smaller ids have no retry data any more.")
    last_error_at = models.DateTimeField(null=True, blank=True)

    unscoped: ClassVar[models.Manager[Any]] = StepStateQuerySet.as_manager()
    objects: ClassVar[ScopedBy[StepStateQuerySet]] = ScopedBy()

    class Meta:
        db_table = "step_state"
        indexes = [
            models.Index(fields=["account"], name="step_states_of_account"),
            models.Index(fields=["flow"], name="step_states_of_flow"),
        ]

    def __str__(self) -> str:
        return f"Open errors of step {self.step_id}"


class Cause(AccountScoped):
    """A root cause: all errors of a step with the same source, code and message shape. The class lives here."""

    flow = models.ForeignKey(Flow, **FIRM)
    step = models.ForeignKey(Step, **FIRM)
    version = models.PositiveSmallIntegerField(default=1)
    fingerprint = models.CharField(max_length=64)
    source = models.CharField(max_length=32)
    code = models.CharField(max_length=128, blank=True)
    pattern = models.TextField()
    classification = models.CharField(max_length=16, choices=Classification, default=Classification.NONE)
    classified_by = models.ForeignKey(Member, null=True, blank=True, help_text="Blank: by rule.", **FIRM)
    class_by_rule = models.CharField(
        max_length=16, choices=Classification, blank=True, help_text="What a member's class replaced."
    )
    state = models.CharField(max_length=10, choices=CauseState, default=CauseState.NEW)
    snoozed_until = models.DateTimeField(null=True, blank=True)
    snooze_until_count = models.BigIntegerField(null=True, blank=True, help_text="Errors still to come.")
    merged_into = models.ForeignKey("self", null=True, blank=True, **FIRM)
    assignee = models.ForeignKey(Member, null=True, blank=True, **FIRM)
    sample_error = models.ForeignKey("errors.Error", null=True, blank=True, **LOOSE)
    open_errors = models.BigIntegerField(default=0)
    total_errors = models.BigIntegerField(default=0)
    removed_errors = models.BigIntegerField(default=0, help_text="Of all its errors, those that were deleted since.")
    older_errors = models.BigIntegerField(default=0, help_text="Of all its errors, those whose half hours went since.")
    first_seen_at = models.DateTimeField(default=wall_now)
    last_seen_at = models.DateTimeField(default=wall_now)

    unscoped: ClassVar[models.Manager[Any]] = CauseQuerySet.as_manager()
    objects: ClassVar[ScopedBy[CauseQuerySet]] = ScopedBy()

    class Meta:
        db_table = "cause"
        verbose_name = "root cause"
        constraints = [models.UniqueConstraint(fields=["step", "version", "fingerprint"], name="causes_by_fingerprint")]
        indexes = [
            models.Index(
                fields=["account", "-last_seen_at"], name="causes_open_of_account", condition=Q(open_errors__gt=0)
            ),
            models.Index(fields=["step", "classification"], name="causes_by_class_of_step"),
            models.Index(fields=["merged_into"], name="causes_merged", condition=Q(merged_into__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.pattern[:80]


class CauseBucket(HotScoped):
    """How many errors a root cause had in one half hour."""

    cause = models.ForeignKey(Cause, **LOOSE)
    slot = models.IntegerField()
    errors = models.BigIntegerField(default=0)

    class Meta:
        db_table = "cause_bucket"
        constraints = [models.UniqueConstraint(fields=["cause", "slot"], name="cause_buckets_one_per_slot")]

    def __str__(self) -> str:
        return f"Half hour {self.slot} of cause {self.cause_id}"


class Error(HotScoped):
    """One failed record (or page, run, window) at one step of one run."""

    flow = models.ForeignKey(Flow, **LOOSE)
    step = models.ForeignKey(Step, **LOOSE)
    run = models.ForeignKey(Run, **LOOSE)
    page_seq = models.BigIntegerField(null=True, blank=True)
    cause = models.ForeignKey(Cause, **LOOSE)
    unit = models.CharField(max_length=6, choices=ErrorUnit, default=ErrorUnit.RECORD)
    state = models.CharField(max_length=8, choices=ErrorState, default=ErrorState.OPEN)
    in_doubt = models.BooleanField(default=False)
    retry_failed = models.BooleanField(default=False)
    previous_error = models.ForeignKey("self", null=True, blank=True, **LOOSE)
    source_step_path = models.CharField(max_length=255, blank=True)
    key = models.CharField(max_length=KEY_SHOWN, blank=True)
    key_hash = models.BigIntegerField(null=True, blank=True)
    payload_hash = models.BigIntegerField(null=True, blank=True)
    collision_no = models.PositiveSmallIntegerField(default=0)
    ordinal = models.BigIntegerField(null=True, blank=True)
    pass_order = models.BigIntegerField(default=0)
    message = models.TextField()
    effects = models.JSONField(default=dict, blank=True, encoder=DjangoJSONEncoder)
    capture = models.ForeignKey(Capture, null=True, blank=True, **LOOSE)
    occurred_at = models.DateTimeField(default=wall_now)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    retry_run = models.ForeignKey(Run, null=True, blank=True, **LOOSE)
    resolved_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=12, choices=Reason, blank=True)
    resolved_by = models.ForeignKey(Member, null=True, blank=True, **LOOSE)
    resolved_run = models.ForeignKey(Run, null=True, blank=True, **LOOSE)
    resolved_error = models.ForeignKey("self", null=True, blank=True, **LOOSE)
    passed_run = models.ForeignKey(Run, null=True, blank=True, **LOOSE)
    passed_outcome = models.CharField(max_length=8, choices=Passed, blank=True)
    passed_order = models.BigIntegerField(null=True, blank=True)
    assignee = models.ForeignKey(Member, null=True, blank=True, **LOOSE)
    has_notes = models.BooleanField(default=False)
    keep = models.BooleanField(default=False)
    ruled_by = ""
    """The rule that resolved it, such as `Known@3`: where a list or its history has looked for it."""

    unscoped: ClassVar[models.Manager[Any]] = ErrorQuerySet.as_manager()
    objects: ClassVar[ScopedBy[ErrorQuerySet]] = ScopedBy()

    class Meta:
        db_table = "error"
        constraints = [
            models.UniqueConstraint(
                fields=["step", "key_hash", "collision_no"],
                condition=STORED_OPEN & KEYED,
                name="errors_one_open_per_key",
            ),
        ]
        indexes = [
            models.Index(fields=["step", "-id"], name="errors_open_by_step", condition=OPEN),
            models.Index(fields=["account", "-id"], name="errors_inbox", condition=OPEN),
            models.Index(
                fields=["step", "-resolved_at", "-id"],
                name="errors_resolved_by_step",
                condition=RESOLVED,
            ),
            models.Index(fields=["account", "-resolved_at", "-id"], name="errors_resolved", condition=RESOLVED),
            models.Index(fields=["account", "-id"], name="errors_open_units", condition=OPEN_UNITS),
            models.Index(fields=["cause", "-id"], name="errors_by_cause"),
            models.Index(
                fields=["cause", "next_attempt_at"],
                include=["account", "attempts", "retry_run"],
                name="errors_at_work",
                condition=AT_WORK,
            ),
            models.Index(
                fields=["account", "cause", "id"],
                include=["flow", "state", "retry_run"],
                name="errors_noted",
                condition=NOTED,
            ),
            models.Index(fields=["run", "step", "id"], name="errors_of_run"),
            models.Index(fields=["flow", "key_hash"], name="errors_to_auto_resolve", condition=TO_AUTO_RESOLVE),
            models.Index(fields=["account", "key_hash", "id"], name="errors_journey"),
            models.Index(fields=["next_attempt_at"], name="errors_due", condition=DUE_FOR_RETRY),
            models.Index(fields=["retry_run", "id"], name="errors_under_retry", condition=RETRYING),
            models.Index(
                fields=["assignee", "-id"], name="errors_mine", condition=STORED_OPEN & Q(assignee__isnull=False)
            ),
            models.Index(fields=["account", "occurred_at"], name="errors_to_purge"),
        ]

    def __str__(self) -> str:
        return f"e-{self.pk}"

    @property
    def tries(self) -> int:
        """How often its record was tried so far: in its run, by earlier retries, and by itself since."""
        return int(self.effects.get("tries", 1)) + self.attempts

    @property
    def verdict(self) -> str:
        """What a run says about an error that a retry has: the reason for which it is resolved if the retry ends
        without having sent it; "" if nothing was said. It is kept in `resolved_run` while the error is open."""
        is_given = self.state == ErrorState.OPEN and self.resolved_run_id is not None
        return Reason.of_pass(self.passed_outcome) if is_given else ""

    @property
    def shown_state(self) -> str:
        """The state that people see; a key of `ERROR_LOOKS`."""
        if self.retry_run_id is not None:
            return "retrying"
        if self.next_attempt_at is not None:
            return "auto_retrying"
        if self.state == ErrorState.OPEN and self.in_doubt:
            return "in_doubt"
        if self.state == ErrorState.OPEN and self.retry_failed:
            return "retry_failed"
        if self.state == ErrorState.RESOLVED and self.reason in Reason.automatic():
            return "auto_resolved"
        return str(self.state)


class RetryData(HotScoped):
    """What a retry sends again, and the point it starts at."""

    error = models.OneToOneField(
        Error, primary_key=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="retry_data"
    )
    from_step = models.ForeignKey(Step, **LOOSE)
    record = models.BinaryField(null=True, blank=True)
    page = models.ForeignKey(Page, null=True, blank=True, **LOOSE)
    window = models.JSONField(null=True, blank=True, encoder=DjangoJSONEncoder)
    root_run = models.ForeignKey(Run, **LOOSE)
    origin_ordinal = models.BigIntegerField(null=True, blank=True)
    occurrence = models.IntegerField(default=0)
    generation = models.IntegerField(default=0)
    version = models.IntegerField(default=1)
    purged_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "retry_data"
        verbose_name_plural = "retry data"
        indexes = [
            models.Index(fields=["page"], name="retry_data_of_page", condition=Q(page__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"Retry data of e-{self.error_id}"


class RetryVersion(HotScoped):
    """One edit of retry data, the original among them; the unique number is the optimistic lock."""

    error = models.ForeignKey(Error, **LOOSE)
    version = models.IntegerField()
    record = models.BinaryField(null=True, blank=True)
    member = models.ForeignKey(Member, null=True, blank=True, **LOOSE)
    at = models.DateTimeField(default=wall_now)

    class Meta:
        db_table = "retry_version"
        constraints = [models.UniqueConstraint(fields=["error", "version"], name="retry_versions_by_number")]

    def __str__(self) -> str:
        return f"Version {self.version} of e-{self.error_id}"


class RetryItem(HotScoped):
    """One error in one retry run: an attempt, kept for good."""

    run = models.ForeignKey(Run, **LOOSE)
    error = models.ForeignKey(Error, **LOOSE)
    seq = models.BigIntegerField()
    state = models.CharField(max_length=8, choices=ItemState, default=ItemState.WAITING)
    outcome = models.CharField(max_length=24, blank=True)
    version = models.IntegerField(default=1)
    new_error = models.ForeignKey(Error, null=True, blank=True, **LOOSE)
    message = models.TextField(blank=True)
    member = models.ForeignKey(Member, null=True, blank=True, **LOOSE)
    due_at = models.DateTimeField(null=True, blank=True)
    at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "retry_item"
        constraints = [models.UniqueConstraint(fields=["run", "error"], name="retry_items_one_per_error")]
        indexes = [
            models.Index(fields=["error", "id"], name="retry_items_of_error"),
            models.Index(fields=["run", "seq"], name="retry_items_waiting", condition=Q(state=ItemState.WAITING)),
        ]

    def __str__(self) -> str:
        return f"e-{self.error_id} in r-{self.run_id}"


class BulkAct(AccountScoped):
    """One act on many errors: the filter as it was, and the ids frozen at the click in its items."""

    act = models.CharField(max_length=8, choices=BulkKind)
    filter = models.JSONField(default=dict, blank=True, encoder=DjangoJSONEncoder)
    options = models.JSONField(default=dict, blank=True, encoder=DjangoJSONEncoder)
    member = models.ForeignKey(Member, null=True, blank=True, **FIRM)
    count = models.IntegerField(default=0)
    done = models.IntegerField(default=0)
    created_at = models.DateTimeField(default=wall_now, editable=False)
    ended_at = models.DateTimeField(null=True, blank=True)
    hinted_until = models.DateTimeField(null=True, blank=True, help_text="Before that nobody hints at it again.")

    class Meta:
        db_table = "bulk_act"

    def __str__(self) -> str:
        return f"{self.get_act_display()} {self.count}"


class BulkItem(HotScoped):
    act = models.ForeignKey(BulkAct, **LOOSE)
    error = models.ForeignKey(Error, **LOOSE)
    result = models.CharField(max_length=32, blank=True)

    class Meta:
        db_table = "bulk_item"
        constraints = [models.UniqueConstraint(fields=["act", "error"], name="bulk_items_one_per_error")]

    def __str__(self) -> str:
        return f"e-{self.error_id}"


class ErrorText(HotScoped):
    """What the search looks through: written once by the journal, never updated. The search index stands here."""

    error = models.OneToOneField(
        Error, primary_key=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    text = models.TextField()

    class Meta:
        db_table = "error_text"

    def __str__(self) -> str:
        return self.text[:80]
