"""The dashboards: what runs now and how flows are doing, of the account or of one integration."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from apps.accounts.permissions import Act
from apps.console.access import Reach, account_of, get_integration, may_do, member_page, reach_of
from apps.console.context import Crumb, preferences_of
from apps.console.csv_files import csv_response
from apps.console.dashboard_lists import (
    CSV_HEADER,
    FLOW_CRITERIA,
    RUN_CRITERIA,
    SORTS_OF_SUMS,
    completed_context,
    csv_row,
    running_filters,
    sort_of,
    sort_rows,
    span_of,
)
from apps.console.dashboard_topics import dashboard_topic, midnight_of, running_topic
from apps.console.filters import address_with, hidden_fields
from apps.console.live import live_address
from apps.console.narrowing import narrow
from apps.console.paging import page_of
from apps.console.selectors.completed import flow_rows, with_sums
from apps.console.selectors.pulse import connections_in, pulse_of
from apps.console.selectors.running import next_due_flow, works
from apps.console.selectors.strip import OpenCount, open_counts, strip_of
from apps.console.selectors.tiles import integrations_in
from apps.flows.models import Integration

ROWS_A_PAGE = 50
RUNNING_EVERY_S, COMPLETED_EVERY_S = 3, 10


@dataclass(frozen=True)
class Frame:
    """What both tabs share: whose dashboard it is, and what is open there."""

    request: HttpRequest
    integration: Integration | None
    reach: Reach
    opened: Mapping[int, OpenCount]

    def context(self, title: str) -> dict[str, Any]:
        pulse, slug = pulse_of(self.request), self.integration.slug if self.integration else ""
        names = (
            ("integration-dashboard", "integration-dashboard-running") if slug else ("dashboard", "dashboard-running")
        )
        charts_url = reverse("console:integration-analytics", args=[slug]) if slug else reverse("console:analytics")
        completed_url, running_url = (reverse(f"console:{name}", args=[slug] if slug else []) for name in names)
        return {
            "nav": "integrations" if slug else "dashboard",
            "tab": "dashboard",
            "crumbs": self._crumbs(title),
            "integration": self.integration,
            "strip": strip_of(self.reach, self.opened, midnight_of(self.request)),
            "running_url": running_url,
            "completed_url": completed_url,
            "n_running": pulse.running if not slug else None,
            "n_flows": pulse.flows if not slug else None,
            "charts_url": charts_url,
            "errors_query": f"?view=list&integration={slug}" if slug else "",
        }

    def _crumbs(self, title: str) -> list[Crumb]:
        account = Crumb(account_of(self.request).name, reverse("console:dashboard"))
        if self.integration is None:
            return [account, Crumb("Dashboard", reverse("console:dashboard")), Crumb(title)]
        home = reverse("console:integration", args=[self.integration.slug])
        integrations = Crumb("Integrations", reverse("console:integration-list"))
        return [account, integrations, Crumb(self.integration.name, home), Crumb(title)]


def frame_of(request: HttpRequest, slug: str, *, with_last: bool = True) -> Frame:
    integration = get_integration(request, slug) if slug else None
    reach = reach_of(request).within(integration.pk) if integration else reach_of(request)
    return Frame(request, integration, reach, open_counts(reach, with_last=with_last))


# --- completed ------------------------------------------------------------------------------------------------------
@member_page
def completed(request: HttpRequest, slug: str = "") -> HttpResponse:
    """How each flow is doing over a range; `format=csv` downloads what is shown."""
    if not slug and not pulse_of(request).flows:
        return first_run(request)
    frame, span, order = frame_of(request, slug), span_of(request), sort_of(request)
    everything = flow_rows(frame.reach, frame.opened)
    narrowed = narrow(request, everything, FLOW_CRITERIA)
    is_download = request.GET.get("format") == "csv"
    needs_sums = is_download or order.removeprefix("-") in SORTS_OF_SUMS
    rows = with_sums(frame.reach, span, narrowed.rows) if needs_sums else narrowed.rows
    rows = sort_rows(rows, order)
    if is_download:
        return csv_response("flowmend-completed.csv", CSV_HEADER, map(csv_row, rows), preferences_of(request).zone)
    shown = page_of(request, rows, ROWS_A_PAGE)
    if not needs_sums:
        shown["rows"] = with_sums(frame.reach, span, shown["rows"])
    context = frame.context("Completed flows") | completed_context(request, everything, span) | shown
    context |= {
        "narrowed": narrowed,
        "span": span,
        "history_query": f"history/?{span.started_query}",
        "resolved_url": f"{reverse('console:error-list')}?state=resolved&reason=auto&{span.resolved_query}&flow=",
        "csv_url": address_with(request, format="csv"),
        "live_url": live_address(
            request, "shell", dashboard_topic(frame.integration, [row.flow.pk for row in shown["rows"]])
        ),
        "live_every": COMPLETED_EVERY_S,
    }
    return render(request, "dashboard/completed.html", context)


# --- running --------------------------------------------------------------------------------------------------------
@member_page
def running(request: HttpRequest, slug: str = "") -> HttpResponse:
    """The runs under way, and the queue below them."""
    if not slug and not pulse_of(request).flows:
        return first_run(request)
    frame = frame_of(request, slug, with_last=False)
    everything = works(frame.reach)
    narrowed = narrow(request, everything, RUN_CRITERIA)
    shown = narrowed.rows
    context = frame.context("Running flows") | {
        "works": shown,
        "n_at_work": sum(not (work.is_queued or work.waits_until) for work in shown),
        "n_waiting": sum(work.waits_until is not None for work in shown),
        "n_queued": sum(work.is_queued for work in shown),
        "filters": running_filters(request, everything),
        "flow_name": request.GET.get("flow", ""),
        "hidden": hidden_fields(request, "flow"),
        "narrowed": narrowed,
        "next_flow": None if everything else next_due_flow(frame.reach),
        "may_cancel": {work.run.pk for work in shown if may_do(request, Act.CANCEL_RUN, work.run.integration_id)},
        "live_url": live_address(
            request,
            "shell",
            running_topic(frame.integration, pulse_of(request).newest_run, [work.run.pk for work in shown]),
        ),
        "live_every": RUNNING_EVERY_S,
    }
    return render(request, "dashboard/running.html", context)


# --- the first quarter of an hour -----------------------------------------------------------------------------------
def first_run(request: HttpRequest) -> HttpResponse:
    """The steps that lead to the first flow."""
    context = {
        "nav": "dashboard",
        "crumbs": [Crumb(account_of(request).name, reverse("console:dashboard")), Crumb("Dashboard")],
        "pulse": pulse_of(request),
        "connections": connections_in(reach_of(request)).count(),
        "integration": integrations_in(reach_of(request)).first(),
        "may_edit": may_do(request, Act.EDIT_FLOWS),
        "may_connect": may_do(request, Act.EDIT_CONNECTIONS),
        "live_url": live_address(request, "shell"),
    }
    return render(request, "dashboard/first_run.html", context)


@member_page
def to_completed(request: HttpRequest, slug: str = "") -> HttpResponse:
    return redirect("console:integration-dashboard", slug) if slug else redirect("console:dashboard")
