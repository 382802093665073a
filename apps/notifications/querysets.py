"""Reads that several parts share."""

from typing import TYPE_CHECKING

from django.db.models import Q, QuerySet

if TYPE_CHECKING:
    from apps.notifications.models import Subscription

ACTIVE_MEMBER = Q(member__disabled_at__isnull=True, member__user__is_active=True)
ACTIVE_ASSIGNEE = Q(assignee__disabled_at__isnull=True, assignee__user__is_active=True)


def of_active_takers(rows: "QuerySet[Subscription]") -> "QuerySet[Subscription]":
    """Subscriptions of members who may sign in, and of channels that are enabled."""
    return rows.filter(Q(member__isnull=False) & ACTIVE_MEMBER | Q(channel__enabled=True))
