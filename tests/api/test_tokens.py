"""Tokens: who may call, for how long, for what."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from apps.accounts.models import AuditEntry, Role, Token
from apps.accounts.services import COMMAND
from apps.accounts.tokens import Scope, find_token, issue_token, revoke_token
from apps.core import clock
from apps.core.ids import Kind, wire_id
from tests.api.client import Api, api_of
from tests.conftest import NOON
from tests.factories import make_account, make_member

pytestmark = pytest.mark.django_db


def test_a_token_tells_whose_it_is(api, owner):
    found = api.call("GET", "tokenInfo").json
    assert found["_userId"] == wire_id(Kind.USER, owner.user_id)
    assert (found["scope"], found["scopes"], found["role"]) == ("full", ["full"], "owner")
    assert api_of(owner, Scope.ERRORS).call("GET", "tokenInfo").json["scope"] == "custom"


@pytest.mark.parametrize("sent", ["", "Basic abc", "Bearer", "Bearer fm_abcdefghi_" + "0" * 40, "Bearer \x7f\xff"])
def test_without_a_good_token_the_answer_is_401_in_json(db, sent):
    answer = Api().call("GET", "flows", status=401, headers={"Authorization": sent} if sent else {})
    assert answer.codes == ["unauthorized"]
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert "Location" not in answer.headers


def test_a_token_is_stored_as_a_hash_and_found_only_whole(owner):
    token, text = issue_token(member=owner)
    assert text.startswith(token.prefix)
    secret = text.removeprefix(token.prefix + "_")
    stored = str(Token.unscoped.values().get(pk=token.pk)) + str(list(AuditEntry.unscoped.values()))
    assert secret not in stored
    assert find_token(text) == token
    assert find_token(text[:-1] + ("0" if text[-1] != "0" else "1")) is None


def test_expired_and_revoked_tokens_and_those_of_disabled_members_open_nothing(owner, account):
    with clock.frozen(NOON):
        token, text = issue_token(member=owner, expires_at=NOON + timedelta(seconds=1))
        assert find_token(text) is not None
    with clock.frozen(NOON + timedelta(seconds=1)):
        assert find_token(text) is None
    token, text = issue_token(member=owner)
    assert revoke_token(token=token)
    assert not revoke_token(token=token)
    assert find_token(text) is None
    member = make_member(account)
    _, text = issue_token(member=member)
    member.disabled_at = NOON
    member.save()
    assert find_token(text) is None


def test_the_last_use_is_written_once_a_minute(owner, django_assert_num_queries):
    with clock.frozen(NOON):
        token, text = issue_token(member=owner)
        find_token(text)
    with clock.frozen(NOON + timedelta(seconds=59)), django_assert_num_queries(1):
        assert find_token(text).last_used_at == NOON
    with clock.frozen(NOON + timedelta(seconds=60)):
        find_token(text)
    token.refresh_from_db()
    assert token.last_used_at == NOON + timedelta(seconds=60)


def test_a_token_for_errors_reads_no_flows(owner):
    answer = api_of(owner, Scope.ERRORS).call("GET", "flows", status=403)
    assert answer.codes == ["forbidden"]
    assert "lacks the scope read" in answer.message


def test_the_command_makes_lists_and_revokes_tokens(account, owner):
    text = told("create", "--scope", "read", "--scope", "errors", "--name", "Report").splitlines()[-1]
    token = find_token(text)
    assert (token.member_id, token.scopes, token.name) == (owner.pk, ["errors", "read"], "Report")
    listed = told("list")
    assert token.prefix in listed
    assert text not in listed
    assert "is revoked" in told("revoke", token.prefix)
    assert find_token(text) is None
    assert AuditEntry.unscoped.filter(act="token.revoke", actor_kind=COMMAND.kind).count() == 1


def test_the_command_makes_a_token_for_a_member_by_address(account):
    member = make_member(account, role=Role.MONITOR)
    made = json.loads(told("create", "--member", member.user.email.upper(), "--days", "30", "--json"))
    token = find_token(made["token"])
    assert token.member_id == member.pk
    assert token.expires_at is not None
    with pytest.raises(CommandError, match=r"no active member nobody@example\.org"):
        told("create", "--member", "nobody@example.org")
    with pytest.raises(CommandError, match="no token that begins with fm_no"):
        told("revoke", "fm_no")


def told(*arguments: str) -> str:
    out = StringIO()
    call_command("token", *arguments, stdout=out)
    return out.getvalue()


def test_a_token_sees_only_its_own_account(api):
    assert api.call("GET", "integrations").json == []
    other = make_account()
    assert api.call("GET", f"integrations/{wire_id(Kind.INTEGRATION, other.pk)}", status=404).codes == ["not_found"]
