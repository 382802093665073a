"""How users sign in, for operators: who is locked out is let in, and lost second factors are removed."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.db.models import Model
from django.http import HttpRequest

from apps.accounts.models import AuthenticatorApp, GuessCount, Invitation, Passkey, RecoveryCode, UserSession
from apps.accounts.sign_in_changes import record_of_user
from apps.core.admin import HistoryAdmin, HouseAdmin

admin.site.unregister(User)


@admin.register(User)
class ToldUserAdmin(UserAdmin):
    """A user is told when an operator changes how he signs in."""

    NAMES = ("email", "username")

    def save_model(self, request: Any, obj: User, form: Any, change: bool) -> None:
        changed = [name for name in self.NAMES if change and name in form.changed_data]
        before = {name: form.initial[name] for name in changed}
        super().save_model(request, obj, form, change)
        if changed:
            after = {name: getattr(obj, name) for name in changed}
            record_of_user(obj, "sign_in.change", after, before=before, by=request.user)

    def log_change(self, request: Any, obj: Any, message: Any) -> LogEntry:
        if request.resolver_match is not None and request.resolver_match.url_name == "auth_user_password_change":
            record_of_user(obj, "password.change", {"user": obj.get_username()}, by=request.user)
        return super().log_change(request, obj, message)


class RemovableAdmin(HouseAdmin):
    """Shown, never edited, but removed where somebody has to be helped."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class FactorAdmin(RemovableAdmin):
    """A second factor that is removed by an operator is told to its user."""

    def log_deletions(self, request: Any, queryset: Any) -> Any:
        for row in queryset:
            record_of_user(row.user, "second_factor.remove", {"kind": row._meta.verbose_name}, by=request.user)
        return super().log_deletions(request, queryset)


@admin.register(AuthenticatorApp)
class AuthenticatorAppAdmin(FactorAdmin):
    list_display = ("user", "created_at", "confirmed_at")
    list_filter = (("confirmed_at", admin.EmptyFieldListFilter),)
    list_select_related = ("user",)
    search_fields = ("user__username", "user__email")


@admin.register(Passkey)
class PasskeyAdmin(FactorAdmin):
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
