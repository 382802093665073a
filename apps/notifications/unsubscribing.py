"""One click in a mail ends it (RFC 8058): the address says whose mails of which kind, and is signed instead of kept."""

from dataclasses import dataclass

from django.core.signing import BadSignature, Signer
from django.db import transaction
from django.urls import reverse

from apps.accounts.models import Member
from apps.accounts.services import Actor, record_audit
from apps.notifications import links
from apps.notifications.models import MessageKind, Preference, Subscription

SALT = "flowmend.unsubscribe"
ENDS = {
    MessageKind.DIGEST: ("errors",),
    MessageKind.RUN_FAILED: ("failed_runs",),
    MessageKind.CONNECTION_OFFLINE: ("connections",),
    MessageKind.CONNECTION_ONLINE: ("connections",),
    MessageKind.THRESHOLD: ("more_new", "more_open"),
}
"""Which choices of his subscriptions a member takes back, by the kind of the mail."""
WORDS = {
    "errors": "digests of errors",
    "failed_runs": "mails about failed runs",
    "connections": "mails about connections",
    "more_new": "mails about thresholds",
    "more_open": "mails about thresholds",
}


@dataclass(frozen=True)
class Unwanted:
    """Whose mails of which kind are to end."""

    member: Member
    kind: str

    @property
    def words(self) -> str:
        return WORDS[ENDS[MessageKind(self.kind)][0]]


def unsubscribe_address(member: Member, kind: str) -> str:
    """Empty for a kind that nobody subscribes to."""
    if kind not in ENDS:
        return ""
    token = Signer(salt=SALT).sign(f"{member.account_id}-{member.pk}-{kind}")
    return links.whole(reverse("console:unsubscribe", args=[token]))


def read_token(token: str) -> Unwanted | None:
    """None for what we did not sign, and for a member who is gone."""
    try:
        account, key, kind = Signer(salt=SALT).unsign(token).split("-")
    except (BadSignature, ValueError):
        return None
    rows = Member.objects.of(int(account)).select_related("account", "user")
    member: Member | None = rows.filter(pk=int(key)).first()
    return Unwanted(member, kind) if member is not None and kind in ENDS else None


@transaction.atomic
def unsubscribe(unwanted: Unwanted) -> int:
    """End these mails in all subscriptions of the member; returns how many subscriptions changed."""
    member = unwanted.member
    mine = Subscription.objects.of(member.account_id).filter(member=member)
    changed = 0
    for name in ENDS[MessageKind(unwanted.kind)]:
        off = None if name.startswith("more_") else False
        changed += mine.exclude(**{name: off}).update(**{name: off})
    if unwanted.kind == MessageKind.DIGEST:
        Preference.objects.of(member.account_id).update_or_create(
            member=member, defaults={"assigned": False, "account_id": member.account_id}
        )
    record_audit(
        account=member.account_id, actor=Actor.member(member), act="subscription.unsubscribe", target=member,
        after={"kind": unwanted.kind},
    )  # fmt: skip
    return changed
