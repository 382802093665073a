"""What failed before a view was reached: JSON below /v1/, a page elsewhere."""

from django.http import HttpRequest, HttpResponse

from apps.api.failures import plain_failure
from apps.console.views import failures as pages
from apps.core.middleware import request_id_of


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_api(request):
        return plain_failure(request, 400, "bad_request", "The call cannot be read.")
    return pages.bad_request(request, exception)


def broken(request: HttpRequest) -> HttpResponse:
    if is_api(request):
        message = f"Flowmend failed on this call. Its id is {request_id_of(request)}."
        return plain_failure(request, 500, "internal_error", message)
    return pages.broken(request)


def is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/v1/")
