"""Which accounts a user belongs to, and as whom."""

from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db.models import Q, QuerySet

from apps.accounts.models import Account, Member

User = AbstractBaseUser | AnonymousUser


def accounts_of(user: User) -> "QuerySet[Account]":
    """The accounts that the user is an active member of and that are not closed, by name."""
    if not user.is_authenticated:
        return Account.objects.none()
    belongs = Q(members__user=user, members__disabled_at__isnull=True)
    return Account.objects.filter(belongs, closed_at__isnull=True).order_by("name", "pk")


def active_members(user: Any) -> list[Member]:
    """What a user is in accounts that are not closed, by the account's name, each with account, user and profile.

    One query, or none for a user whom `MemberBackend` has read.
    """
    if hasattr(user, "active_members"):
        return list(user.active_members)
    active = user.memberships.filter(disabled_at__isnull=True, account__closed_at__isnull=True)
    return list(active.select_related("account", "user__profile").order_by("account__name", "pk"))


def person(member: Member | None) -> str:
    """A member's full name, else the name he signs in with; "" for nobody."""
    if member is None:
        return ""
    return member.user.get_full_name() or member.user.get_username()


def membership(user: User, account: Account | int) -> Member | None:
    """The user as an active member of an account that is not closed; None: for this user it is not there."""
    if not user.is_authenticated:
        return None
    return (
        Member.objects.of(account)
        .filter(user=user, disabled_at__isnull=True, account__closed_at__isnull=True)
        .select_related("account", "user")
        .first()
    )
