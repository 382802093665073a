"""Webhooks: addresses of others that are told what happens here, and the deliveries to them."""

import json
from typing import Any

from django.db import models
from django.db.models import Q

from apps.core.clock import wall_now
from apps.core.models import LOOSE, AccountScoped, HotScoped


class Event(models.TextChoices):
    """What a webhook may be told. The words are for ever: receivers compare them."""

    ERROR_OPENED = "error.opened", "Errors opened"
    CAUSE_REGRESSED = "cause.regressed", "A root cause came back"
    RUN_FINISHED = "run.finished", "A run ended"
    CONNECTION_OFFLINE = "connection.offline", "A connection went offline"
    CONNECTION_ONLINE = "connection.online", "A connection is online again"
    RULE_MET = "rule.met", "A rule that notifies met errors"


TEST = "webhook.test"
"""What a test sends; no webhook asks for it."""


class DeliveryStatus(models.TextChoices):
    PENDING = "pending", "Pending"
    DELIVERED = "delivered", "Delivered"
    FAILED = "failed", "Given up"


class Announcement(HotScoped):
    """What subscribers are told at once: written in the transaction that makes it true, gone when it is told."""

    event = models.CharField(max_length=24)
    facts = models.JSONField(default=dict)
    at = models.DateTimeField(default=wall_now)

    class Meta:
        db_table = "announcement"

    def __str__(self) -> str:
        return f"{self.event} {self.pk}"


class Webhook(AccountScoped):
    """An address that is told the events that it asks for, of one integration or of all.

    `busy_until`: nothing more is sent before, because a worker sends, or the address did not answer.
    """

    url = models.CharField(max_length=2000)
    events = models.JSONField(default=list)
    integration = models.ForeignKey(
        "flows.Integration", null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    enabled = models.BooleanField(default=True)
    secret = models.BinaryField(editable=False)
    secret_key_id = models.CharField(max_length=16, editable=False)
    busy_until = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=wall_now, editable=False)

    class Meta:
        db_table = "webhook"
        indexes = [models.Index(fields=["account"], name="webhooks_enabled", condition=Q(enabled=True))]

    def __str__(self) -> str:
        return self.host

    @property
    def host(self) -> str:
        """The address as far as it may be shown: what follows may be a secret."""
        return "/".join(self.url.split("/", 3)[:3])


class WebhookDelivery(HotScoped):
    """One event for one webhook: the bytes that are sent, when to try next, and the last answer."""

    webhook = models.ForeignKey(Webhook, **(LOOSE | {"related_name": "deliveries"}))
    event_id = models.CharField(max_length=32)
    event = models.CharField(max_length=24)
    payload = models.TextField()
    status = models.CharField(max_length=9, choices=DeliveryStatus, default=DeliveryStatus.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(null=True, blank=True)
    last_status = models.PositiveSmallIntegerField(null=True, blank=True)
    last_answer = models.TextField(blank=True)
    created_at = models.DateTimeField(default=wall_now)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "webhook_delivery"
        verbose_name_plural = "deliveries"
        constraints = [models.UniqueConstraint(fields=["webhook", "event_id"], name="webhook_deliveries_once")]
        indexes = [
            models.Index(fields=["webhook", "-id"], name="webhook_deliveries_newest"),
            models.Index(fields=["webhook", "next_at"], name="webhook_deliveries_due", condition=Q(status="pending")),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.event_id}"

    @property
    def content(self) -> Any:
        """The payload as JSON."""
        return json.loads(self.payload)
