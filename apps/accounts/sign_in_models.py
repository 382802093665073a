"""How users sign in: their sessions, their second factors, and the count of wrong guesses. They belong to a user, who
may be a member of several accounts."""

from typing import Any

from django.conf import settings
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import DatabaseError, models

from apps.core.clock import wall_now

OF_USER: dict[str, Any] = {"to": settings.AUTH_USER_MODEL, "on_delete": models.CASCADE}


class UserSession(AbstractBaseSession):
    """A signed-in browser. Without a user: somebody who has not signed in (yet).

    Its key is as good as the user's password, so it names nothing: rows have an id beside it.
    """

    id = models.BigAutoField(primary_key=True)
    session_key = models.CharField(max_length=40, editable=False)
    session_data = models.TextField(editable=False)
    user = models.ForeignKey(**OF_USER, null=True, related_name="sessions")
    signed_in_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True)
    address = models.CharField(max_length=45, blank=True)
    agent = models.CharField(max_length=300, blank=True)

    class Meta:
        db_table = "user_session"
        verbose_name = "session"
        constraints = [models.UniqueConstraint(fields=["session_key"], name="user_sessions_by_key")]

    def __str__(self) -> str:
        return f"{self.agent[:40]} {self.address}"

    @classmethod
    def get_session_store_class(cls) -> Any:
        return None  # the session engine knows this model, not the other way round

    def save(self, *args: Any, force_update: bool = False, **kwargs: Any) -> None:
        """The engine knows a session by its key. Raises DatabaseError, as the engine expects, for one that ended."""
        if not force_update or self.pk is not None:
            return super().save(*args, force_update=force_update, **kwargs)
        kept = ("session_data", "expire_date", "user_id", "signed_in_at", "seen_at", "address", "agent")
        rows = UserSession.objects.filter(session_key=self.session_key)
        if not rows.update(**{name: getattr(self, name) for name in kept}):
            raise DatabaseError("the session has ended")
        return None


class Guessed(models.TextChoices):
    NAME = "name", "Password, by name"
    ADDRESS = "address", "Password, by address"
    CODE = "code", "Code of a second factor"
    RESET_NAME = "reset_name", "Password reset, by e-mail address"
    RESET_ADDRESS = "reset_address", "Password reset, by address"


class GuessCount(models.Model):
    """How often a password or code was tried in vain, by a hash of what was tried at."""

    kind = models.CharField(max_length=13, choices=Guessed)
    sha256 = models.CharField(max_length=64)
    failures = models.PositiveIntegerField(default=0)
    since = models.DateTimeField()
    locked_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "guess_count"
        constraints = [models.UniqueConstraint(fields=["kind", "sha256"], name="guess_counts_by_what")]
        indexes = [models.Index(fields=["since"], name="guess_counts_oldest")]

    def __str__(self) -> str:
        return f"{self.kind} {self.sha256[:12]}"


class AuthenticatorApp(models.Model):
    """An app that shows a new code every 30 seconds (RFC 6238). Until it is confirmed it opens nothing."""

    user = models.OneToOneField(**OF_USER, primary_key=True, related_name="authenticator_app")
    secret = models.BinaryField(editable=False)
    secret_key_id = models.CharField(max_length=16, editable=False)
    last_step = models.BigIntegerField(default=0, help_text="No code of this half minute or before is taken again.")
    created_at = models.DateTimeField(default=wall_now)
    confirmed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "authenticator_app"

    def __str__(self) -> str:
        return f"App of {self.user_id}"


class Passkey(models.Model):
    """A WebAuthn credential: its public part, found by the hash of its id."""

    user = models.ForeignKey(**OF_USER, related_name="passkeys")
    name = models.CharField(max_length=64)
    credential_sha256 = models.CharField(max_length=64, editable=False)
    credential = models.BinaryField(editable=False)
    sign_count = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(default=wall_now)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "passkey"
        constraints = [models.UniqueConstraint(fields=["credential_sha256"], name="passkeys_by_credential")]

    def __str__(self) -> str:
        return self.name


class RecoveryCode(models.Model):
    """Opens once, in place of a second factor; only its hash is kept."""

    user = models.ForeignKey(**OF_USER, db_index=False, related_name="recovery_codes")
    sha256 = models.CharField(max_length=64)
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "recovery_code"
        constraints = [models.UniqueConstraint(fields=["user", "sha256"], name="recovery_codes_one_each")]

    def __str__(self) -> str:
        return f"Recovery code of {self.user_id}"
