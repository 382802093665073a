"""The admin's house rules: big tables are never counted to the end, and history is read-only."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.html import format_html

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
    address_in_console: Callable[[Any], str] | None = None
    """The page that shows a row, where the console has one."""

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """With a way to the row's own page, where the console has one."""
        shown = list(super().get_list_display(request))
        return [*shown, "in_console"] if self.address_in_console else shown

    @admin.display(description="Console")
    def in_console(self, row: Model) -> str:
        address = self.address_in_console(row) if self.address_in_console else ""
        return format_html('<a href="{}" title="Open {} in the console">Open</a>', address, row.pk)

    def get_view_on_site_url(self, obj: Any = None) -> str | None:
        return self.address_in_console(obj) if obj is not None and self.address_in_console else None

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


class EndlessAdmin(HistoryAdmin):
    """History of which there are millions of rows: in the order in which it came, which is the only one it is read in.

    No hierarchy of dates either, for that looks for the first and the last of all rows: dates are filters.
    """

    sortable_by = ()


class KeptAdmin(HouseAdmin):
    """What other rows hang on: may be edited, is never deleted."""

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
