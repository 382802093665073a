"""Keeping an error beyond the retention, and leaving it to the retention again."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_POST

from apps.accounts.permissions import Act
from apps.console.access import get_error, member_of, member_page
from apps.console.views.acts import back
from apps.errors.services.keeping import keep_error


@require_POST
@member_page
def keep(request: HttpRequest, flow_id: int, step_id: int, error_id: int) -> HttpResponse:
    """`keep=1` keeps it, anything else lets it go with the others of its time."""
    error = get_error(request, error_id, to=Act.KEEP_ERRORS)
    wanted = request.POST.get("keep") == "1"
    if keep_error(error=error, member=member_of(request), keep=wanted):
        told = "is kept: no purge takes it, its run or its retry data." if wanted else "goes when its time has come."
        messages.success(request, f"Error {error} {told}")
    return back(request, reverse("console:error", args=[flow_id, step_id, error.pk]))
