"""Integrations: the tiles, and the flows of one."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from apps.accounts.permissions import Act
from apps.console.access import account_of, environment_of, get_integration, may_do, member_page, reach_of
from apps.console.context import Crumb
from apps.console.dashboard_topics import flows_topic, tiles_topic
from apps.console.filters import address_with, hidden_fields
from apps.console.live import live_address
from apps.console.narrowing import Criterion, narrow
from apps.console.paging import page_of
from apps.console.schedule_text import schedule_text
from apps.console.selectors.completed import flow_rows, flows_in
from apps.console.selectors.strip import open_counts
from apps.console.selectors.tiles import Tile, tiles
from apps.flows.models import Environment
from apps.flows.services import lacks_error_automation

LIST_FROM = 30
"""From so many integrations on a list reads better than tiles."""
ROWS_A_PAGE = 50


FOUND_BY = Criterion[Tile]("q", "Name or application", lambda tile, words: words.casefold() in tile.words)


@member_page
def integration_list(request: HttpRequest) -> HttpResponse:
    everything = tiles(reach_of(request))
    narrowed = narrow(request, everything, [FOUND_BY])
    view = request.GET.get("view", "list" if len(everything) >= LIST_FROM else "tiles")
    context = {
        "nav": "integrations",
        "crumbs": [Crumb(account_of(request).name, reverse("console:dashboard")), Crumb("Integrations")],
        "tiles": narrowed.rows,
        "narrowed": narrowed,
        "q": request.GET.get("q", "").strip(),
        "hidden": hidden_fields(request, "q"),
        "view": "list" if view == "list" else "tiles",
        "view_urls": [(name, address_with(request, view=name)) for name in ("tiles", "list")],
        "may_edit": may_do(request, Act.EDIT_FLOWS),
        "lacks_automation": may_automate(request) and lacks_error_automation(account_of(request)),
        "live_url": live_address(request, "shell", tiles_topic(tile.integration.pk for tile in narrowed.rows)),
    }
    return render(request, "integration/list.html", context)


def may_automate(request: HttpRequest) -> bool:
    """Whether to offer the template of our own: its connection is one of the production environment."""
    may_both = may_do(request, Act.EDIT_FLOWS) and may_do(request, Act.EDIT_CONNECTIONS)
    return may_both and environment_of(request) == Environment.PRODUCTION


@member_page
def integration_flows(request: HttpRequest, slug: str) -> HttpResponse:
    """The integration's flows: switch, schedule, last run, open errors, next run, run now."""
    integration = get_integration(request, slug)
    reach = reach_of(request).within(integration.pk)
    shown = page_of(request, flow_rows(reach, open_counts(reach)), ROWS_A_PAGE)
    flows = flows_in(reach).select_related("run_after").in_bulk([row.flow.pk for row in shown["rows"]])
    whole = [(flows[row.flow.pk], row) for row in shown["rows"] if row.flow.pk in flows]
    shown["rows"] = [(flow, row.opened, row.latest, schedule_text(flow)) for flow, row in whole]
    context = {
        "nav": "integrations",
        "tab": "flows",
        "crumbs": [
            Crumb(account_of(request).name, reverse("console:dashboard")),
            Crumb("Integrations", reverse("console:integration-list")),
            Crumb(integration.name),
        ],
        "integration": integration,
        "may_run": may_do(request, Act.RUN_FLOW, integration.pk),
        "may_edit": may_do(request, Act.EDIT_FLOWS, integration.pk),
        "live_url": live_address(request, "shell", flows_topic(integration, (row[0].pk for row in shown["rows"]))),
    }
    return render(request, "integration/flows.html", context | shown)


@member_page
def to_flows(request: HttpRequest, slug: str) -> HttpResponse:
    return redirect("console:integration", slug)
