"""The pages for what went wrong: each says what, and what to do next. They ask no database."""

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from apps.console.context import Preferences
from apps.core.middleware import request_id_of


@dataclass(frozen=True)
class Failure:
    status: int
    icon: str
    title: str
    sentence: str
    is_ours: bool = False  # then the request id helps whoever looks into it


BAD_REQUEST = Failure(
    400,
    "octagon-x",
    "This request cannot be read",
    "Something in the address or the form is malformed. Go back and try again.",
)
FORBIDDEN = Failure(
    403,
    "lock",
    "You may not do this",
    "Your role does not allow it here. An owner or administrator can change your role.",
)
NOT_FOUND = Failure(
    404,
    "search",
    "There is no such page",
    "The address may be mistyped, or what it showed has been removed or is out of your reach.",
)
BROKEN = Failure(
    500,
    "triangle-alert",
    "Flowmend failed on this page",
    "Nothing was lost: flows go on running. Try again; if it stays, send this id to your administrator.",
    True,
)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _page(request, BAD_REQUEST)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _page(request, FORBIDDEN, str(exception))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _page(request, NOT_FOUND)


def broken(request: HttpRequest) -> HttpResponse:
    return _page(request, BROKEN)


def out_of_date(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form without a valid token: usually a page that was open while its session ended."""
    failure = Failure(
        403,
        "lock",
        "This form is out of date",
        "You signed in or out since the page was opened. Go back, reload it and send again.",
    )
    return _page(request, failure)


def _page(request: HttpRequest, failure: Failure, sentence: str = "") -> HttpResponse:
    """Rendered without the request, so without context processors, session and user: it works when they do not."""
    context = {
        "failure": failure,
        "sentence": sentence or failure.sentence,
        "request_id": request_id_of(request),
        "prefs": Preferences(),
    }
    return HttpResponse(render_to_string("failure.html", context), status=failure.status)
