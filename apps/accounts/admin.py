from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError

from apps.accounts import sign_in_admin as sign_in_admin
from apps.accounts.members import KEEPS_AN_OWNER, other_owners
from apps.accounts.models import Account, AuditEntry, KeptAnswer, Member, MemberRole, Profile, Role, Token
from apps.accounts.recorded_admin import RecordedAdmin
from apps.core.admin import EndlessAdmin, HistoryAdmin, HouseAdmin, KeptAdmin


@admin.register(Account)
class AccountAdmin(RecordedAdmin, KeptAdmin):
    list_display = ("name", "time_zone", "retention_days", "created_at", "closed_at")
    date_hierarchy = "created_at"
    list_filter = ("retention_days", ("closed_at", admin.EmptyFieldListFilter))
    search_fields = ("name",)
    readonly_fields = ("created_at",)


class MemberRoleInline(admin.TabularInline):
    model = MemberRole
    extra = 0
    autocomplete_fields = ("integration",)
    raw_id_fields = ("account",)


class MemberForm(forms.ModelForm):
    class Meta:
        model = Member
        fields = ("account", "user", "role", "may_edit_retry_data", "disabled_at")

    def clean(self) -> dict[str, Any]:
        """The last owner stays one, here too."""
        facts: dict[str, Any] = super().clean() or {}
        was = Member.unscoped.filter(pk=self.instance.pk, role=Role.OWNER, disabled_at__isnull=True).first()
        stays = facts.get("role") == Role.OWNER and not facts.get("disabled_at")
        if was is not None and not stays and not other_owners(was).exists():
            raise ValidationError(KEEPS_AN_OWNER)
        return facts


@admin.register(Member)
class MemberAdmin(RecordedAdmin, KeptAdmin):
    form = MemberForm
    list_display = ("user", "account", "role", "may_edit_retry_data", "disabled_at")
    list_filter = ("role", ("disabled_at", admin.EmptyFieldListFilter))
    list_select_related = ("user", "account")
    search_fields = ("user__username", "user__email", "account__name")
    autocomplete_fields = ("account", "user")
    readonly_fields = ("created_at",)
    inlines = (MemberRoleInline,)


@admin.register(MemberRole)
class MemberRoleAdmin(RecordedAdmin):
    list_display = ("member", "integration", "role")
    list_filter = ("role",)
    list_select_related = ("member__user", "integration")
    search_fields = ("member__user__username", "integration__name")
    autocomplete_fields = ("account", "member", "integration")


@admin.register(Token)
class TokenAdmin(HistoryAdmin):
    list_display = ("prefix", "name", "member", "last_used_at", "expires_at", "revoked_at")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    list_select_related = ("member__user",)
    search_fields = ("prefix", "name", "member__user__username")
    exclude = ("sha256",)


@admin.register(KeptAnswer)
class KeptAnswerAdmin(HistoryAdmin):
    list_display = ("key_sha256", "at", "status", "account")
    list_select_related = ("account",)
    search_fields = ("key_sha256",)


@admin.register(AuditEntry)
class AuditEntryAdmin(EndlessAdmin):
    list_display = ("at", "actor_kind", "member", "act", "object_kind", "object_id", "address", "account")
    list_filter = ("actor_kind", "at")
    list_select_related = ("member__user", "account")
    search_fields = ("act", "object_kind", "=object_id", "=address")


@admin.register(Profile)
class ProfileAdmin(HouseAdmin):
    list_display = ("user", "theme", "times", "time_zone", "date_order", "density", "default_range")
    list_filter = ("theme", "times", "date_order", "density")
    list_select_related = ("user",)
    search_fields = ("user__username", "user__email")
    autocomplete_fields = ("user",)
