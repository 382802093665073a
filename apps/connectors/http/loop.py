"""The engine is synchronous, the HTTP client is not: each connector runs its event loop in a thread of its own."""

import asyncio
import queue
import threading
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")
Call = Callable[[], None]

_calls: ContextVar["queue.SimpleQueue[Call | None]"] = ContextVar("calls")

CLOSING_S = 2.0


class LoopThread:
    """Runs coroutines for a caller that waits. Started with the first one; `close` ends it."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine. Meanwhile the calling thread does what the coroutine asks of it (`in_caller`)."""
        calls: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        mark = _calls.set(calls)  # the new task copies the context, so it finds this queue
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, self._started())
        finally:
            _calls.reset(mark)
        future.add_done_callback(lambda _: calls.put(None))
        try:
            while (call := calls.get()) is not None:
                call()
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self, last: Callable[[], Coroutine[Any, Any, None]] | None = None) -> None:
        """Run a last coroutine and stop. May be called twice."""
        loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(_farewell(last), loop)
        thread.join(CLOSING_S)

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=_work, args=(self._loop,), daemon=True, name="http connector")
            self._thread.start()
        return self._loop


def _work(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()


async def _farewell(last: Callable[[], Coroutine[Any, Any, None]] | None) -> None:
    loop = asyncio.get_running_loop()
    try:
        others = asyncio.all_tasks(loop) - {asyncio.current_task(loop)}
        for task in others:
            task.cancel()
        await asyncio.wait_for(asyncio.gather(*others, return_exceptions=True), CLOSING_S / 2)
        if last is not None:
            await asyncio.wait_for(last(), CLOSING_S / 2)
    finally:
        loop.call_soon(loop.stop)


async def in_caller(call: Callable[[], T]) -> T:
    """Have the waiting caller's own thread do something (it may hold a database connection), and wait for it."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def work() -> None:
        try:
            value = call()
        except Exception as error:
            loop.call_soon_threadsafe(_settle, answer, None, error)
        else:
            loop.call_soon_threadsafe(_settle, answer, value, None)

    _calls.get().put(work)
    return await answer


def _settle(answer: "asyncio.Future[Any]", value: Any, error: Exception | None) -> None:
    if answer.done():
        return
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(value)
