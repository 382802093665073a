"""HTTP applications for tests, on loopback: a good one that keeps records, and a hostile one that follows a script."""

import asyncio
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from apps.connectors.base import Limits, Surroundings
from apps.connectors.http.connector import HttpConnector
from apps.connectors.shared import ProcessShared, Shared
from apps.engine.ports import Batch, Record, Scope, SourcePage, Window, Written

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SCOPE = Scope(NOON, settings={"country": "AT"})
LOOPBACK = ("127.0.0.0/8", "::1/128")


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Answering = Callable[[Seen], Any]


@dataclass
class Peer:
    """Answers by the functions that the test names: path (or method and path) -> Seen -> JSON, or a web.Response.

    A path that ends in * answers for everything below it.
    """

    routes: dict[str, Answering] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    tls: ssl.SSLContext | None = None
    delay_s: float = 0.0
    busiest: int = 0
    port: int = 0
    _open: int = 0
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def on(self, path: str, answering: Answering) -> None:
        self.routes[path] = answering

    def asked(self, path: str = "") -> list[Seen]:
        return [one for one in self.seen if one.path.startswith(path)]

    # --- the server --------------------------------------------------------------------------------------------------
    async def _answer(self, request: web.Request) -> web.StreamResponse:
        one = Seen(request.method, request.path, dict(request.query), dict(request.headers), await request.read())
        self.seen.append(one)
        self._open += 1
        self.busiest = max(self.busiest, self._open)
        try:
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            made = self._find(one)(one)
        finally:
            self._open -= 1
        return made if isinstance(made, web.StreamResponse) else web.json_response(made)

    def _find(self, one: Seen) -> Answering:
        for name in (f"{one.method} {one.path}", one.path):
            if name in self.routes:
                return self.routes[name]
        for name, answering in self.routes.items():
            for told in (f"{one.method} {one.path}", one.path):
                if name.endswith("*") and told.startswith(name[:-1]):
                    return answering
        return lambda _: web.json_response({"message": f"there is no {one.path}"}, status=404)

    async def _serve(self, started: threading.Event) -> None:
        runner = web.ServerRunner(web.Server(self._answer, access_log=None), shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port, ssl_context=self.tls)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        started.set()
        self._stop = asyncio.Event()
        await self._stop.wait()
        await runner.cleanup()

    @contextmanager
    def running(self) -> Iterator["Peer"]:
        started = threading.Event()
        thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve(started)), daemon=True)
        thread.start()
        assert started.wait(5)
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(lambda: self._stop.set())
            thread.join(5)
            self._loop.close()


def reply(status: int, body: Any = None, **headers: str) -> web.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if isinstance(body, bytes | None):
        return web.Response(status=status, body=body or b"", headers=named)
    return web.json_response(body, status=status, headers=named)


# --- the hostile one -------------------------------------------------------------------------------------------------
Script = Callable[[socket.socket], None]


@contextmanager
def hostile(script: Script, tls: ssl.SSLContext | None = None, connections: int | None = None) -> Iterator[int]:
    """A port on which every connection is handed to the script once a request has come in.

    After so many `connections` the port is closed.
    """
    server = socket.create_server(("127.0.0.1", 0), backlog=64)
    is_over = threading.Event()

    def attend(connection: socket.socket) -> None:
        with (
            suppress(OSError, ValueError),
            tls.wrap_socket(connection, server_side=True) if tls else connection as opened,
        ):
            opened.settimeout(20)
            while read_request(opened):
                script(opened)
        with suppress(OSError):
            connection.close()

    def accept() -> None:
        taken = 0
        while not is_over.is_set() and taken != connections:
            with suppress(OSError):
                connection = server.accept()[0]
                taken += 1
                if taken == connections:
                    server.close()
                threading.Thread(target=attend, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield server.getsockname()[1]
    finally:
        is_over.set()
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()


def read_request(connection: socket.socket) -> bytes:
    """One request with its body; b"" when there is none any more."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def reset(connection: socket.socket) -> None:
    """Cut the connection the hard way."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    connection.close()


def raw_answer(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


# --- the connector in front of them ----------------------------------------------------------------------------------
@dataclass
class HttpPlace:
    """A connection to an application; every method opens the connector anew, as another worker would."""

    url: str
    config: Record = field(default_factory=dict)
    limits: Limits = field(default_factory=lambda: Limits(connect_s=2.0, read_s=2.0, total_s=5.0))
    allow_nets: tuple[str, ...] = LOOPBACK
    shared: Shared = field(default_factory=ProcessShared)

    def surroundings(self, account: int = 7) -> Surroundings:
        root = Path("/nonexistent")
        return Surroundings(account, root, root, self.allow_nets, limits=self.limits, shared=self.shared)

    @contextmanager
    def opened(self, **config: Any) -> Iterator[HttpConnector]:
        model = HttpConnector.Config.model_validate({"base_url": self.url, **self.config, **config})
        connector = HttpConnector(model, self.surroundings())  # type: ignore[arg-type]
        try:
            yield connector
        finally:
            connector.close()

    def pages(self, window: Window | None = None, **options: Any) -> list[SourcePage]:
        with self.opened() as connector:
            source = connector.open_export(
                HttpConnector.ExportOptions.model_validate(options),
                window or Window(100, NOON),  # type: ignore[union-attr]
            )
            return list(source.pages())

    def rows(self, window: Window | None = None, **options: Any) -> list[Any]:
        return [row for page in self.pages(window, **options) for row in page.records]

    def find(self, records: list[Record], **options: Any) -> list[Any]:
        with self.opened() as connector:
            lookup = connector.open_lookup(HttpConnector.LookupOptions.model_validate(options))  # type: ignore[union-attr]
            return list(lookup.find(records, SCOPE))

    def send(self, bodies: list[Record], **options: Any) -> Written:
        with self.opened() as connector:
            return self.write(connector, bodies, **options)

    def write(self, connector: HttpConnector, bodies: list[Record], **options: Any) -> Written:
        batch = options.pop("batch", None) or batch_of(bodies)
        return connector.open_import(HttpConnector.ImportOptions.model_validate(options)).write(batch)  # type: ignore[union-attr]


def batch_of(bodies: list[Record], **changes: Any) -> Batch:
    settings: dict[str, Any] = {"scope": SCOPE, **changes}
    return Batch(bodies, bodies, range(len(bodies)), lambda index: f"key-{index}", **settings)


# --- a store of records ----------------------------------------------------------------------------------------------
@dataclass
class Store:
    """The routes of an application that pages through its records and takes new ones."""

    records: list[Any] = field(default_factory=list)
    taken: dict[int, Record] = field(default_factory=dict)
    ledger: list[Any] = field(default_factory=list)
    keys: dict[str, Any] = field(default_factory=dict)

    def install(self, peer: Peer) -> None:
        peer.on("GET /none", lambda one: {"data": {"items": self.records}})
        peer.on("GET /page", self.by_page)
        peer.on("GET /offset", self.by_offset)
        peer.on("GET /cursor", self.by_cursor)
        peer.on("POST /search", self.by_search)
        peer.on("GET /next", lambda one: self.by_address(one, peer))
        peer.on("GET /link", lambda one: self.by_link(one, peer))
        peer.on("GET /one/*", self.one)
        peer.on("GET /many", self.many)
        peer.on("PUT /put/*", lambda one: self.take([one.json])[0])
        peer.on("POST /keyed", self.keyed)
        peer.on("POST /bulk", self.bulk)

    # --- giving ------------------------------------------------------------------------------------------------------
    def by_page(self, one: Seen) -> Any:
        page, size = int(one.query["page"]), int(one.query.get("size", 5))
        return {"items": self.records[(page - 1) * size : page * size]}

    def by_offset(self, one: Seen) -> Any:
        offset, size = int(one.query["offset"]), int(one.query["limit"])
        return self.records[offset : offset + size]

    def by_cursor(self, one: Seen) -> Any:
        at = int(one.query.get("cursor", "c0")[1:])
        following = f"c{at + 5}" if at + 5 < len(self.records) else None
        return {"items": self.records[at : at + 5], "meta": {"next": following}}

    def by_search(self, one: Seen) -> Any:
        at = one.json["paging"].get("after", 0)
        return {"items": self.records[at : at + 5], "after": at + 5, "more": at + 5 < len(self.records)}

    def by_address(self, one: Seen, peer: Peer) -> Any:
        at = int(one.query.get("at", 0))
        following = f"{peer.url}/next?at={at + 5}" if at + 5 < len(self.records) else None
        return {"items": self.records[at : at + 5], "next": following}

    def by_link(self, one: Seen, peer: Peer) -> Any:
        at = int(one.query.get("at", 0))
        link = f'<{peer.url}/link>; rel="first", </link?at={at + 5}>; rel="next"' if at + 5 < len(self.records) else ""
        return reply(200, self.records[at : at + 5], **({"Link": link} if link else {}))

    def one(self, one: Seen) -> Any:
        wanted = one.path.rpartition("/")[2]
        found = next((record for record in self.records if str(record["id"]) == wanted), None)
        return found if found is not None else reply(404, {"message": "not found"})

    def many(self, one: Seen) -> Any:
        wanted = one.query["ids"].split(",")
        return {"items": [record for record in self.records if str(record["id"]) in wanted]}

    # --- taking ------------------------------------------------------------------------------------------------------
    def take(self, bodies: list[Record]) -> list[Any]:
        answers: list[Any] = []
        for body in bodies:
            if body.get("name") is None:
                answers.append(reply(422, {"message": "name must not be empty"}))
            else:
                self.taken[body["id"]] = body
                self.ledger.append(body["id"])
                answers.append({"stored": body["id"]})
        return answers

    def keyed(self, one: Seen) -> Any:
        key = one.headers["Idempotency-Key"]
        if key not in self.keys:
            self.keys[key] = self.take([one.json])[0]
        kept = self.keys[key]
        return reply(kept.status, kept.body) if isinstance(kept, web.Response) else kept

    def bulk(self, one: Seen) -> Any:
        results = []
        for body in one.json["records"]:
            if body["key"] not in self.keys:
                self.keys[body["key"]] = self.take([{"id": body["id"], "name": body["name"]}])[0]
            is_bad = isinstance(self.keys[body["key"]], web.Response)
            results.append(
                {"id": body["id"], "status": 422 if is_bad else 201, "message": "no name" if is_bad else None}
            )
        return reply(207, {"results": results})
