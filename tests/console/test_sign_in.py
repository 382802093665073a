"""Signing in and out."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import get_hasher
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.client_address import network_of
from apps.accounts.models import UserSession
from apps.core.clock import frozen
from tests.console.signing import sign_in

WRONG = "E-mail address or password is wrong."


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


# --- against guessing ------------------------------------------------------------------------------------------------
def guesses(client: Client, name: str, number: int, **more: Any) -> list[int]:
    return [client.post("/login/", {"username": name, "password": "wrong"}, **more).status_code for _ in range(number)]


@pytest.mark.parametrize("name", ["mara@example.com", "nobody@example.com"])
def test_a_name_is_locked_after_five_wrong_passwords_whether_anybody_has_it_or_not(
    client: Client, mara: Any, noon: datetime, name: str
) -> None:
    assert guesses(client, name, 5) == [200, 200, 200, 200, 429]
    answer = sign_in(client, name.upper())  # with the right password, for Mara
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "900")
    text = answer.content.decode()
    assert "the next one is possible at 12:15:00 UTC, in 15 min" in text
    assert WRONG not in text
    assert sign_in(client, "mara").status_code == 302  # the other name is not locked: that would tell who it is


def test_spellings_of_a_name_are_one_name(client: Client, mara: Any, noon: datetime) -> None:
    for name in ("mara", "MARA ", "\uff4dara", "m\uff21ra", "mar\u1d43"):
        guesses(client, name, 1)
    assert sign_in(client, "mara").status_code == 429


def test_a_lock_ends_at_the_time_that_was_told(client: Client, mara: Any, noon: datetime) -> None:
    guesses(client, "mara", 5)
    with frozen(noon + timedelta(minutes=14, seconds=59)):
        assert sign_in(client, "mara").status_code == 429
    with frozen(noon + timedelta(minutes=15)):
        assert sign_in(client, "mara").url == "/"


def test_failures_count_within_a_quarter_of_an_hour_and_until_a_success(
    client: Client, mara: Any, noon: datetime
) -> None:
    guesses(client, "mara", 4)
    with frozen(noon + timedelta(minutes=15)):
        assert guesses(client, "mara", 4) == [200] * 4
        assert sign_in(client, "mara").url == "/"
        client.logout()
        assert guesses(client, "mara", 4) == [200] * 4


def test_an_address_is_locked_after_thirty_wrong_passwords_also_by_who_signs_in_between(
    client: Client, mara: Any, noon: datetime
) -> None:
    for number in range(29):
        guesses(client, f"user{number}", 1)
    sign_in(client, "mara")
    client.logout()
    assert guesses(client, "user30", 1) == [429]
    assert sign_in(client, "mara").status_code == 429
    assert sign_in(Client(REMOTE_ADDR="192.0.2.7"), "mara").url == "/"


def test_behind_a_proxy_the_address_is_what_the_proxy_wrote(mara: Any, noon: datetime, settings: Any) -> None:
    settings.BEHIND_PROXY = True
    client = Client(headers={"x-forwarded-for": "198.51.100.1, 2001:db8::7"})
    sign_in(client, "mara")
    assert UserSession.objects.get(user=mara).address == "2001:db8::7"
    assert network_of("2001:db8::7") == network_of("2001:db8::8:9") != network_of("2001:db8:0:1::7")


def test_a_name_that_does_not_exist_takes_as_much_work_as_one_that_does(
    client: Client, mara: Any, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []
    hasher = get_hasher()
    real = type(hasher).encode
    monkeypatch.setattr(type(hasher), "encode", lambda self, *facts: hashed.append("once") or real(self, *facts))
    work = []
    guesses(client, "somebody", 1)
    for name in ("mara", "nobody"):
        hashed.clear()
        with CaptureQueriesContext(connection) as queries:
            guesses(client, name, 1)
        work.append((len(hashed), len(queries)))
    assert work[0] == work[1]
    assert work[0][0] == 1


def test_the_admin_has_no_door_of_its_own(client: Client, mara: Any, superuser: Any) -> None:
    assert client.get("/admin/").url == "/admin/login/?next=/admin/"
    for answer in (
        client.get("/admin/login/?next=/admin/"),
        client.post("/admin/login/?next=/admin/", {"username": superuser.username, "password": "x"}),
    ):
        assert answer.url == "/login/?next=%2Fadmin%2F"
    client.force_login(mara)
    assert client.get("/admin/login/").status_code == 403
