"""The peer of V2, a process of its own: gives out orders by page, and takes them in, one a request.

One order in a hundred is refused with 422. One in five hundred is answered with 503 when it comes for the first time in
a round, then taken. `GET /ledger` says how many were taken, how many of them more than once, and forgets them all.
"""

import asyncio
import sys

import orjson
from aiohttp import web

PAGE = 500


def order(number: int) -> dict[str, object]:
    customer = {"name": f"Customer {number % 997}", "email": f"c{number % 997}@example.org"}
    return {"id": number, "customer": customer, "amount": f"{number % 10_000}.50", "note": "as agreed by telephone"}


def is_refused(number: int) -> bool:
    return number % 100 == 7


def is_put_off(number: int) -> bool:
    return number % 500 == 3


class Ledger:
    def __init__(self) -> None:
        self.taken: dict[int, int] = {}
        self.put_off: set[int] = set()

    async def pages(self, request: web.Request) -> web.Response:
        total, page = int(request.query["total"]), int(request.query["page"])
        numbers = range((page - 1) * PAGE, min(total, page * PAGE))
        return web.Response(body=orjson.dumps([order(number) for number in numbers]), content_type="application/json")

    async def take(self, request: web.Request) -> web.Response:
        number = orjson.loads(await request.read())["id"]
        if is_refused(number):
            return answer(422, {"error": {"message": "The order is not open any more."}})
        if is_put_off(number) and number not in self.put_off:
            self.put_off.add(number)
            return answer(503, {"error": {"message": "Busy."}})
        self.taken[number] = self.taken.get(number, 0) + 1
        return answer(201, {"id": number, "accepted": True})

    async def tell(self, request: web.Request) -> web.Response:
        repeated = sum(times > 1 for times in self.taken.values())
        found = {"taken": len(self.taken), "repeated": repeated, "put_off": len(self.put_off)}
        self.taken, self.put_off = {}, set()
        return answer(200, found)


def answer(status: int, body: dict[str, object]) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


async def serve() -> None:
    ledger, app = Ledger(), web.Application()
    app.router.add_get("/orders", ledger.pages)
    app.router.add_post("/orders", ledger.take)
    app.router.add_get("/ledger", ledger.tell)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
