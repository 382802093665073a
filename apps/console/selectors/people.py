"""Members and invitations as the page Users and roles shows them."""

from collections import defaultdict
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q, QuerySet

from apps.accounts.models import UNANSWERED, Account, AuthenticatorApp, Invitation, Member, MemberRole, Passkey, Role
from apps.accounts.reach import Reach
from apps.core.clock import wall_now
from apps.flows.models import Integration


@dataclass(frozen=True, slots=True)
class MemberRow:
    member: Member
    single: tuple[MemberRole, ...]  # roles in single integrations
    is_self: bool
    may_be_changed: bool
    why_not: str

    @property
    def has_factor(self) -> bool:
        return bool(self.member.has_app or self.member.has_passkey)  # type: ignore[attr-defined]

    @property
    def factors(self) -> str:
        names = {"app": self.member.has_app, "passkey": self.member.has_passkey}  # type: ignore[attr-defined]
        return " and ".join(name for name, there in names.items() if there)

    @property
    def is_able(self) -> bool:
        return bool(self.member.is_active and self.member.user.is_active)

    @property
    def edits_retry_data(self) -> str:
        if self.member.may_edit_retry_data:
            return "yes"
        above = {Role.OWNER, Role.ADMINISTRATOR, Role.MANAGER}
        if self.member.role in above:
            return "by role"
        return "partly by role" if any(one.role in above for one in self.single) else "no"


def member_rows(reach: Reach, viewer: Member, *, names_owners: bool) -> list[MemberRow]:
    """Owners first, then by name; for who sees certain integrations only, those who see any of them. Two queries."""
    app = AuthenticatorApp.objects.filter(user=OuterRef("user"), confirmed_at__isnull=False)
    rows = (
        Member.objects.of(reach.account_id)
        .select_related("user")
        .annotate(has_app=Exists(app), has_passkey=Exists(Passkey.objects.filter(user=OuterRef("user"))))
    )
    roles = MemberRole.objects.of(reach.account_id).select_related("integration").order_by("integration__name")
    if reach.integration_ids is not None:
        roles = roles.filter(integration__in=reach.integration_ids)
        rows = rows.filter(~Q(role="") | Exists(roles.filter(member=OuterRef("pk")).order_by()))
    single: dict[int, list[MemberRole]] = defaultdict(list)
    for one in roles:
        single[one.member_id].append(one)
    found = [_row(member, tuple(single[member.pk]), viewer, names_owners) for member in rows]
    return sorted(found, key=_order)


def _row(member: Member, single: tuple[MemberRole, ...], viewer: Member, names_owners: bool) -> MemberRow:
    why_not = ""
    if member.pk == viewer.pk:
        why_not = "This is you: another owner or administrator changes you"
    elif member.role == Role.OWNER and not names_owners:
        why_not = "Owners are changed by owners"
    return MemberRow(member, () if member.role else single, member.pk == viewer.pk, not why_not, why_not)


def _order(row: MemberRow) -> tuple[bool, bool, str, int]:
    name = row.member.user.get_full_name() or row.member.user.get_username()
    return not row.is_able, row.member.role != Role.OWNER, name.casefold(), row.member.pk


def invitation_rows(account: Account) -> list[tuple[Invitation, str]]:
    """What nobody has answered, the newest first, each with its state."""
    rows = Invitation.objects.of(account).filter(UNANSWERED).select_related("invited_by__user").order_by("-pk")
    return [(invitation, invitation_state(invitation)) for invitation in rows]


def invitation_state(invitation: Invitation) -> str:
    if invitation.expires_at <= wall_now():
        return "expired"
    if invitation.mail_problem:
        return "not sent"
    return "sent" if invitation.sent_at else "waiting"


def integrations_of(account: Account) -> "QuerySet[Integration]":
    """Of both environments, by name."""
    found: QuerySet[Integration] = Integration.objects.of(account).order_by("name", "pk")
    return found
