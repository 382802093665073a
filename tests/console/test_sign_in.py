"""Signing in and out."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

WRONG = "E-mail address or password is wrong."


def sign_in(client: Client, name: str, password: str = "a long password", **more: str) -> Any:
    return client.post("/login/", {"username": name, "password": password, **more})


@pytest.mark.parametrize("name", ["mara@example.com", " Mara@Example.com ", "mara"])
def test_a_user_signs_in_by_address_in_any_case_or_by_user_name(client: Client, mara: Any, name: str) -> None:
    assert sign_in(client, name).url == "/"
    assert client.session["_auth_user_id"] == str(mara.pk)


def test_a_wrong_password_is_told_without_saying_which_part_was_wrong(client: Client, mara: Any) -> None:
    assert WRONG in sign_in(client, "mara@example.com", "wrong").content.decode()
    assert WRONG in sign_in(client, "nobody@example.com", "wrong").content.decode()


def test_a_disabled_user_reads_the_same_sentence(client: Client, mara: Any) -> None:
    mara.is_active = False
    mara.save()
    assert WRONG in sign_in(client, "mara@example.com").content.decode()


def test_an_address_that_two_users_share_signs_in_neither(client: Client, mara: Any) -> None:
    get_user_model().objects.create_user("mara2", "mara@example.com", "a long password")
    assert WRONG in sign_in(client, "mara@example.com").content.decode()


def test_the_session_ends_with_the_browser_unless_the_user_stays(client: Client, mara: Any) -> None:
    sign_in(client, "mara")
    assert client.session.get_expire_at_browser_close()
    client.logout()
    sign_in(client, "mara", stay="on")
    assert client.session.get_expiry_age() == 14 * 86400


def test_a_page_that_needs_a_sign_in_is_returned_to(client: Client, mara: Any) -> None:
    page = client.get("/", follow=True)
    assert "You return to <b" in page.content.decode()
    assert sign_in(client, "mara", next="/?view=list").url == "/?view=list"


def test_another_site_is_never_returned_to(client: Client, mara: Any) -> None:
    assert sign_in(client, "mara", next="https://evil.example/").url == "/"


def test_signing_out_needs_a_post_and_leads_to_the_sign_in_page(client: Client, mara: Any) -> None:
    client.force_login(mara)
    assert client.get("/logout/").status_code == 405
    assert client.post("/logout/").url == "/login/"
    assert "_auth_user_id" not in client.session


def test_a_form_from_an_older_session_is_explained(mara: Any) -> None:
    page = Client(enforce_csrf_checks=True).post("/login/", {"username": "mara", "password": "a long password"})
    assert page.status_code == 403
    assert "This form is out of date" in page.content.decode()
