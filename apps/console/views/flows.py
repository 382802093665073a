"""A flow: its run console and its run history."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from apps.accounts.permissions import Act
from apps.console.access import may_do, member_of, member_page
from apps.console.addresses import RunId
from apps.console.context import Crumb, address_of
from apps.console.filters import Filter, address_with, choice_filter
from apps.console.flow_topics import flow_topic, run_topic
from apps.console.history_download import history_download
from apps.console.live import live_address
from apps.console.loaded import head_of, keep_run
from apps.console.selectors.flow_page import FlowHead, latest_run
from apps.console.selectors.history import LAST_RUNS, STATUSES, HistoryFilter, cancelers, history_of
from apps.console.selectors.run_page import run_view
from apps.console.spans import span_filter, span_of
from apps.console.views.reading import cursor_of, reader_of
from apps.core.pagination import BadCursorError
from apps.flows.models import Flow
from apps.runs.models import Run

STATUS_CHOICES = [("", "any"), *((name, words) for name, (words, _) in STATUSES.items())]
OWN = "me"
QUICK_S, SLOW_S = 3, 10  # seconds between live updates, while a run is under way and else


@member_page
def flow_console(request: HttpRequest, flow_id: int) -> HttpResponse:
    """The run that is under way, else the latest one."""
    head = head_of(request, flow_id)
    run = head.active_run or latest_run(head.flow)
    context = flow_context(request, head, "console") | console_context(request, head, run)
    return render(request, "flow/console.html", context)


def console_context(request: HttpRequest, head: FlowHead, run: Run | None, *more: str) -> dict[str, object]:
    """A run below its flow's pipeline; None: the flow has not run yet. `more` are live topics of what is beside it."""
    topics = ["shell", flow_topic(head.flow.pk), *more]
    if run is not None:
        keep_run(request, run)
        topics.append(run_topic(run.pk))
    return {
        "view": run_view(run, head) if run else None,
        "run": run,
        "live_url": live_address(request, *topics),
        "live_every": QUICK_S if head.active_run else SLOW_S,
    }


@member_page
def flow_history(request: HttpRequest, flow_id: int) -> HttpResponse:
    """The last thousand runs, filtered; `open=<run>` unfolds a row, `format=csv` downloads all that match."""
    head = head_of(request, flow_id)
    flow = head.flow
    zone, now = reader_of(request)
    status = request.GET.get("status", "")
    by = canceler_filter(request, flow)
    chosen = HistoryFilter(
        span_of(request, zone, now),
        status if status in STATUSES else "",
        request.GET.get("empty") == "hide",
        canceler_in(request, by),
        by.shown,
    )
    if request.GET.get("format") == "csv":
        return history_download(request, flow, chosen)
    unfolded = unfolded_runs(request)
    try:
        history = history_of(flow, head, chosen, cursor=cursor_of(request), unfolded=unfolded)
    except BadCursorError as error:
        return render(request, "flow/damaged.html", flow_context(request, head, "history") | {"why": str(error)})
    context = flow_context(request, head, "history") | {
        "history": history,
        "chosen": chosen,
        "span": span_filter(request, "Started", chosen.span),
        "filters": [
            choice_filter(request, "status", "Status", STATUS_CHOICES),
            *([by] if len(by.choices) > 1 else ()),
        ],
        "empty_url": address_with(request, empty="" if chosen.hides_empty else "hide"),
        "most_runs": LAST_RUNS,
        "csv_url": address_with(request, format="csv"),
        "newer_url": address_with(request, page=history.newer) if history.newer else "",
        "older_url": address_with(request, page=history.older) if history.older else "",
        "rows": [(row, fold_url(request, unfolded, row.run.pk)) for row in history.rows],
        "live_url": live_address(request, "shell", flow_topic(flow_id)),
    }
    return render(request, "flow/history.html", context)


def canceler_filter(request: HttpRequest, flow: Flow) -> Filter:
    """By whom: oneself first, then the others who canceled a run of this flow."""
    own = member_of(request).pk
    known = dict(cancelers(flow))
    others = [(str(key), name) for key, name in known.items() if key != own]
    options = [("", "anybody"), *([(OWN, "you")] if own in known else ()), *others]
    return choice_filter(request, "canceled_by", "Canceled by", options)


def canceler_in(request: HttpRequest, by: Filter) -> int | None:
    value = next(choice.value for choice in by.choices if choice.is_chosen)
    if value == OWN:
        return member_of(request).pk
    return int(value) if value else None


def unfolded_runs(request: HttpRequest) -> list[int]:
    """The runs that the address unfolds; what is no run is passed over."""
    found = []
    for text in request.GET.getlist("open"):
        try:
            found.append(RunId().to_python(text))
        except ValueError:
            continue
    return found


def fold_url(request: HttpRequest, unfolded: list[int], run_id: int) -> str:
    """The address that folds or unfolds one row and leaves the others as they are."""
    query = request.GET.copy()
    others = [str(other) for other in unfolded if other != run_id]
    query.setlist("open", others if run_id in unfolded else [*others, str(run_id)])
    return f"?{query.urlencode()}#r-{run_id}"


def flow_context(request: HttpRequest, head: FlowHead, tab: str, *more: Crumb) -> dict[str, object]:
    """What the head of every tab of a flow needs."""
    flow = head.flow
    return {
        "crumbs": flow_crumbs(flow, tab, *more),
        "nav": "integrations",
        "head": head,
        "flow": flow,
        "tab": tab,
        "may_run": may_do(request, Act.RUN_FLOW, flow.integration_id),
        "may_cancel": may_do(request, Act.CANCEL_RUN, flow.integration_id),
        "may_edit": may_do(request, Act.EDIT_FLOWS, flow.integration_id),
    }


TAB_NAMES = {"history": "Run history", "analytics": "Analytics", "definition": "Definition"}


def flow_crumbs(flow: Flow, tab: str = "console", *more: Crumb) -> list[Crumb]:
    """Integrations > integration > flow > page; the last has no address."""
    found = [Crumb("Integrations", address_of("console:integration-list") or reverse("console:home"))]
    found.append(Crumb(flow.integration.name, integration_url(flow)))
    found.append(Crumb(flow.name, reverse("console:flow", args=[flow.pk])))
    found += [Crumb(TAB_NAMES[tab], reverse(f"console:flow-{tab}", args=[flow.pk]))] if tab in TAB_NAMES else []
    found += more
    return [*found[:-1], Crumb(found[-1].label)]


def integration_url(flow: Flow) -> str:
    return reverse("console:integration", args=[flow.integration.slug])
