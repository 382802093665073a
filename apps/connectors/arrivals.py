"""What was sent to a webhook and waits for a run: kept by the host, read by the connector through this small port."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Arrived:
    """One request that was answered with 202. `given` of its records, counted from the first, went through before."""

    number: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    given: int = 0


class Arrivals(Protocol):
    """The requests that wait for one export. Numbers grow in the order in which the requests were answered."""

    def take(self) -> None:
        """Reserve for this run what waits and no other run holds. Called once, before the first `after`."""

    def after(self, number: int, most: int) -> Sequence[Arrived]:
        """The next reserved requests behind a number, at most `most` of them; empty when there are no more."""

    def discard(self, number: int) -> None:
        """Forget the reserved requests up to and with a number: all their records are through. May be called again."""
