"""The request and the answer of a failure as people see them: secrets redacted, bodies cut."""

from collections.abc import Mapping
from typing import Any

import orjson

from apps.connectors.http.wire import Answer, FaultError, Request
from apps.connectors.redaction import Redactor
from apps.engine.ports import Capture

SHOWN_BYTES = 64 * 1024


def capture_of(request: Request, outcome: Answer | FaultError, redactor: Redactor) -> Capture:
    """What went over the wire; the request is shown without the credentials that were put in when it was sent."""
    assert outcome.sent_at is not None, "what was sent has a time"
    response: dict[str, Any] = {}
    if outcome.status is not None:
        response = {"headers": headers_shown(outcome.headers, redactor), **body_shown(outcome.body, redactor)}
    fault = outcome if isinstance(outcome, FaultError) else outcome.fault
    if fault is not None:
        response["note"] = redactor.text(fault.message)
    return Capture(
        method=request.method,
        status=outcome.status,
        request=request_shown(request, redactor),
        response=response,
        sent_at=outcome.sent_at,
        ms=outcome.ms,
    )


def request_shown(request: Request, redactor: Redactor) -> dict[str, Any]:
    return {
        "url": redactor.text(str(request.url)),
        "headers": headers_shown(request.headers, redactor),
        **body_shown(request.body, redactor),
    }


def headers_shown(headers: Mapping[str, str], redactor: Redactor) -> dict[str, str]:
    shown: dict[str, str] = {}
    for name, value in headers.items():
        text = str(redactor.field(name, value))
        shown[name] = f"{shown[name]}, {text}" if name in shown else text
    return shown


def body_shown(body: bytes | None, redactor: Redactor) -> dict[str, Any]:
    """The body as JSON if it is some, else as text; a long one only in its beginning."""
    if not body:
        return {}
    if len(body) <= SHOWN_BYTES:
        try:
            return {"body": redactor.value(orjson.loads(body))}
        except ValueError:
            return {"body": redactor.text(body.decode("utf-8", "replace"))}
    # a secret that the cut goes through would not be known again: look at more than is shown
    text = redactor.text(body[: 2 * SHOWN_BYTES].decode("utf-8", "replace"))
    return {"body": text[:SHOWN_BYTES], "body_cut": f"{len(body):,} bytes; only the beginning is shown"}
