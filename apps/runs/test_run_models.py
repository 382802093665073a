"""Test runs: a draft of a definition tried on a few records, of which nothing stays but its report."""

from typing import ClassVar

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q

from apps.accounts.models import Member
from apps.core.clock import wall_now
from apps.core.models import FIRM, AccountScoped
from apps.flows.models import Flow


class TestStatus(models.TextChoices):
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"

    __test__ = False


UNDER_WAY = Q(status__in=[TestStatus.QUEUED, TestStatus.RUNNING])


class TestRun(AccountScoped):
    """One test of the definition in `text`, begun from the flow's revision of that number (0: none).

    It takes `size` records from the export, or those in `records` (compressed JSON), or the retry data of `errors`:
    open errors of the root cause with the id `cause`. `report` is what came of it, compressed JSON. All of it goes
    after a day.
    """

    __test__: ClassVar[bool] = False

    flow = models.ForeignKey(Flow, **FIRM)
    member = models.ForeignKey(Member, **FIRM)
    revision = models.IntegerField(default=0)
    text = models.TextField()
    size = models.IntegerField(default=20)
    records = models.BinaryField(null=True, blank=True)
    cause = models.BigIntegerField(null=True, blank=True)
    errors = models.JSONField(default=list, blank=True, encoder=DjangoJSONEncoder)
    status = models.CharField(max_length=10, choices=TestStatus.choices, default=TestStatus.QUEUED)
    stage = models.CharField(max_length=255, blank=True, help_text="What it is doing now.")
    problem = models.TextField(blank=True, help_text="Why there is no whole report.")
    report = models.BinaryField(null=True, blank=True)
    change_no = models.IntegerField(default=0)
    fence = models.IntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    hinted_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=wall_now)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "test_run"
        indexes = [
            models.Index(fields=["account", "flow", "-id"], name="test_runs_of_flow"),
            models.Index(fields=["created_at"], name="test_runs_by_age"),
            models.Index(fields=["id"], condition=UNDER_WAY, name="test_runs_under_way"),
        ]

    def __str__(self) -> str:
        return f"Test run {self.pk}"

    @property
    def is_ended(self) -> bool:
        return self.status in (TestStatus.COMPLETED, TestStatus.FAILED)
