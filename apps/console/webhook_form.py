"""What a member says of a webhook. Its secret goes in and never comes out."""

from typing import Any

from django import forms

from apps.accounts.models import Account
from apps.flows.models import Integration
from apps.webhooks.models import Event, Webhook
from apps.webhooks.services import LONGEST_ADDRESS, WebhookRefused

ONE_IS_MADE = "What its requests are signed with. Leave it empty: one is made, and shown once."
ONE_STAYS = "One is set; leave this empty to keep it."


class IntegrationField(forms.ModelChoiceField):
    def label_from_instance(self, integration: Any) -> str:
        return f"{integration.name} ({integration.environment})"


class WebhookForm(forms.Form):
    url = forms.CharField(
        max_length=LONGEST_ADDRESS,
        label="Address",
        help_text="It gets a POST with one event as JSON, such as https://example.org/hooks/flowmend.",
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false", "inputmode": "url"}),
    )
    integration = IntegrationField(
        queryset=None,
        required=False,
        label="Integration",
        empty_label="all integrations",
        help_text="One: its errors, root causes and runs, and the connections that its flows use.",
    )
    secret = forms.CharField(
        required=False,
        max_length=200,
        label="Secret",
        widget=forms.PasswordInput({"autocomplete": "new-password"}),
    )
    enabled = forms.BooleanField(
        required=False, label="Enabled", help_text="While it is disabled, new events are not kept for it."
    )
    events = forms.MultipleChoiceField(
        choices=[(event.value, f"{event.label}: {event.value}") for event in Event],
        label="What it is told",
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one event."},
    )

    def __init__(self, data: Any, account: Account, webhook: Webhook | None = None) -> None:
        super().__init__(data, label_suffix="", initial=facts_of(webhook) if webhook else {"enabled": True})
        self.fields["secret"].help_text = ONE_STAYS if webhook else ONE_IS_MADE
        rows = Integration.objects.of(account).order_by("name")
        self.fields["integration"].queryset = rows  # type: ignore[attr-defined]

    @property
    def facts(self) -> dict[str, Any]:
        """What the services take."""
        found = dict(self.cleaned_data)
        integration = found.pop("integration")
        return found | {"integration_id": integration.pk if integration else None}

    def tell(self, refused: WebhookRefused) -> None:
        self.add_error(refused.field, str(refused))


def facts_of(webhook: Webhook) -> dict[str, Any]:
    return {
        "url": webhook.url,
        "events": webhook.events,
        "integration": webhook.integration_id,
        "enabled": webhook.enabled,
    }
