"""Webhooks: who is told what happens, and what came of telling."""

from typing import Any

from django.urls import path

from apps.accounts.permissions import Act
from apps.accounts.tokens import Scope
from apps.api.caller import one
from apps.api.failures import invalid
from apps.api.operations import ApiView, operation
from apps.api.paging import PAGING, Listed, page_of
from apps.api.serializers.webhooks import DeliveryAnswer, NewWebhookAnswer, WebhookAnswer, WebhookBody
from apps.core.ids import Kind, parse_wire_id
from apps.flows.models import Integration
from apps.webhooks.models import Webhook, WebhookDelivery
from apps.webhooks.services import WebhookRefused, add_webhook, change_webhook, remove_webhook, send_test


class OfAccount(ApiView):
    """Webhooks are a manager's, who also sees their addresses: those may hold a secret."""

    def webhook(self, webhook_id: str, to: Act = Act.EDIT_CONNECTIONS) -> Webhook:
        found = one(Webhook.objects.of(self.caller.account), parse_wire_id(webhook_id, Kind.WEBHOOK))
        self.caller.require(to)
        return found

    def facts(self) -> dict[str, Any]:
        """What the body says, with what stands for what it does not say. Raises a Refusal."""
        body = self.body
        key = body.get("_integrationId")
        if key is not None and not Integration.objects.of(self.caller.account).filter(pk=key).exists():
            raise invalid("There is no such integration.", "_integrationId")
        return {
            "member": self.caller.member, "url": body["url"], "events": body["events"], "integration_id": key,
            "enabled": body.get("enabled", True), "secret": body.get("secret", ""),
        }  # fmt: skip


class WebhookList(OfAccount):
    @operation(query=PAGING, answer=WebhookAnswer, many=True)
    def get(self, request: Any) -> Listed:
        """The webhooks of the account."""
        self.caller.require(Act.EDIT_CONNECTIONS)
        return page_of(request, Webhook.objects.of(self.caller.account).order_by("pk"), self.query)

    @operation(body=WebhookBody, answer=NewWebhookAnswer, status=201, scope=Scope.EDIT)
    def post(self, request: Any) -> Any:
        """A new webhook. The answer has its secret, once."""
        self.caller.require(Act.EDIT_CONNECTIONS)
        try:
            webhook, secret = add_webhook(account=self.caller.account, **self.facts())
        except WebhookRefused as refused:
            raise invalid(str(refused), refused.field) from refused
        return new_facts(webhook, secret)


def new_facts(webhook: Webhook, secret: str) -> dict[str, Any]:
    """What the answer of a new one is rendered from."""
    return {
        "pk": webhook.pk, "url": webhook.url, "events": webhook.events, "integration_id": webhook.integration_id,
        "enabled": webhook.enabled, "created_at": webhook.created_at, "secret": secret,
    }  # fmt: skip


class OneWebhook(OfAccount):
    @operation(answer=WebhookAnswer)
    def get(self, request: Any, webhook_id: str) -> Webhook:
        """One webhook."""
        return self.webhook(webhook_id)

    @operation(body=WebhookBody, answer=WebhookAnswer, scope=Scope.EDIT)
    def put(self, request: Any, webhook_id: str) -> Webhook:
        """Replace a webhook. Its secret stays unless one is given."""
        webhook = self.webhook(webhook_id)
        try:
            return change_webhook(webhook=webhook, **self.facts())
        except WebhookRefused as refused:
            raise invalid(str(refused), refused.field) from refused

    @operation(scope=Scope.EDIT)
    def delete(self, request: Any, webhook_id: str) -> None:
        """Remove a webhook and its deliveries."""
        remove_webhook(webhook=self.webhook(webhook_id, Act.DELETE), member=self.caller.member)


class Deliveries(OfAccount):
    @operation(query=PAGING, answer=DeliveryAnswer, many=True)
    def get(self, request: Any, webhook_id: str) -> Listed:
        """What was sent to a webhook or is to be sent, the newest first, for 30 days."""
        webhook = self.webhook(webhook_id)
        rows = WebhookDelivery.objects.of(webhook.account_id).filter(webhook=webhook).order_by("-pk")
        return page_of(request, rows, self.query)


class TestWebhook(OfAccount):
    @operation(answer=DeliveryAnswer, status=201, scope=Scope.EDIT)
    def post(self, request: Any, webhook_id: str) -> WebhookDelivery:
        """Send a test event; look at the deliveries for what came of it."""
        return send_test(webhook=self.webhook(webhook_id), member=self.caller.member)


urls = [
    path("webhooks", WebhookList.as_view(), name="webhook-list"),
    path("webhooks/<str:webhook_id>", OneWebhook.as_view(), name="webhook"),
    path("webhooks/<str:webhook_id>/deliveries", Deliveries.as_view(), name="webhook-deliveries"),
    path("webhooks/<str:webhook_id>/test", TestWebhook.as_view(), name="webhook-test"),
]
