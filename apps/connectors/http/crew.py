"""Many things at once, but never more than so many."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def at_once(limit: int, tasks: Sequence[T], work: Callable[[T], Awaitable[R]]) -> list[R]:
    """The results in order, at most `limit` under way; the first exception ends it all."""
    results: list[Any] = [None] * len(tasks)
    waiting = iter(range(len(tasks)))

    async def worker() -> None:
        for place in waiting:
            results[place] = await work(tasks[place])

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(limit, len(tasks))):
                group.create_task(worker())
    except ExceptionGroup as several:
        raise several.exceptions[0] from None
    return results
