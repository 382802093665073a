"""Members with their roles, in the words of the API."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from apps.accounts.models import Account, Member, MemberRole, Role

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


def members_of(account: Account, integration_id: int | None = None) -> "QuerySet[Member]":
    """All but the owners, by address; only those who see one integration if it is named."""
    rows: QuerySet[Member] = Member.objects.of(account).exclude(role=Role.OWNER).select_related("user")
    if integration_id is not None:
        own = MemberRole.objects.of(account).filter(member=OuterRef("pk"), integration=integration_id)
        rows = rows.filter(~Q(role="") | Exists(own))
    return rows.order_by("user__email", "pk")


def with_levels(members: Iterable[Member]) -> list[MemberFacts]:
    """One query for any number of members of one account."""
    found = list(members)
    single = [member.pk for member in found if not member.role]
    levels: dict[int, list[dict[str, Any]]] = defaultdict(list)
    if single:
        roles = MemberRole.objects.of(found[0].account_id).filter(member__in=single).order_by("integration_id")
        for role in roles:
            levels[role.member_id].append({"integration_id": role.integration_id, "level": LEVELS[role.role]})
    return [MemberFacts(member, tuple(levels[member.pk])) for member in found]
