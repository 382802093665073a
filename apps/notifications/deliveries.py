"""How a delivery goes on: claimed, sent, tried again after growing waits, given up. Every step is compare-and-swap."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef

from apps.core.clock import database_now
from apps.core.text import short, storable
from apps.notifications.models import DeliveryStatus, Message, MessageDelivery
from apps.webhooks.services import WAITS_S

LEASE_S = 120
"""Longer than an attempt takes: one whose worker died is made again after that, and is in doubt from then on."""
LONGEST_ERROR = 500
MOST_FORGOTTEN = 1_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt: an empty problem is a success. `unknown`: it may have arrived nevertheless."""

    problem: str = ""
    unknown: bool = False


SENT = Outcome()


def claim(delivery: MessageDelivery) -> bool:
    """Nobody else makes this attempt. One before it of which nothing was heard may have arrived."""
    in_doubt = delivery.in_doubt or delivery.is_sending
    mine = _same(delivery).filter(status=DeliveryStatus.WAITING)
    claimed = mine.update(
        attempts=delivery.attempts + 1, is_sending=True, in_doubt=in_doubt, next_at=database_now(seconds=LEASE_S)
    )
    if claimed:
        delivery.attempts, delivery.is_sending, delivery.in_doubt = delivery.attempts + 1, True, in_doubt
    return bool(claimed)


def note(delivery: MessageDelivery, outcome: Outcome, *, address: str) -> None:
    """Write down what came of the attempt that was claimed."""
    facts: dict[str, Any] = {"is_sending": False, "address": address[:254]}
    if not outcome.problem:
        facts |= {"status": DeliveryStatus.SENT, "sent_at": database_now(), "next_at": None}
    else:
        facts |= {"last_error": short(storable(outcome.problem)[0], LONGEST_ERROR)}
        facts |= {"in_doubt": True} if outcome.unknown else {}
        facts |= wait_of(delivery.attempts)
    _same(delivery).update(**facts)
    delivery.status = facts.get("status", delivery.status)


def wait_of(attempts: int) -> dict[str, Any]:
    """When the next attempt is made; after the last one the delivery is given up."""
    if attempts > len(WAITS_S):
        return {"status": DeliveryStatus.FAILED, "next_at": None}
    return {"next_at": database_now(seconds=WAITS_S[attempts - 1])}


def drop(delivery: MessageDelivery, why: str) -> None:
    """It is not sent, because its taker does not want it any more."""
    _same(delivery).update(status=DeliveryStatus.DROPPED, next_at=None, is_sending=False, last_error=why)


def forget_old(account: int, before: datetime) -> None:
    """Remove what was sent, given up or dropped before this moment, a thousand at most; then messages without any."""
    rows = MessageDelivery.objects.of(account).exclude(status=DeliveryStatus.WAITING).filter(created_at__lt=before)
    if old := list(rows.order_by("pk").values_list("pk", flat=True)[:MOST_FORGOTTEN]):
        MessageDelivery.objects.of(account).filter(pk__in=old).delete()
    told = MessageDelivery.objects.of(account).filter(message=OuterRef("pk"))
    messages = Message.objects.of(account).filter(~Exists(told), created_at__lt=before)
    if unread := list(messages.order_by("created_at").values_list("pk", flat=True)[:MOST_FORGOTTEN]):
        Message.objects.of(account).filter(pk__in=unread).delete()


def _same(delivery: MessageDelivery) -> Any:
    return MessageDelivery.objects.of(delivery.account_id).filter(pk=delivery.pk, attempts=delivery.attempts)
