"""Support bundles: what a member gathers for whoever helps, kept for a day."""

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from apps.accounts.models import Member
from apps.core.clock import wall_now
from apps.core.models import FIRM, AccountScoped


class SendState(models.TextChoices):
    DRAFT = "draft", "Not sent"
    WAITING = "waiting", "Waiting for a worker"
    SENDING = "sending", "Sending"
    SENT = "sent", "Sent"
    FAILED = "failed", "Not sent: the mail failed"


class SupportBundle(AccountScoped):
    """A ticket and its files as they were when it was made: what was looked at is what is downloaded or sent.

    `content` is the zip; it goes when it was sent, and the whole row a day after it was made.
    """

    member = models.ForeignKey(Member, **FIRM)
    subject = models.JSONField(help_text="What it is about: kind, id, since, until.")
    ticket = models.JSONField(encoder=DjangoJSONEncoder)
    report = models.JSONField(default=list, blank=True, help_text="What was hidden: file, field, times, first line.")
    content = models.BinaryField(null=True, blank=True, editable=False)
    state = models.CharField(max_length=8, choices=SendState, default=SendState.DRAFT)
    recipient = models.CharField(max_length=254, blank=True)
    problem = models.TextField(blank=True)
    made_at = models.DateTimeField(default=wall_now)
    changed_at = models.DateTimeField(default=wall_now)

    class Meta:
        db_table = "support_bundle"
        indexes = [models.Index(fields=["account", "made_at"], name="support_bundles_by_age")]

    def __str__(self) -> str:
        return str(self.ticket.get("title", ""))
