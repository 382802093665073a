"""What a member types about an integration: its name, what it is for, whom to ask; a new one has a key too."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from apps.accounts.models import Account, Member
from apps.flows.definition.texts import check_key, check_name
from apps.flows.models import Integration

LONGEST_DESCRIPTION = 500


class OwnerField(forms.ModelChoiceField):
    def label_from_instance(self, member: Any) -> str:
        return str(member.user.get_full_name() or member.user.get_username())


class IntegrationForm(forms.Form):
    name = forms.CharField(max_length=120, label="Name", widget=forms.TextInput({"autocomplete": "off"}))
    description = forms.CharField(
        required=False,
        max_length=LONGEST_DESCRIPTION,
        label="What it is for",
        help_text="One line for its tile, such as: orders, customers, refunds.",
        widget=forms.TextInput({"autocomplete": "off"}),
    )
    owner = OwnerField(queryset=None, required=False, label="Whom to ask", empty_label="nobody in particular")

    def __init__(self, data: Any, account: Account, **initial: Any) -> None:
        super().__init__(data, label_suffix="", initial=initial)
        active = Member.objects.of(account).filter(disabled_at__isnull=True).select_related("user")
        self.fields["owner"].queryset = active.order_by("user__first_name", "user__username")  # type: ignore[attr-defined]

    def clean_name(self) -> str:
        return checked_name(self.cleaned_data["name"])


class NewIntegrationForm(IntegrationForm):
    key = forms.CharField(
        label="Key",
        help_text="Such as shop-orders. Definitions and addresses name it by its key, so it cannot be changed later.",
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
    )
    field_order = ("name", "key", "description", "owner")

    def __init__(self, data: Any, account: Account, **initial: Any) -> None:
        super().__init__(data, account, **initial)
        self._others = Integration.objects.of(account)

    def clean_key(self) -> str:
        return checked_key(self.cleaned_data["key"], self._others)


def checked_name(text: str) -> str:
    """Raises ValidationError."""
    return _checked(check_name, text)


def checked_key(text: str, others: "QuerySet[Integration]") -> str:
    """Raises ValidationError for what is no key, or the key of another one."""
    key = _checked(check_key, text.strip())
    if others.filter(slug=key).exists():
        raise ValidationError(f"There is an integration with the key {key} already. Choose another key.")
    return key


def _checked(check: Any, text: str) -> str:
    try:
        return str(check(text))
    except ValueError as error:
        raise ValidationError(str(error)) from None
