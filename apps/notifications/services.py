"""Subscriptions are made, changed and ended; when a member wants mails; tests. Each act stands in the audit log."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from typing import Any

from django.db import IntegrityError, transaction

from apps.accounts.models import Account, Member
from apps.accounts.permissions import Act, may, visible_integrations
from apps.accounts.services import Actor, record_audit
from apps.flows.models import Flow, Integration
from apps.notifications.messages import NewMessage, write_messages
from apps.notifications.models import Channel, DigestWindow, MessageKind, Preference, Subscription
from apps.notifications.takers import Taker, name_of
from apps.notifications.windows import begin_windows_of

CHOICES = ("errors", "connections", "failed_runs", "more_new", "more_open")


class SubscriptionRefused(ValueError):  # noqa: N818 (an answer, not a fault)
    """A subscription that cannot be; the message says why, `field` which of its facts."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Target:
    """Who is told: a member by e-mail, or a channel."""

    member: Member | None = None
    channel: Channel | None = None


@dataclass(frozen=True, slots=True)
class Coverage:
    """About what: a flow, an integration, or the whole account in one environment."""

    environment: str
    integration: Integration | None = None
    flow: Flow | None = None

    @property
    def integration_id(self) -> int | None:
        if self.flow is not None:
            return self.flow.integration_id
        return self.integration.pk if self.integration is not None else None


@transaction.atomic
def subscribe(
    *, account: Account, by: Member, target: Target, coverage: Coverage, choices: Mapping[str, Any]
) -> Subscription:
    """Make a subscription, or change the one that is there. Raises SubscriptionRefused."""
    _refuse_strangers(account, by, target)
    _refuse_unseen(target, coverage)
    facts = {"flow": coverage.flow, "integration": coverage.integration if coverage.flow is None else None}
    mine = Subscription.objects.of(account).filter(
        member=target.member, channel=target.channel, environment=coverage.environment, **facts
    )
    found: Subscription | None = mine.select_for_update().first()
    if found is not None:
        return change_subscription(subscription=found, by=by, choices=choices)
    wanted = _checked(choices)
    begin_windows_of(account)
    made = Subscription(
        account=account, member=target.member, channel=target.channel, environment=coverage.environment,
        since_window=_present_window(account, coverage.environment), created_by=by, **facts, **wanted,
    )  # fmt: skip
    try:
        with transaction.atomic():
            made.save(force_insert=True)
    except IntegrityError:
        return change_subscription(subscription=mine.get(), by=by, choices=choices)
    record_audit(account=account, actor=Actor.member(by), act="subscription.add", target=made, after=told_of(made))
    return made


@transaction.atomic
def change_subscription(*, subscription: Subscription, by: Member, choices: Mapping[str, Any]) -> Subscription:
    """Other choices; one that begins to take digests is told nothing older. Raises SubscriptionRefused."""
    before, wanted = told_of(subscription), _checked(choices)
    if wanted["errors"] and not subscription.errors:
        subscription.since_window = _present_window(subscription.account, subscription.environment)
    if wanted["more_open"] != subscription.more_open:
        subscription.is_over = False
    for name, value in wanted.items():
        setattr(subscription, name, value)
    subscription.save()
    if told_of(subscription) != before:
        record_audit(
            account=subscription.account_id, actor=Actor.member(by), act="subscription.change", target=subscription,
            before=before, after=told_of(subscription),
        )  # fmt: skip
    return subscription


@transaction.atomic
def end_subscription(*, subscription: Subscription, by: Member) -> None:
    """Nothing more is told because of it."""
    record_audit(
        account=subscription.account_id, actor=Actor.member(by), act="subscription.end", target=subscription,
        before=told_of(subscription),
    )  # fmt: skip
    subscription.delete()


def told_of(subscription: Subscription) -> dict[str, Any]:
    """For the audit log."""
    taker = subscription.channel if subscription.channel_id else subscription.member
    scope = name_of(subscription.integration, subscription.flow)
    choices = {name: getattr(subscription, name) for name in CHOICES if getattr(subscription, name)}
    return {"for": str(taker), "about": scope, "environment": subscription.environment, **choices}


def _checked(choices: Mapping[str, Any]) -> dict[str, Any]:
    wanted: dict[str, Any] = {name: bool(choices.get(name)) for name in ("errors", "connections", "failed_runs")}
    wanted |= {name: choices.get(name) for name in ("more_new", "more_open")}
    if not any(value for value in wanted.values()):
        raise SubscriptionRefused("Choose at least one kind of message; to get none, end the subscription.", "errors")
    for name in ("more_new", "more_open"):
        number = wanted[name]
        if number is not None and not 0 < number <= 2**31 - 1:
            raise SubscriptionRefused("A threshold is a number of errors, 1 or more.", name)
    return wanted


def _refuse_strangers(account: Account, by: Member, target: Target) -> None:
    taker = target.member or target.channel
    if taker is None or taker.account_id != account.pk or (target.member is not None and not target.member.is_active):
        raise SubscriptionRefused("Choose an active member or a channel of this account.", "member")
    own = target.member is not None and target.member.pk == by.pk
    if not own and not may(by, Act.SUBSCRIBE_OTHERS):
        raise SubscriptionRefused("Others are subscribed by administrators and owners.", "member")


def _refuse_unseen(target: Target, coverage: Coverage) -> None:
    """Nobody is told of what he may not see; one without a role in the account is told of the integrations he sees."""
    if target.member is None or coverage.integration_id is None:
        return
    seen = visible_integrations(target.member)
    if seen is not None and coverage.integration_id not in seen:
        raise SubscriptionRefused(f"{target.member} does not see this integration.", "member")


def _present_window(account: Account, environment: str) -> int:
    """The last window that has ended; locked, so that none ends between this and the subscription."""
    windows = DigestWindow.objects.of(account).select_for_update().filter(environment=environment)
    return windows.values_list("number", flat=True).first() or 0


# --- when ------------------------------------------------------------------------------------------------------------
@transaction.atomic
def set_preference(
    *, member: Member, quiet_from: time | None, quiet_to: time | None, daily_at: time | None, assigned: bool
) -> Preference:
    """When a member wants mails. Raises SubscriptionRefused for quiet hours with one end."""
    if (quiet_from is None) != (quiet_to is None):
        raise SubscriptionRefused("Quiet hours need both a beginning and an end.", "quiet_to")
    if quiet_from is not None and quiet_from == quiet_to:
        raise SubscriptionRefused("Quiet hours that begin and end at the same time are none.", "quiet_to")
    wanted = {"quiet_from": quiet_from, "quiet_to": quiet_to, "daily_at": daily_at, "assigned": assigned}
    facts = {"account_id": member.account_id, **wanted}
    preference, _ = Preference.objects.of(member.account_id).update_or_create(member=member, defaults=facts)
    told = {name: str(value) for name, value in wanted.items() if value is not None}
    record_audit(
        account=member.account_id, actor=Actor.member(member), act="preference.change", target=preference, after=told
    )
    return preference  # type: ignore[no-any-return]


# --- tests -----------------------------------------------------------------------------------------------------------
@transaction.atomic
def send_test(*, by: Member, target: Target, environment: str) -> int:
    """A message that says only that it is one, to see whether it arrives. Raises SubscriptionRefused."""
    _refuse_strangers(by.account, by, target)
    message = NewMessage(MessageKind.TEST, environment, {"by": str(by)})
    channel = target.channel.pk if target.channel is not None else 0
    message.give(Taker(target.member.pk if target.member is not None else 0, channel), {})
    taker = target.channel or target.member
    assert taker is not None
    record_audit(account=by.account_id, actor=Actor.member(by), act="notification.test", target=taker)
    return write_messages(by.account_id, [message])
