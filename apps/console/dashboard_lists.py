"""What the lists of the dashboards can be asked for: filters, orders, ranges, and the download."""

from collections.abc import Callable, Iterable
from typing import Any

from django.http import HttpRequest

from apps.console.columns import COMPLETED, LISTS, shown_columns, widths_of_groups
from apps.console.context import preferences_of
from apps.console.filters import Choice, Filter, address_with, choice_filter, hidden_fields, sort_links
from apps.console.narrowing import Criterion
from apps.console.ranges import PRESETS, Range, range_of
from apps.console.selectors.completed import FlowRow, IntegrationFacts
from apps.console.selectors.running import Work
from apps.console.statuses import look_of
from apps.flows.models import Integration
from apps.runs.statuses import RunOutcome, RunStatus, Trigger

DEFAULT_SORT = "-open"
RANGES = ("24h", "7d", "30d")
UNDER_WAY = (RunStatus.RUNNING.value, RunStatus.QUEUED.value, RunStatus.RETRYING.value)
LAST_STATUSES = [*RunOutcome.values, *UNDER_WAY, "never_run"]
SORTS: dict[str, Callable[[FlowRow], Any]] = {
    "flow": lambda row: row.flow.name.casefold(),
    "open": lambda row: row.opened.errors,
    "last_error": lambda row: row.opened.last_error_at,
    "status": lambda row: LAST_STATUSES.index(row.latest.status) if row.latest.status in LAST_STATUSES else None,
    "last_run": lambda row: row.latest.at,
    "runs": lambda row: row.sums.runs,
    "success": lambda row: row.sums.success,
    "ignored": lambda row: row.sums.ignored,
    "errors": lambda row: row.sums.errors,
    "auto": lambda row: row.sums.auto_resolved,
    "average": lambda row: row.sums.average,
    "ms": lambda row: row.sums.ms_per_record,
}
SORTS_OF_SUMS = {"runs", "success", "ignored", "errors", "auto", "average", "ms"}
"""These orders need the sums of all flows, the others only those of the flows on the page."""
CSV_HEADER = (
    "Flow", "Integration", "Open errors, now", "Last error", "Latest run", "Latest run at", "Runs", "Success",
    "Ignored", "Errors", "Auto-resolved", "Average duration in s", "ms per successful record",
)  # fmt: skip


def status_word(status: str) -> str:
    return look_of(status).word if status in LAST_STATUSES else status


FLOW_CRITERIA: tuple[Criterion[FlowRow], ...] = (
    Criterion("flow", "Flow name", lambda row, words: words.casefold() in row.flow.name.casefold()),
    Criterion("integration", "Integration", lambda row, slug: row.flow.integration.slug == slug),
    Criterion("status", "Last run", lambda row, status: row.latest.status == status, status_word),
    Criterion("open", "Only flows with open errors", lambda row, _: row.opened.errors > 0, lambda _: ""),
)
RUN_CRITERIA: tuple[Criterion[Work], ...] = (
    Criterion("flow", "Flow name", lambda work, words: words.casefold() in work.run.flow.name.casefold()),
    Criterion("integration", "Integration", lambda work, slug: work.run.integration.slug == slug),
    Criterion("by", "Started by", lambda work, trigger: work.run.trigger == trigger),
    Criterion("state", "State", lambda work, status: work.status == status),
)


def completed_context(request: HttpRequest, rows: Iterable[FlowRow], span: Range) -> dict[str, Any]:
    """The filters, the heads of the columns, and which columns there are."""
    filters = [integration_filter(request, (row.flow.integration for row in rows)), status_filter(request)]
    shown = shown_columns(preferences_of(request), COMPLETED)
    return {
        "range_filter": range_filter(request, span),
        "filters": [item for item in filters if len(item.choices) > 2],
        "only_open": bool(request.GET.get("open")),
        "only_open_url": address_with(request, open="" if request.GET.get("open") else "1"),
        "flow_name": request.GET.get("flow", ""),
        "hidden": hidden_fields(request, "flow"),
        "range_hidden": hidden_fields(request, "range", "from", "to"),
        "sorts": sort_links(request, SORTS, sort_of(request), words=["flow", "status"]),
        "columns": shown,
        "groups": widths_of_groups(shown, COMPLETED),
        "column_names": [(name, label, shown[name]) for name, label in LISTS[COMPLETED].items()],
    }


def span_of(request: HttpRequest) -> Range:
    """The range that is shown; its problem says what was wrong with the one that was asked for."""
    prefs = preferences_of(request)
    return range_of(request.GET, prefs.zone, default=prefs.default_range)


def sort_of(request: HttpRequest) -> str:
    asked = request.GET.get("sort", DEFAULT_SORT)
    return asked if asked.removeprefix("-") in SORTS else DEFAULT_SORT


def sort_rows(rows: list[FlowRow], order: str) -> list[FlowRow]:
    """Rows without a value stand last either way; equal ones by name."""
    value = SORTS[order.removeprefix("-")]
    known = [row for row in rows if value(row) is not None]
    known.sort(key=value, reverse=order.startswith("-"))
    return known + [row for row in rows if value(row) is None]


def csv_row(row: FlowRow) -> tuple[object, ...]:
    average, ms = row.sums.average, row.sums.ms_per_record
    return (
        row.flow.name,
        row.flow.integration.name,
        row.opened.errors,
        row.opened.last_error_at,
        look_of(row.latest.status).word,
        row.latest.at,
        row.sums.runs,
        row.sums.success,
        row.sums.ignored,
        row.sums.errors,
        row.sums.auto_resolved,
        None if average is None else round(average, 3),
        None if ms is None else round(ms, 3),
    )


def running_filters(request: HttpRequest, rows: list[Work]) -> list[Filter]:
    states = {work.status: look_of(work.status).word for work in rows}
    triggers = {work.run.trigger: Trigger(work.run.trigger).label for work in rows}
    return [
        integration_filter(request, (work.run.integration for work in rows)),
        choice_filter(request, "by", "Started by", [("", "anything"), *sorted(triggers.items())]),
        choice_filter(request, "state", "State", [("", "any"), *sorted(states.items())]),
    ]


# --- filters of both ------------------------------------------------------------------------------------------------
def integration_filter(request: HttpRequest, integrations: Iterable[Integration | IntegrationFacts]) -> Filter:
    names = {integration.slug: integration.name for integration in integrations}
    options = sorted(names.items(), key=lambda option: option[1].casefold())
    return choice_filter(request, "integration", "Integration", [("", "all"), *options])


def status_filter(request: HttpRequest) -> Filter:
    options = [(status, look_of(status).word) for status in LAST_STATUSES]
    return choice_filter(request, "status", "Last run", [("", "any status"), *options])


def range_filter(request: HttpRequest, span: Range) -> Filter:
    away = {"from": "", "to": ""}
    choices = tuple(
        Choice(name, PRESETS[name][0], address_with(request, range=name, **away), name == span.key) for name in RANGES
    )
    return Filter("range", "Started", span.label, choices, address_with(request, range="", **away))
