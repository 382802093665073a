"""Webhooks are kept, events announced, deliveries noted. What is announced stands in its caller's transaction."""

import secrets
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, timedelta
from typing import Any
from urllib.parse import urlsplit

import orjson
from django.db import transaction
from django.db.models import Q, QuerySet

from apps.accounts.models import Account, Member
from apps.accounts.services import Actor, record_audit
from apps.core.clock import database_now, read_now
from apps.core.crypto import Sealed, current_key_id, open_json, rotate, seal_json
from apps.core.queue import enqueue
from apps.core.text import short, storable
from apps.webhooks.models import TEST, Announcement, DeliveryStatus, Event, Webhook, WebhookDelivery

SEND_WEBHOOK = "apps.execution.tasks.send_webhook"
WAITS_S = (10, 30, 60, 300, 900, 3_600, 10_800, 21_600, 43_200)
"""Before the second, third, … attempt: 22 hours in all, so the last one is within a day."""
SHORTEST_SECRET = 16
LONGEST_ADDRESS = 2000
LONGEST_ANSWER = 500
NAMED_AT_MOST = 100
"""So many ids stand in an event; their number is told beside them."""
KEPT = timedelta(days=30)


class WebhookRefused(ValueError):  # noqa: N818 (an answer, not a fault)
    """A webhook that cannot be; the message says why, `field` which of its facts."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


# --- webhooks --------------------------------------------------------------------------------------------------------
@transaction.atomic
def add_webhook(
    *,
    account: Account,
    member: Member,
    url: str,
    events: Iterable[str],
    integration_id: int | None = None,
    secret: str = "",
    enabled: bool = True,
) -> tuple[Webhook, str]:
    """A new webhook and its secret, which is not shown again; one is made where none is given.

    Raises WebhookRefused.
    """
    text = checked_secret(secret) if secret else f"whsec_{secrets.token_hex(24)}"
    sealed = seal_json({"secret": text})
    webhook = Webhook(
        account=account,
        url=checked_address(url),
        events=checked_events(events),
        integration_id=integration_id,
        enabled=enabled,
        secret=sealed.data,
        secret_key_id=sealed.key_id,
    )
    webhook.save(force_insert=True)
    record_audit(
        account=account, actor=Actor.member(member), act="webhook.add", target=webhook, after=shown_facts(webhook)
    )
    return webhook, text


@transaction.atomic
def change_webhook(
    *,
    webhook: Webhook,
    member: Member,
    url: str,
    events: Iterable[str],
    integration_id: int | None,
    enabled: bool,
    secret: str = "",
) -> Webhook:
    """Give a webhook other facts; its secret stays unless one is given. Raises WebhookRefused."""
    before = shown_facts(webhook)
    webhook.url, webhook.events = checked_address(url), checked_events(events)
    webhook.integration_id, webhook.enabled = integration_id, enabled
    if secret:
        sealed = seal_json({"secret": checked_secret(secret)})
        webhook.secret, webhook.secret_key_id = sealed.data, sealed.key_id
    webhook.busy_until = None
    webhook.save()
    after = shown_facts(webhook) | ({"secret": "changed"} if secret else {})
    actor = Actor.member(member)
    record_audit(
        account=webhook.account_id, actor=actor, act="webhook.change", target=webhook, before=before, after=after
    )
    return webhook


def switch_webhook(*, webhook: Webhook, member: Member, enabled: bool) -> Webhook:
    """While it is disabled its events wait; new ones are not kept for it."""
    return change_webhook(
        webhook=webhook,
        member=member,
        url=webhook.url,
        events=webhook.events,
        integration_id=webhook.integration_id,
        enabled=enabled,
    )


@transaction.atomic
def remove_webhook(*, webhook: Webhook, member: Member) -> None:
    """Nothing more is sent to it; its deliveries go with it."""
    actor, before = Actor.member(member), shown_facts(webhook)
    record_audit(account=webhook.account_id, actor=actor, act="webhook.remove", target=webhook, before=before)
    WebhookDelivery.objects.of(webhook.account_id).filter(webhook=webhook).delete()
    webhook.delete()


def shown_facts(webhook: Webhook) -> dict[str, Any]:
    """For the audit log: the address without what may be a secret in it."""
    facts = {"host": webhook.host, "events": webhook.events, "enabled": webhook.enabled}
    return facts | ({"integration": webhook.integration_id} if webhook.integration_id else {})


def checked_address(text: str) -> str:
    try:
        parts = urlsplit(text.strip())
        is_whole = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_whole = False
    if not is_whole or any(sign.isspace() or ord(sign) < 32 for sign in text.strip()) or len(text) > LONGEST_ADDRESS:
        raise WebhookRefused("This must be an address such as https://example.org/hooks/flowmend.", "url")
    if parts.username is not None or parts.password is not None:
        raise WebhookRefused("Credentials do not belong into the address; the signature proves who sends.", "url")
    return parts._replace(fragment="").geturl()


def checked_events(events: Iterable[str]) -> list[str]:
    wanted = list(dict.fromkeys(events))
    unknown = [name for name in wanted if name not in Event.values]
    if unknown or not wanted:
        raise WebhookRefused(f"Name at least one of these events: {', '.join(Event.values)}.", "events")
    return wanted


def checked_secret(text: str) -> str:
    if len(text) < SHORTEST_SECRET:
        raise WebhookRefused(f"A secret has at least {SHORTEST_SECRET} characters.", "secret")
    return text


def read_secret(webhook: Webhook) -> str:
    """Raises SecretUnreadableError if no configured key opens it."""
    return str(open_json(Sealed(bytes(webhook.secret), webhook.secret_key_id))["secret"])


def rotate_webhook(webhook: Webhook) -> bool:
    """Seals the secret with the newest key; False if it is already. Raises SecretUnreadableError."""
    if webhook.secret_key_id == current_key_id():
        return False
    sealed = rotate(bytes(webhook.secret), webhook.secret_key_id)
    mine = Webhook.objects.of(webhook.account_id).filter(pk=webhook.pk, secret=webhook.secret)
    return bool(mine.update(secret=sealed.data, secret_key_id=sealed.key_id))


# --- events ----------------------------------------------------------------------------------------------------------
def announce(
    *, account: int, event: Event, facts: Mapping[str, Any], integrations: "Iterable[int] | QuerySet[Any]" = ()
) -> int:
    """Tell an event to the webhooks that ask for it: one query, and one more where there are any. Notifications at once
    begin here too, with another one.

    Call it in the transaction that makes it true. `integrations`: ids of those that it concerns; the webhooks that are
    bound to another one are not told.
    """
    if is_told_at_once(event, facts):
        Announcement(account_id=account, event=event, facts=dict(facts)).save(force_insert=True)
    meant = Q(integration=None) | Q(integration__in=integrations)
    asking = Webhook.objects.of(account).filter(meant, enabled=True).values_list("pk", "events")
    takers = [pk for pk, events in asking if event.value in events]
    return len(_deliver(account, takers, event.value, facts)) if takers else 0


def is_told_at_once(event: Event, facts: Mapping[str, Any]) -> bool:
    """Connections that go and come, what rules notify of, and runs that failed for good; not retries, whose errors are
    told as such."""
    if event == Event.RUN_FINISHED:
        return facts.get("status") == "failed" and facts.get("type") == "flow"
    return event in (Event.CONNECTION_OFFLINE, Event.CONNECTION_ONLINE, Event.RULE_MET)


@transaction.atomic
def send_test(*, webhook: Webhook, member: Member) -> WebhookDelivery:
    """Queue an event that says only that it is one, and have it sent at once; also by a webhook that is disabled."""
    record_audit(account=webhook.account_id, actor=Actor.member(member), act="webhook.test", target=webhook)
    (made,) = _deliver(webhook.account_id, [webhook.pk], TEST, {"message": "This is a test of Flowmend."})
    enqueue(SEND_WEBHOOK, webhook.pk, queue="interactive")
    return made


def _deliver(account: int, webhooks: list[int], event: str, facts: Mapping[str, Any]) -> list[WebhookDelivery]:
    now, event_id = read_now(), uuid.uuid4().hex
    moment = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    payload = orjson.dumps({"id": event_id, "type": event, "createdAt": moment, "data": dict(facts)}).decode()
    rows = [
        WebhookDelivery(
            account_id=account, webhook_id=webhook, event_id=event_id, event=event, payload=payload,
            created_at=now, next_at=now,
        )
        for webhook in webhooks
    ]  # fmt: skip
    made: list[WebhookDelivery] = WebhookDelivery.objects.of(account).bulk_create(rows)
    return made


# --- deliveries ------------------------------------------------------------------------------------------------------
def claim_delivery(delivery: WebhookDelivery, *, seconds: float) -> bool:
    """Compare-and-swap on the number of attempts: nobody else makes this one, and a lost one is made again later."""
    mine = _same(delivery).filter(status=DeliveryStatus.PENDING)
    if not mine.update(attempts=delivery.attempts + 1, next_at=database_now(seconds=seconds)):
        return False
    delivery.attempts += 1
    return True


def note_answer(delivery: WebhookDelivery, *, status: int | None, answer: str) -> None:
    """What came of an attempt: delivered, to be tried again after a growing wait, or given up after a day."""
    facts: dict[str, Any] = {"last_status": status, "last_answer": short(storable(answer)[0], LONGEST_ANSWER)}
    if status is not None and 200 <= status < 300:
        facts |= {"status": DeliveryStatus.DELIVERED, "next_at": None, "ended_at": database_now()}
    elif delivery.attempts > len(WAITS_S):
        facts |= {"status": DeliveryStatus.FAILED, "next_at": None, "ended_at": database_now()}
    else:
        facts |= {"next_at": database_now(seconds=WAITS_S[delivery.attempts - 1])}
    _same(delivery).update(**facts)
    delivery.refresh_from_db()


@transaction.atomic
def send_again(*, delivery: WebhookDelivery, member: Member) -> bool:
    """Have a delivery that was ended made once more, as the same event; False: it is on its way already."""
    if delivery.status == DeliveryStatus.PENDING:
        return False
    ended = _same(delivery).exclude(status=DeliveryStatus.PENDING)
    if not ended.update(status=DeliveryStatus.PENDING, attempts=0, next_at=database_now(), ended_at=None):
        return False
    actor, after = Actor.member(member), {"event": delivery.event, "event_id": delivery.event_id}
    record_audit(account=delivery.account_id, actor=actor, act="webhook.send_again", target=delivery, after=after)
    enqueue(SEND_WEBHOOK, delivery.webhook_id, queue="interactive")
    return True


def forget_deliveries(webhook: Webhook) -> int:
    """Remove what was delivered or given up a month ago, a thousand at most."""
    mine = WebhookDelivery.objects.of(webhook.account_id).filter(webhook=webhook, created_at__lt=read_now() - KEPT)
    old = list(mine.exclude(status=DeliveryStatus.PENDING).order_by("pk").values_list("pk", flat=True)[:1000])
    return WebhookDelivery.objects.of(webhook.account_id).filter(pk__in=old).delete()[0] if old else 0


def _same(delivery: WebhookDelivery) -> Any:
    return WebhookDelivery.objects.of(delivery.account_id).filter(pk=delivery.pk, attempts=delivery.attempts)
