"""Two runs of a flow beside each other."""

from collections.abc import Sequence

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from apps.console.access import member_page
from apps.console.addresses import RunId
from apps.console.context import Crumb
from apps.console.live import live_address
from apps.console.loaded import head_of
from apps.console.selectors.flow_page import FlowHead
from apps.console.selectors.run_compare import compare_runs
from apps.console.views.flows import flow_context
from apps.runs.models import Run


@member_page
def compare(request: HttpRequest, flow_id: int) -> HttpResponse:
    """`a=` and `b=` name the runs. The form of the history sends `run=` for each that is ticked: it takes two."""
    head = head_of(request, flow_id)
    ticked = sorted({number for text in request.GET.getlist("run") if (number := run_number(text))})
    if "run" in request.GET or not request.GET:
        return to_pair(request, flow_id, ticked)
    first, second = chosen_runs(head, [run_number(request.GET.get(name, "")) for name in ("a", "b")])
    crumbs = (Crumb("Run history", reverse("console:flow-history", args=[flow_id])), Crumb(f"{first} and {second}"))
    context = flow_context(request, head, "compare", *crumbs) | {
        "view": compare_runs(head.flow, head, first, second),
        "swap_url": f"?a={second.pk}&b={first.pk}",
        "live_url": live_address(request, "shell"),
    }
    return render(request, "run/compare.html", context)


def to_pair(request: HttpRequest, flow_id: int, ticked: Sequence[int]) -> HttpResponse:
    if len(ticked) == 2:
        address = reverse("console:flow-history-compare", args=[flow_id])
        return redirect(f"{address}?a={ticked[0]}&b={ticked[1]}")
    messages.warning(request, f"Choose two runs to compare. You chose {len(ticked) or 'none'}.")
    return redirect("console:flow-history", flow_id)


def run_number(text: str) -> int:
    """The id of a run; 0, which nothing has, for what is none."""
    try:
        return RunId().to_python(text)
    except ValueError:
        return 0


def chosen_runs(head: FlowHead, numbers: Sequence[int]) -> list[Run]:
    """Raises Http404 unless both are runs of this flow."""
    rows = Run.objects.of(head.flow.account_id).for_flow(head.flow).filter(pk__in=numbers)
    found = {run.pk: run for run in rows.select_related("revision", "started_by__user", "canceled_by__user")}
    if not all(number in found for number in numbers):
        raise Http404("This flow has no such runs.")
    return [found[number] for number in numbers]
