"""When a request may go out: not before the time that the application asked for, and not faster than the pace."""

import asyncio
import time
from collections import deque
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from multidict import CIMultiDictProxy

from apps.connectors.http.loop import in_caller
from apps.connectors.shared import Shared

LOOK_AGAIN_S = 0.5
"""How often the gate of the other workers is looked at while requests go out."""
PATIENCE_S = 10.0
"""A longer wait is for the engine: the page is put aside."""
LONGEST_WAIT_S = 86_400.0
FIRST_WAIT_S, LONGEST_OWN_WAIT_S = 1.0, 60.0
BOOKED_S = 0.25


class GateClosedError(Exception):
    """Nothing may be sent for `seconds`, and that is too long to wait for here."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"nothing may be sent for {seconds:.0f} seconds")
        self.seconds = seconds


class Gate:
    """One for all requests of a connector. Belongs to its event loop."""

    def __init__(self, shared: Shared, key: str, max_rate: float | None) -> None:
        self._shared = shared
        self._key = key
        self._rate = max_rate
        self._until = 0.0
        self._looked_at = 0.0
        self._own_wait_s = 0.0
        self._slots: deque[float] = deque()
        self._booking = asyncio.Lock()

    async def enter(self) -> None:
        """Wait until a request may go out. Raises GateClosedError if that takes longer than PATIENCE_S."""
        while True:
            await self._look()
            wait_s = self._until - time.time()
            if wait_s <= 0:
                break
            if wait_s > PATIENCE_S:
                raise GateClosedError(wait_s)
            await asyncio.sleep(min(wait_s, LOOK_AGAIN_S))
        if self._rate is not None:
            await self._keep_pace(self._rate)

    async def close(self, seconds: float | None) -> float:
        """Close it for as long as was asked for; if nothing was said, for longer each time. Returns the seconds."""
        now = time.time()
        if seconds is None:
            if self._until > now:  # the others that were under way say the same
                return self._until - now
            self._own_wait_s = min(LONGEST_OWN_WAIT_S, self._own_wait_s * 2 or FIRST_WAIT_S)
            seconds = self._own_wait_s
        until = now + min(seconds, LONGEST_WAIT_S)
        if until > self._until:
            self._until = until
            await in_caller(lambda: self._shared.close_gate(self._key, until))
        return self._until - now

    def relax(self) -> None:
        """A request went through."""
        self._own_wait_s = 0.0

    async def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked_at >= LOOK_AGAIN_S or not self._looked_at:
            self._looked_at = now
            told = await in_caller(lambda: self._shared.gate(self._key))
            self._until = max(self._until, told)  # read after the wait: it may have been closed meanwhile

    async def _keep_pace(self, rate: float) -> None:
        async with self._booking:
            while self._slots and self._slots[0] < time.time() - BOOKED_S:
                self._slots.popleft()  # not used in its time
            if not self._slots:
                count = max(1, int(rate * BOOKED_S))
                begin = await in_caller(lambda: self._shared.reserve(self._key, count / rate))
                self._slots.extend(begin + number / rate for number in range(count))
            slot = self._slots.popleft()
        await asyncio.sleep(max(0.0, slot - time.time()))


def retry_after(headers: CIMultiDictProxy[str], now: datetime | None = None) -> float | None:
    """The seconds that a `Retry-After` asks for (RFC 9110: seconds or a date), None without one that can be read."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return min(float(text[:10]), LONGEST_WAIT_S)
    until = http_date(text)
    if until is None:
        return None
    begin = http_date(headers.get("Date", "")) or now or datetime.now(UTC)  # by their clock, if they tell it
    return min(max(0.0, (until - begin).total_seconds()), LONGEST_WAIT_S)


def http_date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
