"""A flow's webhook: its address, what waits, another address, and a request written by hand."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from apps.accounts.permissions import ACTS, Act
from apps.connectors.webhook.body import UnfitBodyError
from apps.console.access import get_flow, may_do, member_of, member_page
from apps.console.context import Crumb
from apps.console.loaded import head_of
from apps.console.views.flows import flow_context
from apps.core.crypto import SecretUnreadableError
from apps.engine.ports import ConnectorError
from apps.flows.definition import MistakesError
from apps.flows.hooks import hook_address, hook_of
from apps.flows.models import Flow, Hook
from apps.flows.services import renew_hook
from apps.runs.arrivals import Listening, QueueFullError, Received, listening_at, send_test
from apps.runs.services import RunRefused

EXAMPLE = '{\n  "id": "T-1"\n}'
REFUSALS = (RunRefused, UnfitBodyError, QueueFullError, ConnectorError, MistakesError)


@member_page
def hook_page(request: HttpRequest, flow_id: int) -> HttpResponse:
    """The address (for those who may edit the flow: it is a secret where nothing is verified) and the test sender."""
    return page_with(request, flow_id, EXAMPLE)


@require_POST
@member_page
def send(request: HttpRequest, flow_id: int) -> HttpResponse:
    """Take in what was written as if it had been sent to the address; what is wrong with it is told beside it."""
    flow = get_flow(request, flow_id, to=Act.RUN_FLOW)
    text = request.POST.get("body", "")
    try:
        received = send_test(flow=flow, body=text.encode("utf-8", "replace"), member=member_of(request))
    except REFUSALS as refused:
        return page_with(request, flow_id, text, problem=str(refused))
    messages.success(request, taken_text(received, flow))
    return redirect("console:flow-hook", flow.pk)


@member_page
def renew(request: HttpRequest, flow_id: int) -> HttpResponse:
    """Asks first: whoever sends to the present address is refused from then on."""
    flow = get_flow(request, flow_id, to=Act.EDIT_FLOWS)
    hook = hook_or_404(flow)
    if request.method == "POST":
        renew_hook(hook=hook, member=member_of(request))
        messages.success(request, f"{flow.name} has another address. Tell it to all who send to this flow.")
        return redirect("console:flow-hook", flow.pk)
    own = Crumb("Address", reverse("console:flow-hook", args=[flow.pk]))
    head = head_of(request, flow_id)
    return render(
        request,
        "flow/hook_renew.html",
        flow_context(request, head, "hook", own, Crumb("Renew")) | {"hook": hook},
    )


def page_with(request: HttpRequest, flow_id: int, text: str, *, problem: str = "") -> HttpResponse:
    head = head_of(request, flow_id)
    hook = hook_or_404(head.flow)
    context = flow_context(request, head, "hook", Crumb("Address")) | {
        "hook": hook,
        "text": text,
        "problem": problem,
        "role_needed": ACTS[Act.EDIT_FLOWS].label.lower(),
        **listening_facts(hook),
    }
    if may_do(request, Act.EDIT_FLOWS, head.flow.integration_id):
        context |= address_facts(hook)
    return render(request, "flow/hook.html", context, status=422 if problem else 200)


def address_facts(hook: Hook) -> dict[str, str]:
    try:
        return {"address": hook_address(hook)}
    except SecretUnreadableError as error:
        return {"unreadable": f"{error} The address itself still works; Renew address makes another one."}


def listening_facts(hook: Hook) -> dict[str, object]:
    """How requests are verified and how many may wait; or why none can be taken in."""
    try:
        listening: Listening | None = listening_at(hook)
    except (ConnectorError, MistakesError) as error:
        return {"why_not": str(error)}
    if listening is None:
        return {"why_not": "The flow takes no requests any more."}
    return {"config": listening.config, "options": listening.options}


def hook_or_404(flow: Flow) -> Hook:
    hook = hook_of(flow)
    if hook is None:
        raise Http404("The export of this flow is no webhook.")
    return hook


def taken_text(received: Received, flow: Flow) -> str:
    if not received.records:
        return "The request was taken in; it holds no record, so no run starts."
    noun = "record" if received.records == 1 else "records"
    return f"{received.records:,} {noun} taken in. A run of {flow.name} takes what waits."
