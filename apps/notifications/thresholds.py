"""More errors than a subscription allows: more new ones in a window, or more that are open. Each is told when it
begins, not again while it lasts."""

from collections import Counter
from typing import Any

from django.db.models import Count

from apps.core.bulk import in_array
from apps.notifications.digests import open_by_flow
from apps.notifications.holding import ends_of_quiet_hours
from apps.notifications.messages import NewMessage, write_messages
from apps.notifications.models import DigestWindow, MessageKind, Notice, Subscription
from apps.notifications.takers import Environs, environs_of, name_of, scope_of


def write_thresholds(window: DigestWindow) -> int:
    """Write a message for each threshold that this window passes; a fixed number of queries."""
    watching = Subscription.objects.of(window.account_id).filter(environment=window.environment)
    if not watching.exclude(more_new=None, more_open=None).exists():
        return 0
    environs = environs_of(window.account_id, window.environment)
    new, opened = new_by_flow(window), open_by_flow(window.account_id)
    messages: list[NewMessage] = []
    over: list[int] = []
    under: list[int] = []
    for subscription in environs.subscriptions:
        flows = environs.flows_of(scope_of(subscription), environs.taker_of(subscription).visible)
        counts = sum(new.get(flow, 0) for flow in flows), sum(opened.get(flow, 0) for flow in flows)
        if passed := passed_by(subscription, *counts):
            messages.append(message_of(window, environs, subscription, *counts, passed))
        is_over = subscription.more_open is not None and counts[1] > subscription.more_open
        if is_over != subscription.is_over:
            (over if is_over else under).append(subscription.pk)
    keep_over(window, over, is_over=True)
    keep_over(window, under, is_over=False)
    return write_messages(
        window.account_id, messages, not_before=ends_of_quiet_hours(window.account_id, window.ended_at)
    )


def passed_by(subscription: Subscription, new: int, opened: int) -> dict[str, int]:
    """The thresholds that these counts pass, by name."""
    passed = {}
    if subscription.more_new is not None and new > subscription.more_new:
        passed["more_new"] = subscription.more_new
    if subscription.more_open is not None and opened > subscription.more_open and not subscription.is_over:
        passed["more_open"] = subscription.more_open
    return passed


def message_of(
    window: DigestWindow, environs: Environs, subscription: Subscription, new: int, opened: int, passed: dict[str, int]
) -> NewMessage:
    facts: dict[str, Any] = {"new": new, "open": opened, "until": window.ended_at, **passed}
    kind, key = scope_of(subscription)
    facts |= {"scope": kind, "scope_id": key, **scope_facts(environs, kind, key)}
    message = NewMessage(MessageKind.THRESHOLD, window.environment, facts)
    message.give(environs.taker_of(subscription), {})
    return message


def scope_facts(environs: Environs, kind: str, key: int) -> dict[str, Any]:
    """The name of a scope, and what its link needs."""
    place = next((p for p in environs.places.values() if (p.flow if kind == "flow" else p.integration) == key), None)
    if kind == "account" or place is None:
        return {"name": name_of(None, None)}
    return {"name": place.name if kind == "flow" else place.integration_name, "slug": place.slug}


def new_by_flow(window: DigestWindow) -> Counter[int]:
    rows = Notice.objects.of(window.account_id).filter(environment=window.environment, new_window=window.number)
    return Counter(dict(rows.order_by().values_list("flow_id").annotate(errors=Count("*"))))


def keep_over(window: DigestWindow, ids: list[int], *, is_over: bool) -> None:
    if ids:
        condition, params = in_array("id", ids)
        rows = Subscription.objects.of(window.account_id).extra(where=[condition], params=params)  # noqa: S610 (a constant)
        rows.update(is_over=is_over)
