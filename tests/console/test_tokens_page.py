"""API tokens in the console: made, shown once, listed, revoked; one's own, or for some everybody's."""

import re
from datetime import timedelta

import pytest
from django.test import Client

from apps.accounts.models import AuditEntry, Member, Role, Token
from apps.accounts.services import Actor
from apps.accounts.tokens import Scope, find_token, issue_token
from apps.core.clock import wall_now
from tests.console.screens import html_of, signed_in, text_of
from tests.factories import make_account, make_member

LIST = "/settings/tokens/"
NEW = f"{LIST}new/"
TOKEN = re.compile(r"fm_[0-9a-z]{9}_[0-9a-f]{40}")
FACTS = {"name": "Nightly report", "days": "30", "scopes": ["read", "errors"]}


@pytest.fixture
def boss(account) -> Member:
    return make_member(account, role=Role.ADMINISTRATOR)


def made(page: Client, **facts: object) -> Token:
    answer = page.post(NEW, FACTS | facts)
    assert (answer.status_code, answer.url) == (302, LIST), text_of(answer.content.decode())
    return Token.unscoped.latest("pk")


def test_a_new_token_is_shown_once_and_works(page, member):
    token = made(page)
    answer = page.get(LIST)
    (text,) = set(TOKEN.findall(answer.content.decode()))
    assert 'data-copy="once"' in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    assert find_token(text) == token
    assert (token.member_id, token.name, token.scopes) == (member.pk, "Nightly report", ["errors", "read"])
    assert timedelta(days=29) < token.expires_at - wall_now() <= timedelta(days=30)
    assert TOKEN.findall(html_of(page, LIST)) == []
    assert text not in str(list(page.session.items()))
    entry = AuditEntry.objects.of(member.account_id).get(act="token.issue")
    assert (entry.member_id, entry.object_id) == (member.pk, token.pk)


def test_until_it_is_shown_it_waits_encrypted(page):
    made(page)
    assert TOKEN.findall(str(list(page.session.items()))) == []


def test_everything_contains_the_other_scopes_and_never_means_never(page):
    token = made(page, scopes=["read", "full"], days="0")
    assert (token.scopes, token.expires_at) == (["full"], None)


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"name": " "}, "This field is required"),
        ({"scopes": []}, "Choose what it may be used for"),
        ({"scopes": ["root"]}, "not one of the available choices"),
        ({"days": "1"}, "not one of the available choices"),
    ],
    ids=["no name", "no scope", "unknown scope", "unknown time"],
)
def test_what_cannot_be_is_told_at_its_field_and_makes_no_token(page, facts, sentence):
    answer = page.post(NEW, FACTS | facts)
    assert answer.status_code == 422
    assert sentence in text_of(answer.content.decode())
    assert not Token.unscoped.exists()


def test_the_list_tells_who_may_what_since_when_and_until_when(page, member, django_assert_num_queries):
    issue_token(member=member, name="Good", scopes=[Scope.READ])
    issue_token(member=member, name="Old", expires_at=wall_now() - timedelta(seconds=1))
    Token.unscoped.filter(pk=issue_token(member=member, name="Gone")[0].pk).update(revoked_at=wall_now())
    with django_assert_num_queries(4):  # session, member, the tokens, the shell
        html = html_of(page, LIST)
    rows = [text_of(row) for row in re.findall(r"<tr>(.*?)</tr>", html, re.S)[1:]]
    assert [next(word for word in ("Active", "Expired", "Revoked") if word in row) for row in rows] == [
        "Active", "Revoked", "Expired"
    ]  # fmt: skip
    assert "everything" in rows[1]
    assert "fm_" in rows[0]
    assert [("Revoke" in row.replace("Revoked", "")) for row in rows] == [True, False, True]


@pytest.mark.parametrize("role", [Role.MONITOR, Role.MANAGER])
def test_others_tokens_are_not_there_for_who_does_not_manage_tokens(account, boss, role):
    page = signed_in(make_member(account, role=role).user)
    token, _ = issue_token(member=boss, name="Of the boss")
    assert "Of the boss" not in html_of(page, LIST)
    assert page.get(f"{LIST}{token.pk}/revoke/").status_code == 404
    assert page.post(f"{LIST}{token.pk}/revoke/").status_code == 404
    assert 'name="member"' not in html_of(page, NEW)
    assert page.post(NEW, FACTS | {"member": boss.pk}).status_code == 403
    assert Token.unscoped.count() == 1


def test_who_manages_tokens_sees_makes_and_revokes_those_of_others(account, member, boss):
    page = signed_in(boss.user)
    token = made(page, member=member.pk)
    assert token.member_id == member.pk
    assert "Nightly report" in html_of(page, LIST)
    assert "cannot be undone" in html_of(page, f"{LIST}{token.pk}/revoke/")
    token.refresh_from_db()
    assert token.revoked_at is None
    assert page.post(f"{LIST}{token.pk}/revoke/").url == LIST
    token.refresh_from_db()
    assert token.revoked_at is not None
    assert AuditEntry.objects.of(account).get(act="token.revoke").member_id == boss.pk


def test_nobody_gets_the_powers_of_a_higher_role_by_a_token(account, boss):
    owner = Member.objects.of(account).get(role=Role.OWNER)
    gone = make_member(account, role=Role.MONITOR)
    Member.unscoped.filter(pk=gone.pk).update(disabled_at=wall_now())
    page = signed_in(boss.user)
    for member in (owner, gone, make_member()):
        answer = page.post(NEW, FACTS | {"member": member.pk})
        assert (answer.status_code, Token.unscoped.count()) == (422, 0)
        assert "whose role is not above yours" in text_of(answer.content.decode())


def test_tokens_of_another_account_are_not_there(account, boss):
    token, _ = issue_token(member=Member.unscoped.get(account=make_account()), name="Theirs")
    page = signed_in(boss.user)
    assert "Theirs" not in html_of(page, LIST)
    assert page.post(f"{LIST}{token.pk}/revoke/").status_code == 404


def test_revoking_twice_says_nothing_new(page, member):
    token, _ = issue_token(member=member, actor=Actor.member(member))
    for _ in range(2):
        page.post(f"{LIST}{token.pk}/revoke/")
    assert AuditEntry.objects.of(member.account_id).filter(act="token.revoke").count() == 1
