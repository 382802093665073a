"""The errors of a step, and one error beside the list that it stands in."""

from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse

from apps.accounts.permissions import Act
from apps.console.access import account_of, may_do, member_page, reach_of
from apps.console.context import Crumb
from apps.console.error_downloads import error_download, wants_download
from apps.console.error_topics import error_topic
from apps.console.flow_topics import step_topic
from apps.console.live import live_address
from apps.console.loaded import error_of, keep_step, step_of, steps_of
from apps.console.selectors.error_filters import RESOLVED
from apps.console.selectors.errors import ErrorDetail, ErrorPage, causes_in, errors_in, name_rules
from apps.console.selectors.flow_page import Node, nodes_of
from apps.console.selectors.retries import Editor, possible_acts
from apps.console.views.error_lists import list_context
from apps.console.views.flows import flow_crumbs
from apps.errors.models import Error
from apps.errors.states import ErrorState
from apps.flows.models import Step

ONLY_RESOLVED = ("reason", *(f"{RESOLVED}{name}" for name in ("range", "from", "to")))
"""Filters that say something about resolved errors alone."""


@member_page
def step_errors(request: HttpRequest, flow_id: int, step_id: int, state: str) -> HttpResponseBase:
    """The open or the resolved errors of a step; `format=csv` and `format=json` download all that match."""
    step = step_of(request, flow_id, step_id)
    if wants_download(request):
        return error_download(request, errors_in(reach_of(request), state).for_step(step), f"{state}-{step.key}")
    return render(request, "error/step.html", step_context(request, step, state))


@member_page
def error_view(request: HttpRequest, flow_id: int, step_id: int, error_id: int, tab: str) -> HttpResponse:
    """One error beside the list that it stands in; without a script this is the whole page."""
    error = error_of(request, error_id)
    if (error.flow_id, error.step_id) != (flow_id, step_id):
        return redirect("console:error", error.flow_id, error.step_id, error.pk)
    context = error_context(request, error, tab)
    if tab == "data":
        context["editor"] = editor_of(request, context["detail"])
    return render(request, "error/step.html", context)


def error_context(request: HttpRequest, error: Error, tab: str) -> dict[str, Any]:
    """An error in its drawer, beside the list that it stands in."""
    error.step.flow = error.flow
    error.flow.account = account_of(request)
    name_rules([error])
    state = "resolved" if error.state == ErrorState.RESOLVED else "open"
    context = step_context(request, error.step, state, error)
    close_url, beside_it = list_url(request, error.step, state), neighbours(context["page"], error)
    integration = error.flow.integration_id
    return context | {
        "error": error,
        "detail": ErrorDetail(error),
        "dtab": tab,
        "tabs": detail_tabs(request, error),
        "close_url": close_url,
        "neighbours": beside_it,
        "purged_at": error.occurred_at + timedelta(days=error.flow.account.retention_days),
        "may_keep": may_do(request, Act.KEEP_ERRORS, integration),
        "can": possible_acts(error, may_edit=may_do(request, Act.EDIT_RETRY_DATA, integration)),
        "after_url": after_url(request, beside_it["next"] or beside_it["previous"], close_url),
        "live_url": live_address(request, "shell", step_topic(error.step), error_topic(error)),
        "live_every": 3 if error.retry_run_id is not None or error.next_attempt_at is not None else 10,
    }


def editor_of(request: HttpRequest, detail: ErrorDetail) -> Editor | None:
    """The retry data in a field; None where there is no record."""
    data = detail.retry_data
    if data is None or data.record is None or data.purged_at is not None or detail.is_unit:
        return None
    numbers = [number_in(request, name) for name in ("from", "to")]
    first, second = numbers
    return Editor(data, (first, second) if first is not None and second is not None else None)


def number_in(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(f"version_{name}", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def after_url(request: HttpRequest, following: Error | None, close_url: str) -> str:
    """Where a member goes on after this error is dealt with: the next one of the list, else the list."""
    if following is None:
        return close_url
    query = f"?{request.GET.urlencode()}" if request.GET else ""
    return reverse("console:error", args=[following.flow_id, following.step_id, following.pk]) + query


def step_context(request: HttpRequest, step: Step, state: str, error: Error | None = None) -> dict[str, Any]:
    """The list of a step's errors in a state, with all filters of the address; the page of `error`, if given."""
    frame = step_frame(request, step)
    reach = reach_of(request)
    rows = errors_in(reach, state).for_step(step)
    causes = causes_in(reach).for_step(step)
    place = {"flow": step.flow_id, "step": step.pk}
    context = list_context(request, rows, causes, state, path=list_path(step, state), error=error, place=place)
    return context | frame | {"live_url": live_address(request, "shell", step_topic(step))}


def step_frame(request: HttpRequest, step: Step) -> dict[str, Any]:
    """What the head of every list of a step needs: its place in the flow, and the tabs with their numbers."""
    flow = step.flow
    found = nodes_of(steps_of(request, flow), None, {})
    nodes = [node for node in found if node.step.removed_at is None]
    node = next(node for node in found if node.step.pk == step.pk)
    keep_step(request, node.step)
    return {
        "crumbs": flow_crumbs(flow, "errors", Crumb(step.name)),
        "nav": "integrations",
        "step": step,
        "flow": flow,
        "node": node,
        "step_no": next((no for no, other in enumerate(nodes, start=1) if other.step.pk == step.pk), None),
        "step_count": len(nodes),
        "previous_node": beside(nodes, step, -1),
        "next_node": beside(nodes, step, 1),
        "open_errors": node.open_errors,
        "open_url": list_url(request, step, "open"),
        "resolved_url": list_url(request, step, "resolved"),
    }


def beside(nodes: list[Node], step: Step, distance: int) -> Node | None:
    """The step before or after this one in the flow."""
    places = [place for place, node in enumerate(nodes) if node.step.pk == step.pk]
    place = places[0] + distance if places else -1
    return nodes[place] if 0 <= place < len(nodes) else None


def list_path(step: Step, state: str) -> str:
    name = "console:step-errors-resolved" if state == "resolved" else "console:step-errors"
    return reverse(name, args=[step.flow_id, step.pk])


def list_url(request: HttpRequest, step: Step, state: str) -> str:
    """The list with the filters of this address that fit its state."""
    query = request.GET.copy()
    others = ("shown",) if state == "resolved" else ONLY_RESOLVED
    for name in ("page", "top", *others):
        query.pop(name, None)
    text = query.urlencode()
    return f"{list_path(step, state)}?{text}" if text else list_path(step, state)


def detail_tabs(request: HttpRequest, error: Error) -> list[tuple[str, str, str]]:
    """(name, word, address) of the views of an error; request and answer only where they were captured."""
    args = [error.flow_id, error.step_id, error.pk]
    query = f"?{request.GET.urlencode()}" if request.GET else ""
    found = [("error", "Error", "console:error"), ("data", "Retry data", "console:error-data")]
    if error.capture_id is not None:
        found += [("request", "Request", "console:error-request"), ("response", "Response", "console:error-response")]
    found += [("history", "History", "console:error-history"), ("notes", "Notes", "console:error-notes")]
    return [(name, word, reverse(url, args=args) + query) for name, word, url in found]


def neighbours(page: ErrorPage | None, error: Error) -> dict[str, Error | None]:
    """The errors before and after this one on the page of the list, for the arrows and the keys j and k."""
    rows = list(page.rows) if page else []
    place = next((place for place, row in enumerate(rows) if row.pk == error.pk), None)
    if place is None:
        return {"previous": None, "next": rows[0] if rows else None}
    return {
        "previous": rows[place - 1] if place else None,
        "next": rows[place + 1] if place + 1 < len(rows) else None,
    }
