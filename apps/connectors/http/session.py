"""One pool of connections: where it may go, how long it waits, whom it trusts. One call sends one request once."""

import asyncio
import socket
import ssl
import threading
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from multidict import CIMultiDict
from yarl import URL

from apps.connectors.base import Limits
from apps.connectors.egress import Egress, ResolveError
from apps.connectors.http.body import read_body
from apps.connectors.http.config import HttpConfig
from apps.connectors.http.faults import fault_of
from apps.connectors.http.wire import Answer, FaultError, Request

KEEP_ALIVE_S = 1.5
"""Shorter than any server's: a request on a connection that the other side is just closing has an unknown outcome."""
FOREIGN = (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError)


class Resolver(AbstractResolver):
    """Asks the system's resolver in a thread that may be left behind: it knows no time-out."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[Any]] = loop.create_future()

        def settle(found: list[Any] | None, error: Exception | None) -> None:
            if not answer.done():
                answer.set_exception(error) if error else answer.set_result(found or [])

        def ask() -> None:
            try:
                found, error = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM), None
            except (OSError, UnicodeError):
                found, error = [], ResolveError(f"The name {host} could not be resolved.")
            try:
                loop.call_soon_threadsafe(settle, found, error)
            except RuntimeError:
                return  # nobody waits any more: the loop is closed

        threading.Thread(target=ask, daemon=True, name="resolve").start()
        return [
            ResolveResult(
                hostname=host, host=str(address[0]), port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST
            )
            for kind, _, _, _, address in await answer
        ]

    async def close(self) -> None:
        """Nothing is kept."""


def tls_context(config: HttpConfig) -> ssl.SSLContext | bool:
    """True: the library's own, which trusts the usual authorities (making one takes 20 ms)."""
    if config.verify_tls and not config.ca.strip():
        return True
    context = ssl.create_default_context()
    if config.ca.strip():
        context.load_verify_locations(cadata=config.ca)
    if not config.verify_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def open_session(config: HttpConfig, limits: Limits, egress: Egress) -> aiohttp.ClientSession:
    """To be called inside the running loop."""
    connector = aiohttp.TCPConnector(
        limit=0,  # how many requests run at once is decided where they are started
        ssl=tls_context(config),
        resolver=Resolver(),
        ttl_dns_cache=10,
        keepalive_timeout=KEEP_ALIVE_S,
        happy_eyeballs_delay=None,
        socket_factory=egress.open_socket,
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(
            total=limits.total_s, connect=limits.connect_s, sock_connect=limits.connect_s, sock_read=limits.read_s
        ),
        auto_decompress=False,
        trust_env=False,
        requote_redirect_url=False,
        skip_auto_headers=("Content-Type", "User-Agent", "Accept", "Accept-Encoding"),
    )


async def send_once(
    session: aiohttp.ClientSession, request: Request, url: URL, headers: CIMultiDict[str], limits: Limits
) -> Answer:
    """Send one request and read its answer to the end; no redirect is followed. Raises FaultError."""
    sent_at, begun = datetime.now(UTC), perf_counter()
    response: aiohttp.ClientResponse | None = None
    fault: FaultError | None = None
    body = b""
    try:
        try:
            response = await session.request(
                request.method, url, data=request.body, headers=headers, allow_redirects=False
            )
            body = await read_body(response, limits)
        except FaultError as error:
            fault = error
        except FOREIGN as error:
            fault = fault_of(error, url, limits)
        ms = round((perf_counter() - begun) * 1000)
        if fault is not None:
            return _faulty(request, response, fault, sent_at, ms)
        assert response is not None
        return Answer(response.status, response.reason or "", response.headers, body, url, sent_at, ms)
    finally:
        if response is not None:
            # a connection with something left on it is not used again
            response.close() if fault is not None else response.release()


def _faulty(
    request: Request, response: aiohttp.ClientResponse | None, fault: FaultError, sent_at: datetime, ms: int
) -> Answer:
    """A refusal is one even if its text could not be read; everything else without a whole answer is a fault."""
    if response is not None and 300 <= response.status < 500:
        reason = response.reason or ""
        return Answer(response.status, reason, response.headers, fault.body, response.url, sent_at, ms, fault)
    fault.request, fault.sent_at, fault.ms = request, sent_at, ms
    if response is not None:
        fault.status, fault.headers = response.status, response.headers
    raise fault
