"""Connections: which applications flows reach, and whether they answer. Read-only; no secret ever comes this way."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from apps.console.access import account_of, member_page, reach_of
from apps.console.context import Crumb
from apps.console.live import live_address
from apps.console.selectors.tiles import connection_rows


@member_page
def connection_list(request: HttpRequest) -> HttpResponse:
    rows = connection_rows(reach_of(request))
    asked = request.GET.get("q", "").strip()
    words = asked.casefold()
    context = {
        "nav": "connections",
        "crumbs": [Crumb(account_of(request).name, reverse("console:dashboard")), Crumb("Connections")],
        "rows": [row for row in rows if words in f"{row.connection.name} {row.connection.kind}".casefold()],
        "total": len(rows),
        "q": asked,
        "live_url": live_address(request, "shell"),
    }
    return render(request, "connection/list.html", context)
