"""Integrations: the tiles, and the flows of one."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from apps.accounts.permissions import Act
from apps.console.access import account_of, get_integration, may_do, member_page, reach_of
from apps.console.context import Crumb
from apps.console.dashboard_topics import flows_topic, tiles_topic
from apps.console.filters import address_with
from apps.console.live import live_address
from apps.console.schedule_text import schedule_text
from apps.console.selectors.completed import flows_in, latest_of
from apps.console.selectors.strip import NOTHING_OPEN, open_counts
from apps.console.selectors.tiles import Tile, tiles

LIST_FROM = 30
"""From so many integrations on a list reads better than tiles."""


@member_page
def integration_list(request: HttpRequest) -> HttpResponse:
    everything = tiles(reach_of(request))
    asked = request.GET.get("q", "").strip()
    shown = [tile for tile in everything if matches(tile, asked.casefold())]
    view = request.GET.get("view", "list" if len(everything) >= LIST_FROM else "tiles")
    context = {
        "nav": "integrations",
        "crumbs": [Crumb(account_of(request).name, reverse("console:dashboard")), Crumb("Integrations")],
        "tiles": shown,
        "total": len(everything),
        "q": asked,
        "view": "list" if view == "list" else "tiles",
        "view_urls": [(name, address_with(request, view=name)) for name in ("tiles", "list")],
        "live_url": live_address(request, "shell", tiles_topic(tile.integration.pk for tile in shown)),
    }
    return render(request, "integration/list.html", context)


def matches(tile: Tile, words: str) -> bool:
    """By name, description or application."""
    integration = tile.integration
    texts = (integration.name, integration.description, tile.source, tile.target)
    return any(words in text.casefold() for text in texts)


@member_page
def integration_flows(request: HttpRequest, slug: str) -> HttpResponse:
    """The integration's flows: schedule, last run, open errors, run, enable, disable."""
    integration = get_integration(request, slug)
    reach = reach_of(request).within(integration.pk)
    opened = open_counts(reach)
    rows = [(flow, opened.get(flow.pk, NOTHING_OPEN), latest_of(flow), schedule_text(flow)) for flow in flows_in(reach)]
    context = {
        "nav": "integrations",
        "tab": "flows",
        "crumbs": [
            Crumb(account_of(request).name, reverse("console:dashboard")),
            Crumb("Integrations", reverse("console:integration-list")),
            Crumb(integration.name),
        ],
        "integration": integration,
        "rows": rows,
        "may_run": may_do(request, Act.RUN_FLOW, integration.pk),
        "may_edit": may_do(request, Act.EDIT_FLOWS, integration.pk),
        "live_url": live_address(request, "shell", flows_topic(integration, (row[0].pk for row in rows))),
    }
    return render(request, "integration/flows.html", context)


@member_page
def to_flows(request: HttpRequest, slug: str) -> HttpResponse:
    return redirect("console:integration", slug)
