"""The tags of the account: seen by everyone, defined by managers."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.permissions import ACTS, Act
from apps.console.access import account_of, may_do, member_of, member_page, reach_of
from apps.console.context import Crumb
from apps.console.live import live_address
from apps.console.selectors.notes import error_count, tag_rows
from apps.core.ids import LARGEST_KEY
from apps.errors.models import Tag
from apps.errors.services.notes import NoteRefused, define_tag, remove_tag, rename_tag


@member_page
def tag_list(request: HttpRequest) -> HttpResponse:
    return render(request, "tag/list.html", tag_context(request) | {"rows": tag_rows(reach_of(request))})


def tag_context(request: HttpRequest, *more: Crumb) -> dict[str, Any]:
    return {
        "nav": "errors",
        "crumbs": [
            Crumb("Errors", reverse("console:error-list")),
            Crumb("Tags", reverse("console:tag-list") if more else ""),
            *more,
        ],
        "may_define": may_do(request, Act.DEFINE_TAGS),
        "role_needed": ACTS[Act.DEFINE_TAGS].label.lower(),
        "live_url": live_address(request, "shell"),
    }


def definers_only(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponseBase]:
    """Whoever may see the tags but not define them is refused in words."""

    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not may_do(request, Act.DEFINE_TAGS):
            raise PermissionDenied(f"Tags are defined by those with the role {ACTS[Act.DEFINE_TAGS].label}.")
        try:
            return view(request, *args, **kwargs)
        except NoteRefused as refused:
            messages.error(request, str(refused))
            return redirect("console:tag-list")

    return member_page(guarded)


def get_tag(request: HttpRequest, tag_id: int) -> Tag:
    """Raises Http404 for one of another account."""
    found: Tag = get_object_or_404(Tag.objects.of(account_of(request)), pk=min(tag_id, LARGEST_KEY))
    return found


@require_POST
@definers_only
def define(request: HttpRequest) -> HttpResponse:
    tag = define_tag(account=account_of(request), member=member_of(request), name=request.POST.get("name", ""))
    messages.success(request, f"Tag {tag.name} is defined. Put it on errors from any list, or in their notes.")
    return redirect("console:tag-list")


@require_POST
@definers_only
def rename(request: HttpRequest, tag_id: int) -> HttpResponse:
    tag = get_tag(request, tag_id)
    before = tag.name
    rename_tag(tag=tag, member=member_of(request), name=request.POST.get("name", ""))
    messages.success(request, f"Tag {before} is {tag.name} now. Its errors keep it.")
    return redirect("console:tag-list")


@require_http_methods(["GET", "POST"])
@definers_only
def delete(request: HttpRequest, tag_id: int) -> HttpResponse:
    """A GET says on how many errors the tag is; a POST deletes it."""
    tag = get_tag(request, tag_id)
    if request.method == "POST":
        act = remove_tag(tag=tag, member=member_of(request))
        plural = "" if act.count == 1 else "s"
        going = "" if act.ended_at else " in the background"
        messages.success(request, f"Tag {tag.name} is deleted, and taken off {act.count:,} error{plural}{going}.")
        return redirect("console:tag-list")
    context = tag_context(request, Crumb(tag.name), Crumb("Delete"))
    return render(request, "tag/delete.html", context | {"tag": tag, "errors": error_count(tag)})
