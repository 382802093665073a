"""What holds for every address of the API before a view is looked for: it never redirects.

A slash at the end makes no difference. Where everything else is redirected to HTTPS a call over plain HTTP is refused:
its token was readable on the way, and a client that followed a redirect would never notice.
"""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from apps.api.failures import plain_failure

ROOT = "/v1"
PLAIN = "Send calls over HTTPS only, and make another token: this one was readable on the way."


class ApiMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info != ROOT and not request.path_info.startswith(f"{ROOT}/"):
            return self.get_response(request)
        if settings.SECURE_SSL_REDIRECT and not request.is_secure():
            return plain_failure(request, 403, "https_required", PLAIN)
        request.path_info = f"{ROOT}/" + request.path_info[len(ROOT) + 1 :].removesuffix("/")
        return self.get_response(request)
