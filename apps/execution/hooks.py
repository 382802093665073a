"""The addresses of webhooks. Every answer is JSON; 202 is given once the request is durable.

Answers: 202 taken in (or known already); 400 the body cannot be taken; 401 not verified; 404 no such address;
405 only POST; 413 too large; 415 packed; 429 the queue is full; 503 the flow is disabled or cannot take requests.
"""

import logging
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from apps.connectors.webhook.body import UnfitBodyError
from apps.connectors.webhook.verify import RequestRefusedError, verify
from apps.core.clock import read_now
from apps.engine.ports import ConnectorError
from apps.flows.definition import DefinitionError
from apps.flows.hooks import digest_of
from apps.flows.models import Hook
from apps.runs.arrivals import Listening, QueueFullError, Received, listening_at, receive_request
from apps.runs.services import RunRefused

logger = logging.getLogger(__name__)

PAUSE_S = 60
"""When a sender may try again where the flow takes nothing at present."""


@csrf_exempt
def receive(request: HttpRequest, key: str) -> HttpResponse:
    """Take one request in. The address is in no log: it may be all that a sender needs."""
    response = answer(request, key)
    response.headers["Cache-Control"] = "no-store"
    response._has_been_logged = True  # type: ignore[attr-defined]  # Django would log the address of what it refused
    return response


def answer(request: HttpRequest, key: str) -> HttpResponse:
    if request.method != "POST":
        return refusal(405, "method_not_allowed", "Send records to this address with POST.", Allow="POST")
    try:
        listening = listening_to(key)
    except (ConnectorError, DefinitionError) as error:
        logger.warning("A webhook cannot take requests: %s", error)
        return pause("This address cannot take requests at present: its flow has to be set right first.")
    if listening is None:
        return refusal(404, "not_found", "Nothing listens at this address.")
    return answer_listening(request, listening)


def listening_to(key: str) -> Listening | None:
    """Who listens at an address: whoever sends there has no account, the key leads to it."""
    found = Hook.unscoped.select_related("step", "flow__account", "flow__integration", "flow__revision")
    hook = found.filter(key_sha256=digest_of(key)).first()
    return listening_at(hook) if hook is not None else None


def answer_listening(request: HttpRequest, listening: Listening) -> HttpResponse:
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        return refusal(415, "unsupported_encoding", "Send the body as it is, without Content-Encoding.")
    body = read_body(request, listening.config.max_bytes)
    if body is None:
        text = f"The body is larger than {listening.config.max_mb} MB. Send fewer records at once."
        return refusal(413, "too_large", text)
    headers = {name.lower(): value for name, value in request.headers.items()}
    try:
        verified = verify(listening.config, headers, body, read_now())
    except RequestRefusedError as error:
        return refusal(401, "unauthorized", str(error))
    except ConnectorError as error:
        logger.warning("A webhook of flow %s cannot verify requests: %s", listening.flow.key, error)
        return pause("This address cannot verify requests at present: its connection has to be set right first.")
    return answer_verified(listening, body, headers, verified.delivery_keys)


def answer_verified(
    listening: Listening, body: bytes, headers: dict[str, str], delivery_keys: tuple[str, ...]
) -> HttpResponse:
    try:
        received = receive_request(listening=listening, body=body, headers=headers, delivery_keys=delivery_keys)
    except UnfitBodyError as error:
        return refusal(400, "invalid_body", str(error))
    except QueueFullError as error:
        return refusal(429, "queue_full", str(error), **{"Retry-After": str(error.retry_after_s)})
    except RunRefused:
        return pause("The flow behind this address takes nothing at present. Send again later.")
    return JsonResponse(facts_of(received), status=202)


def facts_of(received: Received) -> dict[str, Any]:
    facts: dict[str, Any] = {"received": received.records, "id": received.number}
    return {**facts, "repeat": True} if received.is_repeat else facts


def read_body(request: HttpRequest, limit: int) -> bytes | None:
    """The body, None if it is longer than `limit` bytes. Read here, for Django's own limit is that of forms."""
    stated = request.META.get("CONTENT_LENGTH") or ""
    if stated.isdecimal() and int(stated) > limit:
        return None
    source: Any = request
    if not stated and request.META.get("wsgi.input_terminated"):  # sent in chunks: its end is known to the server
        source = request.META["wsgi.input"]
    body: bytes = source.read(limit + 1)
    return body if len(body) <= limit else None


def pause(message: str) -> HttpResponse:
    return refusal(503, "unavailable", message, **{"Retry-After": str(PAUSE_S)})


def refusal(status: int, code: str, message: str, **headers: str) -> HttpResponse:
    return JsonResponse({"errors": [{"code": code, "message": message}]}, status=status, headers=headers)
