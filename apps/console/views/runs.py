"""One run: its console, and its log on screen and as text."""

from collections.abc import Iterator
from datetime import tzinfo

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse

from apps.console.access import member_page
from apps.console.context import Crumb, preferences_of
from apps.console.filters import address_with, choice_filter
from apps.console.flow_topics import run_topic
from apps.console.live import live_address
from apps.console.loaded import head_of, run_of
from apps.console.selectors.retry_runs import RESULTS, item_page
from apps.console.selectors.run_page import run_view
from apps.console.views.flows import QUICK_S, SLOW_S, flow_context
from apps.console.views.reading import cursor_of
from apps.core.pagination import BadCursorError, keyset_page
from apps.runs.models import LogLevel, Run, RunLog
from apps.runs.services import RETRY_KINDS

LOG_PAGE = 200
LEVELS = {"info": LogLevel.INFO, "warning": LogLevel.WARNING, "error": LogLevel.ERROR}
RESULT_CHOICES = [("", "any"), *((name, words) for name, (words, _) in RESULTS.items())]
LEVEL_CHOICES = [("", "all"), ("info", "info and above"), ("warning", "warning and above"), ("error", "error")]


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


@member_page
def run_log(request: HttpRequest, run_id: int) -> HttpResponseBase:
    """The lines of a run, newest first; `level=` and above, `step=` alone, `format=text` as a download, all of them."""
    run = run_of(request, run_id)
    rows = log_lines(request, run)
    if request.GET.get("format") == "text":
        return log_download(run, rows, preferences_of(request).zone)
    head = head_of(request, run.flow_id)
    crumbs = (Crumb(f"Run {run}", reverse("console:run", args=[run.pk])), Crumb("Log"))
    context = flow_context(request, head, "run", *crumbs) | {"run": run, "live_url": live_address(request, "shell")}
    try:
        page = keyset_page(rows.select_related("step"), cursor=cursor_of(request), size=LOG_PAGE)
    except BadCursorError as error:
        return render(request, "flow/damaged.html", context | {"why": str(error)})
    steps = [("", "all"), *((str(node.step.pk), node.step.name) for node in (*head.nodes, *head.removed))]
    context |= {
        "lines": page.rows,
        "filters": [
            choice_filter(request, "level", "Level", LEVEL_CHOICES),
            choice_filter(request, "step", "Step", steps),
        ],
        "is_filtered": bool(request.GET.get("level") or request.GET.get("step")),
        "text_url": address_with(request, format="text"),
        "newer_url": address_with(request, page=page.previous_cursor) if page.previous_cursor else "",
        "older_url": address_with(request, page=page.next_cursor) if page.next_cursor else "",
    }
    return render(request, "run/log.html", context)


def log_lines(request: HttpRequest, run: Run) -> "QuerySet[RunLog]":
    rows = RunLog.objects.of(run.account_id).filter(run=run)
    level = LEVELS.get(request.GET.get("level", ""))
    if level is not None:
        rows = rows.filter(level__gte=level)
    step = request.GET.get("step", "")
    return rows.filter(step=int(step)) if step.isascii() and step.isdigit() and len(step) < 19 else rows


def log_download(run: Run, rows: "QuerySet[RunLog]", zone: tzinfo) -> StreamingHttpResponse:
    """Oldest first, one line each; times in `zone`, with its offset."""
    lines = rows.select_related("step").order_by("id").iterator(chunk_size=1000)
    answer = StreamingHttpResponse(text_lines(lines, zone), content_type="text/plain; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="r-{run.pk}.log.txt"'
    return answer


def text_lines(rows: Iterator[RunLog], zone: tzinfo) -> Iterator[str]:
    for row in rows:
        at = row.at.astimezone(zone).isoformat(timespec="milliseconds")
        step = f" [{row.step.name}]" if row.step else ""
        text = row.text.replace("\n", "\n    ")
        yield f"{at} {row.get_level_display().upper():7}{step} {text}\n"
