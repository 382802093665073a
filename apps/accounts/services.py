"""Writes of accounts and members; every act leaves an audit entry in its own transaction."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Model

from apps.accounts.client_address import present_address
from apps.accounts.models import Account, ActorKind, AuditEntry, Member, Role, Token
from apps.connectors.redaction import redact


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a member (perhaps by a token), a rule, the command line, or Flowmend itself."""

    kind: ActorKind
    member_id: int | None = None
    token_id: int | None = None
    rule_revision_id: int | None = None

    @classmethod
    def member(cls, member: Member) -> "Actor":
        return cls(ActorKind.MEMBER, member_id=member.pk)

    @classmethod
    def token(cls, token: Token) -> "Actor":
        return cls(ActorKind.TOKEN, member_id=token.member_id, token_id=token.pk)


SYSTEM = Actor(ActorKind.SYSTEM)
COMMAND = Actor(ActorKind.COMMAND)
_calling: ContextVar[Token | None] = ContextVar("flowmend_calling_token", default=None)
_ruling: ContextVar[int | None] = ContextVar("flowmend_rule_revision", default=None)


@contextmanager
def acting_by(token: Token) -> Iterator[None]:
    """What the token's member does in this block (and thread) is recorded as done by the token."""
    reset = _calling.set(token)
    try:
        yield
    finally:
        _calling.reset(reset)


@contextmanager
def acting_as_rule(revision_id: int | None) -> Iterator[None]:
    """What no member does in this block is recorded as done by this revision of a rule; None: by whoever it says."""
    reset = _ruling.set(revision_id)
    try:
        yield
    finally:
        _ruling.reset(reset)


def as_called(actor: Actor) -> Actor:
    """The actor as what the call came by: a token, or a rule."""
    if actor.member_id is None and _ruling.get() is not None:
        return Actor(ActorKind.RULE, rule_revision_id=_ruling.get())
    token = _calling.get()
    return Actor.token(token) if token is not None and actor == Actor(ActorKind.MEMBER, token.member_id) else actor


def record_audit(
    *,
    account: Account | int,
    actor: Actor,
    act: str,
    target: Model,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> AuditEntry:
    """Adds to the audit log, in the caller's transaction. What stands under a telling name is hidden; a caller who
    knows the secrets themselves takes them out of `before` and `after`."""
    actor = as_called(actor)
    entry = AuditEntry(
        account_id=account if isinstance(account, int) else account.pk,
        actor_kind=actor.kind,
        member_id=actor.member_id,
        token_id=actor.token_id,
        rule_revision_id=actor.rule_revision_id,
        act=act,
        object_kind=target._meta.model_name or "",
        object_id=target.pk,
        address=present_address() or None,
        before=redact(before),
        after=redact(after),
    )
    entry.save(force_insert=True)
    return entry


def record_download(*, member: Member, act: str, target: Model, file_format: str) -> None:
    """Who took a file with what the account holds out of the house."""
    after = {"format": file_format}
    record_audit(account=member.account_id, actor=Actor.member(member), act=act, target=target, after=after)


@transaction.atomic
def create_account(*, name: str, owner: User, time_zone: str = "UTC", actor: Actor = SYSTEM) -> Account:
    """A new account with its owner."""
    account = Account.objects.create(name=name, time_zone=time_zone)
    add_member(account=account, user=owner, role=Role.OWNER, actor=actor)
    record_audit(account=account, actor=actor, act="account.create", target=account, after={"name": name})
    return account


@transaction.atomic
def add_member(*, account: Account, user: User, role: Role, actor: Actor = SYSTEM) -> Member:
    """Makes a user a member; raises `IntegrityError` if the user is one already."""
    member = Member(account=account, user=user, role=role)
    member.save(force_insert=True)
    after = {"user": user.get_username(), "role": role.value}
    record_audit(account=account, actor=actor, act="member.add", target=member, after=after)
    return member
