"""API tokens: issued once, found by their prefix, proved by their hash, revoked for good."""

import hashlib
import re
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from hmac import compare_digest

from django.db import transaction
from django.db.models import Q, QuerySet

from apps.accounts.models import Member, Token
from apps.accounts.permissions import RANKS, Act, may
from apps.accounts.services import COMMAND, Actor, record_audit
from apps.core.clock import database_now, wall_now

SHAPE = re.compile(r"(fm_[0-9a-z]{9})_([0-9A-Za-z]{40})", re.ASCII)
LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
USED_EVERY = timedelta(minutes=1)
"""How often at most the time of the last use is written."""


class Scope(StrEnum):
    """What a token may be used for; its member's role still decides what the member may do."""

    FULL = "full"
    READ = "read"
    RUN = "run"
    EDIT = "edit"
    ERRORS = "errors"


SCOPES = {
    Scope.FULL: "Everything that its member may do",
    Scope.READ: "Read integrations, flows, connections, runs and analytics",
    Scope.RUN: "Start and cancel runs",
    Scope.EDIT: "Change flows and connections",
    Scope.ERRORS: "Read errors and retry data; retry, resolve, assign and tag errors",
}


def tokens_seen_by(member: Member) -> "QuerySet[Token]":
    """His own; of whoever manages tokens all of the account's. With their members and users, newest first."""
    rows = Token.objects.of(member.account_id).select_related("member__user").order_by("-pk")
    return rows if may(member, Act.MANAGE_TOKENS) else rows.filter(member=member)


def members_served_by(member: Member) -> "QuerySet[Member]":
    """For whom he may make a token: himself; who manages tokens also for active members whose role is not above his
    own, because whoever has a token may do what its member may."""
    rows = Member.objects.of(member.account_id).filter(disabled_at__isnull=True).select_related("user")
    if not may(member, Act.MANAGE_TOKENS):
        return rows.filter(pk=member.pk)
    above = [role for role, rank in RANKS.items() if rank > RANKS[member.role]]
    return rows.exclude(role__in=above).order_by("user__first_name", "user__username")


def issue_token(
    *,
    member: Member,
    scopes: Iterable[Scope] = (Scope.FULL,),
    name: str = "",
    expires_at: datetime | None = None,
    actor: Actor = COMMAND,
) -> tuple[Token, str]:
    """A new token of a member, and its text, which is kept nowhere: who loses it needs another one."""
    prefix = "fm_" + "".join(secrets.choice(LETTERS) for _ in range(9))
    text = f"{prefix}_{secrets.token_hex(20)}"
    token = Token(
        account_id=member.account_id,
        member=member,
        name=name,
        prefix=prefix,
        sha256=hash_of(text),
        scopes=sorted(scopes),
        expires_at=expires_at,
    )
    with transaction.atomic():
        token.save(force_insert=True)
        after = {"prefix": prefix, "name": name, "scopes": token.scopes, "expires_at": expires_at}
        record_audit(account=member.account_id, actor=actor, act="token.issue", target=token, after=after)
    return token, text


@transaction.atomic
def revoke_token(*, token: Token, actor: Actor = COMMAND) -> bool:
    """From now on the token opens nothing; False: it was revoked before."""
    if token.revoked_at is not None:
        return False
    unrevoked = Token.objects.of(token.account_id).filter(pk=token.pk, revoked_at__isnull=True)
    if not unrevoked.update(revoked_at=database_now()):
        return False
    record_audit(account=token.account_id, actor=actor, act="token.revoke", target=token)
    return True


def find_token(text: str) -> Token | None:
    """The token with its member, user and account, if it is good: known, not expired, not revoked, of an active member
    of an open account. One query, and a write once a minute."""
    shape = SHAPE.fullmatch(text)
    if shape is None:
        return None
    found = good_tokens().filter(prefix=shape[1]).first()
    if found is None or not compare_digest(found.sha256, hash_of(text)):
        return None
    note_use(found)
    return found


def good_tokens() -> "QuerySet[Token]":
    """Not expired, not revoked, of an active member of an open account; with member, user and account."""
    active = Q(revoked_at__isnull=True) & (Q(expires_at__isnull=True) | Q(expires_at__gt=database_now()))
    owned = Q(member__disabled_at__isnull=True, member__user__is_active=True, account__closed_at__isnull=True)
    rows: QuerySet[Token] = Token.unscoped.filter(active, owned).select_related("member__user", "member__account")
    return rows


def note_use(token: Token) -> None:
    """Write when it was used, unless that was done within the last minute."""
    if token.last_used_at is not None and wall_now() - token.last_used_at < USED_EVERY:
        return
    Token.objects.of(token.account_id).filter(pk=token.pk).update(last_used_at=database_now())


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
