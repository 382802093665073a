"""Records taken out of a scope: their writes are undone, their visits stay in the books, a retry begins anew."""

from typing import Any

from apps.engine.plan import Node, Plan, StepKind
from apps.engine.ports import Failure
from apps.engine.records import Item
from apps.engine.result import FailedRecord, PageResult
from apps.engine.steps import NOT_SENT
from apps.engine.walk import Walk

Mark = tuple[Item, int, dict[str, Any], int, bool, bool]
"""An item as it was when the page's walk began, to begin again from; a plain tuple, for there is one per record."""


def marked(item: Item) -> Mark:
    return item, item.at, item.record, item.attempt, item.failed, item.taken


def restored(mark: Mark) -> Item:
    item = mark[0]
    _, item.at, item.record, item.attempt, item.failed, item.taken = mark
    item.first_write = item.fork = None
    return item


class Carried:
    """Records taken out of a scope with their writes undone, and the visits that stay in the books."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.ordinals: set[int] = set()
        self.result = PageResult()
        self.write_failures: list[tuple[str, int, Failure]] = []
        self.undone: dict[int, tuple[str, Failure]] = {}

    def take(self, walk: Walk, *, drop_all_failed: bool = False) -> None:
        """Keep what the walk found out about the records whose writes must be undone."""
        undo = {entry.item.ordinal: entry for entry in reversed(walk.undo)}  # of copies the first stands for all
        parked = {item.ordinal: item for item in walk.parked_undo if item.ordinal not in undo}
        ordinals = {*undo, *parked}
        if drop_all_failed:
            ordinals |= {entry.item.ordinal for entry in walk.result.failures()}
        self.write_failures += [row for row in walk.write_failures if row[1] in ordinals]
        self._note_undone(walk, undo, parked)
        self._keep_visits(walk, ordinals, {item.ordinal: item.at for item in parked.values()})
        self._keep_failures(walk, undo)
        self.result.rest.extend(parked.values())
        if parked and walk.result.wait:
            self.result.wait = walk.result.wait
        if walk.result.stopped_by in walk.undo:
            self.result.stopped_by = walk.result.stopped_by
        self.ordinals |= ordinals

    def _note_undone(self, walk: Walk, undo: dict[int, FailedRecord], parked: dict[int, Item]) -> None:
        """Where the first of the undone writes was, for the ledger: it does not stand in the target."""
        failures = {ordinal: entry.failure for ordinal, entry in undo.items()} | dict.fromkeys(parked, NOT_SENT)
        for node in reversed(self.plan.nodes):
            if self._writes(node):
                written = {item.ordinal for item in walk.result.tally(node.index).succeeded}
                self.undone |= {o: (node.key, failure) for o, failure in failures.items() if o in written}

    def _writes(self, node: Node) -> bool:
        return node.kind is StepKind.IMPORT and node.is_transactional

    def _keep_visits(self, walk: Walk, ordinals: set[int], restarts: dict[int, int]) -> None:
        end = len(self.plan.nodes)
        for index, tally in walk.result.tallies.items():
            kept = self.result.tally(index)
            kept.busy_s += tally.busy_s
            stay = {o for o in ordinals if index < restarts.get(o, end)}
            done = [item for item in tally.succeeded if item.ordinal in stay]
            (kept.rolled_back if self._writes(self.plan.nodes[index]) else kept.succeeded).extend(done)
            kept.ignored += [item for item in tally.ignored if item.ordinal in stay]
            kept.failed += [entry for entry in tally.failed if entry.item.ordinal in stay]
        for node, items, _ in walk.held:
            waiting = [i for i in items if i.ordinal in ordinals and node.index < restarts.get(i.ordinal, end)]
            self.result.tally(node.index).rolled_back += waiting

    def _keep_failures(self, walk: Walk, undo: dict[int, FailedRecord]) -> None:
        """One failure a record: behind a fork its retry goes all ways again, so the other ways' failures wait."""
        for entry in walk.undo:
            if undo[entry.item.ordinal] is entry:
                self.result.tally(entry.node).failed.append(entry)
            else:
                self.result.tally(entry.node).rolled_back.append(entry.item)
        forks = {o: entry.start for o, entry in undo.items() if entry.item.fork is not None}
        for index, tally in self.result.tallies.items() if forks else ():
            failed, tally.failed = tally.failed, []
            for entry in failed:
                ordinal = entry.item.ordinal
                if entry is undo.get(ordinal) or forks.get(ordinal, index) >= index:
                    tally.failed.append(entry)
                else:
                    tally.rolled_back.append(entry.item)

    def settle(self, marks: list[Mark]) -> None:
        """A record of which a copy was taken out has failed, whatever became of the others."""
        failed = {entry.item.ordinal for entry in self.result.failures() if not entry.is_handled}
        for item, *_ in marks:
            if item.ordinal in failed:
                item.failed, item.taken = True, False

    def ledger_rows(self) -> list[tuple[str, int, Failure]]:
        """The failures of writes, and at their first write the records that something else undid."""
        told = {ordinal for _, ordinal, _ in self.write_failures}
        undone = [(key, o, failure) for o, (key, failure) in self.undone.items() if o not in told]
        return [*self.write_failures, *undone]
