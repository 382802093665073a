"""Sends requests for one connection: signed in, at its pace, within its limits; what is said of it holds no secret."""

import json
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any, TypeVar

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from apps.connectors.base import Surroundings
from apps.connectors.egress import Egress
from apps.connectors.http.auth import Credentials, Tokens
from apps.connectors.http.capture import capture_of
from apps.connectors.http.config import HttpConfig
from apps.connectors.http.faults import definite, place_of
from apps.connectors.http.gate import Gate, retry_after
from apps.connectors.http.loop import LoopThread
from apps.connectors.http.session import open_session, send_once
from apps.connectors.http.wire import Answer, FaultError, Request
from apps.connectors.redaction import Redactor
from apps.engine.ports import Capture, Classification

T = TypeVar("T")

MAX_REDIRECTS = 3
USUAL_HEADERS = {"User-Agent": "Flowmend", "Accept": "application/json", "Accept-Encoding": "gzip, deflate"}
REDIRECTS = frozenset({301, 302, 303, 307, 308})
LEAST_SHARE = 1024 * 1024
"""Bytes that an answer may always have, however many requests are under way at once."""
BUSY = frozenset({429, 503})


class HttpClient:
    """One pool of connections with its own thread. Coroutines run by `run`; `close` gives everything back."""

    def __init__(self, config: HttpConfig, surroundings: Surroundings) -> None:
        self.config = config
        self.limits = config.limits(surroundings.limits)
        self.redactor = redactor_for(config)
        share = max(LEAST_SHARE, self.limits.max_bytes // config.max_concurrency)
        self._shared_limits = replace(self.limits, max_bytes=min(self.limits.max_bytes, share))
        self._egress = Egress(surroundings.allow_nets)
        self._shared = surroundings.shared
        self._key = identity_of(surroundings.account, config)
        self._credentials = Credentials(config)
        self._headers = CIMultiDict({**USUAL_HEADERS, **config.headers})
        self._loop = LoopThread()
        self._session: aiohttp.ClientSession | None = None
        self.gate = Gate(self._shared, self._key, config.max_rate)
        self._tokens = Tokens(config, self._shared, self._key, self.redactor, self._send_token_request)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._loop.run(coroutine)

    def close(self) -> None:
        session, self._session = self._session, None
        self._loop.close(session.close if session is not None else None)

    # --- sending -----------------------------------------------------------------------------------------------------
    async def send(self, request: Request) -> Answer:
        """One request, one answer of any status; reads follow redirects. Raises FaultError, GateClosedError."""
        await self.gate.enter()
        try:
            answer = await self._signed(request)
            if request.is_read:
                answer = await self._follow(request, answer)
        except FaultError as fault:
            fault.message = self.redactor.text(fault.message)
            raise
        if answer.status not in BUSY:
            self.gate.relax()
        return answer

    async def hold_back(self, answer: Answer) -> float | None:
        """For an answer that asks to come again later: the gate is closed; the seconds, or None if it does not ask."""
        seconds = retry_after(answer.headers)
        if answer.status == 429 or (answer.status == 503 and seconds is not None):
            return await self.gate.close(seconds)
        return None

    async def _signed(self, request: Request) -> Answer:
        """With an access token that was refused, once more with a new one: a 401 did nothing."""
        if not self._credentials.is_oauth or not self._credentials.is_home(request.url):
            return await self._send(request, "")
        access = await self._tokens.access()
        answer = await self._send(request, access)
        if answer.status == 401:
            answer = await self._send(request, await self._tokens.access(stale=access))
        return answer

    async def _send(self, request: Request, access: str) -> Answer:
        url = request.url
        if self._credentials.is_home(url):
            headers = self._headers.copy()
            headers.update(request.headers)
            url = self._credentials.sign(url, headers, access)
        else:
            headers = CIMultiDict(USUAL_HEADERS)
            if "Content-Type" in request.headers:
                headers["Content-Type"] = request.headers["Content-Type"]
        return await self._on_the_wire(request, url, headers)

    async def _send_token_request(self, request: Request) -> Answer:
        headers = CIMultiDict({**USUAL_HEADERS, **request.headers})
        return await self._on_the_wire(request, request.url, headers)

    async def _on_the_wire(self, request: Request, url: URL, headers: CIMultiDict[str]) -> Answer:
        if self._session is None:
            self._session = open_session(self.config, self.limits, self._egress)
        limits = self.limits if request.is_alone else self._shared_limits
        return await send_once(self._session, request, url, headers, limits)

    async def _follow(self, request: Request, answer: Answer) -> Answer:
        for _ in range(MAX_REDIRECTS):
            target = redirect_target(answer)
            if target is None:
                return answer
            request = redirected(request, answer.status, self._credentials.strip(target))
            answer = await self._signed(request)
        if redirect_target(answer) is None:
            return answer
        text = f"{place_of(answer.url)} redirects more than {MAX_REDIRECTS} times."
        raise definite("redirects", text, Classification.CONNECTION)

    # --- what is said of it ------------------------------------------------------------------------------------------
    def capture(self, request: Request, outcome: Answer | FaultError) -> Capture | None:
        """The request with all its headers (what signs it in is hidden) and its answer; None if nothing was sent."""
        if outcome.sent_at is None:
            return None
        headers = self._headers.copy()
        headers.update(request.headers)
        headers.update(self._credentials.shown())
        return capture_of(replace(request, headers=headers), outcome, self.redactor)

    def own_address(self, url: URL) -> URL:
        """An address that the application gave, without our key: addresses are stored with the run."""
        return self._credentials.strip(url)


def redirect_target(answer: Answer) -> URL | None:
    """Where a redirect leads; None for any other answer. Raises FaultError for a place that is no web address."""
    location = answer.headers.get("Location", "")
    if answer.status not in REDIRECTS or not location:
        return None
    try:
        target = answer.url.join(URL(location))
        is_web = target.scheme in ("http", "https") and bool(target.host)
    except ValueError:
        is_web = False
    if not is_web:
        text = f"{place_of(answer.url)} redirects to something that is no web address."
        raise definite("redirects", text, Classification.CONNECTION)
    return target.with_fragment(None).with_user(None) if target.user else target.with_fragment(None)


def redirected(request: Request, status: int, target: URL) -> Request:
    """As browsers do it: only 307 and 308 keep method and body."""
    if request.method in ("GET", "HEAD") or status in (307, 308):
        return replace(request, url=target)
    headers = {name: value for name, value in request.headers.items() if name.lower() != "content-type"}
    return Request("GET", target, headers, None, is_read=True, is_alone=request.is_alone)


def redactor_for(config: HttpConfig) -> Redactor:
    names = [config.key_name] if config.auth == "api_key" else []
    return Redactor(config.secrets().values(), names)


def identity_of(account: int, config: HttpConfig) -> str:
    """Names a connection among the workers: the account, and everything that its config says."""
    facts: Mapping[str, Any] = {**config.model_dump(mode="json"), **config.secrets(), "account": account}
    return sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
