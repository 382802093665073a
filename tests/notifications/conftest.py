"""A real mail server, a member who has subscribed, and a flow whose records fail."""

from collections.abc import Iterator
from typing import Any

import pytest

from apps.accounts.models import Account, Member
from tests.factories import make_member, make_user
from tests.fakes.mail_server import MailServer
from tests.fakes.running import World, make_world


@pytest.fixture
def post(settings: Any) -> Iterator[MailServer]:
    """The mail server that the settings name."""
    server = MailServer()
    with server.running():
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = server.host, server.port
        settings.PUBLIC_URL = "https://flowmend.example.org"
        yield server


@pytest.fixture
def mara(account: Account) -> Member:
    return make_member(account, user=make_user("mara", first_name="Mara"))


@pytest.fixture
def world(account: Account) -> World:
    return make_world(account, name="Orders")
