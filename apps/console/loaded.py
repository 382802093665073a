"""What a request has read already, so that its live topics ask for nothing twice."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.http import HttpRequest

from apps.console.access import get_causes, get_error, get_flow, get_run, get_steps, reach_of
from apps.console.selectors.cause_detail import CauseDetail
from apps.console.selectors.connections import get_connection
from apps.console.selectors.flow_page import FlowHead, flow_head
from apps.core.clock import wall_now
from apps.errors.models import Error
from apps.flows.models import Connection, Flow, Step
from apps.runs.models import Run

T = TypeVar("T")


def _kept(request: HttpRequest) -> dict[tuple[str, int], Any]:
    if not hasattr(request, "flowmend_loaded"):
        request.flowmend_loaded = {}  # type: ignore[attr-defined]
    found: dict[tuple[str, int], Any] = request.flowmend_loaded  # type: ignore[attr-defined]
    return found


def _once(request: HttpRequest, name: tuple[str, int], read: Callable[[], T]) -> T:
    """What was read under this name; read now if it was not."""
    kept = _kept(request)
    if name not in kept:
        kept[name] = read()
    found: T = kept[name]
    return found


def head_of(request: HttpRequest, flow_id: int) -> FlowHead:
    """A flow with its steps and the run under way. Raises Http404 for what this member does not see."""
    return _once(request, ("flow", flow_id), lambda: flow_head(get_flow(request, flow_id)))


def run_of(request: HttpRequest, run_id: int) -> Run:
    """Raises Http404 for what this member does not see."""
    return _once(request, ("run", run_id), lambda: get_run(request, run_id))


def step_of(request: HttpRequest, flow_id: int, step_id: int) -> Step:
    """Raises Http404 for what this member does not see."""
    kept = _kept(request)
    if ("step", step_id) not in kept:
        kept["step", step_id], *kept["steps of", flow_id] = get_steps(request, flow_id, step_id)
    step: Step = kept["step", step_id]
    return step


def steps_of(request: HttpRequest, flow: Flow) -> list[Step]:
    """All steps of a flow that this member sees, in order; no query where one of them was asked for by `step_of`."""
    rows = Step.objects.of(flow.account_id).filter(flow=flow).select_related("connection", "state")
    return _once(request, ("steps of", flow.pk), lambda: list(rows.order_by("position", "id")))


def error_of(request: HttpRequest, error_id: int) -> Error:
    """Raises Http404 for what this member does not see."""
    return _once(request, ("error", error_id), lambda: get_error(request, error_id))


def cause_of(request: HttpRequest, cause_id: int) -> CauseDetail:
    """A root cause with what is merged into it. Raises Http404 for what this member does not see."""

    def read() -> CauseDetail:
        cause, *members = get_causes(request, cause_id)
        return CauseDetail(reach_of(request), cause, members, wall_now())

    return _once(request, ("cause", cause_id), read)


def connection_of(request: HttpRequest, connection_id: int) -> Connection:
    """Raises Http404 for what this member does not see."""
    return _once(request, ("connection", connection_id), lambda: get_connection(request, connection_id))


def keep_run(request: HttpRequest, run: Run) -> Run:
    """Remembers a run that was read within a flow that this member sees."""
    _kept(request)["run", run.pk] = run
    return run


def keep_step(request: HttpRequest, step: Step) -> Step:
    """Remembers a step that was read within a flow that this member sees."""
    _kept(request)["step", step.pk] = step
    return step
