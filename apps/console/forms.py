"""Forms of the console itself."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib.auth import get_user_model
from django.contrib.auth.forms import AuthenticationForm

from apps.accounts.client_address import client_address, network_of
from apps.accounts.guessing import Guess, TooManyGuesses, count_guess, forget_guesses
from apps.accounts.sign_in_models import Guessed
from apps.console.wording import duration_text
from apps.core.clock import read_now

WRONG = "E-mail address or password is wrong."


def next_try(until: datetime) -> str:
    """When a lock ends, for somebody whose time zone is unknown."""
    left = max(until - read_now(), timedelta(seconds=1))
    return f"Too many failed attempts: the next one is possible at {until:%H:%M:%S} UTC, in {duration_text(left)}."


class LockedForm:
    """What a form is that counts guesses: `locked_until` is set when it refused to look at one."""

    locked_until: datetime | None = None

    def count(self, *guesses: Guess) -> datetime | None:
        """Count before looking. Returns until when it was the last one, if wrong; raises ValidationError if locked."""
        try:
            return count_guess(*guesses)
        except TooManyGuesses as locked:
            self.locked_until = locked.until
            raise forms.ValidationError(next_try(locked.until), code="locked") from locked

    def wrong(self, sentence: str, until: datetime | None) -> forms.ValidationError:
        self.locked_until = until
        return forms.ValidationError(f"{sentence} {next_try(until)}" if until else sentence, code="invalid")


class SignInForm(LockedForm, AuthenticationForm):
    """Signs in by e-mail address; a user name works too, for users made on the command line."""

    error_messages = {"invalid_login": WRONG, "inactive": WRONG}
    stay = forms.BooleanField(required=False, label="Stay signed in for 14 days on this device")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].label = "E-mail address or user name"

    def clean_username(self) -> str:
        entered: str = self.cleaned_data["username"].strip()
        users = get_user_model()._default_manager.filter(email__iexact=entered)[:2]
        return users[0].get_username() if len(users) == 1 else entered

    def clean(self) -> dict[str, Any]:
        """Counted is what was entered: the lock of a name looks the same whether anybody has it or not."""
        if not {"username", "password"} <= self.cleaned_data.keys():
            return self.cleaned_data
        assert self.request is not None
        name, address = str(self.data.get("username", "")), network_of(client_address(self.request))
        guesses = ((Guessed.NAME, name), (Guessed.ADDRESS, address))
        until = self.count(*guesses)
        try:
            super().clean()
        except forms.ValidationError as error:
            raise self.wrong(WRONG, until) from error
        forget_guesses(guesses)
        return self.cleaned_data
