"""Analytics: what happened over time, of the account, an integration or a flow."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse

from apps.accounts.reach import Reach
from apps.analytics.streams import Stream, StreamKind
from apps.console.access import account_of, get_integration, member_page, reach_of
from apps.console.chart_board import Board
from apps.console.chart_range import chart_range
from apps.console.chart_streams import Offers, offers_in
from apps.console.chart_topics import charts_topic
from apps.console.charts import CSV_HEADER, csv_rows
from apps.console.context import Crumb, preferences_of
from apps.console.csv_files import csv_response
from apps.console.live import live_address
from apps.console.loaded import head_of
from apps.console.views.flows import flow_context
from apps.core.clock import wall_now

BY_MINUTE_S, BY_HOUR_S = 10, 30  # seconds between live updates


@member_page
def account_analytics(request: HttpRequest) -> HttpResponseBase:
    context = {
        "nav": "analytics",
        "crumbs": [Crumb(account_of(request).name, reverse("console:dashboard")), Crumb("Analytics")],
    }
    return charts_page(request, "analytics/page.html", context, reach_of(request), 0, lambda offers: offers.usual)


@member_page
def integration_analytics(request: HttpRequest, slug: str) -> HttpResponseBase:
    integration = get_integration(request, slug)
    context = {
        "nav": "integrations",
        "tab": "analytics",
        "crumbs": [
            Crumb(account_of(request).name, reverse("console:dashboard")),
            Crumb("Integrations", reverse("console:integration-list")),
            Crumb(integration.name, reverse("console:integration", args=[slug])),
            Crumb("Analytics"),
        ],
        "integration": integration,
    }
    reach = reach_of(request).within(integration.pk)
    return charts_page(request, "analytics/page.html", context, reach, integration.pk, lambda offers: offers.usual)


@member_page
def flow_analytics(request: HttpRequest, flow_id: int) -> HttpResponseBase:
    """The flow alone; others of its integration can be added."""
    head = head_of(request, flow_id)
    flow = head.flow
    own = Stream(StreamKind.FLOW, flow.pk, flow.name, flow.integration_id)
    reach = reach_of(request).within(flow.integration_id)
    context = flow_context(request, head, "analytics")
    return charts_page(request, "flow/analytics.html", context, reach, flow.integration_id, lambda offers: [own])


def charts_page(
    request: HttpRequest,
    template: str,
    context: dict[str, Any],
    reach: Reach,
    integration_id: int,
    usual: Callable[[Offers], list[Stream]],
) -> HttpResponseBase:
    """`format=csv` downloads what is shown; `integration_id` is 0 for the whole account."""
    offers = offers_in(reach)
    span = chart_range(request.GET, preferences_of(request), wall_now())
    board = Board(reach, request.GET, span, offers, offers.chosen(request.GET, usual(offers)))
    if request.GET.get("format") == "csv":
        return csv_response("flowmend-analytics.csv", CSV_HEADER, csv_rows(board.series, span), span.prefs.zone)
    topics = ["shell", charts_topic(integration_id, board)] if span.is_live and board.streams else ["shell"]
    live = {
        "live_url": live_address(request, *topics),
        "live_every": BY_MINUTE_S if span.axis.unit == "minute" else BY_HOUR_S,
    }
    return render(request, template, context | live | {"board": board})
