"""The user of a session comes with what he is a member of."""

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from apps.accounts.backends import MemberBackend
from apps.accounts.models import Member
from apps.accounts.selectors import active_members
from tests.factories import make_account, make_member, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def member(db: None) -> Member:
    return make_member(make_account())


def test_user_and_memberships_take_one_query(member, django_assert_num_queries):
    with django_assert_num_queries(1):
        user = MemberBackend().get_user(member.user_id)
        assert active_members(user) == [member]
        assert (user, user.memberships.model) == (member.user, Member)


def test_a_user_of_no_account_is_signed_in_all_the_same():
    user = make_user()
    assert MemberBackend().get_user(user.pk) == user
    assert active_members(user) == []


def test_neither_a_disabled_membership_nor_a_closed_account_counts(member):
    Member.unscoped.filter(pk=member.pk).update(disabled_at=timezone.now())
    assert active_members(MemberBackend().get_user(member.user_id)) == []


def test_a_user_who_may_not_sign_in_any_more_is_nobody(member):
    User.objects.filter(pk=member.user_id).update(is_active=False)
    assert MemberBackend().get_user(member.user_id) is None


def test_an_unknown_user_is_nobody():
    assert MemberBackend().get_user(4_000_000) is None
