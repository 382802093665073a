"""Passwords and sessions: reset by mail, changed, listed, ended."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.test import Client, RequestFactory

from apps.accounts.models import UserSession
from apps.accounts.passwords import NOBODY
from apps.accounts.sessions import SessionStore, note_seen
from apps.core.clock import frozen
from apps.execution import tasks
from tests.console.screens import html_of, text_of
from tests.console.signing import HERE, PASSWORD, browser_of, is_signed_in, sign_in

pytestmark = pytest.mark.django_db
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36"
NEW = "quite another one"


@pytest.fixture
def hints(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Users to whom a mail is hinted at."""
    found: list[int] = []
    monkeypatch.setattr("apps.accounts.passwords.enqueue", lambda name, key, queue: found.append(key))
    return found


def link_in_mail(user: User) -> str:
    tasks.send_password_reset(user.pk)
    found = re.search(r"http://127.0.0.1:8000(/login/password/\S+)", str(mail.outbox[-1].body))
    assert found
    return found[1]


def test_a_link_goes_to_whoever_has_the_address_and_the_answer_tells_nothing(
    client: Client, mara: User, hints: list[int]
) -> None:
    known = client.post("/login/password/", {"email": "Mara@Example.com"}).content.decode()
    unknown = client.post("/login/password/", {"email": "nobody@example.com"}).content.decode()
    assert known.replace("Mara@Example.com", "X") == unknown.replace("nobody@example.com", "X")
    assert hints == [mara.pk, NOBODY]  # the same work
    tasks.send_password_reset(NOBODY)
    assert mail.outbox == []


def test_links_are_not_sent_without_end(client: Client, mara: User, noon: datetime, hints: list[int]) -> None:
    for email in ("mara@example.com", "nobody@example.com"):
        answers = [client.post("/login/password/", {"email": email}) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert "the next one is possible at 12:15:00 UTC" in answers[-1].content.decode()
    assert len(hints) == 6


def test_the_link_sets_a_password_once_and_ends_all_sessions(client: Client, mara: User) -> None:
    before = browser_of(mara)
    link = link_in_mail(mara)
    hidden = client.get(link).url
    assert hidden.endswith("/now/")
    refused = client.post(hidden, {"new_password1": "12345678", "new_password2": "12345678"})
    assert refused.status_code == 422
    assert "too common" in refused.content.decode()
    assert client.post(hidden, {"new_password1": NEW, "new_password2": NEW}).url == "/login/"
    assert before.get(HERE).url.startswith("/login/")
    assert sign_in(client, "mara", NEW).url == "/"
    other = Client()
    assert other.get(other.get(link).url).status_code == 404


def test_a_link_is_over_after_an_hour_and_belongs_to_the_browser_that_opened_it(
    client: Client, mara: User, settings: Any
) -> None:
    link = link_in_mail(mara)
    hidden = client.get(link).url
    assert Client().get(hidden).status_code == 404
    assert client.get(hidden).status_code == 200
    settings.PASSWORD_RESET_TIMEOUT = -1
    answer = client.get(hidden)
    assert answer.status_code == 404
    assert "This link is over" in answer.content.decode()
    for nonsense in ("/login/password/x/y/", "/login/password/OTk5OTk5OTk5OTk5/y/"):
        assert client.get(client.get(nonsense).url).status_code == 404


def test_a_changed_password_ends_the_other_sessions_and_not_this_one(mara: User, client: Client) -> None:
    here, there = browser_of(mara), browser_of(mara)
    done = here.post(f"{HERE}password/", {"new_password1": NEW, "new_password2": NEW}, follow=True)
    assert "You are signed out everywhere else." in done.content.decode()
    assert there.get(HERE).url.startswith("/login/")
    assert here.get(HERE).status_code == 200
    assert sign_in(client, "mara", PASSWORD).status_code == 200
    assert sign_in(client, "mara", NEW).url == "/"


def test_sessions_are_listed_with_browser_address_and_time(mara: User, noon: datetime) -> None:
    browser_of(mara, CHROME)
    with frozen(noon + timedelta(minutes=3)):
        here = browser_of(mara)
        text = text_of(html_of(here, HERE))
    assert "Firefox on Linux this one 127.0.0.1 2 Mar 12:03:00 2 Mar 12:03:00" in text
    assert "Chrome on Windows 127.0.0.1 2 Mar 12:00:00 2 Mar 12:00:00 End" in text
    assert here.session.session_key not in html_of(here, HERE)


def test_when_a_session_was_seen_last_is_noted_every_five_minutes(mara: User, noon: datetime) -> None:
    here = browser_of(mara)
    for minutes, seen in ((4, noon), (6, noon + timedelta(minutes=6))):
        with frozen(noon + timedelta(minutes=minutes)):
            here.get("/profile/")
        assert UserSession.objects.get(user=mara).seen_at == seen


def test_noting_that_a_session_was_seen_takes_back_nothing_of_another_page(mara: User, noon: datetime) -> None:
    key = browser_of(mara).session.session_key
    poll, page = SessionStore(key), SessionStore(key)
    with frozen(noon + timedelta(minutes=6)):
        request = RequestFactory().get("/live/", REMOTE_ADDR="192.0.2.7")
        request.session = poll
        note_seen(request)
        page["environment"] = "sandbox"
        page.save()
        poll.save()
    assert SessionStore(key)["environment"] == "sandbox"
    row = UserSession.objects.get(user=mara)
    assert (row.seen_at, row.address) == (noon + timedelta(minutes=6), "192.0.2.7")
    again = SessionStore(key)
    again["environment"] = "production"
    again.save()
    assert UserSession.objects.get(user=mara).seen_at == noon + timedelta(minutes=6)


def test_one_other_session_is_ended_or_all_of_them(mara: User) -> None:
    here, first, second, third = (browser_of(mara) for _ in range(4))
    handles = re.findall(r"sessions/(\d+)/end\"", html_of(here, HERE))
    assert len(handles) == 3
    here.post(f"{HERE}sessions/{handles[0]}/end")
    assert sum(browser.get("/profile/").status_code == 200 for browser in (first, second, third)) == 2
    page = here.post(f"{HERE}sessions/end-others", follow=True).content.decode()
    assert "2 other sessions ended." in page
    assert [is_signed_in(browser) for browser in (first, second, third, here)] == [False, False, False, True]


def test_a_session_of_somebody_else_is_out_of_reach(mara: User, django_user_model: Any) -> None:
    other = browser_of(django_user_model.objects.create_user("bo", "bo@example.com", PASSWORD))
    mine = browser_of(mara)
    handle = re.findall(r"sessions/(\d+)/end\"", html_of(browser_of(mara), HERE))[0]
    assert "had ended already" in other.post(f"{HERE}sessions/{handle}/end", follow=True).content.decode()
    assert mine.get("/profile/").status_code == 200
