"""Invitations: sent by mail, opened by the link in it, good for seven days and once."""

import hashlib
import secrets
from datetime import timedelta

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.core.mail import EmailMessage
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from apps.accounts.letters import address_of, letter
from apps.accounts.members import (
    Roles,
    check_may_give,
    check_roles,
    integrations_among,
    is_able,
    lock_account,
    write_roles,
)
from apps.accounts.models import UNANSWERED, Account, Invitation, Member
from apps.accounts.services import Actor, record_audit
from apps.core.clock import database_now, read_now
from apps.core.queue import enqueue

GOOD_FOR = timedelta(days=7)
SEND_INVITATION = "apps.execution.tasks.send_invitation"
MOST_OPEN = 200
INVITED = "{} is invited already: send that invitation again, or withdraw it."
KNOWN = "{} has a sign-in already: sign in, then open the link again."


class InvitationRefused(ValueError):  # noqa: N818 (an answer, not a fault)
    """What cannot be done with an invitation; the message says why."""


@transaction.atomic
def invite(*, account: Account, email: str, roles: Roles, by: Member) -> Invitation:
    """Ask somebody to become a member; a mail with a link is on its way.

    Raises InvitationRefused, MemberRefused and PermissionDenied.
    """
    check_may_give(by, roles.role)
    check_roles(account, roles)
    address = email.strip().lower()
    if Member.objects.of(account).filter(user__email__iexact=address).exists():
        raise InvitationRefused(f"{address} is the address of a member already.")
    waiting = Invitation.objects.of(account).filter(UNANSWERED)
    if waiting.filter(email=address).exists():
        raise InvitationRefused(INVITED.format(address))
    if waiting.count() >= MOST_OPEN:
        raise InvitationRefused(f"{MOST_OPEN} invitations are open: withdraw some first.")
    invitation = Invitation(
        account=account,
        email=address,
        role=roles.role,
        roles={str(key): role for key, role in roles.integrations.items()} if not roles.role else {},
        may_edit_retry_data=roles.may_edit_retry_data,
        invited_by=by,
        expires_at=read_now() + GOOD_FOR,
    )
    try:
        with transaction.atomic():
            invitation.save(force_insert=True)
    except IntegrityError as error:  # a second click, at the same time
        raise InvitationRefused(INVITED.format(address)) from error
    _record(invitation, by, "invitation.add", {"email": address} | roles.facts())
    enqueue(SEND_INVITATION, invitation.pk, queue="interactive")
    return invitation


@transaction.atomic
def resend(*, invitation: Invitation, by: Member) -> None:
    """Send a new link, good for seven days again; the old one opens nothing any more. It is his who sent it last."""
    check_may_give(by, invitation.role)
    facts = {"expires_at": read_now() + GOOD_FOR, "sent_at": None, "mail_problem": "", "sha256": ""}
    _held(invitation).update(invited_by=by, **facts)
    _record(invitation, by, "invitation.resend", {"email": invitation.email})
    enqueue(SEND_INVITATION, invitation.pk, queue="interactive")


@transaction.atomic
def withdraw(*, invitation: Invitation, by: Member) -> None:
    """Its link opens nothing any more."""
    check_may_give(by, invitation.role)
    _held(invitation).update(withdrawn_at=database_now())
    _record(invitation, by, "invitation.withdraw", {"email": invitation.email})


def find_invitation(text: str) -> Invitation | None:
    """The invitation that a link opens, with its account: unanswered, not expired, of an open account, and sent by
    somebody who may still give what it gives."""
    found: Invitation | None = (
        Invitation.unscoped.filter(
            UNANSWERED, sha256=hash_of(text), expires_at__gt=database_now(), account__closed_at__isnull=True
        )
        .select_related("account", "invited_by__user")
        .first()
    )
    return found if found is not None and is_backed(found) else None


def is_backed(invitation: Invitation) -> bool:
    """Whether whoever sent it could send it now: it gives nothing that was taken from him meanwhile."""
    by = invitation.invited_by
    try:
        check_may_give(by, invitation.role)
    except PermissionDenied:
        return False
    return is_able(by)


@transaction.atomic
def accept(*, invitation: Invitation, user: User) -> Member:
    """The user becomes a member, as the invitation says. Raises InvitationRefused."""
    lock_account(invitation.account_id)
    held = _held(invitation)
    if not is_backed(held.select_related("invited_by__user").get()):
        raise InvitationRefused(f"{invitation.invited_by} may not invite any more: ask for another invitation.")
    if Member.objects.of(invitation.account_id).filter(user=user).exists():
        raise InvitationRefused(f"You are a member of {invitation.account} already.")
    member = Member(account=invitation.account, user=user)
    member.save(force_insert=True)
    write_roles(member, roles_of_invitation(invitation))
    held.update(accepted_at=database_now(), accepted_by=member)
    after = {"user": user.get_username(), "invited": invitation.email} | roles_of_invitation(invitation).facts()
    record_audit(
        account=invitation.account_id, actor=Actor.member(member), act="member.add", target=member, after=after
    )
    return member


@transaction.atomic
def accept_as_new(*, invitation: Invitation, name: str, password: str) -> User:
    """A new user whose address is that of the invitation, and the member. Raises InvitationRefused."""
    if user_is_known(invitation.email):
        raise InvitationRefused(KNOWN.format(invitation.email))
    first, _, last = name.strip().rpartition(" ")
    names = {"first_name": (first or last)[:150], "last_name": last[:150] if first else ""}
    try:
        with transaction.atomic():
            user = User.objects.create_user(invitation.email[:150], invitation.email, password, **names)
    except IntegrityError as error:  # a second click, at the same time
        raise InvitationRefused(KNOWN.format(invitation.email)) from error
    accept(invitation=invitation, user=user)
    return user


def user_is_known(email: str) -> bool:
    return User.objects.filter(email__iexact=email).exists() or User.objects.filter(username__iexact=email).exists()


def roles_of_invitation(invitation: Invitation) -> Roles:
    """As it said, without integrations that are gone."""
    asked = {int(key): role for key, role in invitation.roles.items()}
    there = integrations_among(invitation.account_id, asked)
    single = {key: role for key, role in asked.items() if key in there}
    return Roles(invitation.role, single, invitation.may_edit_retry_data)


def send_mail_of(invitation_id: int) -> None:
    """Make the link and send it. The text of the link is in the mail only; what went wrong is kept in words."""
    rows = Invitation.unscoped.filter(UNANSWERED, pk=invitation_id, sent_at__isnull=True)
    invitation: Invitation | None = rows.select_related("account", "invited_by__user").first()
    if invitation is None:
        return
    text = secrets.token_urlsafe(32)
    rows.update(sha256=hash_of(text))
    try:
        _letter(invitation, text).send()
    except OSError as error:  # of the network and of the mail server
        rows.update(mail_problem=f"{type(error).__name__}: {error}"[:200])
    else:
        rows.update(sent_at=database_now(), mail_problem="")


def _letter(invitation: Invitation, text: str) -> EmailMessage:
    inviter = invitation.invited_by.user
    return letter(
        to=invitation.email,
        subject=f"Invitation to {invitation.account} on Flowmend",
        paragraphs=(
            f"{inviter.get_full_name() or inviter} asks you to become a member of {invitation.account} on Flowmend.",
            f"Open this link to accept. It is good once, until {invitation.expires_at:%d %b %Y %H:%M} UTC:",
            address_of("console:invitation", text),
            "If you do not know what this is about, do nothing.",
        ),
    )


def _held(invitation: Invitation) -> "QuerySet[Invitation]":
    """The invitation, which nobody else answers until the transaction ends. Raises InvitationRefused."""
    found: QuerySet[Invitation] = Invitation.objects.of(invitation.account_id).filter(pk=invitation.pk)
    if found.filter(UNANSWERED).select_for_update().first() is None:
        raise InvitationRefused("This invitation was accepted or withdrawn meanwhile.")
    return found


def _record(invitation: Invitation, by: Member, act: str, after: dict[str, object]) -> None:
    record_audit(account=invitation.account_id, actor=Actor.member(by), act=act, target=invitation, after=after)


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
