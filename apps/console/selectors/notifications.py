"""Who is told what, and what was sent: rows of the pages of notifications."""

from dataclasses import dataclass

from django.db.models import Q, QuerySet

from apps.accounts.models import Member
from apps.accounts.permissions import Act, may
from apps.accounts.reach import Reach
from apps.accounts.selectors import person
from apps.core.pagination import KeysetPage, keyset_page
from apps.flows.models import Flow, Integration
from apps.notifications.models import Channel, DigestWindow, MessageDelivery, Preference, Subscription

DELIVERIES_A_PAGE = 50
LATEST = 20


@dataclass(frozen=True)
class SubscriptionRow:
    """One subscription as people read it."""

    subscription: Subscription

    @property
    def taker(self) -> str:
        return str(self.subscription.channel) if self.subscription.channel_id else person(self.subscription.member)

    @property
    def about(self) -> str:
        """The flow, the integration, or the account."""
        if self.subscription.flow is not None:
            return self.subscription.flow.name
        if self.subscription.integration is not None:
            return f"{self.subscription.integration.name}: all flows"
        return "the whole account"

    @property
    def kinds(self) -> list[str]:
        """What is told, each in a few words."""
        row = self.subscription
        found = [
            ("digest of errors", row.errors),
            ("run failed", row.failed_runs),
            ("connection offline, online again", row.connections),
            (f"more than {row.more_new or 0:,} new errors", row.more_new),
            (f"more than {row.more_open or 0:,} open errors", row.more_open),
        ]
        return [words for words, is_on in found if is_on]


def subscriptions_seen_by(member: Member, reach: Reach) -> "QuerySet[Subscription]":
    """Those of the environment: all of the account for whoever may subscribe others, else his own."""
    rows = Subscription.objects.of(member.account_id).filter(environment=reach.environment)
    if not may(member, Act.SUBSCRIBE_OTHERS):
        rows = rows.filter(member=member)
    found: QuerySet[Subscription] = rows.select_related("member__user", "channel", "integration", "flow__integration")
    return found.order_by("member__user__first_name", "member__user__username", "channel__name", "pk")


def about_integration(integration: Integration) -> Q:
    """Subscriptions because of which somebody is told of this integration."""
    everything = Q(integration__isnull=True, flow__isnull=True)
    return everything | Q(integration=integration) | Q(flow__integration=integration)


def about_flow(flow: Flow) -> Q:
    everything = Q(integration__isnull=True, flow__isnull=True)
    return everything | Q(integration=flow.integration_id, flow__isnull=True) | Q(flow=flow)


def subscription_rows(rows: "QuerySet[Subscription]") -> list[SubscriptionRow]:
    return [SubscriptionRow(row) for row in rows]


def deliveries_seen_by(member: Member) -> "QuerySet[MessageDelivery]":
    rows = MessageDelivery.objects.of(member.account_id)
    if not may(member, Act.SUBSCRIBE_OTHERS):
        rows = rows.filter(member=member)
    found: QuerySet[MessageDelivery] = rows.select_related("message", "member__user", "channel")
    return found


def latest_deliveries(member: Member) -> list[MessageDelivery]:
    return list(deliveries_seen_by(member).order_by("-pk")[:LATEST])


def delivery_page(member: Member, status: str, cursor: str) -> KeysetPage[MessageDelivery]:
    """Raises BadCursorError."""
    rows = deliveries_seen_by(member)
    return keyset_page(rows.filter(status=status) if status else rows, cursor=cursor, size=DELIVERIES_A_PAGE)


def preference_of(member: Member) -> Preference:
    """The stored one, or the usual one."""
    found: Preference | None = Preference.objects.of(member.account_id).filter(member=member).first()
    return found or Preference(account_id=member.account_id, member=member)


def channels_of(member: Member) -> list[Channel]:
    """None for whoever may not subscribe others."""
    if not may(member, Act.SUBSCRIBE_OTHERS):
        return []
    return list(Channel.objects.of(member.account_id).order_by("name"))


def next_window(reach: Reach) -> DigestWindow | None:
    found: DigestWindow | None = DigestWindow.objects.of(reach.account_id).filter(environment=reach.environment).first()
    return found
