"""What a member says of a new API token."""

from datetime import datetime, timedelta
from typing import Any

from django import forms

from apps.accounts.models import Member
from apps.accounts.permissions import Act, may
from apps.accounts.selectors import person
from apps.accounts.tokens import SCOPES, Scope, members_served_by
from apps.core.clock import read_now

LIFETIMES = ((7, "in 7 days"), (30, "in 30 days"), (90, "in 90 days"), (365, "in a year"), (0, "never"))
USUAL_DAYS = 90


class ServedField(forms.ModelChoiceField):
    def label_from_instance(self, member: Any) -> str:
        return f"{person(member)} ({member.get_role_display().lower() or 'roles in single integrations'})"


class TokenForm(forms.Form):
    """The member is asked for only of whoever manages tokens; otherwise it is whoever fills it in."""

    name = forms.CharField(
        max_length=120,
        label="Name",
        help_text="What will use it, such as: nightly report.",
        widget=forms.TextInput({"autocomplete": "off"}),
    )
    member = ServedField(
        queryset=None,
        label="Member",
        empty_label=None,
        help_text="The token may do what this member may, within its scopes.",
        error_messages={"invalid_choice": "Choose an active member whose role is not above yours."},
    )
    days = forms.TypedChoiceField(
        choices=LIFETIMES,
        coerce=int,
        initial=USUAL_DAYS,
        label="Expires",
        help_text="From then on it opens nothing. It can be revoked at any time.",
    )
    scopes = forms.MultipleChoiceField(
        choices=[(scope.value, words) for scope, words in SCOPES.items()],
        label="What it may be used for",
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose what it may be used for."},
    )

    def __init__(self, data: Any, member: Member) -> None:
        super().__init__(data, label_suffix="", initial={"member": member.pk, "scopes": [Scope.READ.value]})
        self._own = member
        if may(member, Act.MANAGE_TOKENS):
            self.fields["member"].queryset = members_served_by(member)  # type: ignore[attr-defined]
        else:
            del self.fields["member"]

    @property
    def bearer(self) -> Member:
        found: Member = self.cleaned_data.get("member") or self._own
        return found

    @property
    def scopes_chosen(self) -> list[Scope]:
        """Everything contains the rest."""
        chosen = [Scope(value) for value in self.cleaned_data["scopes"]]
        return [Scope.FULL] if Scope.FULL in chosen else chosen

    @property
    def expires_at(self) -> datetime | None:
        days = self.cleaned_data["days"]
        return read_now() + timedelta(days=days) if days else None
