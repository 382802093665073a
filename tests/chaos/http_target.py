"""A destination over HTTP that keeps a ledger: what it took, by run and record, and how many repeats it recognised.

Every hundredth record is refused (422), every five-hundredth is put off once (503), and now and then the connection is
cut after a record was stored: the answer is lost, the record is not.
"""

import asyncio
import threading
from collections import Counter
from typing import Any

from aiohttp import web

CUT_EVERY = 211


class HttpTarget:
    """Serves on loopback from a thread of its own until `close`."""

    def __init__(self) -> None:
        self.taken: Counter[tuple[int, int]] = Counter()
        self.keys: dict[str, int] = {}
        self.recognised = 0
        self.put_off: set[str] = set()
        self.requests = 0
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="http target", daemon=True)
        self._thread.start()
        assert self._ready.wait(10), "the HTTP target did not start"

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)

    def ids(self, round_no: int) -> list[int]:
        """The ids stored for one run, sorted, repeats included."""
        return sorted(number for (of, number), times in self.taken.items() if of == round_no for _ in range(times))

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._ready.set()
        self._loop.run_forever()

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_post("/records", self._take)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = int(runner.addresses[0][1])

    async def _take(self, request: web.Request) -> web.StreamResponse:
        body: dict[str, Any] = await request.json()
        key = request.headers["Idempotency-Key"]
        self.requests += 1
        if key in self.keys:
            self.recognised += 1
            return web.json_response({"repeated": True}, status=self.keys[key])
        if body["id"] % 500 == 11 and key not in self.put_off:
            self.put_off.add(key)
            return web.json_response({"message": "Come again."}, status=503)
        self.keys[key] = 422 if body["amount"] < 0 else 201
        if body["amount"] < 0:
            return web.json_response({"message": "The amount is negative."}, status=422)
        self.taken[body["round"], body["id"]] += 1
        if self.requests % CUT_EVERY == 0 and request.transport is not None:
            request.transport.abort()
        return web.json_response({"stored": True}, status=201)
