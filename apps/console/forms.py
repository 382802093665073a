"""Forms of the console itself."""

from typing import Any

from django import forms
from django.contrib.auth import get_user_model
from django.contrib.auth.forms import AuthenticationForm


class SignInForm(AuthenticationForm):
    """Signs in by e-mail address; a user name works too, for users made on the command line."""

    error_messages = {
        "invalid_login": "E-mail address or password is wrong.",
        "inactive": "E-mail address or password is wrong.",
    }
    stay = forms.BooleanField(required=False, label="Stay signed in for 14 days on this device")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].label = "E-mail address or user name"

    def clean_username(self) -> str:
        entered: str = self.cleaned_data["username"].strip()
        users = get_user_model()._default_manager.filter(email__iexact=entered)[:2]
        return users[0].get_username() if len(users) == 1 else entered
