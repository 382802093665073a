"""Errors and what belongs to them: history, apart from tags and comments. Stored records are not shown."""

import re
from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest

from apps.accounts.recorded_admin import RecordedAdmin
from apps.core.admin import EndlessAdmin, HistoryAdmin, KeptAdmin
from apps.core.ids import Kind
from apps.errors.models import (
    Assignment,
    BulkAct,
    BulkItem,
    Cause,
    CauseBucket,
    Comment,
    Error,
    ErrorTag,
    ErrorText,
    RetryData,
    RetryItem,
    RetryVersion,
    Rule,
    RuleHit,
    RuleRevision,
    SavedView,
    StepState,
    Tag,
    Upload,
)

_SHORT_ID = re.compile(r"e-\d+", re.IGNORECASE | re.ASCII)


@admin.register(Error)
class ErrorAdmin(EndlessAdmin):
    id_kind = Kind.ERROR
    list_display = ("__str__", "step", "shown_state", "key", "message", "occurred_at", "run_id")
    list_filter = ("state", "occurred_at", "unit", "reason", "in_doubt", "retry_failed")
    list_select_related = ("step",)
    search_fields = ("message",)
    search_help_text = "Words of the message or the trace key, or an error such as e-48213"

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        if _SHORT_ID.fullmatch(search_term.strip()):
            return super().get_search_results(request, queryset, search_term)
        return queryset.search(search_term), False


class OfErrorAdmin(EndlessAdmin):
    """A list that is searched by the number of an error."""

    search_fields: ClassVar[tuple[str, ...]] = ("=error__id",)
    search_help_text = "The number of an error"


@admin.register(StepState)
class StepStateAdmin(HistoryAdmin):
    list_display = ("step", "flow", "open_errors", "open_units", "in_doubt", "watched_keys", "last_error_at")
    list_select_related = ("step", "flow")
    list_filter = ("last_error_at",)
    search_fields = ("step__name", "flow__name")


@admin.register(Cause)
class CauseAdmin(HistoryAdmin):
    id_kind = Kind.CAUSE
    list_display = ("pattern", "step", "source", "code", "classification", "state", "open_errors", "total_errors")
    list_filter = ("state", "classification", "last_seen_at")
    list_select_related = ("step",)
    search_fields = ("pattern", "source", "code", "step__name")


@admin.register(CauseBucket)
class CauseBucketAdmin(EndlessAdmin):
    list_display = ("cause_id", "slot", "errors")
    search_fields = ("=cause__id",)
    search_help_text = "The number of a root cause"


@admin.register(RetryData)
class RetryDataAdmin(OfErrorAdmin):
    list_display = ("error_id", "from_step", "version", "generation", "purged_at")
    list_select_related = ("from_step",)
    list_filter = (("purged_at", admin.EmptyFieldListFilter),)
    exclude = ("record",)


@admin.register(RetryVersion)
class RetryVersionAdmin(OfErrorAdmin):
    list_display = ("error_id", "version", "member", "at")
    list_select_related = ("member__user",)
    list_filter = ("at",)
    exclude = ("record",)


@admin.register(RetryItem)
class RetryItemAdmin(OfErrorAdmin):
    list_display = ("error_id", "run_id", "seq", "state", "outcome", "due_at", "at")
    list_filter = ("state", "at")
    search_fields = ("=error__id", "=run__id")
    search_help_text = "The number of an error or a run"


@admin.register(BulkAct)
class BulkActAdmin(HistoryAdmin):
    list_display = ("act", "member", "count", "done", "created_at", "ended_at")
    list_select_related = ("member__user",)
    list_filter = ("act",)
    date_hierarchy = "created_at"
    search_fields = ("member__user__username",)


@admin.register(BulkItem)
class BulkItemAdmin(OfErrorAdmin):
    list_display = ("act_id", "error_id", "result")


@admin.register(ErrorText)
class ErrorTextAdmin(OfErrorAdmin):
    list_display = ("error_id", "text")


@admin.register(Tag)
class TagAdmin(RecordedAdmin, KeptAdmin):
    list_display = ("name", "account")
    list_select_related = ("account",)
    search_fields = ("name", "account__name")
    autocomplete_fields = ("account",)


@admin.register(ErrorTag)
class ErrorTagAdmin(OfErrorAdmin):
    list_display = ("error_id", "tag")
    list_select_related = ("tag",)
    search_fields = ("=error__id", "tag__name")


@admin.register(Comment)
class CommentAdmin(OfErrorAdmin):
    list_display = ("error_id", "member", "at", "text")
    list_filter = ("at",)
    list_select_related = ("member__user",)
    search_fields = ("=error__id", "text")


@admin.register(Assignment)
class AssignmentAdmin(OfErrorAdmin):
    list_display = ("__str__", "assignee", "assigned_by", "at", "mailed_at")
    list_select_related = ("assignee__user", "assigned_by__user")
    list_filter = (("mailed_at", admin.EmptyFieldListFilter),)


@admin.register(SavedView)
class SavedViewAdmin(RecordedAdmin, KeptAdmin):
    list_display = ("name", "member", "is_shared", "query")
    list_select_related = ("member__user",)
    list_filter = ("is_shared",)
    search_fields = ("name", "member__user__username")
    autocomplete_fields = ("account", "member")


@admin.register(Upload)
class UploadAdmin(HistoryAdmin):
    list_display = ("name", "member", "at", "act_id")
    list_select_related = ("member__user",)
    list_filter = ("at",)
    search_fields = ("name", "member__user__username")
    exclude = ("content",)


@admin.register(Rule)
class RuleAdmin(HistoryAdmin):
    """Made, changed and switched in the console, where it can be tried first."""

    list_display = ("name", "environment", "mode", "revision", "looked_to", "look_again_at", "removed_at")
    list_select_related = ("revision__rule",)
    list_filter = ("mode", "environment", ("removed_at", admin.EmptyFieldListFilter))
    search_fields = ("name",)


@admin.register(RuleRevision)
class RuleRevisionAdmin(HistoryAdmin):
    list_display = ("__str__", "member", "at")
    list_select_related = ("rule", "member__user")
    list_filter = ("at",)
    search_fields = ("rule__name",)


@admin.register(RuleHit)
class RuleHitAdmin(OfErrorAdmin):
    list_display = ("error_id", "rule", "revision", "state", "at")
    list_select_related = ("rule", "revision__rule")
    list_filter = ("state", "at")
    search_fields = ("=error__id", "rule__name")
