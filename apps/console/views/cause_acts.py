"""What a member does to a root cause: correct its class, snooze, assign, merge, comment. POST only."""

from collections.abc import Callable
from datetime import timedelta

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_POST

from apps.accounts.models import Member
from apps.accounts.permissions import ACTS, Act
from apps.console.access import account_of, get_cause, may_do, member_of, member_page
from apps.console.views.acts import back
from apps.core.clock import read_now
from apps.errors.models import BulkAct, Cause
from apps.errors.services.causes import (
    CauseRefused,
    assign_cause,
    classify_cause,
    group_of,
    merge_causes,
    snooze_cause,
    unclassify_cause,
    unmerge_cause,
    wake_cause,
)
from apps.errors.services.notes import NoteRefused, comment_on_cause
from apps.errors.states import Classification

HOURS = {"1h": 1, "4h": 4, "1d": 24, "7d": 168}
COUNTS = {"n10": 10, "n100": 100, "n1000": 1_000}
MOST_CHOSEN = 100

Answer = str
"""What came of an act, as a sentence."""


def act_on_cause(right: Act) -> Callable[[Callable[[HttpRequest, Cause], Answer]], Callable[..., HttpResponseBase]]:
    """A POST address that does one thing to a cause, says what came of it, and goes back."""

    def wrap(perform: Callable[[HttpRequest, Cause], Answer]) -> Callable[..., HttpResponseBase]:
        def view(request: HttpRequest, cause_id: int) -> HttpResponse:
            cause = get_cause(request, cause_id, to=right)
            refuse_beyond_role(request, cause, right)
            try:
                messages.success(request, perform(request, cause))
            except (CauseRefused, NoteRefused) as refused:
                messages.error(request, str(refused))
            return back(request, reverse("console:cause", args=[cause.pk]))

        return require_POST(member_page(view))

    return wrap


def refuse_beyond_role(request: HttpRequest, cause: Cause, right: Act) -> None:
    """A merged cause may reach into integrations where this member may not act."""
    integrations = group_of(cause).values_list("flow__integration", flat=True).distinct()
    if not may_do(request, right) and not all(may_do(request, right, key) for key in integrations):
        raise PermissionDenied(f"This root cause has errors where your role allows less than {ACTS[right].label}.")


@act_on_cause(Act.RESOLVE_ERRORS)
def classify(request: HttpRequest, cause: Cause) -> Answer:
    act = classify_cause(cause=cause, member=member_of(request), classification=request.POST.get("class", ""))
    word = Classification(cause.classification).label
    said = f"The class is {word} now, for this root cause and for what comes."
    return said + steered_text(act)


@act_on_cause(Act.RESOLVE_ERRORS)
def unclassify(request: HttpRequest, cause: Cause) -> Answer:
    act = unclassify_cause(cause=cause, member=member_of(request))
    word = Classification(cause.classification).label
    return f"The class is {word} again, as the rules say." + steered_text(act)


def steered_text(act: BulkAct | None) -> str:
    """What a changed class means for open errors; "" for nothing."""
    if act is None:
        return ""
    return f" Automatic retries of {act.count:,} open error{'' if act.count == 1 else 's'} follow."


@act_on_cause(Act.RESOLVE_ERRORS)
def snooze(request: HttpRequest, cause: Cause) -> Answer:
    chosen = request.POST.get("for", "")
    until = read_now() + timedelta(hours=HOURS[chosen]) if chosen in HOURS else None
    snooze_cause(cause=cause, member=member_of(request), until=until, errors=COUNTS.get(chosen))
    return "Snoozed: it is under Snoozed until then."


@act_on_cause(Act.RESOLVE_ERRORS)
def wake(request: HttpRequest, cause: Cause) -> Answer:
    wake_cause(cause=cause, member=member_of(request))
    return "It is among the open root causes again."


@act_on_cause(Act.ASSIGN_ERRORS)
def assign(request: HttpRequest, cause: Cause) -> Answer:
    assignee = chosen_member(request)
    assign_cause(cause=cause, member=member_of(request), assignee=assignee)
    return f"Assigned to {assignee}." if assignee else "Assigned to nobody."


def chosen_member(request: HttpRequest) -> Member | None:
    """The member whom the form names; None for a blank. Raises NoteRefused for one who is not there."""
    text = request.POST.get("assignee", "")
    if not text:
        return None
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
    found: Member | None = Member.objects.of(account_of(request)).select_related("user").filter(pk=number).first()
    if found is None:
        raise NoteRefused("There is no such member.")
    return found


@act_on_cause(Act.APPLY_TAGS)
def comment(request: HttpRequest, cause: Cause) -> Answer:
    comment_on_cause(cause=cause, member=member_of(request), text=request.POST.get("text", ""))
    return "Your comment is saved."


@act_on_cause(Act.RESOLVE_ERRORS)
def merge(request: HttpRequest, cause: Cause) -> Answer:
    ids = [int(text) for text in request.POST.getlist("cause")[:MOST_CHOSEN] if text.isascii() and text.isdigit()]
    chosen = [get_cause(request, key, to=Act.RESOLVE_ERRORS) for key in ids]
    if not chosen:
        raise CauseRefused("Tick the root causes that are the same as this one.")
    for other in chosen:
        refuse_beyond_role(request, other, Act.RESOLVE_ERRORS)
    merge_causes(into=cause, causes=chosen, member=member_of(request))
    return f"{len(chosen) + 1} root causes are shown as one from now on, also for errors that come."


@act_on_cause(Act.RESOLVE_ERRORS)
def unmerge(request: HttpRequest, cause: Cause) -> Answer:
    unmerge_cause(cause=cause, member=member_of(request))
    return "It stands for itself again."
