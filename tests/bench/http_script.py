"""The anchor of V2: the same reads and posts by nothing but aiohttp, 32 at once, pages as they come."""

import asyncio
from dataclasses import dataclass, field

import aiohttp
import orjson

AT_ONCE = 32


@dataclass
class Outcome:
    sent: int = 0
    refused: list[int] = field(default_factory=list)


async def move(address: str, total: int) -> Outcome:
    """Read page after page and post each record; what is put off is posted again, what is refused is kept."""
    outcome = Outcome()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as session:
        page = 1
        while records := await read(session, address, total, page):
            waiting = iter(records)
            await asyncio.gather(*(post_all(session, address, waiting, outcome) for _ in range(AT_ONCE)))
            page += 1
    return outcome


async def read(session: aiohttp.ClientSession, address: str, total: int, page: int) -> list[dict[str, object]]:
    async with session.get(f"{address}/orders", params={"total": total, "page": page}) as answer:
        found: list[dict[str, object]] = orjson.loads(await answer.read())
    return found


async def post_all(session: aiohttp.ClientSession, address: str, waiting: object, outcome: Outcome) -> None:
    for record in waiting:  # type: ignore[attr-defined]
        customer = record["customer"]
        body = {"id": record["id"], "name": customer["name"], "email": customer["email"], "amount": record["amount"]}
        headers = {"Content-Type": "application/json", "Idempotency-Key": f"order-{record['id']}"}
        while True:
            async with session.post(f"{address}/orders", data=orjson.dumps(body), headers=headers) as answer:
                await answer.read()
            if answer.status != 503:
                break
            await asyncio.sleep(0.1)
        if answer.status == 201:
            outcome.sent += 1
        else:
            outcome.refused.append(record["id"])
