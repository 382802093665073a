"""How soon a tab may ask again: live updates as a whole take a small share of the server, however many tabs are open.

Each poll books the time that its answer took, stretched so that it fills `SHARE` of the clock, behind what is booked
already; a tab asks again when all that has passed, or after its page's usual interval if that is later. With few tabs
nothing is ever booked ahead; with hundreds, intervals grow until the work fits, up to `LONGEST_WAIT_S`.
"""

from threading import Lock
from time import monotonic

SHARE = 0.1
LONGEST_WAIT_S = 15.0
AROUND_S = 0.001
"""What a request takes outside the view."""


class Pace:
    def __init__(self) -> None:
        self._lock = Lock()
        self._booked_until = 0.0

    def book(self, took_s: float) -> float:
        """Returns in how many seconds at the earliest to ask again."""
        with self._lock:
            now = monotonic()
            behind = max(self._booked_until, now) + (took_s + AROUND_S) / SHARE
            self._booked_until = min(behind, now + LONGEST_WAIT_S)
            return self._booked_until - now

    def wait_s(self) -> float:
        """How long whoever asks now is made to wait before asking again, at least."""
        return max(0.0, self._booked_until - monotonic())


PACE = Pace()
