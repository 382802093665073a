"""How users sign in, for operators: who is locked out is let in, and lost second factors are removed."""

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from apps.accounts.models import AuthenticatorApp, GuessCount, Invitation, Passkey, RecoveryCode, UserSession
from apps.core.admin import HistoryAdmin, HouseAdmin


class RemovableAdmin(HouseAdmin):
    """Shown, never edited, but removed where somebody has to be helped."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(AuthenticatorApp)
class AuthenticatorAppAdmin(RemovableAdmin):
    list_display = ("user", "created_at", "confirmed_at")
    list_filter = (("confirmed_at", admin.EmptyFieldListFilter),)
    list_select_related = ("user",)
    search_fields = ("user__username", "user__email")


@admin.register(Passkey)
class PasskeyAdmin(RemovableAdmin):
    list_display = ("name", "user", "created_at", "last_used_at")
    list_select_related = ("user",)
    search_fields = ("name", "user__username", "user__email")


@admin.register(RecoveryCode)
class RecoveryCodeAdmin(RemovableAdmin):
    list_display = ("user", "used_at")
    list_filter = (("used_at", admin.EmptyFieldListFilter),)
    list_select_related = ("user",)
    search_fields = ("user__username", "user__email")
    exclude = ("sha256",)


@admin.register(GuessCount)
class GuessCountAdmin(RemovableAdmin):
    """Whose it is stands nowhere: a lock is found by its time, and removed to lift it."""

    list_display = ("kind", "failures", "since", "locked_until")
    list_filter = ("kind", ("locked_until", admin.EmptyFieldListFilter))
    search_fields = ("kind", "=sha256")


@admin.register(UserSession)
class UserSessionAdmin(RemovableAdmin):
    """Removing one signs its user out there."""

    list_display = ("user", "agent", "address", "signed_in_at", "seen_at", "expire_date")
    list_select_related = ("user",)
    search_fields = ("user__username", "user__email", "address")


@admin.register(Invitation)
class InvitationAdmin(HistoryAdmin):
    list_display = ("email", "account", "role", "created_at", "expires_at", "sent_at", "accepted_at", "withdrawn_at")
    list_filter = ("role", ("accepted_at", admin.EmptyFieldListFilter), ("withdrawn_at", admin.EmptyFieldListFilter))
    list_select_related = ("account",)
    search_fields = ("email", "account__name")
