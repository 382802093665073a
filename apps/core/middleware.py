"""What every request gets, whatever page it asks for."""

import re
import secrets
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from apps.core.logs import logged_with

HEADER = "X-Request-Id"
# what a proxy in front of us may hand on: safe to print in a page, a header and a log line
ACCEPTABLE = re.compile(r"[A-Za-z0-9_-]{8,64}")


class RequestIdMiddleware:
    """Gives each request an id: `request.request_id`, the same in the answer's `X-Request-Id` header and in the log.

    An id that a proxy has already set is kept, so that its log and ours speak of the same request.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.request_id = chosen_id(request.headers.get(HEADER, ""))  # type: ignore[attr-defined]
        with logged_with(request=request_id_of(request)):
            response = self.get_response(request)
        response.headers[HEADER] = request_id_of(request)
        return response


def chosen_id(offered: str) -> str:
    """The offered id if it is 8 to 64 letters, digits, `-` or `_`, else a new one of 16 hex digits."""
    return offered if ACCEPTABLE.fullmatch(offered) else secrets.token_hex(8)


def request_id_of(request: HttpRequest) -> str:
    """The request's id, empty before the middleware has run."""
    return getattr(request, "request_id", "")
