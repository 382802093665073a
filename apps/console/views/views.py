"""Saved views of the lists of errors: saved from a list, renamed and deleted on a page of their own."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from apps.console.access import member_of, member_page
from apps.console.context import Crumb
from apps.console.live import live_address
from apps.console.saved_views import kept_query, view_address
from apps.console.views.acts import back
from apps.core.ids import LARGEST_KEY
from apps.errors.models import SavedView
from apps.errors.services.views import (
    LONGEST_QUERY,
    ViewRefused,
    delete_view,
    may_change,
    rename_view,
    save_view,
    views_of,
)


@member_page
def view_list(request: HttpRequest) -> HttpResponse:
    member = member_of(request)
    context = {
        "nav": "errors",
        "crumbs": [Crumb("Errors", reverse("console:error-list")), Crumb("Saved views")],
        "rows": [(view, view_address(view.query), may_change(view, member)) for view in views_of(member)],
        "live_url": live_address(request, "shell"),
    }
    return render(request, "view/list.html", context)


@require_POST
@member_page
def save(request: HttpRequest) -> HttpResponse:
    """Keeps the filters of the list that the form names, and goes to the address of the view."""
    query = kept_query(QueryDict(request.POST.get("query", "")[: LONGEST_QUERY * 2]))
    try:
        view = save_view(
            member=member_of(request), name=request.POST.get("name", ""), query=query,
            is_shared=bool(request.POST.get("shared")),
        )  # fmt: skip
    except ViewRefused as refused:
        messages.error(request, str(refused))
        return back(request, reverse("console:error-list"))
    whose = "everyone in the account" if view.is_shared else "you"
    messages.success(request, f"View {view.name} is saved, for {whose}.")
    return redirect(view_address(view.query))


@require_POST
@member_page
def rename(request: HttpRequest, view_id: int) -> HttpResponse:
    view = get_view(request, view_id)
    try:
        rename_view(view=view, member=member_of(request), name=request.POST.get("name", ""))
        messages.success(request, f"The view is called {view.name} now.")
    except ViewRefused as refused:
        messages.error(request, str(refused))
    return redirect("console:view-list")


@require_POST
@member_page
def delete(request: HttpRequest, view_id: int) -> HttpResponse:
    view = get_view(request, view_id)
    delete_view(view=view, member=member_of(request))
    messages.success(request, f"View {view.name} is deleted.")
    return redirect("console:view-list")


def get_view(request: HttpRequest, view_id: int) -> SavedView:
    """A view that this member may change. Raises Http404 for one that he does not see, and PermissionDenied."""
    member = member_of(request)
    found: SavedView = get_object_or_404(views_of(member), pk=min(view_id, LARGEST_KEY))
    if not may_change(found, member):
        raise PermissionDenied("A shared view is changed by whoever saved it, or by an administrator.")
    return found
