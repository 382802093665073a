"""The addresses of API tokens and of webhooks."""

from django.urls import path

from apps.console.views import tokens, webhooks

WEBHOOK = "settings/webhooks/<int:webhook_id>/"

urlpatterns = [
    path("settings/tokens/", tokens.token_list, name="token-list"),
    path("settings/tokens/new/", tokens.new_token, name="token-new"),
    path("settings/tokens/<int:token_id>/revoke/", tokens.revoke, name="token-revoke"),
    path("settings/webhooks/", webhooks.webhook_list, name="webhook-list"),
    path("settings/webhooks/new/", webhooks.new_webhook, name="webhook-new"),
    path(WEBHOOK, webhooks.webhook_page, name="webhook"),
    path(f"{WEBHOOK}edit/", webhooks.edit_webhook, name="webhook-edit"),
    path(f"{WEBHOOK}test", webhooks.test, name="webhook-test"),
    path(f"{WEBHOOK}enable", webhooks.enable, name="webhook-enable"),
    path(f"{WEBHOOK}disable", webhooks.disable, name="webhook-disable"),
    path(f"{WEBHOOK}delete", webhooks.delete, name="webhook-delete"),
    path(f"{WEBHOOK}deliveries/<int:delivery_id>/send", webhooks.deliver_again, name="webhook-send-again"),
]
