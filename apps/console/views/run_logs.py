"""The log of a run or of one of its steps: on screen, live while the run goes on, and as text."""

from datetime import tzinfo

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse

from apps.accounts.permissions import Act
from apps.console.access import may_do, member_page
from apps.console.context import Crumb, preferences_of
from apps.console.filters import address_with, choice_filter
from apps.console.live import live_address
from apps.console.loaded import run_of, steps_of
from apps.console.log_topics import keep_newest, log_topic
from apps.console.selectors.run_log import log_filter, log_page, log_rows
from apps.console.views.flows import QUICK_S, SLOW_S, flow_crumbs
from apps.console.views.reading import cursor_of
from apps.core.pagination import BadCursorError
from apps.runs.log_text import text_lines
from apps.runs.models import Run, RunLog

LEVEL_CHOICES = [("", "all"), ("info", "info and above"), ("warning", "warning and above"), ("error", "error")]
MOST_TAIL = 100_000


@member_page
def run_log(request: HttpRequest, run_id: int) -> HttpResponseBase:
    """The lines of a run, newest first: `level=` and above, of one `step=`.

    `format=text` downloads all that match, oldest first; with `tail=50` the last fifty of them.
    """
    run = run_of(request, run_id)
    chosen = log_filter(request.GET.get("level", ""), request.GET.get("step", ""))
    if request.GET.get("format") == "text":
        return log_download(run, tail_of(request, chosen.lines(run)), preferences_of(request).zone)
    cursor = cursor_of(request)
    crumbs = flow_crumbs(run.flow, "run", Crumb(f"Run {run}", reverse("console:run", args=[run.pk])), Crumb("Log"))
    context = {"crumbs": crumbs, "nav": "integrations", "flow": run.flow, "run": run}
    try:
        page = log_page(run, chosen, cursor)
    except BadCursorError as error:
        return render(request, "run/damaged.html", context | {"why": str(error)})
    is_tail = not cursor and not run.has_stopped
    if is_tail:
        keep_newest(request, page.rows)
    context |= {
        "rows": log_rows(page.rows),
        "chosen": chosen,
        "filters": log_filters(request, run),
        "is_tail": is_tail,
        "may_retry": may_do(request, Act.RETRY_ERRORS, run.integration_id),
        "text_url": address_with(request, format="text"),
        "newer_url": address_with(request, page=page.previous_cursor) if page.previous_cursor else "",
        "older_url": address_with(request, page=page.next_cursor) if page.next_cursor else "",
        "live_url": live_address(request, "shell", *([log_topic(run, chosen)] if is_tail else [])),
        "live_every": QUICK_S if is_tail else SLOW_S,
    }
    return render(request, "run/log.html", context)


def log_filters(request: HttpRequest, run: Run) -> list[object]:
    steps = [("", "all"), *((str(step.pk), step.name) for step in steps_of(request, run.flow))]
    return [choice_filter(request, "level", "Level", LEVEL_CHOICES), choice_filter(request, "step", "Step", steps)]


def tail_of(request: HttpRequest, rows: "QuerySet[RunLog]") -> "QuerySet[RunLog]":
    """The last lines, as many as `tail=` says; all of them without it."""
    text = request.GET.get("tail", "")
    size = min(int(text), MOST_TAIL) if text.isascii() and text.isdigit() and len(text) < 8 else 0
    first = rows.order_by("-id").values_list("pk", flat=True)[size - 1 : size].first() if size else None
    return rows if first is None else rows.filter(pk__gte=first)


def log_download(run: Run, rows: "QuerySet[RunLog]", zone: tzinfo) -> StreamingHttpResponse:
    """Oldest first, one line each; times in `zone`, with its offset."""
    lines = rows.select_related("step").order_by("id").iterator(chunk_size=1000)
    answer = StreamingHttpResponse(text_lines(lines, zone), content_type="text/plain; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="r-{run.pk}.log.txt"'
    return answer
