"""Tags, assignment and comments of errors: of one in its drawer, of those selected in a list. POST only."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from apps.accounts.permissions import Act
from apps.accounts.selectors import person
from apps.console.access import account_of, get_error, member_of, member_page
from apps.console.selection import Selection, selected_errors, selection_of
from apps.console.selectors.bulk_acts import act_view
from apps.console.views.acts import back
from apps.console.views.cause_acts import chosen_member
from apps.console.views.error_acts import Kind, confirm_context, is_large, tell
from apps.errors.models import BulkAct, Tag
from apps.errors.querysets import ErrorQuerySet
from apps.errors.services.notes import NoteRefused, assign_errors, comment_on_error, define_tag, tag_errors
from apps.errors.states import BulkKind


@dataclass(frozen=True)
class Wanted:
    """What the form asks for: the act in words, how it begins, and the fields of a form that asks for the same."""

    kind: Kind
    begin: Callable[[ErrorQuerySet], BulkAct]
    fields: list[tuple[str, str]]


def note_on_errors(right: Act) -> Callable[[Callable[[HttpRequest], Wanted]], Callable[..., HttpResponseBase]]:
    """A POST address for the errors that the form names; many of them are asked about."""

    def wrap(read: Callable[[HttpRequest], Wanted]) -> Callable[..., HttpResponseBase]:
        @wraps(read)
        def view(request: HttpRequest) -> HttpResponse:
            chosen = selection_of(request.POST)
            errors = selected_errors(request, chosen, right)
            try:
                return carried_out(request, read(request), chosen, errors)
            except NoteRefused as refused:
                messages.error(request, str(refused))
                return back(request, reverse("console:error-list"))

        return require_POST(member_page(view))

    return wrap


def carried_out(request: HttpRequest, wanted: Wanted, chosen: Selection, errors: ErrorQuerySet) -> HttpResponse:
    """Begins the act, or asks first. Raises NoteRefused."""
    if is_large(errors) and not request.POST.get("confirmed"):
        context = confirm_context(request, wanted.kind, chosen, errors)
        return render(request, "error/confirm.html", context | {"fields": [*chosen.fields, *wanted.fields]})
    act = wanted.begin(errors)
    if act.ended_at is None:
        return redirect("console:error-act", act.pk)
    tell(request, wanted.kind, act_view(act))
    return back(request, reverse("console:error-list"))


@note_on_errors(Act.ASSIGN_ERRORS)
def assign(request: HttpRequest) -> Wanted:
    assignee = chosen_member(request)
    name = person(assignee) or "nobody"

    def begin(errors: ErrorQuerySet) -> BulkAct:
        return assign_errors(account=account_of(request), member=member_of(request), errors=errors, assignee=assignee)

    effect = f"They are given to {name}, who is told once." if assignee else "Nobody has them any more."
    kind = Kind(BulkKind.ASSIGN, Act.ASSIGN_ERRORS, "Assign", f"assigned to {name}", effect)
    return Wanted(kind, begin, [("assignee", str(assignee.pk) if assignee else "")])


@note_on_errors(Act.APPLY_TAGS)
def tag(request: HttpRequest) -> Wanted:
    """`add` and `remove` are ids of tags, `new` the name of one that is defined by the way."""
    add, remove, name = tags_named(request, "add"), tags_named(request, "remove"), request.POST.get("new", "").strip()
    if not add and not remove and not name:
        raise NoteRefused("Choose a tag, or write the name of a new one.")

    def begin(errors: ErrorQuerySet) -> BulkAct:
        account, member = account_of(request), member_of(request)
        new = [define_tag(account=account, member=member, name=name)] if name else []
        return tag_errors(account=account, member=member, errors=errors, add=[*add, *new], remove=remove)

    put, off = ", ".join([*(t.name for t in add), *([name] if name else [])]), ", ".join(t.name for t in remove)
    kind = Kind(
        BulkKind.TAG,
        Act.APPLY_TAGS,
        "Tag" if put else "Untag",
        f"tagged {put}" if put else f"without the tag {off}",
        f"They get the tag {put}." if put else f"The tag {off} is taken off them.",
    )
    fields = [*(("add", str(t.pk)) for t in add), *(("remove", str(t.pk)) for t in remove)]
    return Wanted(kind, begin, [*fields, *([("new", name)] if name else [])])


def tags_named(request: HttpRequest, field: str) -> list[Tag]:
    texts = request.POST.getlist(field)[:50]
    ids = [int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 19]
    return list(Tag.objects.of(account_of(request)).filter(pk__in=ids)) if ids else []


@require_POST
@member_page
def comment(request: HttpRequest) -> HttpResponse:
    ids = selection_of(request.POST).ids
    error = get_error(request, ids[0] if ids else 0, to=Act.APPLY_TAGS)
    try:
        comment_on_error(error=error, member=member_of(request), text=request.POST.get("text", ""))
        messages.success(request, "Your comment is saved.")
    except NoteRefused as refused:
        messages.error(request, str(refused))
    return back(request, reverse("console:error-list"))
