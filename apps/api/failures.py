"""Every answer that is not 2xx is JSON: `{"errors": [{"code", "message", "field"?}]}`, whoever raised it."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import set_rollback

from apps.core.ids import WrongIdError
from apps.core.middleware import request_id_of
from apps.core.pagination import BadCursorError
from apps.flows.definition import MistakesError
from apps.flows.services import FlowRefused, IntegrationRefused, RevisionConflictError
from apps.runs.services import RunRefused

logger = logging.getLogger(__name__)
Problem = dict[str, str]

NOT_FOUND = "There is nothing here for you."


class Refusal(exceptions.APIException):
    """A call that is refused, with its status, code and sentence; `field` names the place in the body or query."""

    def __init__(self, status_code: int, code: str, message: str, field: str = "") -> None:
        super().__init__(message, code)
        self.status_code = status_code
        self.problems = [problem(code, message, field)]


def bad_query(message: str, field: str = "") -> Refusal:
    return Refusal(status.HTTP_400_BAD_REQUEST, "invalid_query", message, field)


def conflict(message: str, code: str = "conflict") -> Refusal:
    return Refusal(status.HTTP_409_CONFLICT, code, message)


def invalid(message: str, field: str = "", code: str = "validation_error") -> Refusal:
    return Refusal(status.HTTP_422_UNPROCESSABLE_ENTITY, code, message, field)


def problem(code: str, message: str, field: str = "") -> Problem:
    return {"code": code, "message": message} | ({"field": field} if field else {})


CODES: tuple[tuple[type[Exception], int, str], ...] = (
    (WrongIdError, 404, "not_found"),
    (Http404, 404, "not_found"),
    (exceptions.NotFound, 404, "not_found"),
    (PermissionDenied, 403, "forbidden"),
    (exceptions.PermissionDenied, 403, "forbidden"),
    (exceptions.AuthenticationFailed, 401, "unauthorized"),
    (exceptions.NotAuthenticated, 401, "unauthorized"),
    (exceptions.MethodNotAllowed, 405, "method_not_allowed"),
    (exceptions.UnsupportedMediaType, 415, "unsupported_media_type"),
    (exceptions.ParseError, 400, "invalid_json"),
    (exceptions.Throttled, 429, "rate_limited"),
    (BadCursorError, 400, "invalid_query"),
    (RevisionConflictError, 409, "conflict"),
    (RunRefused, 422, "invalid_operation"),
    (FlowRefused, 409, "conflict"),
    (IntegrationRefused, 409, "conflict"),
    (RequestDataTooBig, 413, "too_large"),
    (SuspiciousOperation, 400, "bad_request"),
)
"""What our services and the framework raise, the more special first."""


def failure_answer(error: Exception, context: Mapping[str, Any]) -> Response:
    """The answer to a call that ended with an exception; one that nobody foresaw is logged and is a 500."""
    set_rollback()
    code, problems = told(error, context)
    answer = Response({"errors": problems}, status=code)
    for name, value in headers_of(error).items():
        answer[name] = value
    return answer


def told(error: Exception, context: Mapping[str, Any]) -> tuple[int, list[Problem]]:
    if isinstance(error, Refusal):
        return error.status_code, error.problems
    if isinstance(error, exceptions.ValidationError):
        return 422, list(problems_in(error.detail))
    if isinstance(error, MistakesError):
        return 422, [problem("validation_error", sentence_of(found), found.place) for found in error.mistakes]
    for kind, code, name in CODES:
        if isinstance(error, kind):
            return code, [problem(name, NOT_FOUND if code == 404 else message_of(error))]
    request_id = request_id_of(context["request"]._request)
    logger.error("%s: the API failed", request_id, exc_info=error)
    return 500, [problem("internal_error", f"Flowmend failed on this call. Its id is {request_id}.")]


def sentence_of(mistake: Any) -> str:
    return f"{mistake.message} ({mistake.hint})" if mistake.hint else str(mistake.message)


def message_of(error: Exception) -> str:
    detail = getattr(error, "detail", None)
    return str(detail if detail is not None else error) or "The call cannot be read."


def headers_of(error: Exception) -> dict[str, str]:
    found = {}
    if getattr(error, "auth_header", None):
        found["WWW-Authenticate"] = str(error.auth_header)  # type: ignore[attr-defined]
    if isinstance(error, exceptions.Throttled):
        found["Retry-After"] = str(max(1, int(getattr(error, "wait", None) or 1)))
    return found


def problems_in(detail: Any, place: str = "") -> Iterator[Problem]:
    """One problem for each sentence in what a serializer complains about, with the place as a dot path."""
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            own = "" if name == "non_field_errors" else str(name)
            yield from problems_in(inner, ".".join(part for part in (place, own) if part))
    elif isinstance(detail, Sequence) and not isinstance(detail, str):
        for number, inner in enumerate(detail):
            yield from problems_in(inner, f"{place}[{number}]" if isinstance(inner, Mapping) else place)
    else:
        yield problem("validation_error", str(detail), place)


def plain_failure(request: HttpRequest, code: int, name: str, message: str) -> HttpResponse:
    """The same answer for what failed before a view was reached."""
    return HttpResponse(
        orjson.dumps({"errors": [problem(name, message)]}), status=code, content_type="application/json"
    )
