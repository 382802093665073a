"""Runs, their steps' counts, pages, and what is kept beside them. The page commit alone writes the facts of a page."""

from typing import Any, ClassVar

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q

from apps.accounts.models import Member
from apps.core.clock import wall_now
from apps.core.models import FIRM, LOOSE, AccountScoped, HotScoped, ScopedBy
from apps.flows.models import Environment, Flow, Integration, Revision, Step
from apps.runs.arrival_models import Arrival, Delivery
from apps.runs.querysets import (
    ACTIVE,
    DELIVERING,
    NOT_DONE,
    NOT_EMPTY,
    PARKED,
    QUEUED,
    RETRYING,
    RUNNING,
    PageQuerySet,
    RunQuerySet,
)
from apps.runs.statuses import PageState, RunKind, RunOutcome, RunStatus, Trigger
from apps.runs.test_run_models import TestRun, TestStatus

__all__ = [
    "LAST_RUNS",
    "WORKER_SILENCE_S",
    "Arrival",
    "Bucket",
    "Capture",
    "Delivery",
    "FlowState",
    "Grain",
    "Intent",
    "IntentState",
    "LogLevel",
    "Machine",
    "Page",
    "Run",
    "RunLog",
    "StepRun",
    "TestRun",
    "TestStatus",
]

LAST_RUNS = 12  # how many letters `FlowState.last_runs` keeps, newest last
WORKER_SILENCE_S = 15.0
"""A machine that gave no sign of life for longer counts as down."""


class IntentState(models.TextChoices):
    SENDING = "sending", "Sending"
    DONE = "done", "Done"


class Grain(models.IntegerChoices):
    """A bucket's length in minutes; its slot is the number of such lengths since 1970 in UTC."""

    MINUTE = 1, "Minute"
    HALF_HOUR = 30, "Half hour"
    QUARTER = 360, "Quarter of a day"


class LogLevel(models.IntegerChoices):
    DEBUG = 10, "Debug"
    INFO = 20, "Info"
    WARNING = 30, "Warning"
    ERROR = 40, "Error"


class Leased(models.Model):
    """Work that one worker owns until a time; the fence tells an owner that lost it."""

    lease_owner = models.CharField(max_length=80, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    fence = models.BigIntegerField(default=0)
    deliveries = models.IntegerField(default=0)

    class Meta:
        abstract = True


class Run(Leased, AccountScoped):
    """One execution of a flow. Its counts are a snapshot: later fixes never change them.

    A failed run that is run again is followed by its next `attempt` of `attempts`, with the same `root_run`; until that
    is due (`not_before`) it waits as *retrying*. `unique_id` tells its payload from others.
    """

    flow = models.ForeignKey(Flow, on_delete=models.PROTECT, db_index=False, related_name="runs")
    integration = models.ForeignKey(Integration, **FIRM)
    environment = models.CharField(max_length=10, choices=Environment)
    kind = models.CharField(max_length=10, choices=RunKind, default=RunKind.FLOW)
    status = models.CharField(max_length=10, choices=RunStatus, default=RunStatus.QUEUED)
    outcome = models.CharField(max_length=24, choices=RunOutcome, blank=True)
    revision = models.ForeignKey(Revision, null=True, blank=True, **FIRM)
    root_run = models.ForeignKey("self", null=True, blank=True, **LOOSE)
    attempt = models.PositiveSmallIntegerField(default=1)
    attempts = models.PositiveSmallIntegerField(default=1)
    unique_id = models.CharField(max_length=128, blank=True)
    rerun_canceled = models.CharField(max_length=255, blank=True, help_text="Why it is not run again after all.")
    batch = models.BigIntegerField(null=True, blank=True)
    start_step = models.ForeignKey(Step, null=True, blank=True, **FIRM)
    includes_rest = models.BooleanField(
        default=False, help_text="A retry that also does the steps that went on when its records failed."
    )
    is_forced = models.BooleanField(
        default=False, help_text="A retry that sends records although a newer pass of theirs went through."
    )
    trigger = models.CharField(max_length=10, choices=Trigger, default=Trigger.MANUAL)
    started_by = models.ForeignKey(Member, null=True, blank=True, **FIRM)
    parameters = models.JSONField(default=dict, blank=True, encoder=DjangoJSONEncoder)
    window_from = models.DateTimeField(null=True, blank=True)
    window_to = models.DateTimeField(null=True, blank=True)
    scheduled_for = models.DateTimeField(null=True, blank=True)
    pass_no = models.BigIntegerField(null=True, blank=True)
    position = models.JSONField(null=True, blank=True, encoder=DjangoJSONEncoder)
    done_exporting = models.BooleanField(default=False)

    records_in = models.BigIntegerField(default=0)
    success = models.BigIntegerField(default=0)
    ignored = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    rolled_back = models.BigIntegerField(default=0)
    errors = models.BigIntegerField(default=0)
    unit_errors = models.BigIntegerField(default=0)
    pages_fetched = models.BigIntegerField(default=0)
    pages_done = models.BigIntegerField(default=0)

    wait_reason = models.CharField(max_length=255, blank=True)
    not_before = models.DateTimeField(null=True, blank=True)
    hinted_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    stop_reason = models.TextField(
        blank=True, help_text="Why it fails once the pages that other workers have in work are booked."
    )
    canceled_by = models.ForeignKey(Member, null=True, blank=True, **FIRM)
    created_at = models.DateTimeField(default=wall_now, editable=False)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    change_no = models.BigIntegerField(default=0)

    unscoped: ClassVar[models.Manager[Any]] = RunQuerySet.as_manager()
    objects: ClassVar[ScopedBy[RunQuerySet]] = ScopedBy()

    class Meta:
        db_table = "run"
        constraints = [
            # two, because a run from the first step has no start step and blank values never collide
            models.UniqueConstraint(
                fields=["flow", "kind", "scheduled_for"],
                condition=Q(start_step__isnull=True, scheduled_for__isnull=False),
                name="runs_one_per_schedule",
            ),
            models.UniqueConstraint(
                fields=["flow", "kind", "start_step", "scheduled_for"],
                condition=Q(start_step__isnull=False, scheduled_for__isnull=False),
                name="runs_one_per_due_slot",
            ),
            models.UniqueConstraint(
                fields=["root_run", "attempt"], condition=Q(kind=RunKind.FLOW), name="runs_one_per_attempt"
            ),
        ]
        indexes = [
            models.Index(fields=["not_before"], name="runs_queued_due", condition=QUEUED),
            models.Index(fields=["lease_until"], name="runs_lease_running", condition=RUNNING),
            models.Index(fields=["flow", "-id"], name="runs_newest_of_flow"),
            models.Index(fields=["flow", "-id"], name="runs_not_empty_of_flow", condition=NOT_EMPTY),
            models.Index(
                fields=["account", "-id"],
                name="runs_active_of_account",
                condition=ACTIVE,
            ),
            models.Index(fields=["account", "not_before"], name="runs_to_be_run_again", condition=RETRYING),
            models.Index(fields=["flow", "status", "-id"], name="runs_by_status_of_flow"),
            models.Index(fields=["account", "created_at", "id"], name="runs_by_time_of_account"),
            models.Index(fields=["batch"], name="runs_of_batch"),
        ]

    def __str__(self) -> str:
        return f"r-{self.pk}"

    @property
    def is_ended(self) -> bool:
        return self.status in RunStatus.ended()

    @property
    def has_stopped(self) -> bool:
        """Nothing more happens in it: it has ended, or failed and waits to be run again."""
        return self.is_ended or self.status == RunStatus.RETRYING


class StepRun(HotScoped):
    """A step's counts in one run: a snapshot, beside three live columns about what became of its errors since."""

    run = models.ForeignKey(Run, **{**LOOSE, "related_name": "step_runs"})
    step = models.ForeignKey(Step, **LOOSE)
    position = models.PositiveSmallIntegerField(default=0)
    came_in = models.BigIntegerField(default=0)
    success = models.BigIntegerField(default=0)
    ignored = models.BigIntegerField(default=0)
    errors = models.BigIntegerField(default=0)
    rolled_back = models.BigIntegerField(default=0)
    unit_errors = models.BigIntegerField(default=0)
    busy_ms = models.BigIntegerField(default=0)
    pages = models.BigIntegerField(default=0)
    empty_fields = models.JSONField(default=dict, blank=True)
    collisions = models.BigIntegerField(
        default=0, help_text="Records that share their trace key with another record of the run."
    )
    open_errors = models.BigIntegerField(default=0)
    auto_resolved = models.BigIntegerField(default=0)
    user_resolved = models.BigIntegerField(default=0)
    removed_errors = models.BigIntegerField(default=0, help_text="Of its errors, those that were deleted since.")
    removed_unit_errors = models.BigIntegerField(default=0)
    removed_attempts = models.BigIntegerField(default=0, help_text="Failed attempts on errors that were deleted since.")

    class Meta:
        db_table = "step_run"
        constraints = [models.UniqueConstraint(fields=["run", "step"], name="step_runs_one_per_step")]

    def __str__(self) -> str:
        return f"Step {self.step_id} of r-{self.run_id}"

    @property
    def is_balanced(self) -> bool:
        """Each record that came in is exactly one of success, ignored, error, rolled back."""
        return self.came_in == self.success + self.ignored + self.errors + self.rolled_back


class Page(Leased, HotScoped):
    """Records that an export handed on together (or the part of them that waits); durable before it is delivered."""

    run = models.ForeignKey(Run, **{**LOOSE, "related_name": "pages"})
    seq = models.BigIntegerField()
    part = models.IntegerField(default=0)
    start_step = models.ForeignKey(Step, null=True, blank=True, **LOOSE)
    state = models.CharField(max_length=10, choices=PageState, default=PageState.FETCHED)
    records = models.IntegerField(default=0)
    ordinal_from = models.BigIntegerField(default=0)
    payload = models.BinaryField(null=True, blank=True)
    source_ref = models.JSONField(null=True, blank=True, encoder=DjangoJSONEncoder)
    position_after = models.JSONField(null=True, blank=True, encoder=DjangoJSONEncoder)
    checkpoint_after = models.JSONField(null=True, blank=True, encoder=DjangoJSONEncoder)
    now_at = models.DateTimeField()
    attempt = models.PositiveSmallIntegerField(default=1)
    not_before = models.DateTimeField(null=True, blank=True)
    error_rows = models.IntegerField(default=0)

    unscoped: ClassVar[models.Manager[Any]] = PageQuerySet.as_manager()
    objects: ClassVar[ScopedBy[PageQuerySet]] = ScopedBy()

    class Meta:
        db_table = "page"
        constraints = [models.UniqueConstraint(fields=["run", "seq", "part"], name="pages_one_per_part")]
        indexes = [
            models.Index(fields=["run", "seq", "part"], name="pages_not_done", condition=NOT_DONE),
            models.Index(fields=["lease_until"], name="pages_lease_delivering", condition=DELIVERING),
            models.Index(fields=["not_before"], name="pages_parked_due", condition=PARKED),
        ]

    def __str__(self) -> str:
        return f"Page {self.seq}.{self.part} of r-{self.run_id}"


class Intent(HotScoped):
    """A send that can't be repeated, written before it is sent: after a kill it tells which ones are in doubt."""

    page = models.ForeignKey(Page, **LOOSE)
    step = models.ForeignKey(Step, **LOOSE)
    ordinal = models.BigIntegerField()
    generation = models.IntegerField(default=0)
    state = models.CharField(max_length=8, choices=IntentState, default=IntentState.SENDING)

    class Meta:
        db_table = "intent"
        constraints = [
            models.UniqueConstraint(fields=["page", "step", "ordinal", "generation"], name="intents_one_per_send")
        ]

    def __str__(self) -> str:
        return f"Send {self.ordinal} of page {self.page_id}"


class FlowState(AccountScoped):
    """What the dashboards ask about a flow, kept: its latest run, its last twelve, and how many are under way."""

    flow = models.OneToOneField(Flow, primary_key=True, on_delete=models.CASCADE, related_name="state")
    last_run = models.ForeignKey(Run, null=True, blank=True, **LOOSE)
    last_status = models.CharField(max_length=24, blank=True)
    last_started_at = models.DateTimeField(null=True, blank=True)
    last_ended_at = models.DateTimeField(null=True, blank=True)
    last_runs = models.CharField(max_length=LAST_RUNS, blank=True)
    running = models.IntegerField(default=0)
    queued = models.IntegerField(default=0)
    delivery_owner = models.CharField(max_length=80, blank=True)
    delivery_until = models.DateTimeField(null=True, blank=True)
    changed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "flow_state"

    def __str__(self) -> str:
        return f"State of flow {self.flow_id}"


class Bucket(HotScoped):
    """What a flow did in one minute, half hour or quarter of a day; the page commit adds to all three.

    A year of days in any time zone is read from quarters, and from the few half hours before its midnights.

    `runs` and the sums beside it are of whole runs: those that started in this slot and have ended, retries aside; the
    end of a run adds them. The attempts of a run that was run again are one run, and all of them are in its sums.
    """

    flow = models.ForeignKey(Flow, **LOOSE)
    grain = models.PositiveSmallIntegerField(choices=Grain)
    slot = models.IntegerField()
    success = models.BigIntegerField(default=0)
    ignored = models.BigIntegerField(default=0)
    errors = models.BigIntegerField(default=0)
    rolled_back = models.BigIntegerField(default=0)
    resolved = models.BigIntegerField(default=0)
    auto_resolved = models.BigIntegerField(default=0)
    busy_ms = models.BigIntegerField(default=0)
    runs = models.IntegerField(default=0)
    run_ms = models.BigIntegerField(default=0)
    run_success = models.BigIntegerField(default=0)
    run_ignored = models.BigIntegerField(default=0)
    run_errors = models.BigIntegerField(default=0)

    class Meta:
        db_table = "bucket"
        constraints = [models.UniqueConstraint(fields=["flow", "grain", "slot"], name="buckets_one_per_slot")]

    def __str__(self) -> str:
        return f"{self.get_grain_display()} {self.slot} of flow {self.flow_id}"


class RunLog(HotScoped):
    """One line of a run's log. One about the run itself has no step; it begins with what happened and a colon."""

    run = models.ForeignKey(Run, **LOOSE)
    at = models.DateTimeField(default=wall_now)
    level = models.PositiveSmallIntegerField(choices=LogLevel, default=LogLevel.INFO)
    step = models.ForeignKey(Step, null=True, blank=True, **LOOSE)
    page_seq = models.BigIntegerField(null=True, blank=True)
    key = models.CharField(max_length=128, blank=True, help_text="The trace key of the record that the line is about.")
    error_id = models.BigIntegerField(null=True, blank=True, help_text="The error that the line belongs to.")
    text = models.TextField()

    class Meta:
        db_table = "run_log"
        indexes = [models.Index(fields=["run", "id"], name="run_logs_of_run")]

    def __str__(self) -> str:
        return self.text[:80]


class Capture(HotScoped):
    """A request that was sent for a record that failed and the answer that came back, secrets redacted."""

    run = models.ForeignKey(Run, **LOOSE)
    step = models.ForeignKey(Step, **LOOSE)
    sent_at = models.DateTimeField(default=wall_now)
    ms = models.IntegerField(default=0)
    method = models.CharField(max_length=16, blank=True)
    status = models.CharField(max_length=16, blank=True)
    request = models.JSONField(null=True, blank=True, encoder=DjangoJSONEncoder)
    response = models.JSONField(null=True, blank=True, encoder=DjangoJSONEncoder)

    class Meta:
        db_table = "capture"
        indexes = [models.Index(fields=["run", "id"], name="captures_of_run")]

    def __str__(self) -> str:
        return f"{self.method} {self.status}"


class Machine(models.Model):
    """A process that keeps workers running, or looks for what is due, and when it last gave a sign of life. Belongs to
    no account."""

    name = models.CharField(max_length=80)
    workers = models.PositiveSmallIntegerField(default=0)
    dispatches = models.BooleanField(default=False)
    seen_at = models.DateTimeField(default=wall_now)

    class Meta:
        db_table = "machine"
        constraints = [models.UniqueConstraint(fields=["name"], name="machines_by_name")]

    def __str__(self) -> str:
        return self.name
