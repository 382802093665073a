"""Invitations: sent by mail, opened by their link, accepted once."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.db.models import Q
from django.test import Client

from apps.accounts import invitations
from apps.accounts.invitations import InvitationRefused, accept, accept_as_new
from apps.accounts.models import Account, AuditEntry, Invitation, Member, Role
from apps.core.clock import frozen
from apps.execution import tasks
from tests.console.screens import html_of, signed_in, text_of
from tests.factories import make_integration, make_member, make_user

pytestmark = pytest.mark.django_db
LIST, HERE = "/settings/users/", "/invitations/now/"
NEW = {"name": "Ana Maria Lopez", "password": "a long password", "again": "a long password"}


@pytest.fixture
def admin(account: Account) -> Client:
    ada = make_user("ada", first_name="Ada", last_name="Byron")
    return signed_in(make_member(account, role=Role.ADMINISTRATOR, user=ada).user)


def invite(admin: Client, email: str = "Ana@Example.org", **fields: Any) -> Any:
    return admin.post(f"{LIST}invite/", {"email": email, "role": "manager", **fields})


def link_of(invitation: Invitation) -> str:
    """Sends the mail as a worker does, and reads the link in it."""
    tasks.send_invitation(invitation.pk)
    found = re.search(r"http://127.0.0.1:8000(/invitations/\S+)", str(mail.outbox[-1].body))
    assert found
    return found[1]


def opened(browser: Client, link: str) -> Any:
    """What the link leads to."""
    return browser.get(link, follow=True)


def only() -> Invitation:
    found: Invitation = Invitation.unscoped.get()
    return found


def test_a_mail_with_a_link_goes_out_and_the_list_tells_so(admin: Client, account: Account, noon: datetime) -> None:
    assert invite(admin).url == LIST
    assert "ana@example.org Manager Ada Byron on its way" in text_of(html_of(admin, LIST))
    link = link_of(only())
    letter = mail.outbox[0]
    assert letter.to == ["ana@example.org"]
    assert f"Ada Byron asks you to become a member of {account}" in str(letter.body)
    assert "until 09 Mar 2026 12:00 UTC" in str(letter.body)
    assert link.split("/")[2] not in only().sha256
    assert "sent 2 Mar 12:00:00 9 Mar 12:00:00" in text_of(html_of(admin, LIST))
    tasks.send_invitation(only().pk)
    assert len(mail.outbox) == 1  # sent once
    assert AuditEntry.objects.of(account).get(act="invitation.add").after["email"] == "ana@example.org"


def test_a_mail_that_cannot_be_sent_is_told_with_its_reason(admin: Client, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    invite(admin)
    tasks.send_invitation(only().pk)
    assert "ConnectionRefusedError" in html_of(admin, LIST)


def test_somebody_new_chooses_name_and_password_and_is_signed_in(
    admin: Client, client: Client, account: Account
) -> None:
    invite(admin, may_edit_retry_data="on")
    link = link_of(only())
    assert 'You sign in with <b class="m">ana@example.org</b>' in opened(client, link).content.decode()
    refused = client.post(HERE, NEW | {"password": "12345678", "again": "x"})
    assert refused.status_code == 422
    assert "too common" in refused.content.decode()
    assert client.post(HERE, NEW | {"again": "another"}).status_code == 422
    assert client.post(HERE, NEW).url == "/"
    user = User.objects.get(email="ana@example.org")
    assert (user.username, user.get_full_name()) == ("ana@example.org", "Ana Maria Lopez")
    member = user.memberships.get()
    assert (member.account, member.role, member.may_edit_retry_data) == (account, "manager", True)
    assert f"You are a member of {account} now." in client.get("/", follow=True).content.decode()
    assert AuditEntry.objects.of(account).filter(act="member.add", object_id=member.pk).exists()
    assert opened(client, link).status_code == 404  # once


def test_whoever_is_signed_in_joins_as_himself(admin: Client, account: Account) -> None:
    invite(admin)
    link = link_of(only())
    elsewhere = make_member().user
    browser = signed_in(elsewhere)
    assert "the invitation went to ana@example.org" in opened(browser, link).content.decode()
    assert elsewhere.memberships.count() == 1  # a GET changes nothing
    browser.post(HERE)
    assert elsewhere.memberships.get(account=account).role == "manager"
    entry = AuditEntry.objects.of(account).filter(act="member.add").latest("pk")
    assert entry.after["invited"] == "ana@example.org"


def test_whoever_has_a_sign_in_is_asked_to_use_it(admin: Client, client: Client) -> None:
    make_user("ana")
    invite(admin)
    link = link_of(only())
    html = opened(client, link).content.decode()
    assert f'href="/login/?next={HERE}"' in html
    assert 'name="password"' not in html
    client.post(HERE, NEW)
    assert not Member.unscoped.filter(user__username="ana").exists()


def test_the_text_of_a_link_is_in_no_log(admin: Client, client: Client, caplog: pytest.LogCaptureFixture) -> None:
    invite(admin)
    link = link_of(only())
    place = opened(client, link).wsgi_request.path
    assert client.post(place, NEW | {"again": "another"}).status_code == 422
    assert "Unprocessable" in caplog.text
    assert link.split("/")[2] not in caplog.text


@pytest.mark.parametrize(
    "change",
    [{"role": Role.MANAGER}, {"disabled_at": datetime(2026, 1, 1, tzinfo=UTC)}, {}],
    ids=["role", "member", "user"],
)
def test_an_invitation_gives_nothing_once_its_sender_may_not(
    admin: Client, client: Client, account: Account, member: Member, change: dict[str, Any]
) -> None:
    invite(admin)
    link, found = link_of(only()), only()
    ada = Member.objects.of(account).filter(user__username="ada")
    ada.update(**change)
    User.objects.filter(username="ada").update(is_active=bool(change))
    assert opened(client, link).status_code == 404
    with pytest.raises(InvitationRefused, match="ada may not invite any more"):
        accept(invitation=found, user=make_user())
    owner = Member.objects.of(account).get(role=Role.OWNER)
    signed_in(owner.user).post(f"{LIST}invitations/{found.pk}/resend")
    assert opened(client, link_of(only())).status_code == 200  # of the one who sent it again


def test_two_clicks_at_once_make_one_invitation_and_one_user(
    admin: Client, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the second finds it that looked before the first had written."""
    invite(admin)
    with monkeypatch.context() as patch:
        patch.setattr(invitations, "UNANSWERED", Q(pk=0))
        assert "is invited already" in invite(admin).content.decode()
    make_user("ana@example.org")
    monkeypatch.setattr(invitations, "user_is_known", lambda email: False)
    with pytest.raises(InvitationRefused, match="has a sign-in already"):
        accept_as_new(invitation=only(), name="Ana", password="a long password")


def test_roles_in_single_integrations_are_given_where_they_still_exist(
    admin: Client, client: Client, account: Account
) -> None:
    shop, gone = make_integration(account, name="Shop"), make_integration(account)
    invite(admin, role="", **{f"integration_{shop.pk}": "monitor", f"integration_{gone.pk}": "manager"})
    assert "in 2 integrations" in html_of(admin, LIST)
    gone.delete()
    opened(client, link_of(only()))
    client.post(HERE, NEW)
    member = Member.unscoped.get(user__email="ana@example.org")
    assert list(member.roles.values_list("integration__name", "role")) == [("Shop", "monitor")]


def test_a_link_is_over_after_seven_days_and_a_new_one_is_sent(admin: Client, client: Client, noon: datetime) -> None:
    invite(admin)
    first = link_of(only())
    with frozen(noon + timedelta(days=7)):
        assert opened(client, first).status_code == 404
        assert "expired" in html_of(admin, LIST)
        admin.post(f"{LIST}invitations/{only().pk}/resend")
        second = link_of(only())
        assert opened(client, second).status_code == 200
        assert opened(client, first).status_code == 404


def test_a_withdrawn_invitation_opens_nothing_and_may_be_made_again(admin: Client, client: Client) -> None:
    invite(admin)
    link = link_of(only())
    act = f"{LIST}invitations/{only().pk}/withdraw"
    admin.post(act)
    assert opened(client, link).status_code == 404
    assert "meanwhile" in admin.post(act, follow=True).content.decode()
    assert invite(admin).status_code == 302


def test_members_and_the_invited_are_not_invited_again(admin: Client, member: Member) -> None:
    assert "is the address of a member already" in invite(admin, member.user.email.upper()).content.decode()
    invite(admin)
    assert "is invited already" in invite(admin, "ana@example.org").content.decode()
    assert invite(admin, "no address").status_code == 422


def test_owners_are_invited_by_owners_only(admin: Client, account: Account, member: Member) -> None:
    assert invite(admin, role="owner").status_code == 422
    owner = Member.objects.of(account).get(role=Role.OWNER)
    assert invite(signed_in(owner.user), role="owner").status_code == 302
    act = f"{LIST}invitations/{only().pk}/"
    assert [admin.post(act + verb).status_code for verb in ("resend", "withdraw")] == [403, 403]


def test_invitations_of_another_account_are_not_there(admin: Client) -> None:
    owner = make_member(role=Role.OWNER)
    invite(signed_in(owner.user))
    assert "ana@example.org" not in html_of(admin, LIST)
    act = f"{LIST}invitations/{only().pk}/"
    assert [admin.post(act + verb).status_code for verb in ("resend", "withdraw")] == [404, 404]
