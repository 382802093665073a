from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from apps.accounts.recorded_admin import RecordedAdmin
from apps.core.admin import EndlessAdmin, HistoryAdmin
from apps.core.ids import Kind
from apps.notifications.models import (
    Channel,
    DigestWindow,
    HeldDigest,
    Message,
    MessageDelivery,
    Notice,
    Preference,
    Subscription,
)

FROM_SUBSCRIPTION = ("account", "member", "channel", "environment", "integration", "flow")


@admin.register(Channel)
class ChannelAdmin(RecordedAdmin):
    """Made in the console, which seals its address; here it is switched off and on."""

    list_display = ("name", "kind", "host", "enabled", "account")
    list_filter = ("kind", "enabled")
    list_select_related = ("account",)
    search_fields = ("name", "host")
    fields = ("account", "name", "kind", "host", "enabled", "created_at")
    readonly_fields = ("account", "kind", "host", "created_at")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Subscription)
class SubscriptionAdmin(RecordedAdmin):
    """Made in the console, which looks who may be told of what."""

    list_display = ("__str__", "member", "channel", "environment", "integration", "flow", "errors", "connections",
                    "failed_runs")  # fmt: skip
    list_filter = ("environment", "errors", "connections", "failed_runs")
    list_select_related = ("member__user", "channel", "integration", "flow")
    search_fields = ("member__user__username", "member__user__email", "channel__name", "flow__name")
    readonly_fields = (*FROM_SUBSCRIPTION, "is_over", "since_window", "created_by", "created_at")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Preference)
class PreferenceAdmin(RecordedAdmin):
    list_display = ("member", "quiet_from", "quiet_to", "daily_at", "assigned")
    list_filter = ("assigned",)
    list_select_related = ("member__user",)
    search_fields = ("member__user__username", "member__user__email")
    raw_id_fields = ("account", "member")


@admin.register(DigestWindow)
class DigestWindowAdmin(HistoryAdmin):
    list_display = ("account", "environment", "number", "ended_at", "next_at")
    list_filter = ("environment",)
    list_select_related = ("account",)
    search_fields = ("account__name",)


@admin.register(HeldDigest)
class HeldDigestAdmin(HistoryAdmin):
    list_display = ("member", "environment", "window", "since")
    list_filter = ("environment",)
    list_select_related = ("member__user",)
    search_fields = ("member__user__username",)


@admin.register(Notice)
class NoticeAdmin(EndlessAdmin):
    list_display = ("error_id", "environment", "flow", "new_window", "resolved_window")
    list_filter = ("environment",)
    list_select_related = ("flow",)
    search_fields = ("flow__name",)
    id_kind = Kind.ERROR


@admin.register(Message)
class MessageAdmin(EndlessAdmin):
    list_display = ("__str__", "kind", "environment", "account", "created_at")
    list_filter = ("kind", "environment", "created_at")
    list_select_related = ("account",)
    search_fields = ("=id",)


@admin.register(MessageDelivery)
class MessageDeliveryAdmin(EndlessAdmin):
    list_display = ("__str__", "message", "address", "status", "attempts", "in_doubt", "created_at", "sent_at")
    list_filter = ("status", "in_doubt", "created_at")
    list_select_related = ("message",)
    search_fields = ("address",)
