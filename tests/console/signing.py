"""Signing in as a person does, for the tests of sign-ins."""

import re
from typing import Any

from django.contrib.auth.models import User
from django.test import Client

from apps.accounts.authenticator import code_of, step_at
from apps.accounts.models import AuthenticatorApp
from apps.accounts.second_factors import secret_of
from apps.core.clock import wall_now

PASSWORD = "a long password"
HERE = "/profile/sign-in/"


def sign_in(client: Client, name: str, password: str = PASSWORD, **more: str) -> Any:
    return client.post("/login/", {"username": name, "password": password, **more})


def is_signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def browser_of(user: User, agent: str = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0") -> Client:
    """A browser in which the user signed in with the password just now."""
    client = Client(headers={"user-agent": agent}, SERVER_NAME="localhost")
    sign_in(client, user.get_username())
    assert is_signed_in(client)
    return client


def code_now(user: User, *, later: int = 0) -> str:
    """What the user's app shows, `later` half minutes from now."""
    return code_of(secret_of(AuthenticatorApp.objects.get(user=user)), step_at(wall_now()) + later)


def set_up_app(client: Client, user: User) -> list[str]:
    """Sets up an authenticator app in the browser; returns the recovery codes that are shown."""
    client.post(f"{HERE}app/begin")
    page = client.post(f"{HERE}app/", {"code": code_now(user)}, follow=True).content.decode()
    return codes_in(page)


def codes_in(page: str) -> list[str]:
    return re.findall(r"\b(?:[a-z2-9]{4}-){3}[a-z2-9]{4}\b", page)
