"""Members with their roles, in the words of the API."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from apps.accounts.models import Member, MemberRole, Role
from apps.accounts.reach import Reach

LEVELS = {
    Role.OWNER.value: "owner",
    Role.ADMINISTRATOR.value: "administrator",
    Role.MANAGER.value: "manage",
    Role.MONITOR.value: "monitor",
}


@dataclass(frozen=True, slots=True)
class MemberFacts:
    member: Member
    levels: tuple[dict[str, Any], ...]

    @property
    def level(self) -> str:
        return LEVELS.get(self.member.role, "")

    @property
    def is_accepted(self) -> bool:
        """Whoever is a member has a sign-in already."""
        return True

    @property
    def is_disabled(self) -> bool:
        return not self.member.is_active


def members_of(reach: Reach) -> "QuerySet[Member]":
    """All but the owners, by address: those who see any of the integrations that the caller sees."""
    rows: QuerySet[Member] = Member.objects.of(reach.account_id).exclude(role=Role.OWNER).select_related("user")
    if reach.integration_ids is not None:
        rows = rows.filter(~Q(role="") | Exists(roles_in(reach).filter(member=OuterRef("pk"))))
    return rows.order_by("user__email", "pk")


def roles_in(reach: Reach) -> "QuerySet[MemberRole]":
    """Roles in single integrations, of those that the caller sees."""
    rows: QuerySet[MemberRole] = MemberRole.objects.of(reach.account_id)
    return rows if reach.integration_ids is None else rows.filter(integration__in=reach.integration_ids)


def with_levels(members: Iterable[Member], reach: Reach) -> list[MemberFacts]:
    """One query for any number of members."""
    found = list(members)
    single = [member.pk for member in found if not member.role]
    levels: dict[int, list[dict[str, Any]]] = defaultdict(list)
    if single:
        for role in roles_in(reach).filter(member__in=single).order_by("integration_id"):
            levels[role.member_id].append({"integration_id": role.integration_id, "level": LEVELS[role.role]})
    return [MemberFacts(member, tuple(levels[member.pk])) for member in found]
