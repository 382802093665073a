"""Sends what webhooks are to be told: signed, through the guard of all requests, one worker for a webhook at a time."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Iterable

from django.db.models import Exists, OuterRef, Q
from multidict import CIMultiDict
from yarl import URL

from apps.connectors.base import Limits
from apps.connectors.egress import Egress
from apps.connectors.http.config import HttpConfig
from apps.connectors.http.session import open_session, send_once
from apps.connectors.http.wire import Answer, FaultError, Request
from apps.connectors.redaction import redact
from apps.core.clock import database_now, read_now
from apps.core.crypto import SecretUnreadableError
from apps.core.queue import enqueue
from apps.flows.connections import surroundings_for
from apps.webhooks.models import TEST, DeliveryStatus, Webhook, WebhookDelivery
from apps.webhooks.services import SEND_WEBHOOK, claim_delivery, forget_deliveries, note_answer, read_secret

MOST_AT_ONCE = 100
SLICE_S = 20.0
LEASE_S = 60
"""Longer than a slice and its last request: a webhook whose worker died is served again after that."""
PAUSE_S = 10
"""After an attempt that went wrong nothing else is sent to the address for so long."""
SHORTEST_IN_PATH = 12
"""A shorter part of an address is a word such as `hook`."""
LIMITS = Limits(connect_s=5, read_s=10, total_s=15, max_bytes=256 * 1024)


def hint_webhooks() -> int:
    """Hint at the webhooks that have something to be told; returns how many."""
    waiting = WebhookDelivery.unscoped.filter(
        webhook=OuterRef("pk"), status=DeliveryStatus.PENDING, next_at__lte=database_now()
    )
    free = Webhook.unscoped.filter(Q(busy_until=None) | Q(busy_until__lte=database_now()))
    due = free.filter(Q(Exists(waiting), enabled=True) | Exists(waiting.filter(event=TEST)))
    mine = [pk for pk in due.values_list("pk", flat=True)[:MOST_AT_ONCE] if claimed(pk)]
    for pk in mine:
        enqueue(SEND_WEBHOOK, pk, queue="interactive")
    return len(mine)


def claimed(webhook_id: int) -> bool:
    """Compare-and-swap on the time until which somebody else has it."""
    free = Q(busy_until=None) | Q(busy_until__lte=database_now())
    return bool(Webhook.unscoped.filter(free, pk=webhook_id).update(busy_until=database_now(seconds=LEASE_S)))


def send_deliveries(webhook_id: int) -> int:
    """Send what is due, the oldest first, until an attempt goes wrong or the slice is over; returns how many went
    through. May be called twice: each attempt is claimed."""
    webhook = Webhook.unscoped.filter(pk=webhook_id).first()
    if webhook is None:
        return 0
    sent, is_well, begun = 0, True, time.monotonic()
    for delivery in due_deliveries(webhook):
        if claim_delivery(delivery, seconds=LEASE_S):
            is_well = send(webhook, delivery)
            sent += is_well
        if not is_well or time.monotonic() - begun > SLICE_S:
            break
    forget_deliveries(webhook)
    until = None if is_well else database_now(seconds=PAUSE_S)
    Webhook.unscoped.filter(pk=webhook_id).update(busy_until=until)
    return sent


def due_deliveries(webhook: Webhook) -> list[WebhookDelivery]:
    """Of one that is disabled only tests; the others wait until it is enabled again."""
    mine = WebhookDelivery.objects.of(webhook.account_id).filter(webhook=webhook, status=DeliveryStatus.PENDING)
    if not webhook.enabled:
        mine = mine.filter(event=TEST)
    return list(mine.filter(next_at__lte=database_now()).order_by("next_at", "pk")[:MOST_AT_ONCE])


def send(webhook: Webhook, delivery: WebhookDelivery) -> bool:
    """One attempt; True if the address took it."""
    try:
        secret = read_secret(webhook)
        status, answer = asyncio.run(post(webhook, delivery, secret, signed_at=int(read_now().timestamp())))
        answer = without_secrets(answer, [secret, *secrets_in(webhook.url)])
    except SecretUnreadableError as error:
        status, answer = None, str(error)
    note_answer(delivery, status=status, answer=answer)
    return delivery.status == DeliveryStatus.DELIVERED


def secrets_in(address: str) -> list[str]:
    """What of an address may be a secret: the values of its query, and parts of its path that are no words."""
    url = URL(address)
    return [*url.query.values(), *(part for part in url.parts if len(part) >= SHORTEST_IN_PATH)]


def without_secrets(answer: str, secrets: Iterable[str]) -> str:
    """An answer that is JSON is read, so that the names of its fields count too."""
    try:
        found = json.loads(answer)
    except ValueError:
        return str(redact(answer, secrets))
    return json.dumps(redact(found, secrets), ensure_ascii=False)


async def post(webhook: Webhook, delivery: WebhookDelivery, secret: str, *, signed_at: int) -> tuple[int | None, str]:
    """The status and the words of the answer; without an answer why there is none."""
    body = delivery.payload.encode()
    headers = CIMultiDict(
        {
            "Content-Type": "application/json",
            "User-Agent": "Flowmend",
            "Flowmend-Event": delivery.event,
            "Flowmend-Event-Id": delivery.event_id,
            "Flowmend-Signature": signature(secret, signed_at, body),
        }
    )
    try:
        answer = await post_bytes(webhook.account_id, webhook.url, headers, body)
    except FaultError as fault:
        return fault.status, fault.message
    return answer.status, answer.body.decode(errors="replace")


async def post_bytes(account_id: int, address: str, headers: CIMultiDict[str], body: bytes) -> Answer:
    """POST once through the guard of all requests. Raises FaultError without a complete answer."""
    url = URL(address)
    egress = Egress(surroundings_for(account_id).allow_nets)
    async with open_session(HttpConfig(base_url=str(url.origin())), LIMITS, egress) as session:
        return await send_once(session, Request("POST", url, headers, body), url, headers, LIMITS)


def signature(secret: str, signed_at: int, body: bytes) -> str:
    """`t=seconds,v1=hex`: HMAC-SHA256 over the seconds, a dot and the body."""
    proof = hmac.new(secret.encode(), f"{signed_at}.".encode() + body, hashlib.sha256)
    return f"t={signed_at},v1={proof.hexdigest()}"
