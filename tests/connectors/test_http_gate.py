"""The gate of a connection: what is closed stays closed, whatever else goes on."""

import asyncio
import threading

import pytest

from apps.connectors.http.gate import Gate, GateClosedError
from apps.connectors.http.loop import LoopThread
from apps.connectors.shared import ProcessShared


class SlowlyShared(ProcessShared):
    """Tells what the gate was when it was asked, but not before `closed` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = threading.Event()

    def gate(self, key: str) -> float:
        told = super().gate(key)
        assert self.closed.wait(5)
        return told


def test_a_look_at_the_other_workers_does_not_open_what_was_closed_meanwhile() -> None:
    shared = SlowlyShared()
    gate = Gate(shared, "peer", None)

    async def refused_while_another_one_looks() -> None:
        entering = asyncio.create_task(gate.enter())
        await asyncio.sleep(0)
        closing = asyncio.create_task(gate.close(60))
        await asyncio.sleep(0)
        shared.closed.set()
        await closing
        await entering

    thread = LoopThread()
    try:
        with pytest.raises(GateClosedError):
            thread.run(refused_while_another_one_looks())
    finally:
        thread.close(None)
