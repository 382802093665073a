"""Purges: what an account keeps for a time goes in small batches, and every batch says how far it got."""

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q

from apps.accounts.models import Account, Member
from apps.core.clock import wall_now
from apps.core.models import LOOSE, AccountScoped, HotScoped
from apps.flows.models import Flow

NOT_ENDED = Q(ended_at__isnull=True)


class PurgeKind(models.TextChoices):
    RETENTION = "retention", "Older than the retention"
    CLOSING = "closing", "All of a closed account"


class Claimed(models.Model):
    """Work in batches that one worker owns until a time; `fence` tells an owner that lost it."""

    position = models.JSONField(default=dict, blank=True, help_text="Where the next batch begins.")
    fence = models.IntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    hinted_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=wall_now)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True


class PurgePlan(models.Model):
    """When an account is purged next, and what would go then and in the days after, counted ahead.

    `ahead` is a list of {at, errors, open_errors, runs}, one for each of the next purges.
    """

    account = models.OneToOneField(Account, primary_key=True, on_delete=models.CASCADE, related_name="purge_plan")
    due_at = models.DateTimeField(null=True, blank=True, help_text="Blank: nothing is left to purge.")
    ahead = models.JSONField(default=list, blank=True, encoder=DjangoJSONEncoder)
    counted_at = models.DateTimeField(null=True, blank=True)
    big_at = models.DateTimeField(null=True, blank=True, help_text="When a purge comes that members are warned of.")

    class Meta:
        db_table = "purge_plan"
        indexes = [models.Index(fields=["due_at"], name="purge_plans_due")]

    def __str__(self) -> str:
        return f"Next purge of account {self.account_id}"


class Purge(Claimed, AccountScoped):
    """One purge: what began `before` that moment goes. `counts` says how many rows of what went so far."""

    kind = models.CharField(max_length=9, choices=PurgeKind, default=PurgeKind.RETENTION)
    days = models.PositiveSmallIntegerField(default=0, help_text="The retention that it was begun with.")
    before = models.DateTimeField()
    stage = models.CharField(max_length=16, blank=True, help_text="What it is at.")
    counts = models.JSONField(default=dict, blank=True)

    class Meta:
        db_table = "purge"
        constraints = [
            models.UniqueConstraint(fields=["account"], condition=NOT_ENDED, name="purges_one_at_a_time"),
        ]
        indexes = [
            models.Index(fields=["account", "-id"], name="purges_newest_of_account"),
            models.Index(fields=["id"], condition=NOT_ENDED, name="purges_not_ended"),
        ]

    def __str__(self) -> str:
        return f"Purge {self.pk}"

    @property
    def is_ended(self) -> bool:
        return self.ended_at is not None

    def count(self, **numbers: int) -> None:
        """Add to what went."""
        for name, number in numbers.items():
            if number:
                self.counts[name] = self.counts.get(name, 0) + number


class PurgedSums(HotScoped):
    """What keeps the half hours of a flow comparable with its runs after some of either went.

    Its columns are what runs that were purged had counted, less what half hours that were purged had.
    """

    flow = models.OneToOneField(
        Flow, primary_key=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    success = models.BigIntegerField(default=0)
    ignored = models.BigIntegerField(default=0)
    errors = models.BigIntegerField(default=0)
    runs = models.BigIntegerField(default=0)
    run_ms = models.BigIntegerField(default=0)
    run_success = models.BigIntegerField(default=0)
    run_ignored = models.BigIntegerField(default=0)
    run_errors = models.BigIntegerField(default=0)

    class Meta:
        db_table = "purged_sums"
        verbose_name_plural = "purged sums"

    def __str__(self) -> str:
        return f"Purged sums of flow {self.flow_id}"


class ExportFormat(models.TextChoices):
    CSV = "csv", "CSV"
    JSON_LINES = "jsonl", "JSON Lines"


class PurgeExport(Claimed, AccountScoped):
    """The errors that occurred `before` a moment, written to a file before they go; it is kept for a week."""

    member = models.ForeignKey(Member, **LOOSE)
    format = models.CharField(max_length=5, choices=ExportFormat, default=ExportFormat.CSV)
    before = models.DateTimeField()
    errors = models.BigIntegerField(default=0)
    size = models.BigIntegerField(default=0, help_text="Bytes of the file.")

    class Meta:
        db_table = "purge_export"
        indexes = [
            models.Index(fields=["account", "-id"], name="purge_exports_newest"),
            models.Index(fields=["id"], condition=NOT_ENDED, name="purge_exports_not_ended"),
        ]

    def __str__(self) -> str:
        return f"Export {self.pk}"

    @property
    def file_name(self) -> str:
        return f"errors-before-{self.before:%Y-%m-%d}.{self.format}"


class ExportPart(HotScoped):
    """A piece of an export's file, compressed."""

    export = models.ForeignKey(PurgeExport, **LOOSE)
    seq = models.IntegerField()
    content = models.BinaryField()

    class Meta:
        db_table = "export_part"
        constraints = [models.UniqueConstraint(fields=["export", "seq"], name="export_parts_in_order")]

    def __str__(self) -> str:
        return f"Part {self.seq} of export {self.export_id}"
