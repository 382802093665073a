"""One run: its console."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from apps.console.access import member_page
from apps.console.context import Crumb
from apps.console.filters import address_with, choice_filter
from apps.console.flow_topics import run_topic
from apps.console.live import live_address
from apps.console.loaded import head_of, run_of
from apps.console.selectors.retry_runs import RESULTS, item_page
from apps.console.selectors.run_page import run_view
from apps.console.views.flows import QUICK_S, SLOW_S, flow_context
from apps.console.views.reading import cursor_of
from apps.core.pagination import BadCursorError
from apps.runs.models import Run
from apps.runs.services import RETRY_KINDS

RESULT_CHOICES = [("", "any"), *((name, words) for name, (words, _) in RESULTS.items())]


@member_page
def run_page(request: HttpRequest, run_id: int) -> HttpResponse:
    """The console of one run."""
    run = run_of(request, run_id)
    head = head_of(request, run.flow_id)
    context = flow_context(request, head, "run", Crumb(f"Run {run}")) | {
        "view": run_view(run, head),
        "run": run,
        "live_url": live_address(request, "shell", run_topic(run.pk)),
        "live_every": SLOW_S if run.is_ended else QUICK_S,
    }
    if run.kind in RETRY_KINDS:
        context |= retried_context(request, run)
    return render(request, "run/page.html", context)


def retried_context(request: HttpRequest, run: Run) -> dict[str, object]:
    """The errors of a retry with what came of each; `result=` narrows them. A damaged cursor begins at the start."""
    result = request.GET.get("result", "")
    try:
        page = item_page(run, result=result, cursor=cursor_of(request))
    except BadCursorError:
        page = item_page(run, result=result, cursor="")
    return {
        "retried": page,
        "result_filter": choice_filter(request, "result", "Result", RESULT_CHOICES),
        "newer_url": address_with(request, page=page.newer) if page.newer else "",
        "older_url": address_with(request, page=page.older) if page.older else "",
    }
