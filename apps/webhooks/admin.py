from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from apps.accounts.recorded_admin import RecordedAdmin
from apps.core.admin import EndlessAdmin, KeptAdmin
from apps.webhooks.models import Announcement, Webhook, WebhookDelivery


@admin.register(Webhook)
class WebhookAdmin(RecordedAdmin, KeptAdmin):
    """Made by the API, which gives its secret out once; here it is switched off and on."""

    list_display = ("host", "events", "enabled", "busy_until", "account")
    list_filter = ("enabled",)
    list_select_related = ("account",)
    search_fields = ("url", "account__name")
    fields = ("account", "host", "events", "integration", "enabled", "busy_until", "created_at")
    readonly_fields = ("account", "host", "events", "integration", "busy_until", "created_at")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(EndlessAdmin):
    list_display = ("event", "webhook", "status", "attempts", "last_status", "created_at", "next_at")
    list_filter = ("status", "created_at")
    list_select_related = ("webhook",)
    search_fields = ("event_id",)


@admin.register(Announcement)
class AnnouncementAdmin(EndlessAdmin):
    """What waits for a moment until it is told to subscribers."""

    list_display = ("event", "account", "at")
    list_filter = ("at",)
    list_select_related = ("account",)
    search_fields = ("event",)
