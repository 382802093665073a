"""What a member does to flows and runs from any page: run, enable, disable, cancel. POST only, no script needed."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from apps.accounts.permissions import Act
from apps.console.access import get_flow, get_run, member_of, member_page
from apps.flows.services import disable_flow, enable_flow
from apps.runs.services import RunRefused, cancel_run, start_run
from apps.runs.statuses import RunStatus, Trigger


@require_POST
@member_page
def run_flow(request: HttpRequest, flow_id: int) -> HttpResponse:
    flow = get_flow(request, flow_id, to=Act.RUN_FLOW)
    try:
        run = start_run(flow=flow, trigger=Trigger.MANUAL, member=member_of(request))
    except RunRefused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, f"Run {run} of {flow.name} is queued.")
    return back(request, reverse("console:flow", args=[flow.pk]))


@require_POST
@member_page
def enable(request: HttpRequest, flow_id: int) -> HttpResponse:
    flow = get_flow(request, flow_id, to=Act.EDIT_FLOWS)
    enable_flow(flow=flow, member=member_of(request))
    messages.success(request, f"Flow {flow.name} is enabled.")
    return back(request, reverse("console:flow", args=[flow.pk]))


@require_POST
@member_page
def disable(request: HttpRequest, flow_id: int) -> HttpResponse:
    flow = get_flow(request, flow_id, to=Act.EDIT_FLOWS)
    disable_flow(flow=flow, member=member_of(request))
    messages.success(request, f"Flow {flow.name} is disabled: no new run starts, one under way goes on.")
    return back(request, reverse("console:flow", args=[flow.pk]))


@require_POST
@member_page
def cancel(request: HttpRequest, run_id: int) -> HttpResponse:
    run = get_run(request, run_id, to=Act.CANCEL_RUN)
    try:
        left = cancel_run(run=run, member=member_of(request), reason=request.POST.get("reason", ""))
    except RunRefused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, cancel_text(str(run), str(left.status), run.flow.name))
    return back(request, reverse("console:run", args=[run.pk]))


def cancel_text(run: str, status: str, flow: str) -> str:
    if status == RunStatus.CANCELED:
        return f"Run {run} of {flow} is canceled."
    if status == RunStatus.FAILED:
        return f"Run {run} of {flow} is not run again. What it had not delivered stands in its open errors."
    return f"Run {run} of {flow} ends after the page that is in work; what was committed stays."


def back(request: HttpRequest, otherwise: str) -> HttpResponse:
    """To the page that the form names, if it is ours."""
    return HttpResponseRedirect(own_address(request, request.POST.get("next", ""), otherwise))


def own_address(request: HttpRequest, target: str, otherwise: str) -> str:
    """An address that came with the request, if it is one of ours."""
    is_ours = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    return target if is_ours else otherwise
