"""Edits of the record that a retry sends: saved for later, or saved and retried in one go."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_POST

from apps.accounts.permissions import Act
from apps.console.access import account_of, get_error, member_of, member_page
from apps.console.selectors.bulk_acts import act_view
from apps.console.selectors.retries import Editor
from apps.console.views.edit_others import Carried, carry_over
from apps.console.views.error_acts import KINDS, tell
from apps.console.views.errors import error_context
from apps.errors.models import Error, RetryData
from apps.errors.services import EditConflict, EditRefused, edit_retry_data, retry_errors
from apps.errors.services.editing import is_same_record
from apps.errors.states import ErrorState

CONFLICT, UNPROCESSABLE = 409, 422


@require_POST
@member_page
def save_retry_data(request: HttpRequest, flow_id: int, step_id: int, error_id: int, then: str) -> HttpResponse:
    """Save the text as a new version; `then` is "stay" or "retry". A text that is refused comes back with the why."""
    error = error_to_edit(request, flow_id, step_id, error_id)
    if then == "retry":
        get_error(request, error_id, to=Act.RETRY_ERRORS)
    data = RetryData.objects.of(error.account_id).filter(error=error.pk).first()
    if data is None:
        raise Http404("This error has no retry data.")
    try:
        saved = save(request, error, data)
    except EditRefused as refused:
        return refuse(request, error, refused)
    asking = ""
    if request.POST.get("others"):
        version = saved or data.version
        asking = carry_over(request, Carried(error, version, "all" if then == "retry" else "none"))
    answer = retry_saved(request, error, saved) if then == "retry" else tell_saved(request, error, saved)
    return redirect(asking) if asking else answer


def tell_saved(request: HttpRequest, error: Error, saved: int) -> HttpResponse:
    words = f"Retry data saved as version {saved}." if saved else "Nothing was changed, so nothing was saved."
    messages.success(request, words)
    return redirect(address_of(request, error, "console:error-data"))


def error_to_edit(request: HttpRequest, flow_id: int, step_id: int, error_id: int) -> Error:
    error = get_error(request, error_id, to=Act.EDIT_RETRY_DATA)
    if (error.flow_id, error.step_id) != (flow_id, step_id):
        raise Http404("This error belongs to another step.")
    return error


def save(request: HttpRequest, error: Error, data: RetryData) -> int:
    """The new version's number, 0 if the text says what is stored already. Raises EditRefused."""
    text = request.POST.get("text", "")
    given = request.POST.get("version", "")
    version = int(given) if given.isascii() and given.isdigit() and len(given) < 10 else 0
    if version == data.version and is_same_record(data, text):
        return 0
    return edit_retry_data(error=error, member=member_of(request), text=text, expected_version=version).version


def refuse(request: HttpRequest, error: Error, refused: EditRefused) -> HttpResponse:
    """The page again with the text as it was sent, and beside a newer version what the text would change in it."""
    is_conflict = isinstance(refused, EditConflict)
    data = RetryData.objects.of(error.account_id).select_related("from_step").get(error=error.pk)
    request.path = reverse("console:error-data", args=[error.flow_id, error.step_id, error.pk])  # links lead there
    editor = Editor(data, None, request.POST.get("text", ""), str(refused), is_conflict)
    context = error_context(request, error, "data") | {"editor": editor}
    return render(request, "error/step.html", context, status=CONFLICT if is_conflict else UNPROCESSABLE)


def retry_saved(request: HttpRequest, error: Error, saved: int) -> HttpResponse:
    """Send the record; one that is resolved is asked about first."""
    page = address_of(request, error, "console:error")
    if error.state == ErrorState.RESOLVED:
        query = {"error": str(error.pk), "query": "state=resolved", "next": page}
        return redirect(f"{reverse('console:errors-retry')}?{urlencode(query)}")
    errors = Error.objects.of(error.account_id).filter(pk=error.pk)
    act = retry_errors(account=account_of(request), member=member_of(request), errors=errors)
    view = act_view(act)
    if saved and not view.taken:
        messages.success(request, f"Retry data saved as version {saved}.")
    tell(request, KINDS["retry"], view)
    return redirect(page)


def address_of(request: HttpRequest, error: Error, name: str) -> str:
    """A page of the error, with the filters of the list that it was opened from."""
    path = reverse(name, args=[error.flow_id, error.step_id, error.pk])
    return f"{path}?{request.GET.urlencode()}" if request.GET else path
