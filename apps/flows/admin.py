import json
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from apps.core.admin import HistoryAdmin, HouseAdmin, KeptAdmin
from apps.core.ids import Kind
from apps.flows.models import Checkpoint, Connection, Flow, Hook, Integration, Ledger, Revision, Share, Step
from apps.flows.secrets import replace_secrets


@admin.register(Integration)
class IntegrationAdmin(KeptAdmin):
    list_display = ("name", "environment", "account", "created_at")
    list_filter = ("environment",)
    list_select_related = ("account",)
    search_fields = ("name", "slug", "account__name")
    autocomplete_fields = ("account",)
    prepopulated_fields = {"slug": ("name",)}
    readonly_fields = ("created_at",)


class ConnectionForm(forms.ModelForm):
    """Secrets go in and never come out: the field is always empty, an empty one leaves what is stored."""

    new_secrets = forms.CharField(
        required=False,
        label="Secrets",
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "off"}),
        help_text='A JSON object such as {"password": "…"}; it replaces all stored secrets. Empty: they stay.',
    )

    class Meta:
        model = Connection
        fields = (
            "account",
            "environment",
            "name",
            "kind",
            "config",
            "new_secrets",
            "max_concurrency",
            "max_rate",
            "offline_after",
        )

    def clean_new_secrets(self) -> dict[str, str]:
        text = self.cleaned_data["new_secrets"].strip()
        if not text:
            return {}
        try:
            values = json.loads(text)
        except ValueError as error:
            raise ValidationError(f"The secrets are not a JSON object: {error}.") from error
        if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
            raise ValidationError('The secrets are not a JSON object of texts, such as {"password": "…"}.')
        return values


@admin.register(Connection)
class ConnectionAdmin(HouseAdmin):
    form = ConnectionForm
    list_display = ("name", "kind", "environment", "state", "offline_since", "account")
    list_filter = ("environment", "state")
    list_select_related = ("account",)
    search_fields = ("name", "kind", "account__name")
    autocomplete_fields = ("account",)
    readonly_fields = (
        "state",
        "last_error",
        "last_ok_at",
        "offline_since",
        "failures",
        "probe_at",
        "gate_until",
        "created_at",
    )

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if form.cleaned_data.get("new_secrets"):
            replace_secrets(obj, form.cleaned_data["new_secrets"])


@admin.register(Flow)
class FlowAdmin(HistoryAdmin):
    """Read-only: a flow is changed by applying a definition, which writes a revision."""

    id_kind = Kind.FLOW
    list_display = ("name", "key", "integration", "enabled", "cron", "next_due_at", "removed_at")
    list_filter = ("enabled", "overlap", "scope", ("removed_at", admin.EmptyFieldListFilter))
    list_select_related = ("integration",)
    search_fields = ("name", "key", "integration__name")


@admin.register(Revision)
class RevisionAdmin(HistoryAdmin):
    list_display = ("flow", "number", "member", "at")
    list_select_related = ("flow", "member__user")
    list_filter = ("at",)
    search_fields = ("flow__name", "flow__key", "sha256")


@admin.register(Step)
class StepAdmin(HistoryAdmin):
    list_display = ("name", "key", "kind", "flow", "connection", "position", "removed_at")
    list_filter = ("kind", ("removed_at", admin.EmptyFieldListFilter))
    list_select_related = ("flow", "connection")
    search_fields = ("name", "key", "flow__name")


@admin.register(Checkpoint)
class CheckpointAdmin(HistoryAdmin):
    list_display = ("flow", "step", "moved_at", "moved_by_run_id", "version")
    list_select_related = ("flow", "step")
    list_filter = ("moved_at",)
    search_fields = ("flow__name", "step__name")
    exclude = ("seen",)


@admin.register(Hook)
class HookAdmin(HistoryAdmin):
    list_display = ("step", "flow", "waiting", "waiting_bytes", "created_at")
    list_select_related = ("step", "flow")
    search_fields = ("flow__name", "flow__key")
    exclude = ("key_sha256", "key_sealed", "key_id")


@admin.register(Ledger)
class LedgerAdmin(HistoryAdmin):
    list_display = ("connection", "account", "rows", "oldest_at", "removed", "trimmed_at", "due_at")
    list_select_related = ("connection", "account")
    list_filter = ("trimmed_at",)
    search_fields = ("connection__name",)


@admin.register(Share)
class ShareAdmin(HistoryAdmin):
    list_display = ("key", "account", "gate", "booked", "renewing_until")
    list_select_related = ("account",)
    search_fields = ("key",)
    exclude = ("token", "token_key_id")
