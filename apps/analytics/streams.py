"""What a chart can have a line for: a flow, an integration with all its flows, or all flows."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

MOST_STREAMS = 8


class StreamKind(StrEnum):
    ALL = "all"
    INTEGRATION = "i"
    FLOW = "f"


@dataclass(frozen=True)
class Stream:
    """One line in the charts; `pk` is 0 for all flows, `slug` an integration's."""

    kind: StreamKind
    pk: int
    name: str
    integration_id: int = 0
    slug: str = ""

    @property
    def key(self) -> str:
        """As addresses name it: `f-12`, `i-3`, `all`."""
        return f"{self.kind}-{self.pk}" if self.pk else str(self.kind)

    def is_within(self, others: Iterable["Stream"]) -> bool:
        """Whether one of the others counts everything that this one counts."""
        return any(self._is_in(other) for other in others)

    def _is_in(self, other: "Stream") -> bool:
        if other.kind == StreamKind.ALL:
            return self.kind != StreamKind.ALL
        is_flow_of_integration = (self.kind, other.kind) == (StreamKind.FLOW, StreamKind.INTEGRATION)
        return is_flow_of_integration and self.integration_id == other.pk
