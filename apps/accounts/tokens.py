"""API tokens: issued once, found by their prefix, proved by their hash, revoked for good."""

import hashlib
import re
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from hmac import compare_digest

from django.db import transaction
from django.db.models import Q

from apps.accounts.models import Member, Token
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
    active = Q(revoked_at__isnull=True) & (Q(expires_at__isnull=True) | Q(expires_at__gt=database_now()))
    owned = Q(member__disabled_at__isnull=True, member__user__is_active=True, account__closed_at__isnull=True)
    found: Token | None = (
        Token.unscoped.filter(active, owned, prefix=shape[1]).select_related("member__user", "member__account").first()
    )
    if found is None or not compare_digest(found.sha256, hash_of(text)):
        return None
    note_use(found)
    return found


def note_use(token: Token) -> None:
    """Write when it was used, unless that was done within the last minute."""
    if token.last_used_at is not None and wall_now() - token.last_used_at < USED_EVERY:
        return
    Token.objects.of(token.account_id).filter(pk=token.pk).update(last_used_at=database_now())


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
