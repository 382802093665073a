"""Channels are made, switched and removed. Their address and secret are encrypted and never shown again."""

import secrets
from dataclasses import dataclass

from django.db import transaction

from apps.accounts.models import Account, Member
from apps.accounts.services import Actor, record_audit
from apps.core.crypto import Sealed, current_key_id, open_json, rotate, seal_json
from apps.notifications.models import Channel, ChannelKind
from apps.webhooks.services import WebhookRefused, checked_address


class ChannelRefused(ValueError):  # noqa: N818 (an answer, not a fault)
    """A channel that cannot be; the message says why, `field` which of its facts."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Address:
    """Where a channel's messages go, and what they are signed with (blank: not at all)."""

    url: str
    secret: str = ""


@transaction.atomic
def add_channel(*, account: Account, by: Member, name: str, kind: str, address: str) -> tuple[Channel, str]:
    """A new channel, and the secret of one of kind webhook, which is not shown again. Raises ChannelRefused."""
    cleaned = " ".join(name.split())
    if not 0 < len(cleaned) <= 120:
        raise ChannelRefused("A channel has a name of 1 to 120 characters.", "name")
    if Channel.objects.of(account).filter(name__iexact=cleaned).exists():
        raise ChannelRefused(f"There is a channel {cleaned} already. Choose another name.", "name")
    if kind not in ChannelKind.values:
        raise ChannelRefused(f"A channel is one of: {', '.join(ChannelKind.values)}.", "kind")
    try:
        url = checked_address(address)
    except WebhookRefused as refused:
        raise ChannelRefused(str(refused), "address") from refused
    secret = f"fmch_{secrets.token_hex(24)}" if kind == ChannelKind.WEBHOOK else ""
    sealed = seal_json({"url": url, "secret": secret})
    host = "/".join(url.split("/", 3)[:3])[:255]
    channel = Channel(account=account, name=cleaned, kind=kind, host=host, sealed=sealed.data, key_id=sealed.key_id)
    channel.save(force_insert=True)
    _record(channel, by, "channel.add")
    return channel, secret


@transaction.atomic
def switch_channel(*, channel: Channel, by: Member, enabled: bool) -> Channel:
    """One that is disabled is told nothing; what happens meanwhile is not told later."""
    if Channel.objects.of(channel.account_id).filter(pk=channel.pk, enabled=not enabled).update(enabled=enabled):
        channel.enabled = enabled
        _record(channel, by, "channel.enable" if enabled else "channel.disable")
    return channel


@transaction.atomic
def remove_channel(*, channel: Channel, by: Member) -> None:
    """Its subscriptions go with it; what was sent stays in the log."""
    _record(channel, by, "channel.remove")
    channel.delete()


def address_of(channel: Channel) -> Address:
    """Raises SecretUnreadableError if no configured key opens it."""
    found = open_json(Sealed(bytes(channel.sealed), channel.key_id))
    return Address(str(found["url"]), str(found["secret"]))


def rotate_channel(channel: Channel) -> bool:
    """Seals the address with the newest key; False if it is already. Raises SecretUnreadableError."""
    if channel.key_id == current_key_id():
        return False
    sealed = rotate(bytes(channel.sealed), channel.key_id)
    mine = Channel.objects.of(channel.account_id).filter(pk=channel.pk, sealed=channel.sealed)
    return bool(mine.update(sealed=sealed.data, key_id=sealed.key_id))


def _record(channel: Channel, by: Member, act: str) -> None:
    after = {"name": channel.name, "kind": channel.kind, "host": channel.host}
    record_audit(account=channel.account_id, actor=Actor.member(by), act=act, target=channel, after=after)
