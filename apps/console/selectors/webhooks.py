"""The webhooks of an account with what came of their last delivery, and the deliveries of one."""

from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery

from apps.accounts.models import Account
from apps.core.pagination import KeysetPage, keyset_page
from apps.webhooks.models import Webhook, WebhookDelivery

DELIVERIES_A_PAGE = 50


def webhook_rows(account: Account) -> "QuerySet[Webhook]":
    """With `last_state` and `last_at` of the newest delivery, None where there is none; one query."""
    newest = WebhookDelivery.objects.of(account).filter(webhook=OuterRef("pk")).order_by("-pk")
    rows: QuerySet[Any] = Webhook.objects.of(account).select_related("integration").order_by("pk")
    return rows.annotate(
        last_state=Subquery(newest.values("status")[:1]), last_at=Subquery(newest.values("created_at")[:1])
    )


def deliveries_of(webhook: Webhook, state: str, cursor: str) -> KeysetPage[WebhookDelivery]:
    """The newest first, in one state unless it is blank. Raises BadCursorError."""
    rows = WebhookDelivery.objects.of(webhook.account_id).filter(webhook=webhook)
    return keyset_page(rows.filter(status=state) if state else rows, cursor=cursor, size=DELIVERIES_A_PAGE)
