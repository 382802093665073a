"""A passkey in a real browser with a virtual authenticator: registered, asked for after a password, and used alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.contrib.auth import get_user_model
from playwright.sync_api import Page, expect

from apps.accounts.models import Passkey
from apps.accounts.services import create_account
from tests.browser.driver import Driver

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
AUTHENTICATOR = {
    "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
    "isUserVerified": True, "automaticPresenceSimulation": True,
}  # fmt: skip


@contextmanager
def authenticator(page: Page) -> Iterator[None]:
    protocol = page.context.new_cdp_session(page)
    protocol.send("WebAuthn.enable")
    protocol.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
    yield
    protocol.detach()  # the page is another test's next


def test_a_passkey_is_registered_and_signs_in(driver: Driver, shot_folder: Path | None) -> None:
    user = get_user_model().objects.create_user("mara", "mara@example.com", "a long password")
    create_account(name="Birds", owner=user)
    here = f"http://localhost:{urlsplit(driver.address).port}"  # a passkey belongs to a name, not to a number

    def enter_password(page: Page) -> None:
        page.goto(f"{here}/login/?next=/profile/sign-in/")
        page.get_by_label("E-mail address or user name").fill("mara")
        page.get_by_label("Password").fill("a long password")
        page.get_by_role("button", name="Sign in", exact=True).click()

    def sign_out(page: Page) -> None:
        page.locator("summary.avatar").click()
        page.get_by_role("button", name="Sign out").click()

    def steps(page: Page) -> list[str]:
        with authenticator(page):
            return register_and_sign_in(page)

    def register_and_sign_in(page: Page) -> list[str]:
        enter_password(page)
        page.get_by_label("Name of the passkey").fill("Laptop")
        page.get_by_role("button", name="Register").click()
        expect(page.get_by_role("heading", name="Your recovery codes")).to_be_visible()
        expect(page.get_by_role("heading", name="Laptop")).to_be_visible()
        if shot_folder:
            page.screenshot(path=shot_folder / "recovery-codes.png", full_page=True)
        sign_out(page)
        enter_password(page)
        expect(page.get_by_role("heading", name="Second factor")).to_be_visible()
        page.get_by_role("button", name="Use a passkey").click()
        expect(page.get_by_role("heading", name="Laptop")).to_be_visible()
        sign_out(page)
        page.get_by_role("button", name="Sign in with a passkey").click()
        expect(page.locator("summary.avatar")).to_be_visible()
        found: list[str] = page.evaluate("window.policyViolations")
        return found

    assert driver.run(steps) == []
    assert Passkey.objects.get().sign_count >= 2
