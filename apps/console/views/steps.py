"""One step in a drawer beside its flow's console: what it is, its error handling, its mapping, its log."""

from collections.abc import Mapping
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from apps.accounts.permissions import Act
from apps.console.access import get_run, may_do, member_page
from apps.console.addresses import RunId
from apps.console.context import Crumb
from apps.console.filters import choice_filter
from apps.console.loaded import head_of
from apps.console.log_topics import drawer_log_topic, keep_newest
from apps.console.selectors.flow_page import FlowHead, Node, latest_run
from apps.console.selectors.run_log import log_filter, log_rows, newest_lines
from apps.console.selectors.run_page import RunView
from apps.console.selectors.settings import step_subject_of
from apps.console.selectors.step_page import StepPage
from apps.console.views.flows import console_context, flow_context
from apps.console.views.run_logs import LEVEL_CHOICES
from apps.runs.models import Run

TABS = {"overview": "Overview", "handling": "Error Handling", "mapping": "Mapping", "log": "Log"}


@member_page
def step_view(request: HttpRequest, flow_id: int, step_id: int, tab: str) -> HttpResponse:
    """The tabs that are only read."""
    return drawer_page(request, flow_id, step_id, tab, {})


def drawer_page(
    request: HttpRequest, flow_id: int, step_id: int, tab: str, facts: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    """A step beside the run that `run=` names, else the flow's run under way or latest one."""
    head = head_of(request, flow_id)
    node, run = node_of(request, flow_id, step_id), shown_run(request, head)
    log = log_context(request, run, node) if tab == "log" and run is not None else {}
    context = flow_context(request, head, "console", Crumb(node.step.name)) | log
    context |= console_context(request, head, run, *log_topics(run, log))
    view = context["view"]
    context |= {"node": node, "dtab": tab, "tabs": step_tabs(request, node), "close_url": close_url(request, head)}
    context["page"] = step_page(head, node, view if isinstance(view, RunView) else None)
    return render(request, "flow/step.html", context | facts, status=status)


def node_of(request: HttpRequest, flow_id: int, step_id: int) -> Node:
    """Raises Http404 for a step of another flow."""
    node = head_of(request, flow_id).node_of(step_id)
    if node is None:
        raise Http404("This flow has no such step.")
    return node


def shown_run(request: HttpRequest, head: FlowHead) -> Run | None:
    try:
        asked = RunId().to_python(request.GET.get("run", ""))
    except ValueError:
        return head.active_run or latest_run(head.flow)
    run = get_run(request, asked)
    if run.flow_id != head.flow.pk:
        raise Http404("This run is of another flow.")
    return run


def step_page(head: FlowHead, node: Node, view: RunView | None) -> StepPage:
    subject = step_subject_of(head, node.step)
    row = next((row for row in view.rows if row.node.step.pk == node.step.pk), None) if view else None
    empty = row.counts.empty_fields if row and row.counts else {}
    return StepPage(node, subject.step if subject else {}, empty)


def step_tabs(request: HttpRequest, node: Node) -> list[tuple[str, str, str]]:
    """(name, word, address) of the tabs; the run that is shown stays."""
    return [
        (name, word, reverse(f"console:step-{name}", args=[node.step.flow_id, node.step.pk]) + query_of(request))
        for name, word in TABS.items()
    ]


def close_url(request: HttpRequest, head: FlowHead) -> str:
    run = request.GET.get("run", "")
    return reverse("console:run", args=[run]) if run else reverse("console:flow", args=[head.flow.pk])


def query_of(request: HttpRequest) -> str:
    run = request.GET.get("run", "")
    return f"?run={run}" if run else ""


def log_context(request: HttpRequest, run: Run, node: Node) -> dict[str, Any]:
    """The newest lines of the step in the run; the whole log has all of them."""
    chosen = log_filter(request.GET.get("level", ""), str(node.step.pk))
    level = f"&level={chosen.level}" if chosen.level else ""
    lines = newest_lines(run, chosen)
    keep_newest(request, lines)
    return {
        "chosen_lines": chosen,
        "rows": log_rows(lines),
        "is_tail": not run.has_stopped,
        "level_filter": choice_filter(request, "level", "Level", LEVEL_CHOICES),
        "log_url": f"{reverse('console:run-log', args=[run.pk])}?step={node.step.pk}{level}",
        "may_retry": may_do(request, Act.RETRY_ERRORS, run.integration_id),
    }


def log_topics(run: Run | None, log: Mapping[str, Any]) -> list[str]:
    """What brings new lines in while the run goes on."""
    return [drawer_log_topic(run, log["chosen_lines"])] if run is not None and log.get("is_tail") else []
