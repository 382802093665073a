"""Requests that wait, in memory: the port through which the webhook connector reads them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from apps.connectors.arrivals import Arrived


@dataclass
class MemoryArrivals:
    """What was sent to one address and is not through yet."""

    waiting: list[Arrived] = field(default_factory=list)
    taken: int = 0

    def send(self, body: Any, headers: Mapping[str, str] | None = None, *, given: int = 0) -> int:
        """One request; a body that is no bytes is sent as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.waiting.append(Arrived(len(self.waiting) + 1, raw, dict(headers or {}), given))
        return len(self.waiting)

    def take(self) -> None:
        self.taken = len(self.waiting)

    def after(self, number: int, most: int) -> Sequence[Arrived]:
        return [replace(one) for one in self.waiting[: self.taken] if one.number > number][: min(most, 3)]

    def discard(self, number: int) -> None:
        self.waiting = [one for one in self.waiting if one.number > number]
