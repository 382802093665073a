import json
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from apps.accounts.recorded_admin import RecordedAdmin
from apps.accounts.selectors import membership
from apps.core.admin import HistoryAdmin, KeptAdmin
from apps.core.ids import Kind
from apps.flows.models import Checkpoint, Connection, Flow, Hook, Integration, Ledger, Revision, Share, Step
from apps.flows.services import set_connection
from apps.flows.services.connecting import ConnectionRefused, check_connection


@admin.register(Integration)
class IntegrationAdmin(RecordedAdmin, KeptAdmin):
    list_display = ("name", "environment", "account", "created_at")
    list_filter = ("environment",)
    list_select_related = ("account",)
    search_fields = ("name", "slug", "account__name")
    autocomplete_fields = ("account",)
    prepopulated_fields = {"slug": ("name",)}
    readonly_fields = ("created_at",)


class ConnectionForm(forms.ModelForm):
    """Checked and stored as in the console. Secrets go in and never come out: the field is always empty."""

    new_secrets = forms.CharField(
        required=False,
        label="Secrets",
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "off"}),
        help_text='A JSON object such as {"password": "…"}: they join those that are stored, null removes one.',
    )

    class Meta:
        model = Connection
        fields = ("account", "environment", "name", "kind", "config", "new_secrets")

    def clean_new_secrets(self) -> dict[str, str | None]:
        text = self.cleaned_data["new_secrets"].strip()
        if not text:
            return {}
        try:
            values = json.loads(text)
        except ValueError as error:
            raise ValidationError(f"The secrets are not a JSON object: {error}.") from error
        if not isinstance(values, dict) or not all(
            value is None or isinstance(value, str) for value in values.values()
        ):
            raise ValidationError('The secrets are not a JSON object of texts, such as {"password": "…"}.')
        return values

    def clean(self) -> dict[str, Any]:
        """Every mistake that the connector finds, before anything is stored."""
        values = super().clean() or self.cleaned_data
        if self.errors:
            return values
        try:
            check_connection(
                present=self.instance if self.instance.pk else None,
                name=values.get("name", self.instance.name),
                kind=values["kind"],
                config=values["config"],
                secrets=values["new_secrets"],
            )
        except ConnectionRefused as refused:
            raise ValidationError([str(mistake) for mistake in refused.mistakes]) from refused
        return values


@admin.register(Connection)
class ConnectionAdmin(KeptAdmin):
    """Its place and name stay: flows name it by them. Deleted in the console, where no flow uses it any more."""

    form = ConnectionForm
    list_display = ("name", "kind", "environment", "state", "offline_since", "account")
    list_filter = ("environment", "state")
    list_select_related = ("account",)
    search_fields = ("name", "kind", "account__name")
    autocomplete_fields = ("account",)
    readonly_fields = (
        "max_concurrency",
        "max_rate",
        "offline_after",
        "state",
        "last_error",
        "offline_since",
        "failures",
        "probe_at",
        "gate_until",
        "created_at",
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        given = super().get_readonly_fields(request, obj)
        return given if obj is None else ("account", "environment", "name", *given)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        stored = set_connection(
            account=obj.account,
            name=obj.name,
            kind=obj.kind,
            config=obj.config,
            secrets=form.cleaned_data["new_secrets"],
            environment=obj.environment,
            member=membership(request.user, obj.account_id),
            is_new=not change,
        )
        obj.pk = stored.pk


@admin.register(Flow)
class FlowAdmin(HistoryAdmin):
    """Read-only: a flow is changed by applying a definition, which writes a revision."""

    id_kind = Kind.FLOW
    list_display = ("name", "key", "integration", "enabled", "cron", "next_due_at", "parallel_pages", "removed_at")
    list_filter = ("enabled", "overlap", "scope", ("removed_at", admin.EmptyFieldListFilter))
    list_select_related = ("integration",)
    search_fields = ("name", "key", "integration__name")


@admin.register(Revision)
class RevisionAdmin(HistoryAdmin):
    list_display = ("flow", "number", "member", "at")
    list_select_related = ("flow", "member__user")
    date_hierarchy = "at"
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
