"""What a member does to errors from a list or a drawer, such as retry and resolve. A GET shows the plan and asks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.permissions import Act
from apps.console.access import account_of, member_of, member_page, reach_of
from apps.console.act_topics import act_topic
from apps.console.context import Crumb
from apps.console.live import live_address
from apps.console.selection import Selection, selected_errors, selection_of
from apps.console.selectors.bulk_acts import TAKEN, ActView, act_view, may_see
from apps.console.views.acts import back, own_address
from apps.core.ids import LARGEST_KEY
from apps.errors.models import BulkAct, BulkItem, Error
from apps.errors.querysets import ErrorQuerySet
from apps.errors.services import act_plan, mark_sent, reopen_errors, resolve_errors, retry_errors
from apps.errors.states import BulkKind
from apps.runs.models import Run
from apps.runs.services import RunRefused, cancel_run

ASKS_ABOVE = 100
"""Acts on more records ask once."""
QUICK_S, SLOW_S = 3, 10


@dataclass(frozen=True)
class Kind:
    """An act as people read it: what it does to the errors that it takes."""

    name: str
    right: Act
    button: str
    done: str
    effect: str


KINDS = {
    "retry": Kind(
        BulkKind.RETRY,
        Act.RETRY_ERRORS,
        "Retry",
        "sent for retry",
        "Each record is sent again from the step at which it failed, and through the steps after it. "
        "A failure is a new error, marked Retry failed.",
    ),
    "resolve": Kind(
        BulkKind.RESOLVE,
        Act.RESOLVE_ERRORS,
        "Resolve",
        "resolved",
        "The errors leave the open lists and counts. Nothing is sent. They can be reopened.",
    ),
    "sent": Kind(
        BulkKind.SENT,
        Act.RESOLVE_ERRORS,
        "Mark as sent",
        "marked as sent",
        "For records that were found at the destination. Their errors are resolved as sent, by you. Nothing is sent, "
        "and the steps after this one are not run for these records, because the destination's answer is not known: "
        "where they must run, retry instead. They can be reopened.",
    ),
    "reopen": Kind(
        BulkKind.REOPEN,
        Act.RESOLVE_ERRORS,
        "Reopen",
        "reopened",
        "The errors are open again and counted, unless a newer error of the same record is open.",
    ),
}

SERVICES: Mapping[str, Callable[..., BulkAct]] = {
    BulkKind.RESOLVE: resolve_errors,
    BulkKind.SENT: mark_sent,
    BulkKind.REOPEN: reopen_errors,
}


@require_http_methods(["GET", "POST"])
@member_page
def act_on_errors(request: HttpRequest, act: str) -> HttpResponse:
    """Does one of KINDS to the errors that the form names; many of them, and resolved ones, are asked about."""
    kind = KINDS[act]
    chosen = selection_of(request.POST if request.method == "POST" else request.GET)
    errors = selected_errors(request, chosen, kind.right)
    if asks_first(request, kind, chosen, errors):
        return render(request, "error/confirm.html", confirm_context(request, kind, chosen, errors))
    done = perform(request, kind, chosen, errors)
    if done.ended_at is None:
        return redirect("console:error-act", done.pk)
    tell(request, kind, act_view(done))
    return back(request, reverse("console:error-list"))


def asks_first(request: HttpRequest, kind: Kind, chosen: Selection, errors: ErrorQuerySet) -> bool:
    if request.method == "GET":
        return True
    if request.POST.get("confirmed"):
        return False
    return retries_resolved(kind, chosen) or is_large(errors)


def is_large(errors: ErrorQuerySet) -> bool:
    """Whether an act on so many asks first."""
    return errors.order_by()[: ASKS_ABOVE + 1].count() > ASKS_ABOVE


def retries_resolved(kind: Kind, chosen: Selection) -> bool:
    return kind.name == BulkKind.RETRY and chosen.state == "resolved"


def confirm_context(request: HttpRequest, kind: Kind, chosen: Selection, errors: ErrorQuerySet) -> dict[str, object]:
    """What the act would do, before it is done."""
    includes_resolved = retries_resolved(kind, chosen)
    plan = act_plan(kind.name, account=account_of(request), errors=errors, includes_resolved=includes_resolved)
    given = request.POST if request.method == "POST" else request.GET
    return {
        "crumbs": [Crumb("Errors", reverse("console:error-list")), Crumb(f"{kind.button} errors")],
        "nav": "errors",
        "kind": kind,
        "plan": plan,
        "fields": chosen.fields,
        "back_url": own_address(request, given.get("next", ""), reverse("console:error-list")),
        "includes_resolved": includes_resolved,
        "live_url": live_address(request, "shell"),
    }


def perform(request: HttpRequest, kind: Kind, chosen: Selection, errors: ErrorQuerySet) -> BulkAct:
    account, member = account_of(request), member_of(request)
    if kind.name == BulkKind.RETRY:
        return retry_errors(
            account=account,
            member=member,
            errors=errors,
            uses_original_revision=bool(request.POST.get("original")),
            includes_rest=bool(request.POST.get("rest")),
            is_forced=bool(request.POST.get("force")),
            includes_resolved=retries_resolved(kind, chosen),
        )
    return SERVICES[kind.name](account=account, member=member, errors=errors)


def tell(request: HttpRequest, kind: Kind, view: ActView) -> None:
    """What came of an act, in a toast that can undo it where that is possible."""
    left = ", ".join(f"{count:,} {words}" for words, count in view.left_alone)
    if not view.taken:
        messages.warning(request, f"Nothing was {kind.done}: {left or 'there is no such error any more'}.")
        return
    plural = "" if view.taken == 1 else "s"
    text = f"{view.taken:,} error{plural} {kind.done}." + (f" Left alone: {left}." if left else "")
    messages.success(request, text, extra_tags=f"act-{view.act.pk}{'-undo' if view.can_be_undone else ''}")


# --- one act ---------------------------------------------------------------------------------------------------------
@member_page
def act_page(request: HttpRequest, act_id: int) -> HttpResponse:
    """How far an act has got and what came of it, with its retry runs."""
    act = get_act(request, act_id)
    view = act_view(act)
    kind = KINDS.get(act.act)
    context = {
        "crumbs": [Crumb("Errors", reverse("console:error-list")), Crumb(view.title)],
        "nav": "errors",
        "act": act,
        "view": view,
        "kind": kind,
        "live_url": live_address(request, "shell", act_topic(act.pk)),
        "live_every": QUICK_S if view.is_at_work else SLOW_S,
    }
    return render(request, "error/act.html", context)


def get_act(request: HttpRequest, act_id: int) -> BulkAct:
    """Raises Http404 for an act that this member may not see."""
    if not 0 < act_id <= LARGEST_KEY:
        raise Http404("There is no such act.")
    rows = BulkAct.objects.of(reach_of(request).account_id).select_related("member__user")
    act: BulkAct = get_object_or_404(rows, pk=act_id)
    if not may_see(member_of(request), act):
        raise Http404("There is no such act.")
    return act


@require_POST
@member_page
def undo(request: HttpRequest, act_id: int) -> HttpResponse:
    """Reopen what an act resolved, or cancel the retries that it started."""
    act = get_act(request, act_id)
    otherwise = reverse("console:error-act", args=[act.pk])
    if not act_view(act).can_be_undone:
        messages.warning(request, "This cannot be undone any more: it has ended, or it is still being done.")
    elif act.act == BulkKind.RETRY:
        undo_retry(request, act)
    else:
        undo_resolve(request, act)
    return back(request, otherwise)


def undo_resolve(request: HttpRequest, act: BulkAct) -> None:
    items = BulkItem.objects.of(act.account_id).filter(act=act, result=TAKEN[act.act])
    chosen = Error.objects.of(act.account_id).filter(
        pk__in=items.values("error_id"), **reach_of(request).where("flow__integration")
    )
    done = reopen_errors(account=account_of(request), member=member_of(request), errors=chosen)
    if done.ended_at is not None:
        tell(request, KINDS["reopen"], act_view(done))
    else:
        messages.success(request, f"{done.count:,} errors are being reopened.")


def undo_retry(request: HttpRequest, act: BulkAct) -> None:
    runs = Run.objects.of(act.account_id).filter(
        pk__in=list(act.options.get("runs", {}).values()), **reach_of(request).where()
    )
    canceled = sum(_is_canceled(run, request) for run in runs)
    if canceled:
        words = "The retry is canceled" if canceled == 1 else f"{canceled} retries are canceled"
        messages.success(request, f"{words}: errors that were not sent yet are open again in a moment.")
    else:
        messages.warning(request, "The retry has ended already: there is nothing left to cancel.")


def _is_canceled(run: Run, request: HttpRequest) -> bool:
    try:
        cancel_run(run=run, member=member_of(request))
    except RunRefused:
        return False
    return True
