"""A destination over HTTP that keeps a ledger: what it took, by flow, run and record, and the repeats it recognised.

Every hundredth record is refused (422), every five-hundredth is put off once (503), and a share of the answers is lost:
the connection is cut after the record was stored. A POST with a key is known again by it, a PUT by its address, a POST
without either is stored as often as it comes.
"""

import asyncio
import random
import threading
from collections import Counter
from typing import Any

from aiohttp import web


class HttpTarget:
    """Serves on loopback from a thread of its own until `close`."""

    def __init__(self, dice: random.Random, *, drops: float = 0.005, delay_s: float = 0.0) -> None:
        self.dice = dice
        self.drops = drops
        self.delay_s = delay_s
        self.refuses_all = False
        self.taken: Counter[tuple[str, int, int]] = Counter()
        self.answers: dict[str, int] = {}
        self.recognised = 0
        self.dropped = 0
        self.requests = 0
        self.put_off: set[str] = set()
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

    def times(self, flow: str, round_no: int) -> dict[int, int]:
        """How often each id was stored for one run."""
        return {number: times for (of, at, number), times in self.taken.items() if (of, at) == (flow, round_no)}

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._ready.set()
        self._loop.run_forever()

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_post("/{flow}", self._post)
        app.router.add_put("/{flow}/{round}/{id}", self._put)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = int(runner.addresses[0][1])

    async def _post(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        key = request.headers.get("Idempotency-Key", "")
        return await self._take(request, body, key, f"{request.path} {body['round']} {body['id']}")

    async def _put(self, request: web.Request) -> web.StreamResponse:
        return await self._take(request, await request.json(), request.path, request.path)

    async def _take(self, request: web.Request, body: dict[str, Any], key: str, name: str) -> web.StreamResponse:
        self.requests += 1
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if key and key in self.answers:
            self.recognised += 1
            return self._answer(request, {"repeated": True}, self.answers[key])
        if body["id"] % 500 == 11 and name not in self.put_off:
            self.put_off.add(name)
            return web.json_response({"message": "Come again."}, status=503)
        is_refused = self.refuses_all or body["amount"] < 0
        if not is_refused:
            self.taken[request.match_info["flow"], int(body["round"]), int(body["id"])] += 1
        if key:
            self.answers[key] = 422 if is_refused else 201
        told = {"message": "The amount is negative."} if is_refused else {"stored": True}
        return self._answer(request, told, 422 if is_refused else 201)

    def _answer(self, request: web.Request, told: dict[str, Any], status: int) -> web.StreamResponse:
        """What was done is done; the answer may still be lost."""
        if self.dice.random() < self.drops and request.transport is not None:
            self.dropped += 1
            request.transport.abort()
        return web.json_response(told, status=status)
