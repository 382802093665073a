"""Who is told what: subscriptions, channels, quiet hours; the windows of digests; messages and their deliveries."""

from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce

from apps.accounts.models import Member
from apps.core.clock import wall_now
from apps.core.models import FIRM, LOOSE, AccountScoped, HotScoped
from apps.flows.models import Environment, Flow, Integration
from apps.runs.statuses import StatusLook

OWNED: dict[str, Any] = {"on_delete": models.CASCADE, "null": True, "blank": True, "related_name": "+"}


class ChannelKind(models.TextChoices):
    WEBHOOK = "webhook", "Webhook"
    SLACK = "slack", "Slack-compatible"


class MessageKind(models.TextChoices):
    DIGEST = "digest", "Digest of errors"
    RUN_FAILED = "run_failed", "Run failed"
    CONNECTION_OFFLINE = "connection_offline", "Connection offline"
    CONNECTION_ONLINE = "connection_online", "Connection online"
    THRESHOLD = "threshold", "Threshold passed"
    RULE_MET = "rule_met", "Rule met errors"
    TEST = "test", "Test"


class DeliveryStatus(models.TextChoices):
    WAITING = "waiting", "Waiting"
    SENT = "sent", "Sent"
    FAILED = "failed", "Given up"
    DROPPED = "dropped", "Dropped"


MESSAGE_LOOKS: dict[str, StatusLook] = {
    "message_waiting": StatusLook("Waiting", "idle", "clock"),
    "message_again": StatusLook("Sent again later", "warn", "rotate-cw"),
    "message_sent": StatusLook("Sent", "ok", "circle-check"),
    "message_failed": StatusLook("Given up", "err", "octagon-x"),
    "message_dropped": StatusLook("Not wanted any more", "idle", "ban"),
}


class Channel(AccountScoped):
    """Where messages go beside e-mail. The whole address is sealed, because it may hold a secret; its host is shown."""

    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=8, choices=ChannelKind)
    host = models.CharField(max_length=255, editable=False)
    sealed = models.BinaryField(editable=False)
    key_id = models.CharField(max_length=16, editable=False)
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=wall_now, editable=False)

    class Meta:
        db_table = "channel"
        constraints = [models.UniqueConstraint(fields=["account", "name"], name="channels_by_name")]

    def __str__(self) -> str:
        return self.name


class Subscription(AccountScoped):
    """What a member (by e-mail) or a channel is told about the account, an integration or a flow in one environment.

    `since_window`: errors that were told in a window up to this one were told before the subscription was made.
    """

    member = models.ForeignKey(Member, **OWNED)
    channel = models.ForeignKey(Channel, **OWNED)
    environment = models.CharField(max_length=10, choices=Environment, default=Environment.PRODUCTION)
    integration = models.ForeignKey(Integration, help_text="Blank, and no flow: the whole account.", **OWNED)
    flow = models.ForeignKey(Flow, **OWNED)
    errors = models.BooleanField("digest of errors", default=True)
    connections = models.BooleanField("connection offline and online", default=False)
    failed_runs = models.BooleanField("run failed", default=False)
    more_new = models.PositiveIntegerField(
        "more new errors than", null=True, blank=True, validators=[MinValueValidator(1)], help_text="In one window."
    )
    more_open = models.PositiveIntegerField(
        "more open errors than", null=True, blank=True, validators=[MinValueValidator(1)]
    )
    is_over = models.BooleanField(default=False, editable=False, help_text="More are open than that; it was told.")
    since_window = models.IntegerField(default=0, editable=False)
    created_by = models.ForeignKey(Member, null=True, blank=True, **FIRM)
    created_at = models.DateTimeField(default=wall_now, editable=False)

    class Meta:
        db_table = "subscription"
        constraints = [
            models.CheckConstraint(
                condition=Q(member__isnull=True) ^ Q(channel__isnull=True), name="subscriptions_of_one_taker"
            ),
            models.CheckConstraint(
                condition=Q(integration__isnull=True) | Q(flow__isnull=True), name="subscriptions_of_one_scope"
            ),
            models.UniqueConstraint(
                Coalesce("member", 0),
                Coalesce("channel", 0),
                "environment",
                Coalesce("integration", 0),
                Coalesce("flow", 0),
                "account",
                name="subscriptions_once",
            ),
        ]
        indexes = [models.Index(fields=["account", "environment"], name="subscriptions_of_account")]

    def __str__(self) -> str:
        return f"Subscription {self.pk}"

    @property
    def type(self) -> str:
        """What it is about."""
        if self.flow_id is not None:
            return "flow"
        return "integration" if self.integration_id is not None else "account"

    @property
    def user(self) -> Any:
        return self.member.user if self.member is not None else None

    @property
    def channel_name(self) -> str | None:
        return self.channel.name if self.channel is not None else None


class Preference(AccountScoped):
    """When a member wants mails: none in quiet hours, digests once a day. Blank: at once, every fifteen minutes."""

    member = models.OneToOneField(Member, primary_key=True, on_delete=models.CASCADE, related_name="mail_preference")
    quiet_from = models.TimeField(null=True, blank=True)
    quiet_to = models.TimeField(null=True, blank=True)
    daily_at = models.TimeField(null=True, blank=True)
    assigned = models.BooleanField(default=True, help_text="Errors that others give him.")

    class Meta:
        db_table = "mail_preference"
        constraints = [
            models.CheckConstraint(
                condition=Q(quiet_from__isnull=True, quiet_to__isnull=True)
                | Q(quiet_from__isnull=False, quiet_to__isnull=False),
                name="quiet_hours_have_two_ends",
            )
        ]

    def __str__(self) -> str:
        return f"Mails of member {self.member_id}"


class DigestWindow(AccountScoped):
    """The latest window of an environment: how many there were, when it ended, when the next one is due.

    `told_from`: what occurred earlier is told to nobody, because nobody had subscribed.
    """

    environment = models.CharField(max_length=10, choices=Environment)
    number = models.IntegerField(default=0)
    told_from = models.DateTimeField()
    ended_at = models.DateTimeField()
    next_at = models.DateTimeField()
    hinted_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "digest_window"
        constraints = [models.UniqueConstraint(fields=["account", "environment"], name="digest_windows_once")]
        indexes = [models.Index(fields=["next_at"], name="digest_windows_due")]

    def __str__(self) -> str:
        return f"{self.environment} {self.number}"


class Notice(HotScoped):
    """An error on its way through the digests: seen (no window yet), told as new in one, as resolved in a later one."""

    error = models.OneToOneField("errors.Error", primary_key=True, **(LOOSE | {"related_name": "notice"}))
    environment = models.CharField(max_length=10, choices=Environment)
    flow = models.ForeignKey(Flow, **LOOSE)
    new_window = models.IntegerField(null=True, blank=True)
    resolved_window = models.IntegerField(null=True, blank=True)

    class Meta:
        db_table = "notice"
        indexes = [
            models.Index(fields=["account", "environment"], name="notices_waiting", condition=Q(new_window=None)),
            models.Index(fields=["account", "environment", "new_window"], name="notices_new"),
            models.Index(
                fields=["account", "environment", "resolved_window"],
                name="notices_resolved",
                condition=Q(resolved_window__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"Notice of e-{self.error_id}"


class HeldDigest(AccountScoped):
    """A member's digests are held back since then; `window` was the last one that was told."""

    member = models.ForeignKey(Member, on_delete=models.CASCADE, db_index=False, related_name="+")
    environment = models.CharField(max_length=10, choices=Environment)
    window = models.IntegerField()
    since = models.DateTimeField()

    class Meta:
        db_table = "held_digest"
        constraints = [models.UniqueConstraint(fields=["member", "environment"], name="held_digests_once")]

    def __str__(self) -> str:
        return f"Held for member {self.member_id}"


class Message(HotScoped):
    """What is told, once for all who are told the same; it is put into words when it is sent."""

    kind = models.CharField(max_length=20, choices=MessageKind)
    environment = models.CharField(max_length=10, choices=Environment)
    facts = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    created_at = models.DateTimeField(default=wall_now)

    class Meta:
        db_table = "message"
        indexes = [models.Index(fields=["created_at"], name="messages_oldest")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.pk}"


class MessageDelivery(HotScoped):
    """One message for one taker: whether it was sent, how often that was tried, what went wrong.

    `is_sending`: an attempt is under way, or its worker died. `in_doubt`: an attempt may have arrived though nobody
    said so, and another one followed.
    """

    message = models.ForeignKey(Message, **(LOOSE | {"related_name": "deliveries"}))
    member = models.ForeignKey(Member, null=True, blank=True, **LOOSE)
    channel = models.ForeignKey(Channel, null=True, blank=True, **LOOSE)
    address = models.CharField(max_length=254, blank=True)
    own = models.JSONField(default=dict, blank=True, help_text="What only this taker is told.")
    status = models.CharField(max_length=8, choices=DeliveryStatus, default=DeliveryStatus.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(null=True, blank=True)
    is_sending = models.BooleanField(default=False)
    in_doubt = models.BooleanField(default=False)
    last_error = models.TextField(blank=True)
    created_at = models.DateTimeField(default=wall_now)
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "message_delivery"
        verbose_name_plural = "message deliveries"
        constraints = [
            models.UniqueConstraint(
                fields=["message", "member"], name="messages_once_by_mail", condition=Q(member__isnull=False)
            ),
            models.UniqueConstraint(
                fields=["message", "channel"],
                name="messages_once_by_channel",
                condition=Q(channel__isnull=False),
            ),
        ]
        indexes = [
            models.Index(fields=["next_at"], name="message_deliveries_due", condition=Q(status="waiting")),
            models.Index(fields=["account", "-id"], name="message_deliveries_newest"),
            models.Index(fields=["member", "-id"], name="message_deliveries_member", condition=Q(member__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"Delivery {self.pk}"

    @property
    def shown_status(self) -> str:
        """A key of `MESSAGE_LOOKS`."""
        is_again = self.status == DeliveryStatus.WAITING and self.attempts and not self.is_sending
        return f"message_{'again' if is_again else self.status}"
