"""Accounts, their members with roles, API tokens, and the audit log."""

from datetime import datetime

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from apps.accounts.sign_in_models import AuthenticatorApp as AuthenticatorApp
from apps.accounts.sign_in_models import GuessCount as GuessCount
from apps.accounts.sign_in_models import Passkey as Passkey
from apps.accounts.sign_in_models import RecoveryCode as RecoveryCode
from apps.accounts.sign_in_models import UserSession as UserSession
from apps.core.clock import time_zones, wall_now
from apps.core.models import LOOSE, AccountScoped, HotScoped


class Role(models.TextChoices):
    OWNER = "owner", "Owner"
    ADMINISTRATOR = "administrator", "Administrator"
    MANAGER = "manager", "Manager"
    MONITOR = "monitor", "Monitor"


class ActorKind(models.TextChoices):
    MEMBER = "member", "Member"
    TOKEN = "token", "API token"
    RULE = "rule", "Rule"
    SYSTEM = "system", "Flowmend"
    COMMAND = "command", "Command line"


class RetentionDays(models.IntegerChoices):
    THIRTY = 30, "30 days"
    SIXTY = 60, "60 days"
    NINETY = 90, "90 days"
    HALF_YEAR = 180, "180 days"


class Theme(models.TextChoices):
    SYSTEM = "system", "As the system"
    LIGHT = "light", "Light"
    DARK = "dark", "Dark"


class TimeStyle(models.TextChoices):
    ABSOLUTE = "absolute", "Absolute"
    RELATIVE = "relative", "Relative"


class DateOrder(models.TextChoices):
    DAY = "day", "Day first: 20 Nov"
    MONTH = "month", "Month first: Nov 20"
    YEAR = "year", "Year first: 2026-11-20"


class Density(models.TextChoices):
    COMPACT = "compact", "Compact"
    COMFORTABLE = "comfortable", "Comfortable"


class DefaultRange(models.TextChoices):
    DAY = "24h", "Last 24 hours"
    WEEK = "7d", "Last 7 days"
    MONTH = "30d", "Last 30 days"


def check_time_zone(name: str) -> None:
    """A name that no machine knows would break every page that shows a time."""
    if name not in time_zones():
        raise ValidationError(f"“{name[:60]}” is no time zone: use a name such as Europe/Berlin.")


class Account(models.Model):
    """The tenant: owns everything below. It is closed, never deleted."""

    name = models.CharField(max_length=120)
    time_zone = models.CharField(max_length=64, default="UTC", validators=[check_time_zone])
    retention_days = models.PositiveSmallIntegerField(choices=RetentionDays, default=RetentionDays.THIRTY)
    second_factor_required = models.BooleanField(
        default=False, help_text="Members without a second factor have to set one up before anything else."
    )
    created_at = models.DateTimeField(default=wall_now, editable=False)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "account"

    def __str__(self) -> str:
        return self.name


class Member(AccountScoped):
    """A user in an account. A blank role: the member sees only the integrations that a member role names."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="members")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role, blank=True)
    may_edit_retry_data = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=wall_now, editable=False)
    disabled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "member"
        constraints = [models.UniqueConstraint(fields=["account", "user"], name="members_one_per_user")]

    def __str__(self) -> str:
        return str(self.user)

    @property
    def is_active(self) -> bool:
        return self.disabled_at is None


class MemberRole(AccountScoped):
    """What a member may do in one integration; a role of the whole account wins over it."""

    member = models.ForeignKey(Member, on_delete=models.CASCADE, db_index=False, related_name="roles")
    integration = models.ForeignKey("flows.Integration", on_delete=models.CASCADE, related_name="+")
    role = models.CharField(max_length=16, choices=Role)

    class Meta:
        db_table = "member_role"
        constraints = [models.UniqueConstraint(fields=["member", "integration"], name="member_roles_one_each")]

    def __str__(self) -> str:
        return f"{self.member_id} {self.role}"


UNANSWERED = models.Q(accepted_at__isnull=True, withdrawn_at__isnull=True)
"""Of an invitation: neither accepted nor withdrawn; it may have expired."""


class Invitation(AccountScoped):
    """Asks somebody to become a member. The link of its mail opens it; of that only a hash is kept."""

    email = models.EmailField()
    role = models.CharField(max_length=16, choices=Role, blank=True)
    roles = models.JSONField(default=dict, blank=True, help_text="Integration -> role, where the role above is blank.")
    may_edit_retry_data = models.BooleanField(default=False)
    invited_by = models.ForeignKey(Member, **LOOSE)
    sha256 = models.CharField(max_length=64, blank=True, editable=False)
    created_at = models.DateTimeField(default=wall_now, editable=False)
    expires_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    mail_problem = models.CharField(max_length=200, blank=True)
    accepted_at = models.DateTimeField(null=True, blank=True)
    accepted_by = models.ForeignKey(Member, null=True, blank=True, **LOOSE)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "invitation"
        constraints = [
            models.UniqueConstraint(fields=["account", "email"], condition=UNANSWERED, name="invitations_one_open"),
            models.UniqueConstraint(fields=["sha256"], condition=~models.Q(sha256=""), name="invitations_by_link"),
        ]

    def __str__(self) -> str:
        return self.email


class Token(AccountScoped):
    """An API token of a member: the prefix finds it, the hash proves it, the token itself is shown once."""

    member = models.ForeignKey(Member, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=120, blank=True)
    prefix = models.CharField(max_length=12)
    sha256 = models.CharField(max_length=64)
    scopes = models.JSONField(default=list, blank=True)
    created_at = models.DateTimeField(default=wall_now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "token"
        constraints = [models.UniqueConstraint(fields=["prefix"], name="tokens_by_prefix")]

    def __str__(self) -> str:
        return f"{self.prefix}…"

    def state_at(self, moment: datetime) -> str:
        """`active`, or why it opens nothing: `revoked`, `expired`, `member_disabled`."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= moment:
            return "expired"
        return "active" if self.member.is_active else "member_disabled"


class KeptAnswer(HotScoped):
    """What an API call with an idempotency key was answered: for a day the same key gets the same answer.

    `status` is null while the first call is under way.
    """

    key_sha256 = models.CharField(max_length=64)
    request_sha256 = models.CharField(max_length=64)
    at = models.DateTimeField(default=wall_now)
    status = models.PositiveSmallIntegerField(null=True, blank=True)
    content = models.BinaryField(default=bytes, blank=True, editable=False)
    headers = models.JSONField(default=dict, blank=True)

    class Meta:
        db_table = "kept_answer"
        constraints = [models.UniqueConstraint(fields=["account", "key_sha256"], name="kept_answers_by_key")]
        indexes = [models.Index(fields=["at"], name="kept_answers_oldest")]

    def __str__(self) -> str:
        return self.key_sha256[:12]


class AuditEntry(HotScoped):
    """Who did what to which object, and when; only ever added to."""

    at = models.DateTimeField(default=wall_now)
    actor_kind = models.CharField(max_length=8, choices=ActorKind)
    member = models.ForeignKey(Member, null=True, blank=True, **LOOSE)
    token = models.ForeignKey(Token, null=True, blank=True, **LOOSE)
    rule_revision = models.ForeignKey("errors.RuleRevision", null=True, blank=True, **LOOSE)
    act = models.CharField(max_length=64)
    object_kind = models.CharField(max_length=32)
    object_id = models.BigIntegerField(null=True, blank=True)
    address = models.GenericIPAddressField(null=True, blank=True, help_text="Of the request; none for what workers do.")
    before = models.JSONField(null=True, blank=True, encoder=DjangoJSONEncoder)
    after = models.JSONField(null=True, blank=True, encoder=DjangoJSONEncoder)

    class Meta:
        db_table = "audit"
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["account", "-id"], name="audit_newest_of_account"),
            models.Index(fields=["account", "object_kind", "object_id", "-id"], name="audit_newest_of_object"),
        ]

    def __str__(self) -> str:
        return f"{self.act} {self.object_kind} {self.object_id}"


class Profile(models.Model):
    """How a user wants to see things; the same in every account."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="profile"
    )
    theme = models.CharField(max_length=8, choices=Theme, default=Theme.SYSTEM)
    times = models.CharField(max_length=8, choices=TimeStyle, default=TimeStyle.ABSOLUTE)
    time_zone = models.CharField(
        max_length=64, blank=True, validators=[check_time_zone], help_text="Blank: the time zone of the account."
    )
    date_order = models.CharField(max_length=8, choices=DateOrder, default=DateOrder.DAY)
    default_range = models.CharField(max_length=8, choices=DefaultRange, default=DefaultRange.WEEK)
    density = models.CharField(max_length=12, choices=Density, default=Density.COMPACT)
    hidden_columns = models.JSONField(
        default=dict, blank=True, help_text="List -> the columns that are left out of it."
    )
    shortcuts_on = models.BooleanField(default=True)

    class Meta:
        db_table = "profile"

    def __str__(self) -> str:
        return f"Profile of {self.user_id}"
