"""What a request has read already, so that its live topics ask for nothing twice."""

from typing import Any

from django.http import HttpRequest

from apps.console.access import get_causes, get_error, get_flow, get_run, get_steps, reach_of
from apps.console.selectors.cause_detail import CauseDetail
from apps.console.selectors.flow_page import FlowHead, flow_head
from apps.core.clock import wall_now
from apps.errors.models import Error
from apps.flows.models import Flow, Step
from apps.runs.models import Run


def _kept(request: HttpRequest) -> dict[tuple[str, int], Any]:
    if not hasattr(request, "flowmend_loaded"):
        request.flowmend_loaded = {}  # type: ignore[attr-defined]
    found: dict[tuple[str, int], Any] = request.flowmend_loaded  # type: ignore[attr-defined]
    return found


def head_of(request: HttpRequest, flow_id: int) -> FlowHead:
    """A flow with its steps and the run under way. Raises Http404 for what this member does not see."""
    kept = _kept(request)
    if ("flow", flow_id) not in kept:
        kept["flow", flow_id] = flow_head(get_flow(request, flow_id))
    head: FlowHead = kept["flow", flow_id]
    return head


def run_of(request: HttpRequest, run_id: int) -> Run:
    """Raises Http404 for what this member does not see."""
    kept = _kept(request)
    if ("run", run_id) not in kept:
        kept["run", run_id] = get_run(request, run_id)
    run: Run = kept["run", run_id]
    return run


def step_of(request: HttpRequest, flow_id: int, step_id: int) -> Step:
    """Raises Http404 for what this member does not see."""
    kept = _kept(request)
    if ("step", step_id) not in kept:
        kept["step", step_id], *kept["steps of", flow_id] = get_steps(request, flow_id, step_id)
    step: Step = kept["step", step_id]
    return step


def steps_of(request: HttpRequest, flow: Flow) -> list[Step]:
    """All steps of a flow that this member sees, in order; no query where one of them was asked for by `step_of`."""
    kept = _kept(request)
    if ("steps of", flow.pk) not in kept:
        rows = Step.objects.of(flow.account_id).filter(flow=flow).select_related("connection", "state")
        kept["steps of", flow.pk] = list(rows.order_by("position", "id"))
    steps: list[Step] = kept["steps of", flow.pk]
    return steps


def error_of(request: HttpRequest, error_id: int) -> Error:
    """Raises Http404 for what this member does not see."""
    kept = _kept(request)
    if ("error", error_id) not in kept:
        kept["error", error_id] = get_error(request, error_id)
    error: Error = kept["error", error_id]
    return error


def cause_of(request: HttpRequest, cause_id: int) -> CauseDetail:
    """A root cause with what is merged into it. Raises Http404 for what this member does not see."""
    kept = _kept(request)
    if ("cause", cause_id) not in kept:
        cause, *members = get_causes(request, cause_id)
        kept["cause", cause_id] = CauseDetail(reach_of(request), cause, members, wall_now())
    detail: CauseDetail = kept["cause", cause_id]
    return detail


def keep_run(request: HttpRequest, run: Run) -> Run:
    """Remembers a run that was read within a flow that this member sees."""
    _kept(request)["run", run.pk] = run
    return run


def keep_step(request: HttpRequest, step: Step) -> Step:
    """Remembers a step that was read within a flow that this member sees."""
    _kept(request)["step", step.pk] = step
    return step
