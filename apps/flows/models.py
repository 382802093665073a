"""Integrations, connections, flows with their steps and revisions, and checkpoints."""

from typing import Any, ClassVar

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q

from apps.accounts.models import Member
from apps.core.clock import wall_now
from apps.core.models import FIRM, LOOSE, AccountScoped, ScopedBy
from apps.flows.querysets import FlowQuerySet, StepQuerySet


class Environment(models.TextChoices):
    PRODUCTION = "production", "Production"
    SANDBOX = "sandbox", "Sandbox"


class ConnectionState(models.TextChoices):
    NEVER = "never", "Never used"
    ONLINE = "online", "Online"
    OFFLINE = "offline", "Offline"


class Overlap(models.TextChoices):
    SKIP = "skip", "Skip the new run"
    QUEUE = "queue", "Queue the new run"
    ALLOW = "allow", "Run side by side"


class Scope(models.TextChoices):
    NONE = "none", "Each statement"
    RECORD = "record", "Each record"
    PAGE = "page", "Each page"
    RUN = "run", "The whole run"


class StepKind(models.TextChoices):
    EXPORT = "export", "Export"
    LOOKUP = "lookup", "Lookup"
    MAP = "map", "Map"
    FILTER = "filter", "Filter"
    BRANCH = "branch", "Branch"
    IMPORT = "import", "Import"
    CALL = "call", "Call"
    LOG = "log", "Log"


class Integration(AccountScoped):
    """A named group of flows that belongs together, in exactly one environment."""

    environment = models.CharField(max_length=10, choices=Environment, default=Environment.PRODUCTION)
    name = models.CharField(max_length=120)
    slug = models.SlugField(max_length=120, db_index=False)
    description = models.TextField(blank=True)
    owner = models.ForeignKey(Member, null=True, blank=True, help_text="Whom to ask about it.", **FIRM)
    created_at = models.DateTimeField(default=wall_now, editable=False)

    class Meta:
        db_table = "integration"
        constraints = [models.UniqueConstraint(fields=["account", "slug"], name="integrations_by_slug")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_sandbox(self) -> bool:
        return self.environment == Environment.SANDBOX


class Connection(AccountScoped):
    """An application's address and credentials. The secrets are encrypted; `flows.secrets` reads and writes them."""

    environment = models.CharField(max_length=10, choices=Environment, default=Environment.PRODUCTION)
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=32)
    config = models.JSONField(default=dict, blank=True, encoder=DjangoJSONEncoder)
    secrets = models.BinaryField(null=True, blank=True, editable=False)
    secrets_key_id = models.CharField(max_length=16, blank=True, editable=False)
    state = models.CharField(max_length=8, choices=ConnectionState, default=ConnectionState.NEVER)
    last_error = models.TextField(blank=True)
    last_ok_at = models.DateTimeField(null=True, blank=True, help_text="To the minute where runs say so.")
    offline_since = models.DateTimeField(null=True, blank=True)
    failures = models.IntegerField(default=0)
    offline_after = models.PositiveSmallIntegerField(default=3, help_text="Failures in a row that take it offline.")
    probe_at = models.DateTimeField(null=True, blank=True)
    gate_until = models.DateTimeField(null=True, blank=True)
    max_concurrency = models.PositiveSmallIntegerField(null=True, blank=True)
    max_rate = models.FloatField(null=True, blank=True, help_text="Requests a second; blank: no limit.")
    created_at = models.DateTimeField(default=wall_now, editable=False)

    class Meta:
        db_table = "connection"
        constraints = [
            models.UniqueConstraint(fields=["account", "environment", "name"], name="connections_by_name"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_sandbox(self) -> bool:
        return self.environment == Environment.SANDBOX

    @property
    def is_offline(self) -> bool:
        return self.state == ConnectionState.OFFLINE


class Flow(AccountScoped):
    """An ordered pipeline of steps; its revision's definition is the truth, the columns are copies of it."""

    integration = models.ForeignKey(Integration, on_delete=models.PROTECT, related_name="flows")
    key = models.CharField(max_length=64)
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    enabled = models.BooleanField(default=False)
    revision = models.ForeignKey("Revision", null=True, blank=True, **FIRM)
    auto_resolve = models.BooleanField(default=True)
    auto_resolve_since = models.DateTimeField(null=True, blank=True)
    auto_retry = models.BooleanField(default=True)
    overlap = models.CharField(max_length=8, choices=Overlap, default=Overlap.QUEUE)
    cron = models.CharField(max_length=120, blank=True)
    time_zone = models.CharField(max_length=64, blank=True)
    next_due_at = models.DateTimeField(null=True, blank=True)
    run_after = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="followers")
    scope = models.CharField(max_length=8, choices=Scope, default=Scope.NONE)
    page_size = models.PositiveIntegerField(default=1000)
    parallel_pages = models.PositiveSmallIntegerField(default=1)
    pass_no = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(default=wall_now, editable=False)
    removed_at = models.DateTimeField(null=True, blank=True)

    unscoped: ClassVar[models.Manager[Any]] = FlowQuerySet.as_manager()
    objects: ClassVar[ScopedBy[FlowQuerySet]] = ScopedBy()

    class Meta:
        db_table = "flow"
        constraints = [models.UniqueConstraint(fields=["account", "key"], name="flows_by_key")]
        indexes = [models.Index(fields=["next_due_at"], name="flows_due", condition=Q(enabled=True))]

    def __str__(self) -> str:
        return self.name

    @property
    def is_auto_retrying(self) -> bool:
        """Whether intermittent errors are tried again: what resolves nothing by itself tries nothing by itself."""
        return self.auto_resolve and self.auto_retry


class Revision(AccountScoped):
    """One applied definition of a flow, as it was written; never changed."""

    flow = models.ForeignKey(Flow, on_delete=models.PROTECT, db_index=False, related_name="revisions")
    number = models.PositiveIntegerField()
    definition = models.TextField()
    sha256 = models.CharField(max_length=64)
    callees = models.JSONField(default=dict, blank=True, help_text="Flow key -> revision of each flow that it calls.")
    member = models.ForeignKey(Member, null=True, blank=True, **FIRM)
    at = models.DateTimeField(default=wall_now)

    class Meta:
        db_table = "revision"
        constraints = [models.UniqueConstraint(fields=["flow", "number"], name="revisions_by_number")]

    def __str__(self) -> str:
        return f"Revision {self.number}"


class Step(AccountScoped):
    """A step's identity, which its errors and counts hang on; it is removed, never deleted."""

    flow = models.ForeignKey(Flow, on_delete=models.PROTECT, db_index=False, related_name="steps")
    key = models.CharField(max_length=64)
    kind = models.CharField(max_length=8, choices=StepKind)
    name = models.CharField(max_length=120)
    path = models.CharField(max_length=255, blank=True)
    position = models.PositiveSmallIntegerField(default=0)
    connection = models.ForeignKey(Connection, null=True, blank=True, on_delete=models.PROTECT, related_name="steps")
    removed_at = models.DateTimeField(null=True, blank=True)

    unscoped: ClassVar[models.Manager[Any]] = StepQuerySet.as_manager()
    objects: ClassVar[ScopedBy[StepQuerySet]] = ScopedBy()

    class Meta:
        db_table = "step"
        constraints = [models.UniqueConstraint(fields=["flow", "key"], name="steps_by_key")]

    def __str__(self) -> str:
        return self.name


class Hook(AccountScoped):
    """The webhook address of an export step, and how much waits that was sent to it.

    Its row is locked by whoever takes a request in, so that the numbers of requests grow in the order of their commits.
    """

    flow = models.ForeignKey(Flow, on_delete=models.PROTECT, db_index=False, related_name="hooks")
    step = models.OneToOneField(Step, on_delete=models.PROTECT, related_name="hook")
    key_sha256 = models.CharField(max_length=64, editable=False)
    key_sealed = models.BinaryField(editable=False)
    key_id = models.CharField(max_length=16, editable=False)
    waiting = models.BigIntegerField(default=0)
    waiting_bytes = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(default=wall_now, editable=False)

    class Meta:
        db_table = "hook"
        constraints = [models.UniqueConstraint(fields=["key_sha256"], name="hooks_by_key")]

    def __str__(self) -> str:
        return f"Webhook of step {self.step_id}"


class Share(AccountScoped):
    """What all workers of a connection share: nothing is sent before `gate`; the pace is booked up to `booked`.

    Times are seconds of the epoch. The access token is sealed; one worker at a time renews it.
    """

    key = models.CharField(max_length=128)
    gate = models.FloatField(default=0)
    booked = models.FloatField(default=0)
    token = models.BinaryField(null=True, blank=True, editable=False)
    token_key_id = models.CharField(max_length=16, blank=True, editable=False)
    renewing_until = models.FloatField(null=True, blank=True)

    class Meta:
        db_table = "share"
        constraints = [models.UniqueConstraint(fields=["account", "key"], name="shares_by_key")]

    def __str__(self) -> str:
        return self.key


class Ledger(AccountScoped):
    """What was seen when the ledger in a connection's database was trimmed last; `rows` is null where there is none.

    `removed` counts all rows that were ever removed.
    """

    connection = models.OneToOneField(Connection, on_delete=models.CASCADE, related_name="ledger")
    due_at = models.DateTimeField(default=wall_now)
    trimmed_at = models.DateTimeField(null=True, blank=True)
    rows = models.BigIntegerField(null=True, blank=True)
    oldest_at = models.DateTimeField(null=True, blank=True)
    removed = models.BigIntegerField(default=0)
    problem = models.TextField(blank=True)

    class Meta:
        db_table = "ledger"
        indexes = [models.Index(fields=["due_at"], name="ledgers_due")]

    def __str__(self) -> str:
        return f"Ledger of {self.connection_id}"


class Checkpoint(AccountScoped):
    """How far an export has durably got; `seen` holds the keys at its edge, for exports that overlap."""

    flow = models.ForeignKey(Flow, on_delete=models.PROTECT, db_index=False, related_name="checkpoints")
    step = models.ForeignKey(Step, **FIRM)
    value = models.JSONField(null=True, blank=True, encoder=DjangoJSONEncoder)
    seen = models.BinaryField(null=True, blank=True)
    moved_by_run = models.ForeignKey("runs.Run", null=True, blank=True, **LOOSE)
    moved_at = models.DateTimeField(null=True, blank=True)
    version = models.BigIntegerField(default=0)

    class Meta:
        db_table = "checkpoint"
        constraints = [models.UniqueConstraint(fields=["flow", "step"], name="checkpoints_one_per_step")]

    def __str__(self) -> str:
        return f"Checkpoint of step {self.step_id}"
