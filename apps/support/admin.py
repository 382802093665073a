from django.contrib import admin

from apps.core.admin import HistoryAdmin
from apps.support.models import SupportBundle


@admin.register(SupportBundle)
class SupportBundleAdmin(HistoryAdmin):
    """What members gathered since yesterday. The files themselves are shown to their maker only."""

    list_display = ("__str__", "member", "state", "recipient", "made_at")
    list_filter = ("state", "made_at")
    list_select_related = ("member__user",)
    search_fields = ("member__user__username", "recipient")
    fields = ("account", "member", "subject", "state", "recipient", "problem", "made_at", "changed_at")
