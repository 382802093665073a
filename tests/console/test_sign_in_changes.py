"""A mail tells a member that how he signs in has changed, whoever changed it."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.test import Client
from django.urls import reverse

from apps.accounts.models import Account, AuditEntry, AuthenticatorApp, Role
from apps.execution import tasks
from tests.console.signing import HERE, PASSWORD, browser_of, set_up_app
from tests.factories import make_account, make_member, make_user

NEW = "quite another one"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker does is done where it is hinted at."""

    def done(name: str, *ids: int, queue: str) -> None:
        assert (name, queue) == ("apps.execution.tasks.send_sign_in_change", "interactive")
        tasks.send_sign_in_change(*ids)

    monkeypatch.setattr("apps.accounts.sign_in_changes.enqueue", done)


@pytest.fixture
def ana(account: Account) -> User:
    """A member of two accounts, who is told once nevertheless."""
    user = make_user("ana", password=PASSWORD)
    make_member(make_account(), user=user)
    return make_member(account, user=user, role=Role.MONITOR).user


def told() -> list[str]:
    found = [letter.subject for letter in mail.outbox]
    mail.outbox.clear()
    return found


def test_what_the_member_changes_himself(ana: User) -> None:
    browser = browser_of(ana)
    set_up_app(browser, ana)
    assert told() == [
        "A second factor was added to your sign-in on Flowmend",
        "You have new recovery codes on Flowmend",
    ]
    browser.post(f"{HERE}recovery-codes/renew")
    assert told() == ["You have new recovery codes on Flowmend"]
    browser.post(f"{HERE}app/remove")
    assert told() == ["A second factor was removed from your sign-in on Flowmend"]
    browser.post(f"{HERE}password/", {"new_password1": NEW, "new_password2": NEW})
    (letter,) = mail.outbox
    assert (letter.subject, letter.to) == ("Your password was changed on Flowmend", [ana.email])
    assert "from the address 127.0.0.1" in letter.body
    assert "http://127.0.0.1:8000/login/password/" in letter.body
    assert NEW not in letter.body


def test_what_an_operator_changes(ana: User, admin_client: Client, superuser: User) -> None:
    AuthenticatorApp.objects.create(user=ana, secret=b"", secret_key_id="k", confirmed_at=ana.date_joined)
    app = AuthenticatorApp.objects.get()
    admin_client.post(reverse("admin:accounts_authenticatorapp_delete", args=[app.pk]), {"post": "yes"})
    assert told() == ["A second factor was removed from your sign-in on Flowmend"]
    own = {"password1": NEW, "password2": NEW, "usable_password": "true"}
    admin_client.post(reverse("admin:auth_user_password_change", args=[ana.pk]), own)
    assert f"An operator, {superuser}, did it on" in mail.outbox[0].body
    assert told() == ["Your password was changed on Flowmend"]
    change_address(admin_client, ana, "thief@example.org")
    (letter,) = mail.outbox
    assert letter.to == ["ana@example.org"], "the address that he had before"
    assert "E-mail address: thief@example.org" in letter.body
    entry = AuditEntry.unscoped.filter(act="sign_in.change").latest("pk")
    assert (entry.before, entry.member, entry.after["by"]) == ({"email": "ana@example.org"}, None, str(superuser))


def change_address(client: Client, user: User, email: str) -> Any:
    joined = {"date_joined_0": f"{user.date_joined:%Y-%m-%d}", "date_joined_1": f"{user.date_joined:%H:%M:%S}"}
    given = {"username": user.username, "email": email, "is_active": "on", **joined}
    answer = client.post(reverse("admin:auth_user_change", args=[user.pk]), given)
    assert answer.status_code == 302
    return answer


def test_a_mail_server_that_is_away_stops_nothing(ana: User, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_PORT = 1
    browser = browser_of(ana)
    browser.post(f"{HERE}password/", {"new_password1": NEW, "new_password2": NEW})
    ana.refresh_from_db()
    assert ana.check_password(NEW)
