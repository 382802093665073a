"""Who is told what happens."""

from typing import Any

from django.db.models import QuerySet
from django.urls import path

from apps.accounts.permissions import Act, may
from apps.api.operations import ApiView, operation
from apps.api.paging import PAGING, Listed, page_of
from apps.api.serializers.notifications import NotificationAnswer
from apps.notifications.models import Subscription


class NotificationList(ApiView):
    @operation(query=PAGING, answer=NotificationAnswer, many=True)
    def get(self, request: Any) -> Listed:
        """Subscriptions: your own; all of the account for whoever may subscribe others."""
        return page_of(request, self.subscriptions(), self.query)

    def subscriptions(self) -> "QuerySet[Subscription]":
        member = self.caller.member
        rows: QuerySet[Subscription] = Subscription.objects.of(member.account_id).order_by("pk")
        if not may(member, Act.SUBSCRIBE_OTHERS):
            rows = rows.filter(member=member)
        if self.caller.environment:
            rows = rows.filter(environment=self.caller.environment)
        return rows.select_related("member__user", "channel")


urls = [path("notifications", NotificationList.as_view(), name="notification-list")]
