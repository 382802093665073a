"""Users and roles: the list, what a member may be made, and that an account always keeps an owner."""

import re
from datetime import datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.test import Client

from apps.accounts.members import (
    MemberRefused,
    Roles,
    change_roles,
    disable_member,
    enable_member,
    transfer_account,
)
from apps.accounts.models import Account, AuditEntry, Member, MemberRole, Passkey, Role
from apps.core.clock import wall_now
from apps.flows.models import Integration
from tests.console.screens import html_of, signed_in, text_of
from tests.factories import make_account, make_integration, make_member, make_user

pytestmark = pytest.mark.django_db
LIST = "/settings/users/"


@pytest.fixture
def owner(account: Account) -> Member:
    found: Member = Member.objects.of(account).get(role=Role.OWNER)
    return found


@pytest.fixture
def admin(account: Account) -> Client:
    """The browser of an administrator."""
    return signed_in(make_member(account, role=Role.ADMINISTRATOR, user=make_user("ada")).user)


@pytest.fixture
def shop(account: Account) -> Integration:
    return make_integration(account, name="Shop", slug="shop")


@pytest.fixture
def single(account: Account, shop: Integration) -> Member:
    """Manager of the integration Shop only."""
    member = make_member(account, user=make_user("sina", first_name="Sina", last_name="Gul"))
    Member.objects.of(account).filter(pk=member.pk).update(role="")
    MemberRole.unscoped.create(account=account, member=member, integration=shop, role=Role.MANAGER)
    member.refresh_from_db()
    return member


def row_of(html: str, name: str) -> str:
    return next(text_of(row) for row in re.findall(r"<tr>.*?</tr>", html, re.DOTALL) if name in row)


def address(member: Member, act: str = "") -> str:
    return f"{LIST}{member.pk}/{act}"


def roles_now(member: Member) -> tuple[str, dict[str, str], bool]:
    member.refresh_from_db()
    single = {one.integration.name: one.role for one in member.roles.select_related("integration")}
    return member.role, single, member.may_edit_retry_data


# --- the list -------------------------------------------------------------------------------------------------------
def test_each_member_has_role_second_factor_last_sign_in_and_state(
    admin: Client, member: Member, single: Member, owner: Member, noon: datetime
) -> None:
    User.objects.filter(pk=single.user_id).update(last_login=noon)
    Member.objects.of(member.account).filter(pk=member.pk).update(disabled_at=noon, may_edit_retry_data=True)
    Passkey.objects.create(user=owner.user, name="Phone", credential_sha256="1", credential=b"1")
    html = html_of(admin, LIST)
    assert "Sina Gul sina@example.org Shop: manager partly by role none 2 Mar 12:00:00 active" in row_of(html, "Sina")
    assert "Manager yes none never disabled" in row_of(html, member.user.email)
    assert "Owner by role passkey never active" in row_of(html, owner.user.email)
    assert "2 active members have none." in text_of(html)


@pytest.mark.parametrize("more", [0, 8])
def test_the_list_takes_the_same_queries_for_any_number_of_members(
    admin: Client, account: Account, single: Member, more: int, django_assert_num_queries: Any
) -> None:
    for _ in range(more):
        make_member(account)
    admin.get(LIST)
    with django_assert_num_queries(6):  # session, user, members, their single roles, invitations, the frame
        admin.get(LIST)


def test_whoever_is_no_administrator_sees_the_members_and_changes_none(
    page: Client, member: Member, owner: Member, account: Account
) -> None:
    html = html_of(page, LIST)
    assert owner.user.email in html
    assert "Needs the role administrator" in html
    assert "Invitations" not in text_of(html)
    tries = [address(owner), address(owner, "disable"), f"{LIST}invite/", f"{LIST}transfer/", f"{LIST}second-factor"]
    assert [page.post(path).status_code for path in tries] == [403] * len(tries)


def test_who_sees_one_integration_sees_those_who_see_it_too(account: Account, single: Member, owner: Member) -> None:
    other = make_member(account, user=make_user("olga"))
    Member.objects.of(account).filter(pk=other.pk).update(role="")
    MemberRole.unscoped.create(account=account, member=other, integration=make_integration(account), role=Role.MONITOR)
    html = html_of(signed_in(single.user), LIST)
    assert owner.user.email in html
    assert "olga" not in html


def test_members_of_another_account_are_not_there(admin: Client) -> None:
    foreign = make_member()
    assert foreign.user.email not in html_of(admin, LIST)
    paths = [address(foreign, act) for act in ("", "disable", "enable")]
    assert [admin.post(path).status_code for path in paths] == [404] * 3
    assert admin.post(address(Member(pk=10**30))).status_code == 404


# --- roles ----------------------------------------------------------------------------------------------------------
def test_a_role_of_the_account_replaces_those_in_single_integrations_and_back(
    admin: Client, single: Member, shop: Integration, account: Account
) -> None:
    admin.post(address(single), {"role": "monitor", "may_edit_retry_data": "on"})
    assert roles_now(single) == ("monitor", {}, True)
    entry = AuditEntry.objects.of(account).get(act="member.change")
    assert (entry.before["integrations"], entry.after["role"]) == ({str(shop.pk): "manager"}, "monitor")
    admin.post(address(single), {"role": "", f"integration_{shop.pk}": "administrator"})
    assert roles_now(single) == ("", {"Shop": "administrator"}, False)
    assert AuditEntry.objects.of(account).filter(act="member.change").count() == 2
    admin.post(address(single), {"role": "", f"integration_{shop.pk}": "administrator"})
    assert AuditEntry.objects.of(account).filter(act="member.change").count() == 2  # nothing has changed


def test_a_member_has_some_role(admin: Client, single: Member, shop: Integration) -> None:
    answer = admin.post(address(single), {"role": ""})
    assert answer.status_code == 422
    assert "Choose a role for the whole account, or for at least one integration." in answer.content.decode()
    assert admin.post(address(single), {"role": "", f"integration_{shop.pk}": "owner"}).status_code == 422
    foreign = make_integration(make_account())
    with pytest.raises(MemberRefused, match="One of these integrations is gone"):
        change_roles(member=single, roles=Roles("", {foreign.pk: "monitor"}), by=_administrator(single.account))


def _administrator(account: Account) -> Member:
    found: Member = Member.objects.of(account).get(role=Role.ADMINISTRATOR)
    return found


def test_administrators_neither_name_owners_nor_change_them(admin: Client, member: Member, owner: Member) -> None:
    assert "Owner: everything" not in html_of(admin, address(member))
    assert admin.post(address(member), {"role": "owner"}).status_code == 422  # no choice of theirs
    assert admin.post(address(owner), {"role": "monitor"}).status_code == 403
    assert admin.post(address(owner, "disable")).status_code == 403
    assert (roles_now(member)[0], roles_now(owner)[0]) == ("manager", "owner")


def test_owners_name_owners(owner: Member, member: Member) -> None:
    signed_in(owner.user).post(address(member), {"role": "owner"})
    assert roles_now(member)[0] == "owner"


def test_nobody_changes_or_disables_himself(owner: Member) -> None:
    browser = signed_in(owner.user)
    assert "This is you: another owner or administrator changes you." in html_of(browser, address(owner))
    assert browser.post(address(owner), {"role": "monitor"}).status_code == 422
    page = browser.post(address(owner, "disable"), follow=True).content.decode()
    assert "This is you: another owner or administrator changes or disables you." in page
    assert owner.is_active
    assert roles_now(owner)[0] == "owner"


def test_the_last_active_owner_is_kept_even_by_one_who_was_disabled_meanwhile(owner: Member, account: Account) -> None:
    other = make_member(account, role=Role.OWNER)
    acting = Member.objects.of(account).select_related("user").get(pk=other.pk)  # read before the other acted
    User.objects.filter(pk=other.user_id).update(is_active=False)
    keeps = "An account keeps at least one active owner: name another owner first."
    with pytest.raises(MemberRefused, match=keeps):
        disable_member(member=owner, by=acting)
    with pytest.raises(MemberRefused, match=keeps):
        change_roles(member=owner, roles=Roles(Role.MONITOR), by=acting)
    owner.refresh_from_db()
    assert (owner.is_active, owner.role) == (True, Role.OWNER)


def test_roles_are_those_that_are_found_with_the_account_locked(
    owner: Member, account: Account, member: Member, single: Member
) -> None:
    other = make_member(account, role=Role.OWNER)
    acting, victim = (Member.objects.of(account).select_related("user").get(pk=one.pk) for one in (other, member))
    change_roles(member=other, roles=Roles(Role.ADMINISTRATOR), by=owner)
    change_roles(member=member, roles=Roles(Role.OWNER), by=owner)
    acts = (
        lambda: change_roles(member=victim, roles=Roles(Role.MONITOR), by=acting),
        lambda: disable_member(member=victim, by=acting),
        lambda: enable_member(member=victim, by=acting),
        lambda: transfer_account(to=single, by=acting),
    )
    for act in acts:
        with pytest.raises(PermissionDenied):
            act()
    assert [roles_now(one)[0] for one in (member, single)] == ["owner", ""]


# --- disabling -------------------------------------------------------------------------------------------------------
def test_a_disabled_member_gets_at_nothing_and_is_enabled_again(admin: Client, member: Member, page: Client) -> None:
    assert page.get("/errors/").status_code == 200
    admin.post(address(member, "disable"))
    assert "You are not a member of any account" in html_of(page, "/errors/")
    admin.post(address(member, "enable"))
    assert page.get("/errors/").status_code == 200
    acts = AuditEntry.objects.of(member.account).filter(object_id=member.pk).values_list("act", flat=True)
    assert {"member.disable", "member.enable"} <= set(acts)


# --- transfer --------------------------------------------------------------------------------------------------------
def test_an_owner_transfers_the_account_and_becomes_administrator(
    owner: Member, member: Member, admin: Client, account: Account
) -> None:
    assert admin.get(f"{LIST}transfer/").status_code == 403
    browser = signed_in(owner.user)
    answer = browser.post(f"{LIST}transfer/", {"to": member.pk})
    assert answer.url == LIST
    assert (roles_now(member)[0], roles_now(owner)[0]) == ("owner", "administrator")
    assert AuditEntry.objects.of(account).get(act="account.transfer").after["to"] == member.user.username
    assert browser.get(f"{LIST}transfer/").status_code == 403


def test_an_account_goes_to_an_active_member_of_its_own_only(owner: Member, member: Member) -> None:
    Member.objects.of(member.account).filter(pk=member.pk).update(disabled_at=wall_now())
    browser = signed_in(owner.user)
    for wrong in (member.pk, make_member().pk, owner.pk, "x"):
        assert browser.post(f"{LIST}transfer/", {"to": wrong}).status_code == 422
    assert roles_now(owner)[0] == "owner"
