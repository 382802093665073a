"""The retries of a step, and of a flow."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from apps.accounts.permissions import Act
from apps.console.access import may_do, member_of, member_page
from apps.console.context import Crumb
from apps.console.filters import address_with
from apps.console.live import live_address
from apps.console.loaded import head_of, step_of
from apps.console.retry_topics import retries_topic
from apps.console.saved_views import view_menu
from apps.console.selectors.error_filters import filter_of
from apps.console.selectors.notes import Notable
from apps.console.selectors.retry_runs import RetryPage, retry_page
from apps.console.views.errors import step_frame
from apps.console.views.flows import flow_crumbs
from apps.console.views.note_filters import note_filters
from apps.console.views.reading import cursor_of, reader_of
from apps.core.pagination import BadCursorError
from apps.flows.models import Flow, Step

QUICK_S, SLOW_S = 3, 10


@member_page
def step_retries(request: HttpRequest, flow_id: int, step_id: int) -> HttpResponse:
    """The retries that had errors of a step."""
    step = step_of(request, flow_id, step_id)
    context = step_frame(request, step) | retries_context(request, step.flow, step)
    return render(request, "error/step_retries.html", context)


@member_page
def flow_retries(request: HttpRequest, flow_id: int) -> HttpResponse:
    head = head_of(request, flow_id)
    context = {
        "crumbs": flow_crumbs(head.flow, "errors", Crumb("Retries")),
        "nav": "integrations",
        "flow": head.flow,
        "open_errors": head.open_errors,
        "open_url": address_with(request).replace("retries/", ""),
    }
    return render(request, "error/flow_retries.html", context | retries_context(request, head.flow, None))


def retries_context(request: HttpRequest, flow: Flow, step: Step | None) -> dict[str, Any]:
    """A page of retries; a damaged cursor shows none and says so."""
    page, damaged = RetryPage([], "", ""), ""
    zone, now = reader_of(request)
    wanted = filter_of(member_of(request), request.GET, zone, now)
    place = {"flow": flow.pk, "step": step.pk} if step else {"flow": flow.pk}
    try:
        page = retry_page(flow, step, wanted, cursor=cursor_of(request))
    except BadCursorError as problem:
        damaged = str(problem)
    notable = Notable(flow.account_id, viewer=member_of(request))
    is_at_work = any(not row.run.is_ended for row in page.rows)
    return {
        "state": "retries",
        "filters": note_filters(request, notable),
        "is_narrowed": wanted.is_on,
        "views": view_menu(request, notable.views, state="retries", **place),
        "rows": page.rows,
        "damaged": damaged,
        "may_cancel": may_do(request, Act.CANCEL_RUN, flow.integration_id),
        "newer_url": address_with(request, page=page.newer) if page.newer else "",
        "older_url": address_with(request, page=page.older) if page.older else "",
        "live_url": live_address(request, "shell", retries_topic(flow, step)),
        "live_every": QUICK_S if is_at_work else SLOW_S,
    }
