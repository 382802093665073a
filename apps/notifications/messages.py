"""New messages with their deliveries: written by the thousand with a handful of statements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from apps.core.bulk import insert_rows, reserve_ids
from apps.core.clock import read_now
from apps.notifications.models import DeliveryStatus, Message, MessageDelivery
from apps.notifications.takers import Taker

MESSAGE_FIELDS = ["id", "account", "kind", "environment", "facts", "created_at"]
DELIVERY_FIELDS = [
    "account", "message", "member", "channel", "address", "own", "status", "attempts", "next_at", "is_sending",
    "in_doubt", "last_error", "created_at",
]  # fmt: skip


@dataclass
class NewMessage:
    """One message and all who are told it, each with what only he is told."""

    kind: str
    environment: str
    facts: dict[str, Any]
    takers: dict[Taker, Mapping[str, Any]] = field(default_factory=dict)

    def give(self, taker: Taker, own: Mapping[str, Any]) -> None:
        self.takers[taker] = own


def write_messages(
    account: int, messages: Sequence[NewMessage], *, not_before: Mapping[int, datetime] | None = None
) -> int:
    """Returns how many deliveries were written. `not_before`: members who are told later, with the moment."""
    if not messages:
        return 0
    now, later = read_now(), not_before or {}
    ids = reserve_ids(Message, len(messages))
    insert_rows(
        Message,
        MESSAGE_FIELDS,
        [
            (number, account, message.kind, message.environment, plain(message.facts), now)
            for number, message in zip(ids, messages, strict=True)
        ],
    )
    rows = [
        (
            account, number, taker.member or None, taker.channel or None, "", dict(own), DeliveryStatus.WAITING, 0,
            later.get(taker.member, now), False, False, "", now,
        )
        for number, message in zip(ids, messages, strict=True)
        for taker, own in message.takers.items()
    ]  # fmt: skip
    insert_rows(MessageDelivery, DELIVERY_FIELDS, rows)
    return len(rows)


def plain(facts: dict[str, Any]) -> dict[str, Any]:
    """Moments as text, as JSON has none."""
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in facts.items()}
