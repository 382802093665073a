"""Members are given roles, disabled and enabled; an account always keeps an active owner."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet

from apps.accounts.models import Account, Member, MemberRole, Role
from apps.accounts.permissions import Act, may
from apps.accounts.services import Actor, record_audit
from apps.core.clock import database_now

ROLES_OF_ONE = (Role.ADMINISTRATOR, Role.MANAGER, Role.MONITOR)
"""What a member may be in a single integration; owners own the whole account."""

KEEPS_AN_OWNER = "An account keeps at least one active owner: name another owner first."


class MemberRefused(ValueError):  # noqa: N818 (an answer, not a fault)
    """What cannot be done with a member; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Roles:
    """What a member may: a role for the account or, where that is blank, roles by the id of an integration."""

    role: str = ""
    integrations: Mapping[int, str] = field(default_factory=dict)
    may_edit_retry_data: bool = False

    def facts(self) -> dict[str, Any]:
        """For the audit log."""
        single = {} if self.role else {str(key): role for key, role in sorted(self.integrations.items())}
        return {"role": self.role, "integrations": single, "may_edit_retry_data": self.may_edit_retry_data}


def roles_of_member(member: Member) -> Roles:
    single = dict(member.roles.values_list("integration_id", "role"))
    return Roles(member.role, single, member.may_edit_retry_data)


def check_may_give(by: Member, *roles: str) -> None:
    """Administrators look after members; owners are named by owners only. Raises PermissionDenied."""
    if not may(by, Act.MANAGE_MEMBERS):
        raise PermissionDenied("Members are looked after by those with the role Administrator.")
    if Role.OWNER in roles and not may(by, Act.NAME_OWNERS):
        raise PermissionDenied("Owners are named, changed and disabled by owners only.")


def check_roles(account: Account | int, roles: Roles) -> None:
    """Raises MemberRefused for roles that give nothing, or of integrations that are not of the account."""
    if roles.role:
        return
    if not roles.integrations:
        raise MemberRefused("Choose a role for the whole account, or for at least one integration.")
    if len(integrations_among(account, roles.integrations)) != len(roles.integrations):
        raise MemberRefused("One of these integrations is gone: reload the page and choose again.")
    if set(roles.integrations.values()) - {role.value for role in ROLES_OF_ONE}:
        raise MemberRefused("In a single integration a member is administrator, manager or monitor.")


def integrations_among(account: Account | int, keys: Mapping[int, str]) -> set[int]:
    """Those of the ids that are integrations of the account."""
    model: Any = apps.get_model("flows", "Integration")
    return set(model.objects.of(account).filter(pk__in=keys).values_list("pk", flat=True))


@transaction.atomic
def change_roles(*, member: Member, roles: Roles, by: Member) -> bool:
    """Give a member other roles. False: they are these already. Raises MemberRefused and PermissionDenied."""
    check_is_another(member, by)
    member, by = locked(member, by)
    check_may_give(by, member.role, roles.role)
    check_roles(member.account_id, roles)
    before = roles_of_member(member).facts()
    if before == roles.facts():
        return False
    write_roles(member, roles)
    keep_an_owner(member.account_id)
    _record(member, by, "member.change", before, roles.facts())
    return True


def write_roles(member: Member, roles: Roles) -> None:
    member.role, member.may_edit_retry_data = roles.role, roles.may_edit_retry_data
    member.save(update_fields=["role", "may_edit_retry_data"])
    member.roles.all().delete()
    if not roles.role:
        MemberRole.objects.of(member.account_id).bulk_create(
            MemberRole(account_id=member.account_id, member=member, integration_id=key, role=role)
            for key, role in roles.integrations.items()
        )


@transaction.atomic
def disable_member(*, member: Member, by: Member) -> bool:
    """From now on the member and his tokens get at nothing of this account. False: he is disabled already."""
    check_is_another(member, by)
    member, by = locked(member, by)
    check_may_give(by, member.role)
    active = Member.objects.of(member.account_id).filter(pk=member.pk, disabled_at__isnull=True)
    if not active.update(disabled_at=database_now()):
        return False
    keep_an_owner(member.account_id)
    _record(member, by, "member.disable")
    return True


@transaction.atomic
def enable_member(*, member: Member, by: Member) -> bool:
    """False: he is enabled already."""
    member, by = locked(member, by)
    check_may_give(by, member.role)
    disabled = Member.objects.of(member.account_id).filter(pk=member.pk, disabled_at__isnull=False)
    if not disabled.update(disabled_at=None):
        return False
    _record(member, by, "member.enable")
    return True


@transaction.atomic
def transfer_account(*, to: Member, by: Member) -> None:
    """Another member becomes owner, and who hands over becomes administrator. Raises MemberRefused, PermissionDenied"""
    check_is_another(to, by)
    to, by = locked(to, by)
    if not may(by, Act.TRANSFER_ACCOUNT):
        raise PermissionDenied("An account is transferred by its owners only.")
    if not is_able(to):
        raise MemberRefused(f"{to} is disabled: enable the member first.")
    write_roles(to, Roles(Role.OWNER, {}, to.may_edit_retry_data))
    write_roles(by, Roles(Role.ADMINISTRATOR, {}, by.may_edit_retry_data))
    keep_an_owner(by.account_id)
    facts = {"from": by.user.get_username(), "to": to.user.get_username()}
    record_audit(account=by.account, actor=Actor.member(by), act="account.transfer", target=by.account, after=facts)


@transaction.atomic
def require_second_factor(*, account: Account, required: bool, by: Member) -> bool:
    """Whether members need a second factor from now on. False: so it was already."""
    check_may_give(by)
    other = Account.objects.filter(pk=account.pk, second_factor_required=not required)
    if not other.update(second_factor_required=required):
        return False
    facts = {"second_factor_required": required}
    record_audit(account=account, actor=Actor.member(by), act="account.change", target=account, after=facts)
    return True


def check_is_another(member: Member, by: Member) -> None:
    if member.pk == by.pk:
        raise MemberRefused("This is you: another owner or administrator changes or disables you.")


def is_able(member: Member) -> bool:
    return bool(member.is_active and member.user.is_active)


def lock_account(account_id: int) -> Account:
    """Whoever changes owners waits for the other who does."""
    return Account.objects.select_for_update().get(pk=account_id)


def locked(member: Member, by: Member) -> tuple[Member, Member]:
    """Both as they are now, and stay until the transaction ends: what the caller read may be taken from them since."""
    account = lock_account(member.account_id)
    rows: QuerySet[Member] = Member.objects.of(account).select_related("account", "user")
    found = rows.in_bulk([member.pk, by.pk])
    return found[member.pk], found[by.pk]


def owners_of(account: Account | int) -> "QuerySet[Member]":
    """Those who can act."""
    rows: QuerySet[Member] = Member.objects.of(account)
    return rows.filter(role=Role.OWNER, disabled_at__isnull=True, user__is_active=True)


def other_owners(member: Member) -> "QuerySet[Member]":
    return owners_of(member.account_id).exclude(pk=member.pk)


def keep_an_owner(account: Account | int) -> None:
    """At the end of what changes owners, with the account locked. Raises MemberRefused."""
    if not owners_of(account).exists():
        raise MemberRefused(KEEPS_AN_OWNER)


def _record(
    member: Member, by: Member, act: str, before: dict[str, Any] | None = None, after: dict[str, Any] | None = None
) -> None:
    who = {"user": member.user.get_username()}
    record_audit(
        account=member.account_id,
        actor=Actor.member(by),
        act=act,
        target=member,
        before=before,
        after=who | (after or {}),
    )
