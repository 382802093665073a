"""The edit of one error's retry data, made in the other open errors of its root cause that have the same old values."""

from dataclasses import dataclass

from django.contrib import messages
from django.db.models import Max
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods

from apps.accounts.permissions import Act
from apps.console.access import account_of, get_error, member_of, member_page
from apps.console.context import Crumb
from apps.console.live import live_address
from apps.console.selection import Selection, selected_errors
from apps.console.views.bulk_edit import THEN
from apps.console.views.error_acts import ASKS_ABOVE
from apps.core.ids import LARGEST_KEY
from apps.errors.changes import Change, ChangeRefused
from apps.errors.models import BulkAct, Error
from apps.errors.querysets import ErrorQuerySet
from apps.errors.services.bulk_edit import RETRIES, edit_errors, edit_made, preview_edit
from apps.errors.services.editing import EditRefused


@dataclass(frozen=True)
class Carried:
    """An edit that is to be made elsewhere: the error's edit to `version`; `then` says how many to retry."""

    error: Error
    version: int
    then: str

    @property
    def changes(self) -> list[Change]:
        return edit_made(self.error, self.version)

    @property
    def address(self) -> str:
        given = {"error": str(self.error.pk), "version": str(self.version), "then": self.then}
        return f"{reverse('console:errors-edit-others')}?{urlencode(given)}"


@require_http_methods(["GET", "POST"])
@member_page
def edit_others(request: HttpRequest) -> HttpResponse:
    """What the edit would change in the others, counted; a POST does it."""
    given = request.POST if request.method == "POST" else request.GET
    carried = carried_in(request, given)
    others = others_of(request, carried.error, number_in(given, "upto") or LARGEST_KEY)
    try:
        if request.method == "POST":
            return redirect("console:error-act", act_to_show(perform(request, carried, others)))
        preview, problem = preview_edit(account=account_of(request), errors=others, changes=carried.changes), ""
    except (ChangeRefused, EditRefused) as refused:
        preview, problem = None, str(refused)
    error = carried.error
    context = {
        "nav": "errors",
        "crumbs": [Crumb("Errors", reverse("console:error-list")), Crumb("The same change in others")],
        "error": error,
        "form": carried,
        "thens": THEN,
        "preview": preview,
        "problem": problem,
        "upto": others.aggregate(newest=Max("pk"))["newest"] or 0,
        "back_url": reverse("console:error-data", args=[error.flow_id, error.step_id, error.pk]),
        "live_url": live_address(request, "shell"),
    }
    return render(request, "error/edit_others.html", context)


def carried_in(request: HttpRequest, given: QueryDict) -> Carried:
    """Raises Http404 for an error that is not there, PermissionDenied where the member may not edit it."""
    error = get_error(request, number_in(given, "error"), to=Act.EDIT_RETRY_DATA)
    then = given.get("then", "none")
    return Carried(error, number_in(given, "version"), then if then in RETRIES else "none")


def number_in(given: QueryDict, name: str) -> int:
    """0 for what is no id."""
    text = given.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def others_of(request: HttpRequest, error: Error, upto: int) -> ErrorQuerySet:
    """The other open errors of its root cause, and of what is merged with it, where this member may edit."""
    query = urlencode({"cause": str(error.cause.merged_into_id or error.cause_id), "state": "open"})
    chosen = Selection(is_all=True, query=query, upto=str(upto))
    return selected_errors(request, chosen, Act.EDIT_RETRY_DATA).exclude(pk=error.pk)


def perform(request: HttpRequest, carried: Carried, others: ErrorQuerySet) -> BulkAct:
    return edit_errors(
        account=account_of(request), member=member_of(request), errors=others, changes=carried.changes,
        retries=RETRIES[carried.then],
    )  # fmt: skip


def act_to_show(act: BulkAct) -> int:
    """The retry that followed, else the edit itself."""
    return int(act.options.get("retry_act") or act.pk)


def carry_over(request: HttpRequest, carried: Carried) -> str:
    """After an edit was saved with the tick: the address of the page that asks, "" if all is done or refused.

    What the tick named is done at once; where fewer have the same old value, or many, the number is told first.
    """
    named = number_in(request.POST, "others")
    others = others_of(request, carried.error, LARGEST_KEY)
    try:
        preview = preview_edit(account=account_of(request), errors=others, changes=carried.changes)
        if preview.changed != named or named > ASKS_ABOVE:
            return carried.address
        perform(request, carried, others)
    except (ChangeRefused, EditRefused) as refused:
        messages.warning(request, str(refused))
        return ""
    more = f"{named:,} more error{'' if named == 1 else 's'}"
    then = " and sent for retry" if carried.then != "none" else ""
    messages.success(request, f"The same change is made in {more}{then}.")
    return ""
