"""Rules: what is done by itself with errors that match. A revision is never changed; a hit is one error of one."""

from typing import Any

from django.db import models
from django.db.models import Q

from apps.accounts.models import Member
from apps.core.clock import wall_now
from apps.core.models import FIRM, LOOSE, AccountScoped, HotScoped
from apps.flows.models import Environment


class RuleMode(models.TextChoices):
    OFF = "off", "Off"
    SHADOW = "shadow", "Shadow"
    ON = "on", "On"


class HitState(models.TextChoices):
    ACTED = "acted", "Acted"
    SHADOW = "shadow", "Would have acted"
    GUARDED = "guarded", "Left alone by the loop guard"


class Rule(AccountScoped):
    """What it does stands in its revision. `settled_to`, `swept_to` and `looked_to` are ids of errors: up to the first
    all are judged for good, the second is where the present look has got, up to the third it has looked at least once.
    """

    environment = models.CharField(max_length=10, choices=Environment, default=Environment.PRODUCTION)
    name = models.CharField(max_length=120)
    mode = models.CharField(max_length=8, choices=RuleMode, default=RuleMode.OFF)
    revision = models.ForeignKey("errors.RuleRevision", null=True, blank=True, **FIRM)
    settled_to = models.BigIntegerField(default=0, editable=False)
    swept_to = models.BigIntegerField(default=0, editable=False)
    looked_to = models.BigIntegerField(default=0, editable=False)
    look_again_at = models.DateTimeField(null=True, blank=True, editable=False)
    hinted_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=wall_now, editable=False)
    removed_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        db_table = "rule"
        constraints = [
            models.UniqueConstraint(
                fields=["account", "name"], condition=Q(removed_at__isnull=True), name="rules_by_name"
            )
        ]

    def __str__(self) -> str:
        return self.name


class RuleRevision(AccountScoped):
    """What a rule looks for and does, as it was saved."""

    rule = models.ForeignKey(Rule, on_delete=models.PROTECT, db_index=False, related_name="revisions")
    number = models.PositiveIntegerField()
    definition: Any = models.JSONField(default=dict)
    member = models.ForeignKey(Member, null=True, blank=True, **FIRM)
    at = models.DateTimeField(default=wall_now)

    class Meta:
        db_table = "rule_revision"
        constraints = [models.UniqueConstraint(fields=["rule", "number"], name="rule_revisions_by_number")]

    def __str__(self) -> str:
        return f"{self.rule}@{self.number}"


class RuleHit(HotScoped):
    """A rule met an error: at most once a revision. `record` is the same for every error of one record."""

    rule = models.ForeignKey(Rule, **LOOSE)
    revision = models.ForeignKey(RuleRevision, **LOOSE)
    error = models.ForeignKey("errors.Error", **LOOSE)
    record = models.BigIntegerField()
    state = models.CharField(max_length=8, choices=HitState)
    is_retry = models.BooleanField(default=False)
    at = models.DateTimeField(default=wall_now)

    class Meta:
        db_table = "rule_hit"
        constraints = [models.UniqueConstraint(fields=["revision", "error"], name="rule_hits_once")]
        indexes = [
            models.Index(fields=["rule", "-id"], name="rule_hits_newest"),
            models.Index(fields=["rule", "at"], name="rule_hits_of_the_hour", condition=Q(state=HitState.ACTED)),
            models.Index(fields=["rule", "record"], name="rule_hits_retried", condition=Q(is_retry=True)),
            models.Index(fields=["error"], name="rule_hits_of_error"),
        ]

    def __str__(self) -> str:
        return f"e-{self.error_id} met by {self.rule_id}"
