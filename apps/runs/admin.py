"""Runs and what belongs to them: all of it history. The bytes of stored pages are not shown."""

from typing import ClassVar

from django.contrib import admin

from apps.core.admin import EndlessAdmin, HistoryAdmin
from apps.core.ids import Kind
from apps.runs.models import (
    Arrival,
    Bucket,
    Capture,
    Delivery,
    FlowState,
    Intent,
    Machine,
    Page,
    Run,
    RunLog,
    StepRun,
    TestRun,
)


@admin.register(Run)
class RunAdmin(EndlessAdmin):
    id_kind = Kind.RUN
    list_display = (
        "__str__",
        "flow",
        "kind",
        "status",
        "outcome",
        "attempt",
        "success",
        "ignored",
        "failed",
        "created_at",
    )
    list_filter = ("status", "outcome", "kind", "trigger", "environment", "created_at")
    list_select_related = ("flow",)
    search_fields = ("flow__name", "flow__key")


class OfRunAdmin(EndlessAdmin):
    """A list that is searched by the number of a run."""

    list_select_related: ClassVar[tuple[str, ...]] = ("step",)
    search_fields = ("=run__id",)
    search_help_text = "The number of a run"


@admin.register(StepRun)
class StepRunAdmin(OfRunAdmin):
    list_display = ("run_id", "step", "came_in", "success", "ignored", "errors", "rolled_back", "open_errors")
    list_filter = ("step__kind",)


@admin.register(Page)
class PageAdmin(OfRunAdmin):
    list_display = ("run_id", "seq", "part", "state", "records", "error_rows", "deliveries", "lease_until")
    list_select_related = ()
    list_filter = ("state",)
    exclude = ("payload",)


@admin.register(Intent)
class IntentAdmin(EndlessAdmin):
    list_display = ("page_id", "step", "ordinal", "generation", "state")
    list_select_related = ("step",)
    list_filter = ("state",)
    search_fields = ("=page__id",)
    search_help_text = "The number of a page"


@admin.register(FlowState)
class FlowStateAdmin(HistoryAdmin):
    list_display = ("flow", "last_status", "last_started_at", "last_runs", "running", "queued")
    list_select_related = ("flow",)
    search_fields = ("flow__name", "flow__key")


@admin.register(Bucket)
class BucketAdmin(EndlessAdmin):
    list_display = ("flow", "grain", "slot", "success", "ignored", "errors", "resolved", "runs")
    list_select_related = ("flow",)
    list_filter = ("grain",)
    search_fields = ("flow__name", "flow__key")


@admin.register(RunLog)
class RunLogAdmin(OfRunAdmin):
    list_display = ("run_id", "at", "level", "step", "page_seq", "text")
    list_filter = ("level", "at")


@admin.register(Machine)
class MachineAdmin(HistoryAdmin):
    list_display = ("name", "workers", "dispatches", "seen_at")
    search_fields = ("name",)


@admin.register(Capture)
class CaptureAdmin(OfRunAdmin):
    list_display = ("run_id", "step", "sent_at", "method", "status", "ms")
    list_filter = ("sent_at",)


@admin.register(Arrival)
class ArrivalAdmin(EndlessAdmin):
    list_display = ("__str__", "flow", "run_id", "received_at", "records", "size")
    list_filter = ("received_at",)
    list_select_related = ("flow",)
    search_fields = ("flow__name", "flow__key")
    exclude = ("body",)


@admin.register(Delivery)
class DeliveryAdmin(EndlessAdmin):
    list_display = ("arrival", "hook", "records", "received_at")
    list_select_related = ("hook",)
    search_fields = ("=arrival",)
    search_help_text = "The number of a request"


@admin.register(TestRun)
class TestRunAdmin(HistoryAdmin):
    list_display = ("id", "flow", "status", "size", "cause", "created_at", "ended_at")
    list_filter = ("status",)
    list_select_related = ("flow",)
    search_fields = ("flow__name", "flow__key")
    exclude = ("text", "records", "errors", "report")
