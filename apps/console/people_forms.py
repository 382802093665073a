"""Forms of members, invitations, passwords and second factors."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

from django import forms
from django.contrib.auth.forms import SetPasswordForm
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.forms import BoundField

from apps.accounts.client_address import network_of
from apps.accounts.guessing import forget_guesses
from apps.accounts.members import ROLES_OF_ONE, Roles
from apps.accounts.models import Invitation, Role
from apps.accounts.second_factors import confirm_app, take_code
from apps.accounts.sign_in_models import Guessed
from apps.console.forms import LockedForm
from apps.flows.models import Integration

ONE_BY_ONE = ("", "Only in the integrations below")
RIGHTS = {
    Role.OWNER: "Owner: everything, also naming owners, transferring and closing the account",
    Role.ADMINISTRATOR: "Administrator: also members, tokens and subscriptions of others, retention, audit log",
    Role.MANAGER: "Manager: also flows, connections, schedules, definitions",
    Role.MONITOR: "Monitor: sees everything, runs, retries and resolves",
}


class RolesForm(forms.Form):
    """A role for the account, or one for each integration."""

    role = forms.ChoiceField(label="In the whole account", required=False)
    may_edit_retry_data = forms.BooleanField(
        label="May edit retry data", required=False, help_text="Managers and above may anyway."
    )

    def __init__(
        self, *args: Any, integrations: Iterable[Integration], with_owner: bool, given: Roles | None = None, **more: Any
    ) -> None:
        initial: dict[str, Any] = more.pop("initial", {})
        if given is not None:
            single = {_field_of(key): role for key, role in given.integrations.items()}
            initial |= {"role": given.role, "may_edit_retry_data": given.may_edit_retry_data} | single
        super().__init__(*args, **more | {"initial": initial})
        self._integrations = list(integrations)
        roles = [(role.value, text) for role, text in RIGHTS.items() if with_owner or role is not Role.OWNER]
        self.fields["role"].choices = [*roles, ONE_BY_ONE]  # type: ignore[attr-defined]
        choices = [("", "No access"), *((role.value, role.label) for role in ROLES_OF_ONE)]
        for integration in self._integrations:
            self.fields[_field_of(integration.pk)] = forms.ChoiceField(
                label=integration.name, choices=choices, required=False
            )

    def single(self) -> Iterator[tuple[Integration, BoundField]]:
        for integration in self._integrations:
            yield integration, self[_field_of(integration.pk)]

    def roles(self) -> Roles:
        """What was chosen; a role for the account wins over those in single integrations."""
        chosen = {one.pk: self.cleaned_data[_field_of(one.pk)] for one in self._integrations}
        single = {key: role for key, role in chosen.items() if role}
        role = self.cleaned_data["role"]
        return Roles(role, {} if role else single, self.cleaned_data["may_edit_retry_data"])


def _field_of(integration_id: int) -> str:
    return f"integration_{integration_id}"


class InviteForm(RolesForm):
    email = forms.EmailField(label="E-mail address", max_length=150)
    field_order = ("email",)


class TransferForm(forms.Form):
    to: forms.Field = forms.ModelChoiceField(label="New owner", queryset=None, empty_label="Choose a member")

    def __init__(self, *args: Any, members: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.fields["to"].queryset = members  # type: ignore[attr-defined]


class AcceptForm(forms.Form):
    """The name and password of a new user."""

    name = forms.CharField(label="Your name", max_length=150)
    password = forms.CharField(label="Password", strip=False, widget=forms.PasswordInput, max_length=200)
    again = forms.CharField(label="Password once more", strip=False, widget=forms.PasswordInput, max_length=200)

    def __init__(self, *args: Any, invitation: Invitation, **more: Any) -> None:
        super().__init__(*args, **more)
        self.invitation = invitation

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        likely = User(username=self.invitation.email, email=self.invitation.email)
        likely.first_name = self.cleaned_data.get("name", "")
        validate_password(password, likely)
        return password

    def clean_again(self) -> str:
        again: str = self.cleaned_data["again"]
        if again != self.cleaned_data.get("password", again):
            raise forms.ValidationError("The two passwords differ.")
        return again


class NewPasswordForm(SetPasswordForm):
    """Two times the same new password."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.fields["new_password1"].label = "New password"
        self.fields["new_password1"].help_text = "At least eight characters, not only digits, none of the common ones."
        self.fields["new_password2"].label = "New password once more"
        self.fields["new_password2"].help_text = ""


class ResetForm(LockedForm, forms.Form):
    email = forms.EmailField(label="E-mail address", max_length=254)

    def __init__(self, *args: Any, address: str, **more: Any) -> None:
        super().__init__(*args, **more)
        self.address = address

    def clean(self) -> dict[str, Any]:
        if "email" in self.cleaned_data:
            email = self.cleaned_data["email"]
            self.count((Guessed.RESET_NAME, email), (Guessed.RESET_ADDRESS, network_of(self.address)))
        return self.cleaned_data


class GuessForm(LockedForm, forms.Form):
    """One guess about one user: a code or the password."""

    sentence = ""

    def __init__(self, *args: Any, user: User, **more: Any) -> None:
        super().__init__(*args, **more)
        self.user = user

    def clean(self) -> dict[str, Any]:
        if self.errors:
            return self.cleaned_data
        guess = (Guessed.CODE, str(self.user.pk))
        until = self.count(guess)
        if not self.is_right():
            raise self.wrong(self.sentence, until)
        forget_guesses([guess])
        return self.cleaned_data

    @abstractmethod
    def is_right(self) -> bool: ...


class AppForm(GuessForm):
    code = forms.CharField(label="Code that the app shows", max_length=12)
    sentence = "This is not the code that the app shows now. Are the clocks of both devices right?"

    def is_right(self) -> bool:
        return confirm_app(self.user, self.cleaned_data["code"])


class CodeForm(GuessForm):
    code = forms.CharField(label="Code", max_length=40)
    sentence = "This code is not right, or was used already."

    def is_right(self) -> bool:
        return take_code(self.user, self.cleaned_data["code"])


class ConfirmForm(GuessForm):
    password = forms.CharField(label="Password", strip=False, widget=forms.PasswordInput)
    sentence = "This is not your password."

    def is_right(self) -> bool:
        return self.user.check_password(self.cleaned_data["password"])
