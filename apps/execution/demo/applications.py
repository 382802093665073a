"""The applications that the demo's flows talk to: a seismic service and an alarm centre over HTTP, and a mail server.

The first two behave like real ones do, the same way every time: pages, a rate limit (429 with Retry-After), an outage
of a second on every third page (503), alarms that are refused for what they say (422), and one in seventeen that is
asked to come again. The alarm centre knows repeated requests by their Idempotency-Key.
"""

import json
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from aiohttp import web

from apps.execution.demo.mail_server import start_mail_server
from apps.execution.demo.sightings import start_sending

DATA = Path(__file__).resolve().parent / "data" / "earthquakes.json"
REQUESTS_PER_S = 20.0
BURST = 40.0
LARGEST_PAGE = 500
BUSY_S = 20.0
KEPT_KEYS = 20_000


@dataclass
class Bucket:
    """A rate limit: so many requests a second, with a burst."""

    tokens: float = BURST
    at: float = field(default_factory=time.monotonic)

    def take(self) -> bool:
        now = time.monotonic()
        self.tokens = min(BURST, self.tokens + (now - self.at) * REQUESTS_PER_S)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass
class Applications:
    """The state of both, in memory: what was asked for lately, and the alarms by their key."""

    events: list[dict[str, Any]]
    bucket: Bucket = field(default_factory=Bucket)
    refused_at: dict[str, float] = field(default_factory=dict)
    alarms: OrderedDict[str, tuple[int, dict[str, Any]]] = field(default_factory=OrderedDict)

    def is_busy(self, what: str) -> bool:
        """The first request for something in a while is refused; the next one goes through."""
        now = time.monotonic()
        if now - self.refused_at.get(what, -BUSY_S) < BUSY_S:
            return False
        self.refused_at[what] = now
        return True

    async def earthquakes(self, request: web.Request) -> web.Response:
        if not self.bucket.take():
            return refused(429, "rate_limited", "Not more than 20 requests a second.")
        page, size = whole(request, "page", 1), min(LARGEST_PAGE, whole(request, "size", 200))
        if page % 3 == 0 and self.is_busy(f"page {page}"):
            return refused(503, "maintenance", "Back in a second.")
        start = (page - 1) * size
        found = self.events[start : start + size]
        return web.json_response({"page": page, "total": len(self.events), "features": found})

    async def alarm(self, request: web.Request) -> web.Response:
        key = request.headers.get("Idempotency-Key", "")
        if not key:
            return refused(400, "key_missing", "An alarm needs an Idempotency-Key.")
        if key in self.alarms:
            status, answer = self.alarms[key]
            return web.json_response(answer, status=status, headers={"Idempotent-Replay": "true"})
        try:
            alarm = await request.json()
        except json.JSONDecodeError:
            return refused(400, "not_json", "An alarm is a JSON object.")
        number = int.from_bytes(sha256(str(alarm.get("event")).encode()).digest()[:4], "big")
        if number % 17 == 0 and self.is_busy(f"alarm {key}"):
            return refused(503, "busy", "The operator is on the other line.")
        return self._answer(key, *judged(alarm))

    def _answer(self, key: str, status: int, answer: dict[str, Any]) -> web.Response:
        self.alarms[key] = (status, answer)
        while len(self.alarms) > KEPT_KEYS:
            self.alarms.popitem(last=False)
        return web.json_response(answer, status=status)


def judged(alarm: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """An alarm must say in which region it is; positions alone help nobody."""
    if not alarm.get("region"):
        text = f"Region is missing: where is {str(alarm.get('place'))[:80]!r}?"
        return 422, {"error": {"code": "region_missing", "message": text, "field": "region"}}
    return 201, {"alarm": f"A-{sha256(str(alarm['event']).encode()).hexdigest()[:8]}", "accepted": True}


def refused(status: int, code: str, message: str) -> web.Response:
    headers = {"Retry-After": "1"} if status in (429, 503) else {}
    return web.json_response({"error": {"code": code, "message": message}}, status=status, headers=headers)


def whole(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, "")
    return max(1, int(text)) if text.isdigit() else default


def application() -> web.Application:
    """The two that speak HTTP, behind one address."""
    both = Applications(json.loads(DATA.read_text())["features"])
    app = web.Application()
    app.router.add_get("/seismic/earthquakes", both.earthquakes)
    app.router.add_post("/alarms", both.alarm)
    return app


def serve(port: int, mail_port: int, outbox: Path) -> None:
    """Listens on loopback until SIGTERM or SIGINT; the observers of the flow Sightings send from here too."""
    start_sending()
    web.run_app(with_mail(application(), mail_port, outbox), host="127.0.0.1", port=port, print=None, access_log=None)


def with_mail(app: web.Application, port: int, outbox: Path) -> web.Application:
    """The mail server lives as long as the application."""

    async def running(app: web.Application) -> AsyncIterator[None]:
        server = await start_mail_server(port, outbox)
        yield
        server.close()

    app.cleanup_ctx.append(running)
    return app
