"""Who may do what: one table from acts to the least role, and the few exceptions beside it.

A member's role counts for the whole account; where it is blank, the roles in single integrations count.
"""

from enum import StrEnum

from apps.accounts.models import Member, Role


class Act(StrEnum):
    VIEW = "view"
    RUN_FLOW = "run_flow"
    CANCEL_RUN = "cancel_run"
    RETRY_ERRORS = "retry_errors"
    RESOLVE_ERRORS = "resolve_errors"
    ASSIGN_ERRORS = "assign_errors"
    APPLY_TAGS = "apply_tags"
    SUBSCRIBE_SELF = "subscribe_self"
    EDIT_RETRY_DATA = "edit_retry_data"
    DEFINE_TAGS = "define_tags"
    EDIT_FLOWS = "edit_flows"
    EDIT_CONNECTIONS = "edit_connections"
    MOVE_CHECKPOINT = "move_checkpoint"
    KEEP_ERRORS = "keep_errors"
    EDIT_RULES = "edit_rules"
    MANAGE_MEMBERS = "manage_members"
    MANAGE_TOKENS = "manage_tokens"
    SUBSCRIBE_OTHERS = "subscribe_others"
    SET_RETENTION = "set_retention"
    READ_AUDIT = "read_audit"
    SEE_PLATFORM = "see_platform"
    DELETE = "delete"
    TRANSFER_ACCOUNT = "transfer_account"
    CLOSE_ACCOUNT = "close_account"
    NAME_OWNERS = "name_owners"


RANKS: dict[str, int] = {
    Role.MONITOR.value: 1,
    Role.MANAGER.value: 2,
    Role.ADMINISTRATOR.value: 3,
    Role.OWNER.value: 4,
}

ACTS: dict[Act, Role] = {
    Act.VIEW: Role.MONITOR,
    Act.RUN_FLOW: Role.MONITOR,
    Act.CANCEL_RUN: Role.MONITOR,
    Act.RETRY_ERRORS: Role.MONITOR,
    Act.RESOLVE_ERRORS: Role.MONITOR,
    Act.ASSIGN_ERRORS: Role.MONITOR,
    Act.APPLY_TAGS: Role.MONITOR,
    Act.SUBSCRIBE_SELF: Role.MONITOR,
    Act.EDIT_RETRY_DATA: Role.MANAGER,  # or a monitor's own `may_edit_retry_data`
    Act.DEFINE_TAGS: Role.MANAGER,
    Act.EDIT_FLOWS: Role.MANAGER,
    Act.EDIT_CONNECTIONS: Role.MANAGER,
    Act.MOVE_CHECKPOINT: Role.MANAGER,
    Act.KEEP_ERRORS: Role.MANAGER,
    Act.EDIT_RULES: Role.MANAGER,
    Act.MANAGE_MEMBERS: Role.ADMINISTRATOR,
    Act.MANAGE_TOKENS: Role.ADMINISTRATOR,
    Act.SUBSCRIBE_OTHERS: Role.ADMINISTRATOR,
    Act.SET_RETENTION: Role.ADMINISTRATOR,
    Act.READ_AUDIT: Role.ADMINISTRATOR,
    Act.SEE_PLATFORM: Role.ADMINISTRATOR,
    Act.DELETE: Role.ADMINISTRATOR,
    Act.TRANSFER_ACCOUNT: Role.OWNER,
    Act.CLOSE_ACCOUNT: Role.OWNER,
    Act.NAME_OWNERS: Role.OWNER,
}


def may(member: Member | None, act: Act, *, integration_id: int | None = None) -> bool:
    """May the member do this: in the whole account, or in one integration? Nobody and the disabled may nothing."""
    return member is not None and member.is_active and may_as(member, role_of(member, integration_id), act)


def may_as(member: Member, role: str, act: Act) -> bool:
    """The same with a role that is known already (`role_of`), for lists that ask once a row."""
    if not role:
        return False
    if act is Act.EDIT_RETRY_DATA and member.may_edit_retry_data:
        return True
    return RANKS[role] >= RANKS[ACTS[act]]


def role_of(member: Member, integration_id: int | None = None) -> str:
    """The member's role in the account or, where that is blank, in the integration; blank: none."""
    if member.role or integration_id is None:
        return member.role
    found = member.roles.filter(integration_id=integration_id).values_list("role", flat=True).first()
    return found or ""


def visible_integrations(member: Member) -> frozenset[int] | None:
    """The ids of the integrations that the member sees; None: all of the account's."""
    if member.role:
        return None
    return frozenset(member.roles.values_list("integration_id", flat=True))
