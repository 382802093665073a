"""Root causes: the list over all flows, and one cause with what members do about it."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode

from apps.accounts.permissions import Act
from apps.console.access import get_cause, may_do, member_of, member_page, reach_of
from apps.console.cause_topics import cause_topic, causes_topic
from apps.console.context import Crumb
from apps.console.filters import Filter, address_with, choice_filter, hidden_fields
from apps.console.live import live_address
from apps.console.loaded import cause_of
from apps.console.saved_views import view_menu
from apps.console.selectors.cause_detail import CauseDetail, merge_candidates
from apps.console.selectors.causes import (
    CLASSES,
    TABS,
    CauseFilter,
    CausePage,
    cause_page,
    tab_counts,
)
from apps.console.selectors.error_filters import assignee_of, key_of
from apps.console.selectors.notes import Notable, tag_counts
from apps.console.views.note_filters import note_filters
from apps.console.views.reading import cursor_of, reader_of
from apps.core.pagination import BadCursorError
from apps.errors.models import Cause

LONGEST_QUESTION = 200
SNOOZES = (("1h", "for 1 hour"), ("4h", "for 4 hours"), ("1d", "for a day"), ("7d", "for 7 days"))
SNOOZE_COUNTS = (("n10", "until 10 more errors"), ("n100", "until 100 more"), ("n1000", "until 1,000 more"))


def shows_causes(request: HttpRequest) -> bool:
    """Whether `/errors/` shows root causes: on request, and where the address asks for nothing of the list."""
    view = request.GET.get("view", "")
    return view == "causes" or (view != "list" and not request.GET)


# --- the list --------------------------------------------------------------------------------------------------------
@member_page
def cause_list(request: HttpRequest) -> HttpResponse:
    reach = reach_of(request)
    _, now = reader_of(request)
    wanted = filter_of(request)
    page, damaged = None, ""
    try:
        page = cause_page(reach, wanted, now=now, cursor=cursor_of(request))
    except BadCursorError as problem:
        damaged = str(problem)
    counts = tab_counts(reach, now)
    notable = Notable(reach.account_id, viewer=member_of(request), reach=reach)
    context = {
        "nav": "errors",
        "crumbs": [Crumb("Errors", reverse("console:error-list")), Crumb("Root causes")],
        "page": page,
        "damaged": damaged,
        "wanted": wanted,
        "counts": counts,
        "tabs": [(tab, word, counts[tab], tab_url(request, tab)) for tab, word in TABS.items()],
        "filters": filters_of(request, notable),
        "views": view_menu(request, notable.views, view="causes"),
        "hidden_fields": hidden_fields(request, "q"),
        "path": f"{request.path}?view=causes",
        "list_url": f"{request.path}?view=list",
        "newer_url": address_with(request, page=page.newer) if page and page.newer else "",
        "older_url": address_with(request, page=page.older) if page and page.older else "",
        "may_retry": may_do(request, Act.RETRY_ERRORS) or not member_of(request).role,
        "live_url": live_address(request, "shell", topic_of(wanted, page, now)),
    }
    return render(request, "cause/list.html", context)


def filter_of(request: HttpRequest) -> CauseFilter:
    """What the address names; what it does not know is left out."""
    tab, assigned = request.GET.get("tab", "open"), request.GET.get("assignee", "")
    classification = request.GET.get("class", "")
    assignee, is_bad_assignee = assignee_of(assigned, member_of(request))
    tag, is_bad_tag = key_of(request.GET.get("tag", ""))
    return CauseFilter(
        tab=tab if tab in TABS else "open",
        words=request.GET.get("q", "").strip().replace("\x00", "")[:LONGEST_QUESTION],
        integration=request.GET.get("integration", "").replace("\x00", ""),
        classification=classification if classification in dict(CLASSES) else "",
        assigned=assigned,
        assignee=assignee,
        tag=tag,
        account=member_of(request).account_id,
        is_impossible=is_bad_assignee or is_bad_tag,
    )


def topic_of(wanted: CauseFilter, page: CausePage | None, now: datetime) -> str:
    """What is kept live: the lines on the page, and on the first page of a list that is not narrowed what is new."""
    rows = page.rows if page else []
    is_whole = page is not None and not page.newer and not wanted.is_on
    return causes_topic(wanted.tab, [row.cause.pk for row in rows], now if is_whole else None)


def tab_url(request: HttpRequest, tab: str) -> str:
    return address_with(request, view="causes", tab="" if tab == "open" else tab)


def filters_of(request: HttpRequest, notable: Notable) -> list[Filter]:
    return [
        choice_filter(request, "integration", "Integration", [("", "all"), *notable.integrations]),
        choice_filter(request, "class", "Class", [("", "any"), *CLASSES]),
        *note_filters(request, notable),
    ]


# --- one cause -------------------------------------------------------------------------------------------------------
@member_page
def cause_view(request: HttpRequest, cause_id: int) -> HttpResponse:
    """A cause; one that was merged is shown where its group is."""
    detail = cause_of(request, cause_id)
    cause = detail.cause
    if cause.merged_into_id is not None:
        return redirect("console:cause", cause.merged_into_id)
    context = cause_context(request, cause) | {
        "detail": detail,
        "classes": CLASSES,
        "snoozes": SNOOZES,
        "snooze_counts": SNOOZE_COUNTS,
        "notable": Notable(cause.account_id),
        "me": member_of(request),
        "tags": tag_counts(detail.reach, detail.ids),
        "may_act": may_do(request, Act.RESOLVE_ERRORS, cause.flow.integration_id),
        "may_test": detail.open_errors and may_do(request, Act.EDIT_FLOWS, cause.flow.integration_id),
        "edit_url": edit_url(detail),
        "now": detail.now,
        "live_url": live_address(request, "shell", cause_topic(cause.pk)),
    }
    return render(request, "cause/page.html", context)


def edit_url(detail: CauseDetail) -> str:
    """The address of the bulk edit of its open errors; "" while there are none."""
    if not detail.open_errors:
        return ""
    named = {
        "all": "1",
        "query": urlencode({"cause": str(detail.cause.pk), "state": "open"}),
        "upto": str(detail.newest_id),
        "next": reverse("console:cause", args=[detail.cause.pk]),
    }
    return f"{reverse('console:errors-edit')}?{urlencode(named)}"


def cause_context(request: HttpRequest, cause: Cause, *more: Crumb) -> dict[str, Any]:
    address = reverse("console:cause", args=[cause.pk]) if more else ""
    return {
        "nav": "errors",
        "cause": cause,
        "crumbs": [
            Crumb("Errors", reverse("console:error-list")),
            Crumb("Root causes", f"{reverse('console:error-list')}?view=causes"),
            Crumb(f"c-{cause.pk}", address),
            *more,
        ],
    }


@member_page
def cause_merge(request: HttpRequest, cause_id: int) -> HttpResponse:
    """Which other root causes may be the same one."""
    cause = get_cause(request, cause_id, to=Act.RESOLVE_ERRORS)
    words = request.GET.get("q", "").strip().replace("\x00", "")[:LONGEST_QUESTION]
    context = cause_context(request, cause, Crumb("Merge")) | {
        "candidates": merge_candidates(reach_of(request), cause, words),
        "words": words,
        "live_url": live_address(request, "shell"),
    }
    return render(request, "cause/merge.html", context)
