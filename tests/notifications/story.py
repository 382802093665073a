"""Time goes by from window to window: what is due is dispatched and worked on, as dispatcher and workers do."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from apps.accounts.models import Account, Member
from apps.core.clock import frozen
from apps.execution.notifying import send_messages, take_due, tell_announced
from apps.flows.models import Flow, Integration
from apps.notifications.models import Channel, DigestWindow, MessageDelivery, Subscription
from apps.notifications.services import Coverage, Target, subscribe
from apps.notifications.windows import end_window
from tests.conftest import NOON
from tests.fakes.mail_server import MailServer

WINDOW = timedelta(minutes=15)


def subscribed(
    account: Account,
    member: Member | None = None,
    *,
    channel: Channel | None = None,
    integration: Integration | None = None,
    flow: Flow | None = None,
    environment: str = "production",
    at: datetime = NOON,
    **choices: Any,
) -> Subscription:
    """A subscription, made by the owner; to digests of the whole account unless told."""
    owner = Member.objects.of(account).get(role="owner")
    with frozen(at):
        return subscribe(
            account=account,
            by=owner,
            target=Target(member=member, channel=channel),
            coverage=Coverage(environment, integration=integration, flow=flow),
            choices=choices or {"errors": True},
        )


@contextmanager
def at(minutes: float) -> Iterator[datetime]:
    """So many minutes after noon."""
    with frozen(NOON + timedelta(minutes=minutes)) as moment:
        yield moment


def work(minutes: float) -> None:
    """What dispatcher and workers do about notifications at this time."""
    with at(minutes):
        for account, key in DigestWindow.unscoped.order_by("pk").values_list("account_id", "pk"):
            end_window(account, key)
        tell_announced()
        while ids := take_due():
            send_messages(ids)


def subjects(post: MailServer) -> list[str]:
    """What has come since it was asked last."""
    found = post.subjects
    post.taken.clear()
    return found


def log() -> list[tuple[str, int]]:
    """Status and attempts of each delivery."""
    return list(MessageDelivery.unscoped.order_by("pk").values_list("status", "attempts"))
