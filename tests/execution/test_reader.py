"""Reading ahead in a thread: failures come out where the page is asked for, nothing hangs, memory is bounded."""

import threading
import time
from collections.abc import Iterator

import pytest

from apps.engine.ports import ConnectorError, Outage, SourcePage
from apps.engine.records import default_key
from apps.execution import reader
from apps.execution.reader import AHEAD, ReadAhead
from tests.fakes.world import NOW


class FakeSource:
    """Pages of one record; fails or blocks before the page with the number `at`."""

    resumable = True
    in_order = True

    def __init__(self, count: int = 3, *, at: int | None = None, error: BaseException | None = None) -> None:
        self.count, self.at, self.error = count, at, error
        self.given = 0
        self.released = threading.Event()
        self.said: list[str] = []

    def pages(self) -> Iterator[SourcePage]:
        for number in range(self.count):
            if number == self.at:
                if self.error is not None:
                    raise self.error
                self.released.wait(30)
            self.given += 1
            yield SourcePage([{"id": number}], {"row": number})

    def finish(self) -> None:
        self.said.append("finish")

    def close(self) -> None:
        time.sleep(0.02)
        self.said.append("close")


def read(source: FakeSource) -> ReadAhead:
    return ReadAhead(source, key_of=default_key, first_ordinal=0, now=NOW)


def test_pages_come_in_order_with_the_ordinals_of_the_run_and_then_none():
    ahead = read(FakeSource(3))

    pages = [ahead.next() for _ in range(5)]

    assert [page.items[0].ordinal for page in pages[:3]] == [0, 1, 2]
    assert pages[3:] == [None, None]
    ahead.close()


@pytest.mark.parametrize("error", [ConnectorError("x", "The file ends early."), Outage("y", "Could not connect.")])
def test_what_a_source_raises_comes_behind_the_pages_before_it(error):
    ahead = read(FakeSource(3, at=1, error=error))
    assert ahead.next() is not None

    with pytest.raises(type(error), match=error.message):
        ahead.next()
    ahead.close()


def test_a_fault_of_the_connector_is_told_as_one():
    ahead = read(FakeSource(3, at=0, error=MemoryError("too much")))

    with pytest.raises(ConnectorError, match="The connector failed while it read: MemoryError: too much"):
        ahead.next()
    ahead.close()


def test_a_source_is_closed_before_its_end_is_told():
    """Who hears of the end moves the file away: it must not be open in the other thread then."""
    source = FakeSource(1)
    ahead = read(source)
    ahead.next()

    assert ahead.next() is None
    source.finish()
    ahead.close()
    assert source.said == ["close", "finish"]


def test_no_more_is_read_ahead_than_fits():
    source = FakeSource(100)
    ahead = read(source)
    ahead.next()
    time.sleep(0.3)

    assert source.given <= 1 + AHEAD + 1
    ahead.close()


def test_a_read_that_hangs_does_not_hold_up_the_end_of_a_slice(monkeypatch):
    monkeypatch.setattr(reader, "CLOSE_PATIENCE_S", 0.2)
    source = FakeSource(3, at=1)
    ahead = read(source)
    ahead.next()

    started = time.monotonic()
    ahead.close()

    assert time.monotonic() - started < 2
    source.released.set()
