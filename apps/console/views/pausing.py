"""Pausing the flows that use a connection, and enabling exactly these again."""

from collections.abc import Sequence

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from apps.accounts.permissions import Act
from apps.console.access import member_of, member_page
from apps.console.context import Crumb
from apps.console.selectors.connections import get_connection, label_of
from apps.console.views.connections import page_context
from apps.flows.models import Flow
from apps.flows.services import enabled_flows_on, pause_flows, resume_flows


@member_page
def pause(request: HttpRequest, connection_id: int) -> HttpResponse:
    """GET names the flows and their number, POST pauses those that were named."""
    connection = get_connection(request, connection_id, to=Act.EDIT_FLOWS)
    if request.method == "POST":
        named = {int(text) for text in request.POST.getlist("flow") if text.isascii() and text.isdigit()}
        paused = pause_flows(connection=connection, flows=named, member=member_of(request))
        tell(request, paused, "paused: no new run starts, one under way goes on", "enabled any more")
        return redirect("console:connection", connection.pk)
    own = Crumb(connection.name, reverse("console:connection", args=[connection.pk]))
    context = page_context(request, own, Crumb("Pause flows")) | {
        "connection": connection,
        "label": label_of(connection.kind),
        "flows": enabled_flows_on(connection),
    }
    return render(request, "connection/pause.html", context)


@require_POST
@member_page
def resume(request: HttpRequest, connection_id: int) -> HttpResponse:
    connection = get_connection(request, connection_id, to=Act.EDIT_FLOWS)
    resumed = resume_flows(connection=connection, member=member_of(request))
    tell(request, resumed, "enabled again", "paused any more")
    return redirect("console:connection", connection.pk)


def tell(request: HttpRequest, flows: Sequence[Flow], done: str, otherwise: str) -> None:
    if flows:
        messages.success(request, f"{len(flows):,} flow{' is' if len(flows) == 1 else 's are'} {done}.")
    else:
        messages.error(request, f"None of these flows is {otherwise}.")
