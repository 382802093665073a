"""What many open tabs ask for within the same second is worked out once, in each process.

Only polls share (`/live/`), never pages: a page shows what is true when it is read. The numbers in a poll's answer are
at most `SHARED_S` old; where the server has so much to do that tabs wait longer than usual (`pace`), a fifth of that
wait: 3 s at most. A tab asks less often than that, so what it is told never goes back in time.
"""

from collections.abc import Callable, Hashable
from threading import Lock
from time import monotonic
from typing import Any, TypeVar

from django.http import HttpRequest

from apps.console.pace import PACE

T = TypeVar("T")
SHARED_S = 1.0
WAITS_A_SHARE = 5


class Slot:
    """One thing that is shared; whoever wants it while it is worked out waits for it."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.kept: list[Any] = []
        self.until = 0.0


class Shelf:
    """What was worked out a short while ago, by its key."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._slots: dict[Hashable, Slot] = {}
        self._swept_at = 0.0

    def take(self, key: Hashable, read: Callable[[], T], seconds: float = 1) -> T:
        """`seconds`: for how many times `SHARED_S` it is kept."""
        slot = self._slot(key)
        with slot.lock:
            began = monotonic()
            if not slot.kept or began >= slot.until:
                slot.kept = [read()]
                slot.until = began + seconds * SHARED_S
            found: T = slot.kept[0]
            return found

    def clear(self) -> None:
        with self._lock:
            self._slots.clear()

    def _slot(self, key: Hashable) -> Slot:
        with self._lock:
            now = monotonic()
            if now - self._swept_at >= SHARED_S:
                self._swept_at = now
                self._slots = {k: slot for k, slot in self._slots.items() if now < slot.until or slot.lock.locked()}
            return self._slots.setdefault(key, Slot())


SHELF = Shelf()


def share(request: HttpRequest, sight: str) -> None:
    """From now on this request takes what was read within the second for readers of the same sight.

    The sight says all that may make a difference: account, environment, rights and preferences.
    """
    request.flowmend_sight = sight  # type: ignore[attr-defined]


def shared(request: HttpRequest, key: Hashable, read: Callable[[], T], seconds: float = 1) -> T:
    """What `read` finds: for a poll at most `SHARED_S` old (times `seconds`), for any other request read now."""
    sight = getattr(request, "flowmend_sight", "")
    if not sight:
        return read()
    return SHELF.take((sight, key), read, max(seconds, PACE.wait_s() / WAITS_A_SHARE))
