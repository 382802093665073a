"""What all workers of one connection share: the time before which nothing may be sent, the pace, and the access token.

A connection is known by a key made of its account, its config and its secrets: with new credentials it is another one.
The host may hand in a store that reaches over processes and machines; without one, this process shares.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Token:
    """An access token. `expires_at` in seconds of the epoch (0: never); `refresh` renews it where that is the way."""

    access: str
    expires_at: float = 0.0
    refresh: str = ""

    def is_fresh(self, now: float) -> bool:
        return not self.expires_at or now < self.expires_at

    def __repr__(self) -> str:
        return f"Token(expires_at={self.expires_at:.0f})"


Renew = Callable[[Token | None], Token]


class Shared(Protocol):
    """Each call is made in the worker's own thread, never in the connector's."""

    def gate(self, key: str) -> float:
        """The time (seconds of the epoch) before which nothing may be sent; 0 when the gate is open."""

    def close_gate(self, key: str, until: float) -> None:
        """Let nobody send before `until`; a later time that is known already stays."""

    def reserve(self, key: str, seconds: float) -> float:
        """Book the next free `seconds` of the connection's time; returns when they begin (seconds of the epoch)."""

    def token(self, key: str, renew: Renew, stale: str) -> Token:
        """The token. `renew` (given the last one) is called by one worker at a time, and only if there is none, it has
        expired, or its access text is `stale` (refused by the application). Whatever `renew` raises goes through.
        """


@dataclass
class _State:
    gate: float = 0.0
    booked: float = 0.0
    token: Token | None = None
    renewing: threading.Lock = field(default_factory=threading.Lock)


class ProcessShared:
    """Shares within this process. Keys that were not used for long are forgotten."""

    KEPT = 1000

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._states: dict[str, _State] = {}

    def gate(self, key: str) -> float:
        return self._state(key).gate

    def close_gate(self, key: str, until: float) -> None:
        state = self._state(key)
        with self._lock:
            state.gate = max(state.gate, until)

    def reserve(self, key: str, seconds: float) -> float:
        state = self._state(key)
        with self._lock:
            begin = max(state.booked, time.time())
            state.booked = begin + seconds
        return begin

    def token(self, key: str, renew: Renew, stale: str) -> Token:
        state = self._state(key)
        with state.renewing:
            found = state.token
            if found is None or found.access == stale or not found.is_fresh(time.time()):
                found = state.token = renew(found)
            return found

    def _state(self, key: str) -> _State:
        with self._lock:
            state = self._states.pop(key, None) or _State()
            self._states[key] = state
            while len(self._states) > self.KEPT:
                self._states.pop(next(iter(self._states)))
            return state


IN_PROCESS = ProcessShared()
