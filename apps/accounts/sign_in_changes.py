"""How a user signs in has changed: that stands in the audit log of his accounts, and a mail tells him.

So whoever takes over a session, or an operator's chair, cannot change it unseen.
"""

import logging
from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User

from apps.accounts.letters import address_of, letter
from apps.accounts.models import AuditEntry, Member
from apps.accounts.selectors import active_members, membership
from apps.accounts.services import SYSTEM, Actor, record_audit
from apps.core.queue import enqueue

SEND = "apps.execution.tasks.send_sign_in_change"
WORDS = {
    "password.change": "Your password was changed",
    "second_factor.add": "A second factor was added to your sign-in",
    "second_factor.remove": "A second factor was removed from your sign-in",
    "recovery_code.renew": "You have new recovery codes",
    "recovery_code.use": "A recovery code was used to sign in",
    "sign_in.change": "The address that you sign in with was changed",
}
TOLD = {
    "kind": "Which",
    "name": "Name",
    "left": "Recovery codes left",
    "email": "E-mail address",
    "username": "User name",
}

logger = logging.getLogger(__name__)


def record_of_user(
    user: User, act: str, after: Mapping[str, Any], *, before: Mapping[str, Any] | None = None, by: User | None = None
) -> None:
    """Written to the audit log of each of his accounts; the mail is hinted at in the caller's transaction.

    `by`: the operator who did it; else he did it himself.
    """
    entries = [
        record_audit(
            account=member.account_id, actor=_actor(member, by), act=act, target=member, before=before,
            after=dict(after) | ({"in": "admin", "by": by.get_username()} if by is not None else {}),
        )
        for member in active_members(user)
    ]  # fmt: skip
    if entries:
        enqueue(SEND, entries[0].account_id, entries[0].pk, queue="interactive")


def _actor(member: Member, by: User | None) -> Actor:
    if by is None:
        return Actor.member(member)
    operator = membership(by, member.account_id)
    return Actor.member(operator) if operator is not None else SYSTEM


def send_change_mail(account_id: int, entry_id: int) -> None:
    """To the address that he had before, where that was changed."""
    entry = AuditEntry.objects.of(account_id).filter(pk=entry_id, act__in=WORDS, object_kind="member").first()
    rows = Member.objects.of(account_id).select_related("user")
    member = rows.filter(pk=entry.object_id).first() if entry is not None else None
    if entry is None or member is None:
        return
    to = (entry.before or {}).get("email") or member.user.email
    if not to:
        return
    try:
        letter(to=to, subject=f"{WORDS[entry.act]} on Flowmend", paragraphs=paragraphs_of(entry, member)).send()
    except OSError as error:
        logger.warning("The mail about the sign-in of user %s could not be sent: %s", member.user_id, error)


def paragraphs_of(entry: AuditEntry, member: Member) -> list[str]:
    facts = entry.after or {}
    details = [f"{words}: {facts[name]}" for name, words in TOLD.items() if facts.get(name) not in (None, "")]
    where = f", from the address {entry.address}" if entry.address else ""
    who = f"An operator, {facts['by']}, did it" if "by" in facts else "It was done"
    return [
        f"{WORDS[entry.act]} ({member.user.get_username()} on Flowmend).",
        f"{who} on {entry.at:%Y-%m-%d at %H:%M} UTC{where}.",
        *details,
        "If that was you, or you had asked for it, there is nothing to do. If not, choose a new password here, then end"
        " your other sessions, and tell an owner of your account:",
        address_of("console:password-forgotten"),
    ]
