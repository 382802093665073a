"""The table of roles, row by row."""

import pytest

from apps.accounts.models import Account, AuditEntry, MemberRole, Role
from apps.accounts.permissions import ACTS, Act, may, visible_integrations
from apps.accounts.selectors import accounts_of, membership
from apps.accounts.services import create_account
from apps.core.clock import wall_now
from tests.factories import make_account, make_integration, make_member, make_user

pytestmark = pytest.mark.django_db

EVERYONE = ["monitor", "manager", "administrator", "owner"]
ROWS = [
    ("view run_flow cancel_run retry_errors resolve_errors assign_errors apply_tags subscribe_self", EVERYONE),
    ("edit_retry_data define_tags edit_flows edit_connections move_checkpoint keep_errors edit_rules", EVERYONE[1:]),
    ("manage_members manage_tokens subscribe_others set_retention read_audit see_platform delete", EVERYONE[2:]),
    ("transfer_account close_account name_owners", EVERYONE[3:]),
]
CASES = [(Act(act), role, role in roles) for acts, roles in ROWS for act in acts.split() for role in EVERYONE]


@pytest.mark.parametrize(("act", "role", "expected"), CASES)
def test_a_role_may_what_the_table_says(act, role, expected):
    assert may(make_member(role=Role(role)), act) is expected


def test_the_table_covers_every_act():
    assert {act for act, _, _ in CASES} == set(Act) == set(ACTS)


def test_a_monitor_with_the_flag_may_edit_retry_data_and_nothing_more():
    member = make_member(role=Role.MONITOR)
    member.may_edit_retry_data = True
    assert may(member, Act.EDIT_RETRY_DATA)
    assert not may(member, Act.EDIT_FLOWS)


@pytest.mark.parametrize("act", list(Act))
def test_nobody_and_the_disabled_may_nothing(act):
    member = make_member(role=Role.OWNER)
    member.disabled_at = wall_now()
    assert not may(member, act)
    assert not may(None, act)


class TestRolesInOneIntegration:
    @pytest.fixture
    def integration(self, account):
        return make_integration(account)

    @pytest.fixture
    def member(self, account, integration):
        member = make_member(account)
        member.role = ""
        member.save()
        MemberRole.unscoped.create(account=account, member=member, integration=integration, role=Role.MANAGER)
        return member

    def test_it_counts_there_only(self, member, integration, account):
        elsewhere = make_integration(account)
        assert may(member, Act.EDIT_FLOWS, integration_id=integration.pk)
        assert not may(member, Act.VIEW, integration_id=elsewhere.pk)
        assert not may(member, Act.VIEW)
        assert visible_integrations(member) == {integration.pk}

    def test_the_role_of_the_whole_account_wins(self, member, integration):
        member.role = Role.MONITOR
        assert not may(member, Act.EDIT_FLOWS, integration_id=integration.pk)
        assert visible_integrations(member) is None


class TestMembership:
    def test_a_user_sees_the_accounts_he_belongs_to(self):
        user = make_user()
        mine = make_account("Mine", owner=user)
        make_account("Foreign")
        assert list(accounts_of(user)) == [mine]
        assert membership(user, mine).role == Role.OWNER

    def test_a_foreign_an_unknown_and_a_closed_account_look_the_same(self):
        user = make_user()
        closed = make_account(owner=user)
        Account.objects.filter(pk=closed.pk).update(closed_at=wall_now())
        assert membership(user, make_account()) is None
        assert membership(user, 10**9) is None
        assert membership(user, closed) is None
        assert not accounts_of(user).exists()

    def test_a_disabled_member_is_none(self, account):
        member = make_member(account)
        member.disabled_at = wall_now()
        member.save()
        assert membership(member.user, account) is None
        assert not accounts_of(member.user).exists()

    def test_finding_a_membership_costs_one_query(self, account, django_assert_num_queries):
        member = make_member(account)
        with django_assert_num_queries(1):
            found = membership(member.user, account.pk)
            assert (found.account.name, found.user.pk) == (account.name, member.user_id)


def test_a_new_account_has_its_owner_and_says_so_in_the_audit_log():
    owner = make_user("ada")
    account = create_account(name="Acme", owner=owner)
    entries = AuditEntry.objects.of(account).order_by("id")
    assert [(entry.act, entry.object_kind, entry.after) for entry in entries] == [
        ("member.add", "member", {"user": "ada", "role": "owner"}),
        ("account.create", "account", {"name": "Acme"}),
    ]
