"""The e-mails that told of the errors: what each said about this flow, and to whom it went."""

from collections.abc import Iterator
from typing import Any

from apps.core.clock import wall_now
from apps.notifications.letters import letter_of
from apps.notifications.mails import Clock, plain_lines
from apps.notifications.models import Message, MessageDelivery, MessageKind
from apps.support.subjects import Subject

MOST_LOOKED_AT = 500
MOST_TOLD = 20


def mail_texts(subject: Subject) -> Iterator[str]:
    """The newest that tell of one of the errors or runs, the oldest of them first."""
    told = [cut for message in recent(subject) if (cut := about_subject(message, subject)) is not None][:MOST_TOLD]
    for message in reversed(told):
        deliveries = list(message.deliveries.filter(account_id=message.account_id).select_related(*READERS))
        mails = [(one, one.member) for one in deliveries if one.member is not None]
        if not mails:
            continue
        clock = Clock(mails[0][1], wall_now())
        heading = f"=== {letter_of(message).subject}\n"
        heads = "".join(f"{delivery_text(one)}\n" for one, _ in mails)
        yield heading + heads + "\n".join(plain_lines(letter_of(message), clock)) + "\n"


READERS = ("member__user__profile", "member__account")


def recent(subject: Subject) -> list[Message]:
    """Messages since the first of the errors, the newest first."""
    begun = [error.occurred_at for error in subject.samples] + [run.created_at for run in subject.runs]
    if not begun:
        return []
    rows = Message.objects.of(subject.flow.account_id).filter(environment=subject.flow.integration.environment)
    kinds = (MessageKind.DIGEST, MessageKind.RUN_FAILED)
    return list(rows.filter(created_at__gte=min(begun), kind__in=kinds).order_by("-pk")[:MOST_LOOKED_AT])


def about_subject(message: Message, subject: Subject) -> Message | None:
    """The message, of a digest only what it says of this flow: others may be none of the reader's business."""
    if message.kind == MessageKind.RUN_FAILED:
        return message if message.facts.get("run") in {run.pk for run in subject.runs} else None
    own = [flow for flow in message.facts["flows"] if flow["id"] == subject.flow.pk]
    errors = {error.pk for error in subject.samples}
    if not any(errors & {*flow["new_ids"], *flow["resolved_ids"]} for flow in own):
        return None
    counts: dict[str, Any] = {name: own[0][name] for name in ("new", "resolved", "open")}
    message.facts = {**message.facts, "flows": own, **counts}
    return message


def delivery_text(delivery: MessageDelivery) -> str:
    when = f", {delivery.sent_at:%Y-%m-%d %H:%M:%S} UTC" if delivery.sent_at else ""
    why = f": {delivery.last_error}" if delivery.last_error else ""
    return f"To {delivery.address or delivery.member}: {delivery.get_status_display().lower()}{when}{why}"
