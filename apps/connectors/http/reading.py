"""Requests that change nothing: repeated where that helps, and what is wrong with the answer said in a sentence."""

import asyncio
import time
from http import HTTPStatus
from itertools import count
from typing import Any

from apps.connectors.http.client import HttpClient
from apps.connectors.http.documents import Document, DocumentError, parse, parse_path, value_at
from apps.connectors.http.gate import PATIENCE_S, GateClosedError
from apps.connectors.http.wire import Answer, FaultError, Request, Stage
from apps.engine.classification import classify
from apps.engine.ports import Classification, ConnectorError, ErrorSource, Outage

RESENT_AFTER_S = (0.1, 0.8)
"""Pauses before a request is sent again that was cut or met a passing fault of the application."""
QUICK = frozenset({"reset", "truncated"})
"""Faults that show at once; after a time-out there is no time left to try again."""
PASSING = frozenset({502, 503, 504})
BUSY_FOR_S = 45.0
SHOWN_DETAIL = 500
DETAIL_PATHS = tuple(
    parse_path(path)
    for path in (
        "error.message", "message", "error_description", "detail", "errors[0].message", "errors[0].detail",
        "error.detail", "error.description", "title", "errors[0]", "error", "msg", "description", "reason",
    )
)  # fmt: skip


async def read(client: HttpClient, request: Request) -> Answer:
    """A complete answer of any status but those that ask to come again. Raises ConnectorError or Outage."""
    deadline = time.monotonic() + BUSY_FOR_S
    for attempt in count():
        try:
            answer = await client.send(request)
            held_s = await client.hold_back(answer)
        except GateClosedError as closed:
            raise rate_limited(request, closed.seconds) from None
        except FaultError as fault:
            if fault.stage is Stage.UNKNOWN and fault.code in QUICK and attempt < len(RESENT_AFTER_S):
                await asyncio.sleep(RESENT_AFTER_S[attempt])
                continue
            raise fault_error(client, request, fault) from None
        if held_s is not None and (held_s > PATIENCE_S or time.monotonic() > deadline):
            raise rate_limited(request, held_s)
        if held_s is not None:
            continue
        if answer.status not in PASSING or attempt >= len(RESENT_AFTER_S):
            return answer
        await asyncio.sleep(RESENT_AFTER_S[attempt])
    raise AssertionError("the loop only ends by an answer")


def rate_limited(request: Request, seconds: float) -> Outage:
    text = f"{request.url.host} asks to wait for {seconds:.0f} seconds before the next request."
    return Outage("429", text, classification=Classification.RATE_LIMIT, retry_after_s=seconds)


def fault_error(client: HttpClient, request: Request, fault: FaultError) -> ConnectorError:
    """What a fault means for a call that may be repeated: an outage, unless it would be the same again."""
    is_passing = fault.stage is Stage.NOT_SENT or fault.classification == Classification.INTERMITTENT
    kind = Outage if is_passing else ConnectorError
    capture = client.capture(request, fault)
    return kind(fault.code, fault.message, classification=fault.classification, capture=capture)


def refusal(client: HttpClient, request: Request, answer: Answer, source: str) -> ConnectorError:
    """What an answer that is no success means for a read."""
    message = client.redactor.text(status_sentence(request, answer))
    found = classify(source, str(answer.status), message) or Classification.CONNECTION
    kind = Outage if answer.status >= 500 else ConnectorError
    capture = client.capture(request, answer)
    return kind(str(answer.status), message, classification=found, source=source, capture=capture)


def status_sentence(request: Request, answer: Answer, detail: str | None = None) -> str:
    """`POST /orders was answered with 422 Unprocessable Entity: email is not valid`"""
    words = status_words(answer.status, answer.reason)
    said = f"{request.method} {request.url.path} was answered with {answer.status} {words}".rstrip()
    if 300 <= answer.status < 400:
        place = answer.headers.get("Location", "nowhere")[:SHOWN_DETAIL]
        return f"{said}: it redirects to {place}. Writes follow no redirects; put the new place into the connection."
    found = detail_of(answer) if detail is None else detail
    return f"{said}: {found}" if found else f"{said}."


def status_words(status: int, otherwise: str = "") -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return otherwise[:60]


def detail_of(answer: Answer) -> str:
    """What the application says about a refusal, in its own words."""
    if not answer.body or answer.fault is not None:
        return ""
    kind = answer.headers.get("Content-Type", "")
    try:
        document = parse(answer.body, kind).root
    except DocumentError:
        is_text = kind.startswith("text/plain")
        return cut(answer.body[:2000].decode("utf-8", "replace")) if is_text else ""
    return cut(document) if isinstance(document, str) else detail_in(document)


def detail_in(document: Any) -> str:
    for path in DETAIL_PATHS:
        found = value_at(document, path)
        if isinstance(found, str) and found.strip():
            return cut(found)
    if isinstance(document, dict) and isinstance(document.get("errors"), dict):
        return cut("; ".join(f"{name}: {shown(part)}" for name, part in list(document["errors"].items())[:10]))
    return ""


def shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(shown(part) for part in value[:5])
    return value if isinstance(value, str) else str(value)


def cut(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= SHOWN_DETAIL else words[:SHOWN_DETAIL] + "…"


def document_of(
    client: HttpClient, request: Request, answer: Answer, source: str = ErrorSource.APPLICATION
) -> Document:
    """The JSON of a good answer; nothing for an empty one that says so. Raises ConnectorError."""
    if answer.status in (204, 205):
        return Document(None)
    try:
        return parse(answer.body, answer.headers.get("Content-Type", ""))
    except DocumentError as error:
        raise document_error(client, request, error, source) from None


def document_error(client: HttpClient, request: Request, error: DocumentError, source: str) -> ConnectorError:
    message = client.redactor.text(f"The answer to {request.method} {request.url.path} {error}.")
    is_missing = "has nothing at" in message
    code = "record_path_missing" if is_missing else "json_malformed"
    found = Classification.MISSING if is_missing else Classification.PARSE
    return ConnectorError(code, message, classification=found, source=source)
