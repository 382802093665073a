"""What became of a page: the facts that one page commit writes."""

from collections import Counter
from dataclasses import dataclass, field

from apps.engine.records import FailedRecord, Item, Name

__all__ = ["FailedRecord", "LogLine", "PageResult", "Tally", "Wait"]


@dataclass(slots=True)
class Tally:
    """The visits of one step, each in exactly one list; `busy_s` is the time the step worked, in seconds."""

    succeeded: list[Item] = field(default_factory=list)
    ignored: list[Item] = field(default_factory=list)
    failed: list[FailedRecord] = field(default_factory=list)
    rolled_back: list[Item] = field(default_factory=list)
    empty_fields: Counter[str] = field(default_factory=Counter)
    busy_s: float = 0.0

    @property
    def came_in(self) -> int:
        return len(self.succeeded) + len(self.ignored) + len(self.failed) + len(self.rolled_back)


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the run log; `node` None: the run itself. `name` and `key` tell the record that it is about."""

    level: str
    node: int | None
    text: str
    name: Name | None = None
    key: str = ""


@dataclass(frozen=True, slots=True)
class Wait:
    """Why the rest of a page waits, and for how many seconds at least."""

    seconds: float
    reason: str
    connection: str = ""
    is_outage: bool = False


@dataclass(slots=True)
class PageResult:
    """The outcome of one delivered part of a page.

    `success + ignored + failed + rolled_back` is the number of records that came to their end; those in `rest` did not.
    `ended` are those that did, one item each. `stopped_by` is the failure after which no further page may start.
    `culprit` is the failure for which nothing of the page stays: its unit fails, and none of its records by itself;
    these are `undone`.
    """

    tallies: dict[int, Tally] = field(default_factory=dict)
    rest: list[Item] = field(default_factory=list)
    wait: Wait | None = None
    stopped_by: FailedRecord | None = None
    culprit: FailedRecord | None = None
    undone: list[Item] = field(default_factory=list)
    log: list[LogLine] = field(default_factory=list)
    ended: list[Item] = field(default_factory=list)
    success: int = 0
    ignored: int = 0
    failed: int = 0
    rolled_back: int = 0
    busy_s: float = 0.0

    def tally(self, node: int) -> Tally:
        found = self.tallies.get(node)
        if found is None:
            found = self.tallies[node] = Tally()
        return found

    def failures(self) -> list[FailedRecord]:
        return [failed for tally in self.tallies.values() for failed in tally.failed]
