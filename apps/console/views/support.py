"""The support bundle: what it is about, its ticket, a look at every file, and then download or mail."""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.permissions import Act
from apps.console.access import (
    account_of,
    get_cause,
    get_error,
    get_flow,
    get_run,
    may_do,
    member_of,
    member_page,
    reach_of,
)
from apps.console.context import Crumb, preferences_of
from apps.console.live import live_address
from apps.console.ranges import PRESETS, range_of
from apps.console.ticket_form import TicketForm, initial_of
from apps.console.views.guide import whom_to_ask
from apps.console.views.reading import reader_of
from apps.core.ids import LARGEST_KEY
from apps.flows.models import Flow
from apps.support.models import SendState, SupportBundle
from apps.support.screenshots import (
    FOLDER,
    LARGEST_SCREENSHOT,
    MOST_SCREENSHOTS,
    ScreenshotRefused,
    named_screenshots,
)
from apps.support.services import (
    SendRefused,
    change_bundle,
    discard_bundle,
    file_name,
    files_in,
    kept_of,
    make_bundle,
    note_download,
    screenshots_in,
    send_bundle,
)
from apps.support.subjects import Subject, SubjectKind, about_cause, about_error, about_flow, about_run
from apps.support.tickets import Ticket, filled_in

UNPROCESSABLE = 422
LONGEST_SHOWN = 200_000
MOST_FLOWS = 1_000
UNDER_WAY = (SendState.WAITING, SendState.SENDING)
FETCH = {
    SubjectKind.ERROR: lambda request, key: about_error(get_error(request, key)),
    SubjectKind.CAUSE: lambda request, key: about_cause(get_cause(request, key)),
    SubjectKind.RUN: lambda request, key: about_run(get_run(request, key)),
    SubjectKind.FLOW: lambda request, key: about_flow(get_flow(request, key)),
}


# --- what it is about ------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "POST"])
@member_page
def support_bundle(request: HttpRequest) -> HttpResponse:
    """The ticket of a new bundle about `error=`, `cause=`, `run=` or `flow=` with a range; else the choice of it."""
    subject = subject_of(request, request.GET)
    if subject is None:
        return render(request, "support/choose.html", choice_context(request))
    return ticket_page(request, subject, filled_in(subject), None)


def subject_of(request: HttpRequest, named: Mapping[str, str]) -> Subject | None:
    """None where nothing is named. Raises Http404 for what this member does not see."""
    kind = next((kind for kind in SubjectKind if named.get(kind)), None)
    if kind is None:
        return None
    text = named[kind]
    subject = FETCH[kind](request, int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0)
    subject.flow.integration.account = account_of(request)
    if kind is not SubjectKind.FLOW:
        return subject
    zone, now = reader_of(request)
    chosen = range_of(named, zone, default="24h", now=now)
    return about_flow(subject.flow, chosen.since, chosen.until)


def kept_subject(request: HttpRequest, bundle: SupportBundle) -> Subject:
    """What a bundle was made about, as far as this member still sees it."""
    facts = bundle.subject
    named = {facts["kind"]: str(facts["id"]), "from": facts.get("since", ""), "to": facts.get("until", "")}
    found = subject_of(request, named)
    assert found is not None, "a bundle is about something"
    return found


def address_about(subject: Subject) -> str:
    """The address of a new bundle about it: a range that ended just now stays where it was."""
    facts = subject.facts
    named = {facts["kind"]: facts["id"], "from": facts.get("since"), "to": facts.get("until")}
    query = urlencode({name: value for name, value in named.items() if value is not None})
    return f"{reverse('console:support-bundle')}?{query}"


def choice_context(request: HttpRequest) -> dict[str, Any]:
    reach = reach_of(request)
    flows = Flow.objects.of(reach.account_id).present().filter(**reach.where()).select_related("integration")
    mine = kept_of(member_of(request)).defer("content", "report")
    return {
        "nav": "support",
        "crumbs": [Crumb("Support bundle")],
        "flows": flows.order_by("integration__name", "name")[:MOST_FLOWS],
        "ranges": [(key, label) for key, (label, _) in PRESETS.items()],
        "bundles": mine.order_by("-pk"),
        **whom_to_ask(),
        "live_url": live_address(request, "shell"),
    }


# --- the ticket ------------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "POST"])
@member_page
def edit_ticket(request: HttpRequest, bundle_id: int) -> HttpResponse:
    """The ticket of a bundle again; saving gathers the files anew."""
    bundle = get_bundle(request, bundle_id)
    return ticket_page(request, kept_subject(request, bundle), Ticket.of(bundle.ticket), bundle)


def ticket_page(request: HttpRequest, subject: Subject, ticket: Ticket, bundle: SupportBundle | None) -> HttpResponse:
    """The form; a POST gathers the files and leads to the look at them."""
    zone = preferences_of(request).zone
    problem = ""
    with timezone.override(zone):
        form = TicketForm(request.POST or None, initial=initial_of(ticket), zone=zone.key)
        if request.method == "POST" and form.is_valid():
            try:
                made = gathered(request, subject, form.ticket(), bundle)
                return redirect("console:support-bundle-look", made.pk)
            except (ScreenshotRefused, SendRefused) as refused:
                problem = str(refused)
        context = ticket_context(request, subject, form, bundle) | {"problem": problem}
        return render(request, "support/ticket.html", context, status=UNPROCESSABLE if form.is_bound else 200)


def gathered(request: HttpRequest, subject: Subject, ticket: Ticket, bundle: SupportBundle | None) -> SupportBundle:
    """Raises ScreenshotRefused and SendRefused."""
    given = request.FILES.getlist("screenshots")[: MOST_SCREENSHOTS + 1]
    pictures = named_screenshots([(file.name or "", file.read(LARGEST_SCREENSHOT + 1)) for file in given])
    if bundle is None:
        return make_bundle(subject=subject, ticket=ticket, member=member_of(request), screenshots=pictures)
    is_new = pictures or "drop_screenshots" in request.POST
    return change_bundle(bundle=bundle, subject=subject, ticket=ticket, screenshots=pictures if is_new else None)


def ticket_context(
    request: HttpRequest, subject: Subject, form: TicketForm, bundle: SupportBundle | None
) -> dict[str, Any]:
    return {
        "nav": "support",
        "crumbs": [Crumb("Support bundle", reverse("console:support-bundle")), Crumb("Ticket")],
        "subject": subject,
        "form": form,
        "bundle": bundle,
        "kept": screenshots_in(bundle) if bundle else [],
        "action": request.path if bundle else address_about(subject),
        "most_screenshots": MOST_SCREENSHOTS,
        "largest_mb": LARGEST_SCREENSHOT >> 20,
        "live_url": live_address(request, "shell"),
    }


# --- the look at it --------------------------------------------------------------------------------------------------
def get_bundle(request: HttpRequest, bundle_id: int) -> SupportBundle:
    """One of this member's own, about what he still sees. Raises Http404."""
    rows = kept_of(member_of(request)).filter(pk=min(bundle_id, LARGEST_KEY))
    found = rows.first()
    if found is None or not may_do(request, Act.VIEW, found.subject.get("integration")):
        raise Http404("This support bundle is not there: it is kept for a day, and only its maker sees it.")
    found.member = member_of(request)
    return found


@require_GET
@member_page
def look(request: HttpRequest, bundle_id: int) -> HttpResponse:
    """Every file as it would leave the house, and what was hidden in it; `file=` is shown in full."""
    bundle = get_bundle(request, bundle_id)
    files = dict(files_in(bundle))
    chosen = request.GET.get("file", "")
    name = chosen if chosen in files else next((name for name in ("ticket.txt", *files) if name in files), "")
    hidden: dict[str, int] = {}
    for one in bundle.report:
        hidden[one["file"]] = hidden.get(one["file"], 0) + one["times"]
    context = {
        "nav": "support",
        "crumbs": [Crumb("Support bundle", reverse("console:support-bundle")), Crumb(str(bundle))],
        "bundle": bundle,
        "files": [(file, len(content), hidden.get(file, 0)) for file, content in files.items()],
        "chosen": name,
        "picture": picture_of(name, files),
        "text": text_of(name, files),
        "is_cut": len(files.get(name, b"")) > LONGEST_SHOWN,
        "hidden_total": sum(hidden.values()),
        "support_email": settings.SUPPORT_EMAIL,
        "is_under_way": bundle.state in UNDER_WAY,
        "live_url": live_address(request, "shell"),
    }
    return render(request, "support/look.html", context)


def picture_of(name: str, files: Mapping[str, bytes]) -> str:
    """The address of a screenshot within the page itself; "" for other files."""
    if not name.startswith(FOLDER):
        return ""
    kind = name.rpartition(".")[2].replace("jpg", "jpeg")
    return f"data:image/{kind};base64,{b64encode(files[name]).decode()}"


def text_of(name: str, files: Mapping[str, bytes]) -> str:
    if not name or name.startswith(FOLDER):
        return ""
    return files[name][:LONGEST_SHOWN].decode("utf-8", "replace")


@require_POST
@member_page
def download(request: HttpRequest, bundle_id: int) -> HttpResponse:
    bundle = get_bundle(request, bundle_id)
    if not bundle.content:
        messages.warning(request, "This bundle was sent, and its files are gone. Make another one.")
        return redirect("console:support-bundle")
    note_download(bundle=bundle, member=member_of(request))
    answer = HttpResponse(bytes(bundle.content), content_type="application/zip")
    answer["Content-Disposition"] = f'attachment; filename="{file_name(bundle)}"'
    return answer


@require_POST
@member_page
def send(request: HttpRequest, bundle_id: int) -> HttpResponse:
    bundle = get_bundle(request, bundle_id)
    try:
        send_bundle(bundle=bundle, member=member_of(request))
        messages.success(request, f"A worker sends it to {settings.SUPPORT_EMAIL}. Its files go when that is done.")
    except SendRefused as refused:
        messages.error(request, str(refused))
    return redirect("console:support-bundle-look", bundle.pk)


@require_POST
@member_page
def discard(request: HttpRequest, bundle_id: int) -> HttpResponse:
    discard_bundle(bundle=get_bundle(request, bundle_id), member=member_of(request))
    messages.success(request, "The support bundle is gone.")
    return redirect("console:support-bundle")


@require_GET
@member_page
def new_ticket(request: HttpRequest) -> HttpResponse:
    """A ticket is a support bundle: what it is about is chosen there."""
    return redirect("console:support-bundle")
