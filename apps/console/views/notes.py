"""Tags, assignment and comments of errors: of one in its drawer, of those selected in a list. POST only."""

from collections.abc import Callable
from functools import wraps

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_POST

from apps.accounts.permissions import Act
from apps.console.access import account_of, member_of, member_page
from apps.console.selection import selected_errors, selection_of
from apps.console.views.acts import back
from apps.console.views.cause_acts import chosen_member
from apps.errors.models import Tag
from apps.errors.querysets import ErrorQuerySet
from apps.errors.services.notes import NoteRefused, assign_errors, comment_on_error, define_tag, tag_errors

Perform = Callable[[HttpRequest, ErrorQuerySet], str]


def note_on_errors(right: Act) -> Callable[[Perform], Callable[..., HttpResponseBase]]:
    """A POST address for the errors that the form names."""

    def wrap(perform: Perform) -> Callable[..., HttpResponseBase]:
        @wraps(perform)
        def view(request: HttpRequest) -> HttpResponse:
            errors = selected_errors(request, selection_of(request.POST), right)
            try:
                messages.success(request, perform(request, errors))
            except NoteRefused as refused:
                messages.error(request, str(refused))
            return back(request, reverse("console:error-list"))

        return require_POST(member_page(view))

    return wrap


@note_on_errors(Act.ASSIGN_ERRORS)
def assign(request: HttpRequest, errors: ErrorQuerySet) -> str:
    assignee = chosen_member(request)
    act = assign_errors(account=account_of(request), member=member_of(request), errors=errors, assignee=assignee)
    return f"{counted(act.count)} assigned to {assignee or 'nobody'}."


@note_on_errors(Act.APPLY_TAGS)
def tag(request: HttpRequest, errors: ErrorQuerySet) -> str:
    account, member = account_of(request), member_of(request)
    name = request.POST.get("new", "").strip()
    add = tags_named(request, "add")
    if name:
        add.append(define_tag(account=account, member=member, name=name))
    remove = tags_named(request, "remove")
    if not add and not remove:
        raise NoteRefused("Choose a tag, or write the name of a new one.")
    act = tag_errors(account=account, member=member, errors=errors, add=add, remove=remove)
    words = f"tagged {', '.join(tag.name for tag in add)}" if add else "without the tag " + remove[0].name
    return f"{counted(act.count)} {words}."


def tags_named(request: HttpRequest, field: str) -> list[Tag]:
    ids = [int(text) for text in request.POST.getlist(field)[:50] if text.isascii() and text.isdigit()]
    return list(Tag.objects.of(account_of(request)).filter(pk__in=ids)) if ids else []


@note_on_errors(Act.APPLY_TAGS)
def comment(request: HttpRequest, errors: ErrorQuerySet) -> str:
    error = errors.first()
    if error is None:
        raise NoteRefused("There is no such error any more.")
    comment_on_error(error=error, member=member_of(request), text=request.POST.get("text", ""))
    return "Your comment is saved."


def counted(number: int) -> str:
    return f"{number:,} error{'' if number == 1 else 's'}"
