"""Retry data edited in a file: the download of a list is uploaded again, looked at, and stored as versions."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from apps.accounts.permissions import Act
from apps.console.access import account_of, member_of, member_page, reach_of
from apps.console.context import Crumb
from apps.console.live import live_address
from apps.console.selection import where_allowed
from apps.console.views.bulk_edit import THEN
from apps.console.views.edit_others import act_to_show
from apps.core.ids import LARGEST_KEY
from apps.errors.models import Error, Upload
from apps.errors.querysets import ErrorQuerySet
from apps.errors.services.bulk_edit import RETRIES
from apps.errors.services.uploads import keep_upload, preview_upload, store_upload
from apps.errors.uploaded import LARGEST_FILE, MOST_ENTRIES, UploadRefused

UNPROCESSABLE = 422


@require_http_methods(["GET", "POST"])
@member_page
def upload_file(request: HttpRequest) -> HttpResponse:
    """The form; a POST keeps the file and leads to what it would change. Nothing is stored yet."""
    editable_errors(request)
    problem = ""
    if request.method == "POST":
        try:
            return redirect("console:errors-upload-look", keep_file(request).pk)
        except UploadRefused as refused:
            problem = str(refused)
    context = {
        "nav": "errors",
        "crumbs": crumbs(),
        "problem": problem,
        "largest_mb": LARGEST_FILE >> 20,
        "most_entries": MOST_ENTRIES,
        "live_url": live_address(request, "shell"),
    }
    return render(request, "error/upload.html", context, status=UNPROCESSABLE if problem else 200)


def editable_errors(request: HttpRequest) -> ErrorQuerySet:
    """All errors whose retry data this member may edit. Raises PermissionDenied where there can be none."""
    reach = reach_of(request)
    rows = Error.objects.of(reach.account_id).filter(**reach.where("flow__integration"))
    return where_allowed(request, rows, Act.EDIT_RETRY_DATA)


def keep_file(request: HttpRequest) -> Upload:
    """Raises UploadRefused for no file, and for one that is too large or no download of errors."""
    file = request.FILES.get("file")
    if file is None:
        raise UploadRefused("Choose the file that you downloaded and edited.")
    content = file.read(LARGEST_FILE + 1)
    return keep_upload(account=account_of(request), member=member_of(request), name=file.name or "", content=content)


@require_http_methods(["GET", "POST"])
@member_page
def upload_look(request: HttpRequest, upload_id: int) -> HttpResponse:
    """What a file would change, counted; a POST stores it."""
    errors = editable_errors(request)
    upload = get_upload(request, upload_id)
    if upload is None:
        messages.warning(request, "This file is stored already, or it was dropped after a day. Upload it again.")
        return redirect("console:errors-upload")
    then = request.POST.get("then", "none")
    if request.method == "POST":
        retries = RETRIES.get(then, 0)
        act = store_upload(upload=upload, member=member_of(request), errors=errors, retries=retries)
        return redirect("console:error-act", act_to_show(act))
    context = {
        "nav": "errors",
        "crumbs": crumbs(),
        "upload": upload,
        "preview": preview_upload(upload=upload, errors=errors),
        "thens": THEN,
        "live_url": live_address(request, "shell"),
    }
    return render(request, "error/upload_look.html", context)


def get_upload(request: HttpRequest, upload_id: int) -> Upload | None:
    """A file of this member; None for one that is gone. Raises Http404 for what can be none."""
    if not 0 < upload_id <= LARGEST_KEY:
        raise Http404("There is no such upload.")
    found: Upload | None = (
        Upload.objects.of(account_of(request)).filter(pk=upload_id, member=member_of(request)).first()
    )
    return found


def crumbs() -> list[Crumb]:
    return [Crumb("Errors", reverse("console:error-list")), Crumb("Upload retry data")]
