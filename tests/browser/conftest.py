"""The browser and a signed-in member for the tests that look at pages as a person does."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.test import Client

from tests.browser.driver import Driver


@pytest.fixture(scope="session")
def chromium() -> Iterator[Driver]:
    """One browser for all tests; each run gets its own context, so nothing is shared but the start."""
    driver = Driver("http://127.0.0.1")
    yield driver
    driver.close()


@pytest.fixture
def driver(chromium: Driver, live_server: Any) -> Driver:
    """The browser, looking at the live server, not signed in."""
    chromium.address = live_server.url
    chromium.cookies = []
    return chromium


@pytest.fixture
def signed_in(driver: Driver) -> Driver:
    """The browser with the session of a member."""
    user = get_user_model().objects.create_user("mara", "mara@example.com", "a long password", first_name="Mara")
    client = Client()
    client.post("/login/", {"username": user.username, "password": "a long password"})
    name = django_settings.SESSION_COOKIE_NAME
    driver.cookies = [{"name": name, "value": client.cookies[name].value}]
    return driver


@pytest.fixture
def shot_folder() -> Path | None:
    """Where to keep pictures of the pages: the folder named by SHOTS, else nowhere."""
    name = os.environ.get("SHOTS")
    return Path(name) if name else None
