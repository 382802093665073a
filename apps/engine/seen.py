"""What a test run sees of every step."""

from collections.abc import Callable
from dataclasses import dataclass, field

from apps.engine.plan import Node
from apps.engine.ports import Record
from apps.engine.records import Item, Name
from apps.engine.result import PageResult, Tally


class TimeUp(Exception):  # noqa: N818 (an answer: the test took too long)
    """The time of the test is over."""


@dataclass(slots=True)
class Visit:
    """One record at one step: what it was there, and what it went on as."""

    key: str
    ordinal: int
    before: Record
    after: Record


@dataclass
class Seen:
    """What is known of every step: its visits and outcomes, and by (step, ordinal) what it would send.

    `tell` is told of each step that begins, and may end the test by raising TimeUp.
    """

    tell: Callable[[Node], None] = lambda node: None
    visits: dict[int, dict[Name, Visit]] = field(default_factory=dict)
    built: dict[tuple[int, int], Record] = field(default_factory=dict)
    tallies: dict[int, Tally] = field(default_factory=dict)

    def visit(self, index: int, item: Item, before: Record) -> None:
        self.visits.setdefault(index, {})[item.name] = Visit(item.key, item.ordinal, before, item.record)

    def leave(self, index: int, item: Item) -> None:
        """A record came out of a call."""
        if visit := self.visits.get(index, {}).get(item.name):
            visit.after = item.record

    def keep(self, result: PageResult) -> None:
        """Remember the outcomes before those inside a sub-flow become the call's."""
        for index, tally in result.tallies.items():
            kept = self.tallies.setdefault(index, Tally())
            kept.succeeded += tally.succeeded
            kept.ignored += tally.ignored
            kept.failed += tally.failed
            kept.rolled_back += tally.rolled_back
            kept.busy_s += tally.busy_s
