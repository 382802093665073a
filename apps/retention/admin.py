from django.contrib import admin

from apps.core.admin import EndlessAdmin, HistoryAdmin
from apps.retention.models import ExportPart, Purge, PurgedSums, PurgeExport, PurgePlan


@admin.register(PurgePlan)
class PurgePlanAdmin(HistoryAdmin):
    list_display = ("account", "due_at", "counted_at")
    list_select_related = ("account",)
    search_fields = ("account__name",)


@admin.register(Purge)
class PurgeAdmin(HistoryAdmin):
    list_display = ("account", "kind", "before", "stage", "created_at", "ended_at")
    list_filter = ("kind", ("ended_at", admin.EmptyFieldListFilter))
    list_select_related = ("account",)
    search_fields = ("account__name",)


@admin.register(PurgedSums)
class PurgedSumsAdmin(HistoryAdmin):
    list_display = ("flow", "runs", "success", "ignored", "errors", "account")
    list_select_related = ("flow", "account")
    search_fields = ("flow__name",)


@admin.register(PurgeExport)
class PurgeExportAdmin(HistoryAdmin):
    list_display = ("account", "format", "before", "errors", "size", "created_at", "ended_at")
    list_filter = ("format", ("ended_at", admin.EmptyFieldListFilter))
    list_select_related = ("account",)
    search_fields = ("account__name",)


@admin.register(ExportPart)
class ExportPartAdmin(EndlessAdmin):
    list_display = ("export", "seq", "account")
    list_select_related = ("export__account", "account")
    search_fields = ("=export__id",)
    exclude = ("content",)
