"""What a replay carries over: whose writes were undone, where these records go instead, and what stays in the books."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from apps.engine.handling import Detour, Undone
from apps.engine.plan import END, ROOT, Plan
from apps.engine.ports import Failure
from apps.engine.records import AT_HOME, NOWHERE, FailedRecord, Item, Name, Trip
from apps.engine.result import PageResult
from apps.engine.sent import uncompensated
from apps.engine.walk import Walk

MOST_TOLD = 100
"""Sends that stand of a page that was rolled back, of which request and answer are kept."""
Mark = tuple[Item, int, dict[str, Any], int, bool, bool, Trip]
"""An item as it was when the page's walk began, to begin again from; a plain tuple, for there is one per record."""


def marked(item: Item) -> Mark:
    return item, item.at, item.record, item.attempt, item.failed, item.taken, item.trip


def restored(mark: Mark) -> Item:
    item = mark[0]
    _, item.at, item.record, item.attempt, item.failed, item.taken, item.trip = mark
    item.first_write = item.fork = None
    item.last_write = NOWHERE
    return item


class Carried:
    """Records whose writes in the scope were undone, and the visits that stay in the books."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.writers = writers_of(plan)
        self.detours: dict[int, dict[Name, Detour]] = defaultdict(dict)
        self.ended: dict[int, bool] = {}
        """Ordinals of records that go no further in this scope: whether they failed (else they wait)."""
        self.result = PageResult()
        self.failures: list[tuple[str, int, Failure]] = []

    def beginning(self, marks: Iterable[Mark]) -> list[Item]:
        """The items with which the next walk begins: those whose way is over are left out."""
        items = []
        for mark in marks:
            if mark[0].ordinal in self.ended:
                continue
            item = restored(mark)
            self._divert(item)
            items.append(item)
        return items

    def _divert(self, item: Item) -> None:
        """A record may begin behind the place to which it was undone: inside a sub-flow, where it had waited."""
        for place in sorted(self.detours):
            if place >= item.at:
                return
            detour = self.detours[place].get(item.name_at(place))
            if detour is not None:
                item.at = detour.take(item)
                return

    def take(self, walk: Walk, *, drop_all_failed: bool = False) -> None:
        """Keep what the walk found out about the records whose writes must be undone."""
        undone = [*walk.undone, *_all_failed(walk)] if drop_all_failed else walk.undone
        chosen, others = outermost(undone)
        if drop_all_failed:
            chosen = [_ended(u) for u in chosen]
        spans: dict[int, list[Undone]] = defaultdict(list)
        for one in chosen:
            spans[one.item.ordinal].append(one)
        self.failures += [row for row in walk.failures if row[1] in spans]
        self._keep_visits(walk, spans)
        self._keep_failures(walk, chosen, others)
        self._tell_effects(walk, chosen)
        for one in chosen:
            self._send_on(one, walk)

    def give_up(self, walk: Walk, marks: list[Mark], culprit: FailedRecord) -> None:
        """Nothing of the page stays: its visits are rolled back, its answered failures and its log are kept."""
        for tally in walk.result.tallies.values():
            tally.rolled_back += [entry.item for entry in tally.failed if not entry.is_handled]
            tally.failed = [entry for entry in tally.failed if entry.is_handled]
        for entry in in_hand(walk):
            entry.is_handled = True
            self.result.tally(entry.node).failed.append(entry)
        self.result.tally(culprit.node).rolled_back.append(culprit.item)
        walk.undone = [Undone(mark[0], ROOT, Detour(END, mark[2], AT_HOME)) for mark in marks]
        self.take(walk)
        self.result.culprit, self.result.log = culprit, walk.result.log
        standing = [send for sends in uncompensated(walk, [m[0].ordinal for m in marks]).values() for send in sends]
        if standing:
            culprit.effects["uncompensated"] = [send.told() for send in standing[:MOST_TOLD]]
            culprit.effects["uncompensated_count"] = len(standing)
        self.result.stopped_by = walk.result.stopped_by

    def _send_on(self, one: Undone, walk: Walk) -> None:
        item, place = one.item, one.place
        if one.waits:
            item.at, item.record, item.trip = one.detour.target, one.detour.record, AT_HOME
            item.first_write, item.last_write, item.taken = None, NOWHERE, False
            self.result.rest.append(item)
            self.result.wait = walk.result.wait or self.result.wait
        if _is_over(one):
            self.ended[item.ordinal] = not one.waits
            if one.entry is not None and walk.result.stopped_by is one.entry:
                self.result.stopped_by = one.entry
        else:
            self.detours[place][item.name_at(place)] = one.detour

    # --- visits ------------------------------------------------------------------------------------------------------
    def _keep_visits(self, walk: Walk, spans: dict[int, list[Undone]]) -> None:
        for index, tally in walk.result.tallies.items():
            kept = self.result.tally(index)
            kept.busy_s += tally.busy_s
            done = [item for item in tally.succeeded if _covers(spans, item, index)]
            (kept.rolled_back if index in self.writers else kept.succeeded).extend(done)
            kept.ignored += [item for item in tally.ignored if _covers(spans, item, index)]
            kept.failed += [entry for entry in tally.failed if _covers(spans, entry.item, index)]
            kept.rolled_back += [item for item in tally.rolled_back if _covers(spans, item, index)]
        for node, items, _ in walk.held:
            waiting = [item for item in items if _covers(spans, item, node.index)]
            self.result.tally(node.index).rolled_back += waiting

    def _keep_failures(self, walk: Walk, chosen: list[Undone], others: list[Undone]) -> None:
        """One failure a record leaves: behind a fork its retry goes all ways again, so the other ways' wait."""
        for one in chosen:
            if one.entry is not None and _is_over(one):
                self.result.tally(one.entry.node).failed.append(one.entry)
        for one in others:
            if one.entry is None:
                continue
            if _is_over(one):
                self.result.tally(one.entry.node).rolled_back.append(one.item)
            elif not one.entry.is_handled:
                one.entry.is_handled = True
                self.result.tally(one.entry.node).failed.append(one.entry)
        self._let_other_ways_wait([one for one in chosen if _is_over(one) and one.item.fork is not None])

    def _tell_effects(self, walk: Walk, chosen: list[Undone]) -> None:
        """What was undone for a record, what was not sent because of that, and what was sent and stands."""
        failed = {one.item.ordinal: one for one in chosen if one.entry is not None}
        if not failed:
            return
        for node in self.plan.nodes:
            if node.is_undoable:
                for item in walk.result.tally(node.index).succeeded:
                    self._tell(failed, item, node.index, "rolled_back")
        for node, items, _ in walk.held:
            for item in items:
                self._tell(failed, item, node.index, "dropped")
        for ordinal, sends in uncompensated(walk, failed).items():
            entry, place = failed[ordinal].entry, failed[ordinal].place
            standing = [send.told() for send in sends if send.node >= place]
            if entry is not None and standing:
                entry.effects.setdefault("uncompensated", []).extend(standing)

    def _tell(self, failed: dict[int, Undone], item: Item, index: int, effect: str) -> None:
        one = failed.get(item.ordinal)
        if one is not None and one.entry is not None and _is_within(item, index, one):
            one.entry.effects.setdefault(effect, []).append(self.plan.nodes[index].shown_path)

    def _let_other_ways_wait(self, forked: list[Undone]) -> None:
        forks = {one.item.ordinal: one.entry for one in forked if one.entry is not None}
        for index, tally in self.result.tallies.items() if forks else ():
            failed, tally.failed = tally.failed, []
            for entry in failed:
                first = forks.get(entry.item.ordinal)
                if first is None or entry is first or entry.is_handled or first.start >= index:
                    tally.failed.append(entry)
                else:
                    tally.rolled_back.append(entry.item)

    # --- ends --------------------------------------------------------------------------------------------------------
    def settle(self, marks: list[Mark]) -> None:
        """A record of which a copy was taken out has failed, whatever became of the others."""
        for item, *_ in marks:
            if self.ended.get(item.ordinal):
                item.failed, item.taken = True, False


def writers_of(plan: Plan) -> frozenset[int]:
    """The nodes whose visits a rollback undoes: transactional imports, and the calls that stand for such."""
    undoable = [node for node in plan.nodes if node.is_undoable]
    return frozenset({node.index for node in undoable} | {node.own for node in undoable if node.is_inner})


def in_hand(walk: Walk) -> list[FailedRecord]:
    """The failures that handlers had in hand when a walk broke off."""
    trips = [item.trip for box in walk.inbox for item in box] + [one.detour.trip for one in walk.undone]
    found = [entry for trip in trips for entry in (trip.caught, *(frame.caught for frame in trip.frames))]
    booked = {id(entry) for entry in walk.result.failures()}
    return list({id(entry): entry for entry in found if entry is not None and id(entry) not in booked}.values())


def outermost(undone: list[Undone]) -> tuple[list[Undone], list[Undone]]:
    """Of what is undone of one record, that which covers the rest; of copies the first stands for all."""
    if len({one.item.ordinal for one in undone}) == len(undone):
        return undone, []
    chosen: list[Undone] = []
    others: list[Undone] = []
    for one in sorted(undone, key=lambda u: (u.place, u.waits)):
        is_covered = any(_is_within(one.item, one.place, outer) for outer in chosen)
        (others if is_covered else chosen).append(one)
    return chosen, others


def _covers(spans: dict[int, list[Undone]], item: Item, index: int) -> bool:
    """Whether a visit is among what was undone; of a record that waits, only what comes before its new start."""
    for one in spans.get(item.ordinal, ()):
        if _is_within(item, index, one):
            return not one.waits or index < one.detour.target
    return False


def _is_within(item: Item, index: int, one: Undone) -> bool:
    is_same = item.ordinal == one.item.ordinal
    return is_same and index >= one.place and item.name_at(one.place) == one.item.name_at(one.place)


def _is_over(one: Undone) -> bool:
    """Whether a record goes no further in this scope: its failure left the flow, or it waits."""
    return one.place == ROOT and (one.waits or one.detour.target == END)


def _ended(one: Undone) -> Undone:
    """A record that failed walk after walk is taken out with all that it wrote; its failure is open, not handled."""
    entry = one.entry
    if entry is None or _is_over(one):
        return one
    was_booked, entry.is_handled = entry.is_handled, False
    if one.item.first_write is not None:
        entry.start, entry.record = one.item.first_write
    return Undone(one.item, ROOT, Detour(END, one.item.record, AT_HOME), None if was_booked else entry)


def _all_failed(walk: Walk) -> list[Undone]:
    """Records whose failures are booked already."""
    entries = [entry for entry in walk.result.failures() if not entry.is_handled]
    return [Undone(entry.item, ROOT, Detour(END, entry.record, AT_HOME)) for entry in entries]
