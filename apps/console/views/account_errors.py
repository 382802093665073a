"""The lists of errors over all steps: of a flow, and of the account."""

from typing import Any

from django.http import HttpRequest, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render

from apps.console.access import member_page, reach_of
from apps.console.context import Crumb
from apps.console.error_downloads import error_download, wants_download
from apps.console.filters import Filter, address_with, choice_filter
from apps.console.live import live_address
from apps.console.loaded import head_of
from apps.console.selectors.error_places import Place
from apps.console.selectors.errors import OpenStep, causes_in, errors_in, open_steps
from apps.console.views.causes import cause_list, shows_causes
from apps.console.views.error_lists import STATES, list_context
from apps.console.views.flows import flow_crumbs
from apps.console.views.note_filters import NAMELESS

MOST_CHIPS = 12


@member_page
def flow_errors(request: HttpRequest, flow_id: int) -> HttpResponseBase:
    """All steps of a flow: goes straight to the step if only one has errors, else to the list with chips per step."""
    head = head_of(request, flow_id)
    flow, with_errors = head.flow, head.with_errors
    if len(with_errors) == 1 and not request.GET:
        return redirect("console:step-errors", flow.pk, with_errors[0].step.pk)
    reach = reach_of(request)
    rows = errors_in(reach, "open").for_flow(flow)
    if wants_download(request):
        return error_download(request, rows, f"open-{flow.key}")
    causes = causes_in(reach).filter(flow=flow)
    context = list_context(request, rows, causes, "open", path=request.path, place={"flow": flow.pk})
    context |= {
        "crumbs": flow_crumbs(flow, "errors", Crumb("Errors")),
        "nav": "integrations",
        "flow": flow,
        "chips": with_errors,
        "open_errors": sum(node.open_errors for node in with_errors),
        "live_url": live_address(request, "shell"),
    }
    return render(request, "error/flow.html", context)


def as_list(query: QueryDict) -> Any:
    """The query with the view named, so that it stays when the last filter goes."""
    named = query.copy()
    named["view"] = "list"
    return named


@member_page
def error_list(request: HttpRequest) -> HttpResponseBase:
    """Root causes, or all errors within reach with every filter of a step's list and integration, flow and step."""
    if shows_causes(request):
        return cause_list(request)
    request.GET = as_list(request.GET)
    reach = reach_of(request)
    state = request.GET.get("state", "open")
    state = state if state in STATES else "open"
    states = open_steps(reach)
    place = Place.of(request.GET)
    rows = place.narrowed(errors_in(reach, state).filter(**reach.where("flow__integration")))
    if wants_download(request):
        return error_download(request, rows, f"errors-{state}")
    causes = place.narrowed(causes_in(reach))
    context = list_context(request, rows, causes, state, path=f"{request.path}?view=list")
    context["filters"] = [*place_filters(request, states), *context["filters"]]
    context |= {
        "crumbs": [Crumb("Errors")],
        "nav": "errors",
        "state_filter": choice_filter(request, "state", "State", list(STATES.items()), default="open"),
        "chips": chips_of(request, states, place),
        "open_errors": sum(item.open_errors for item in states if place.has(item)),
        "flow_count": len({item.flow_id for item in states}),
        "is_narrowed": place.is_on,
        "live_url": live_address(request, "shell"),
    }
    return render(request, "error/list.html", context)


def place_filters(request: HttpRequest, states: list[OpenStep]) -> list[Filter]:
    """Integration and flow as menus of those that have open errors; what the address names is there in any case."""
    integrations = {item.integration: item.integration_name for item in states}
    flows = {str(item.flow_id): item.flow_name for item in states}
    steps = {str(item.pk): item.name for item in states}
    given = request.GET.get("step", "")
    known = [("integration", "Integration", integrations), ("flow", "Flow", flows)]
    known += [("step", "Step", {given: steps.get(given, NAMELESS)})] if given else []
    return [place_filter(request, name, label, choices) for name, label, choices in known]


def place_filter(request: HttpRequest, name: str, label: str, known: dict[str, str]) -> Filter:
    given = request.GET.get(name, "")
    missing = {given: NAMELESS} if given and given not in known else {}
    choices = sorted((known | missing).items(), key=lambda choice: choice[1])
    return choice_filter(request, name, label, [("", "any"), *choices])


def chips_of(request: HttpRequest, states: list[OpenStep], place: Place) -> list[tuple[OpenStep, str, bool]]:
    """(a step with open errors, address, chosen): the steps of the flow that is chosen, else of all, most first."""
    shown = [item for item in states if place.flow in (0, item.flow_id)]
    shown = [item for item in shown if place.integration in ("", item.integration)]
    found = []
    for item in shown[:MOST_CHIPS]:
        is_chosen = item.pk == place.step
        href = address_with(request, step="" if is_chosen else str(item.pk))
        found.append((item, href, is_chosen))
    return found
