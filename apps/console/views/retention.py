"""The retention: how long runs and errors are kept, what goes next, and what went; and the end of an account."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.models import Member, RetentionDays
from apps.accounts.permissions import Act
from apps.accounts.services import record_download
from apps.console.access import account_of, may_do, member_of, member_page
from apps.console.context import Crumb
from apps.console.live import live_address
from apps.console.retention_topics import RETENTION
from apps.console.selectors.connections import require
from apps.core.clock import read_now
from apps.core.ids import LARGEST_KEY
from apps.errors.models import StepState
from apps.flows.models import Connection, Flow, Integration
from apps.retention.ahead import going_before, last_exports, last_purges, next_nights
from apps.retention.exporting import content_of
from apps.retention.models import ExportFormat, PurgeExport, PurgePlan
from apps.retention.schedule import GRACE
from apps.retention.services import RetentionRefused, begin_export, close_account, set_retention
from apps.retention.stages import STAGE_WORDS
from apps.runs.models import Run

UNPROCESSABLE = 422
TYPES = {ExportFormat.CSV.value: "text/csv; charset=utf-8", ExportFormat.JSON_LINES.value: "application/jsonl"}


@member_page
def retention(request: HttpRequest) -> HttpResponse:
    require(request, Act.SET_RETENTION)
    account = account_of(request)
    plan = PurgePlan.objects.filter(account=account).first()
    context = page_context(request) | {
        "choices": RetentionDays.choices,
        "nights": next_nights(account, plan),
        "counted_at": plan.counted_at if plan is not None else None,
        "purges": last_purges(account),
        "exports": last_exports(account),
        "stages": STAGE_WORDS,
        "data_limit": settings.RETRY_DATA_PER_STEP,
        "formats": ExportFormat.choices,
        "may_close": may_do(request, Act.CLOSE_ACCOUNT),
    }
    return render(request, "retention/page.html", context)


def page_context(request: HttpRequest, *more: Crumb) -> dict[str, Any]:
    return {
        "nav": "retention",
        "account": account_of(request),
        "crumbs": [Crumb("Retention", reverse("console:retention") if more else ""), *more],
        "live_url": live_address(request, "shell", *([] if more else [RETENTION])),
    }


@require_http_methods(["GET", "POST"])
@member_page
def change(request: HttpRequest) -> HttpResponse:
    """A GET says what a shorter time would delete, a POST sets it. A longer one is set at once."""
    require(request, Act.SET_RETENTION)
    account = account_of(request)
    text = (request.POST if request.method == "POST" else request.GET).get("days", "")
    days = int(text) if text.isascii() and text.isdigit() and len(text) < 5 else 0
    if request.method == "GET" and days in RetentionDays.values and days < account.retention_days:
        now = read_now()
        context = page_context(request, Crumb(f"{days} days")) | {
            "days": days,
            "going": going_before(account, now - timedelta(days=days)),
            "already": going_before(account, now - timedelta(days=account.retention_days)),
        }
        return render(request, "retention/change.html", context)
    if request.method == "GET":
        return redirect("console:retention")
    before = account.retention_days
    try:
        set_retention(account=account, member=member_of(request), days=days)
    except RetentionRefused as refused:
        messages.error(request, str(refused))
        return redirect("console:retention")
    told = "Nothing goes before tomorrow night." if days < before else "What was purged already does not come back."
    messages.success(request, f"Runs and errors are kept for {days} days. {told}")
    return redirect("console:retention")


# --- exports ---------------------------------------------------------------------------------------------------------
@require_POST
@member_page
def export(request: HttpRequest) -> HttpResponse:
    """Have the errors written that the next purge takes."""
    require(request, Act.SET_RETENTION)
    try:
        begin_export(account=account_of(request), member=member_of(request), file_format=request.POST.get("format", ""))
    except RetentionRefused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, "The file is being written. It stands below, and is kept for a week.")
    return redirect("console:retention")


@member_page
def export_file(request: HttpRequest, export_id: int) -> HttpResponseBase:
    """The file, sent while it is read. Raises Http404 for one that is not there or not written yet."""
    require(request, Act.SET_RETENTION)
    rows = PurgeExport.objects.of(account_of(request)).filter(ended_at__isnull=False)
    found: PurgeExport = get_object_or_404(rows, pk=min(export_id, LARGEST_KEY))
    record_download(member=member_of(request), act="purge.download", target=found, file_format=found.format)
    answer = StreamingHttpResponse(content_of(found), content_type=TYPES[found.format])
    answer["Content-Disposition"] = f'attachment; filename="{found.file_name}"'
    return answer


# --- the end of an account -------------------------------------------------------------------------------------------
@require_http_methods(["GET", "POST"])
@member_page
def close(request: HttpRequest) -> HttpResponse:
    """A GET names what there is, a POST with the account's name closes it."""
    require(request, Act.CLOSE_ACCOUNT)
    account = account_of(request)
    problem = ""
    if request.method == "POST":
        try:
            close_account(account=account, member=member_of(request), typed_name=request.POST.get("name", ""))
        except RetentionRefused as refused:
            problem = str(refused)
        else:
            told = f"The account {account.name} is closed. Its data are deleted in {GRACE.days} days."
            messages.success(request, told)
            return redirect("console:home")
    context = page_context(request, Crumb("Close the account")) | {
        "holdings": holdings_of(request),
        "grace_days": GRACE.days,
        "problem": problem,
    }
    return render(request, "retention/close.html", context, status=UNPROCESSABLE if problem else 200)


def holdings_of(request: HttpRequest) -> list[tuple[str, int]]:
    """What an account has, in words and numbers; open errors by their kept counts."""
    account = account_of(request)
    return [
        ("integrations", Integration.objects.of(account).count()),
        ("flows", Flow.objects.of(account).present().count()),
        ("connections with their credentials", Connection.objects.of(account).count()),
        ("runs", Run.objects.of(account).count()),
        ("open errors", StepState.objects.of(account).open_total()),
        ("members, who lose their access", Member.objects.of(account).filter(disabled_at__isnull=True).count()),
    ]
