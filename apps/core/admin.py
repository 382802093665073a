"""The admin's house rules: big tables are never counted to the end, and history is read-only."""

from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from apps.core.ids import Kind, WrongIdError, parse_short_id

COUNTED_ROWS = 10_000

admin.site.site_header = "Flowmend"
admin.site.site_title = "Flowmend"
admin.site.index_title = "Administration"


class BoundedPaginator(Paginator):
    """Counts the first 10,000 rows at most; whoever looks for an older one filters or searches."""

    @cached_property
    def count(self) -> int:
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]
        return rows.order_by()[:COUNTED_ROWS].count()


class HouseAdmin(admin.ModelAdmin):
    """An object that may be edited, with everything that could be long chosen by search instead of a list."""

    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = 50
    ordering = ("-pk",)
    id_kind: Kind | None = None  # short ids of this kind (`r-48213`) are understood by the search

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> tuple["QuerySet[Any]", bool]:
        if self.id_kind is not None:
            try:
                return queryset.filter(pk=parse_short_id(search_term, self.id_kind)), False
            except WrongIdError:
                pass
        return super().get_search_results(request, queryset, search_term)


class HistoryAdmin(HouseAdmin):
    """What has happened: shown, searched and filtered, never added to, changed or deleted here."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class KeptAdmin(HouseAdmin):
    """What other rows hang on: may be edited, is never deleted."""

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
