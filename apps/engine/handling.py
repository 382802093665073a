"""What becomes of a record that failed: how far its writes go back, and who answers the failure.

A failure is answered by the handling of its step; `rollback`, and a handler that ends with an error, hand it to the
calling flow. Undoing what one record wrote inside a page's transaction means a replay: the page goes back to its
beginning and is walked again, and there the record takes a **detour**, from the place to which its writes were undone
straight to its handler, on behind the step, or nowhere. A failure that has nothing to undo goes on in the same walk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from apps.engine.classification import class_of
from apps.engine.plan import END, ROOT, Handling, Node
from apps.engine.ports import Failure, Record
from apps.engine.records import AT_HOME, NOWHERE, FailedRecord, Frame, Item, Trip

if TYPE_CHECKING:
    from apps.engine.walk import Walk

NOTHING = 1 << 30
"""A place behind every node: going back to it undoes nothing."""


@dataclass(frozen=True, slots=True)
class Detour:
    """Where a record goes instead, with what, when it comes to the place to which its writes were undone."""

    target: int
    record: Record
    trip: Trip

    def take(self, item: Item) -> int:
        item.record, item.trip = self.record, self.trip
        return self.target


@dataclass(frozen=True, slots=True)
class Undone:
    """A record whose writes from `place` on must be undone. Its `entry` is booked when the writes are, or is caught.

    `waits`: it has not failed, it is tried again later from where it stands now.
    """

    item: Item
    place: int
    detour: Detour
    entry: FailedRecord | None = None
    waits: bool = False


class PageFailed(Exception):  # noqa: N818 (an answer: the page is its scope)
    """A failure left the outermost flow, and the scope is the page: nothing of it stays."""

    def __init__(self, entry: FailedRecord) -> None:
        super().__init__(entry.failure.message)
        self.entry = entry


# --- failing ---------------------------------------------------------------------------------------------------------
def answer(walk: Walk, node: Node, entry: FailedRecord) -> None:
    """A step failed a record: undo, and hand it to whoever answers the failure."""
    if entry.item.trip.outset is not None:
        entry.start, entry.record = entry.item.trip.outset
    seek(walk, node, entry, keeps=False)


def answer_late(walk: Walk, node: Node, entry: FailedRecord) -> None:
    """A send that was held until the scope had committed failed: nothing is undone, the flow has gone on without it."""
    entry.item.trip = AT_HOME
    if node.handling is Handling.ROLLBACK:
        leave_flow(walk, entry)
    else:
        entry.item.alone = True
        go_on(walk, node, entry, NOTHING)


def seek(walk: Walk, node: Node, entry: FailedRecord, *, keeps: bool) -> None:
    """Look for the handling that answers, from a step outwards through the calls.

    `keeps`: a handler ended with the error, and what its sub-flow kept stays where a caller undoes only the call.
    """
    item, place = entry.item, NOTHING
    while node.handling is Handling.ROLLBACK:
        place, keeps = min(place, node.savepoint), False
        let_go(walk, item)
        if not item.trip.frames:
            leave_flow(walk, entry)
            return
        node = step_out(walk, item)
    if not node.handling.sets_savepoint:
        place = min(place, node.savepoint)
    elif not (keeps and node.keeps_changes):
        place = min(place, node.index)
    go_on(walk, node, entry, place)


def go_on(walk: Walk, node: Node, entry: FailedRecord, place: int) -> None:
    """`continue`: on behind the step, the failure is answered. Else into the handler, which has it in hand."""
    item = entry.item
    must_undo = walk.is_scoped and item.last_write >= place
    if node.handling is Handling.CONTINUE:
        book_handled(walk, entry)
        walk.log("warning", node, f"Went on as its handling says: {in_full(walk, entry)}", item)
        detour = Detour(END if item.alone else node.next, item.record, item.trip)
    else:
        let_go(walk, item)
        item.alone = False
        detour = Detour(node.handler, with_error(walk, item.record, entry), caught(item, entry, must_undo, place))
        if node.logs_error:
            walk.log("error", node, in_full(walk, entry), item)
    if must_undo:
        walk.undone.append(Undone(item, place, detour, entry))
    else:
        walk.send_to(detour.take(item), item)


def caught(item: Item, entry: FailedRecord, must_undo: bool, place: int) -> Trip:
    """The trip through a handler. A retry, of what fails there too, starts at the first undone write, or the step."""
    outset = item.trip.outset or (entry.start, entry.record)
    if must_undo and item.first_write is not None and item.first_write[0] >= place:
        outset = entry.start, entry.record = item.first_write
    return Trip(item.trip.frames, entry, outset)


def leave_flow(walk: Walk, entry: FailedRecord) -> None:
    """The failure leaves the outermost flow: the scope says what is undone."""
    item = entry.item
    item.failed, entry.is_handled = True, False
    if walk.is_scoped and walk.plan.scope.is_all_or_nothing:
        raise PageFailed(entry)
    if walk.is_scoped and item.last_write > NOWHERE:
        if item.first_write is not None:
            entry.start, entry.record = item.first_write
        walk.undone.append(Undone(item, ROOT, Detour(END, item.record, item.trip), entry))
    else:
        walk.result.tally(entry.node).failed.append(entry)


# --- moving through calls and handlers -------------------------------------------------------------------------------
def step_in(item: Item, call: int, record: Record) -> None:
    """Into a sub-flow: the caller's record waits on a frame."""
    trip = item.trip
    frames = (*trip.frames, Frame(call, item.record, trip.caught))
    item.trip = Trip(frames, None, trip.outset or (call, item.record))
    item.record = record


def step_out(walk: Walk, item: Item) -> Node:
    """Out of a sub-flow, with the caller's record; the call that it was in."""
    *frames, frame = item.trip.frames
    outset = item.trip.outset
    is_done = not frames and frame.caught is None and outset is not None and outset[0] == frame.call
    item.record, item.trip = frame.record, Trip(tuple(frames), frame.caught, None if is_done else outset)
    return walk.plan.nodes[frame.call]


def let_go(walk: Walk, item: Item) -> None:
    """A handler that failed itself had a failure in hand: another one speaks for the record now."""
    if item.trip.caught is not None:
        book_handled(walk, item.trip.caught)
        item.trip = item.trip._replace(caught=None)


def book_handled(walk: Walk, entry: FailedRecord) -> None:
    entry.is_handled = True
    walk.result.tally(entry.node).failed.append(entry)


def end_handler(walk: Walk, node: Node, item: Item) -> None:
    """A handler has come to its end: the error stops here, and the record leaves the flow; or it is raised again."""
    entry = item.trip.caught
    assert entry is not None, "a handler has a failure in hand"
    item.trip = item.trip._replace(caught=None)
    if not node.raises_again:
        book_handled(walk, entry)
        if item.trip.frames:
            walk.succeed(step_out(walk, item), [item])
    elif item.trip.frames:
        seek(walk, step_out(walk, item), entry, keeps=True)
    else:
        leave_flow(walk, entry)


# --- what a handler reads --------------------------------------------------------------------------------------------
def with_error(walk: Walk, record: Record, entry: FailedRecord) -> Record:
    """The record with the failure beside its fields."""
    node = walk.plan.nodes[entry.node]
    entry.told = {
        **error_facts(entry.failure),
        "step": node.name,
        "path": node.shown_path,
        "trace": trace_of(walk, entry),
    }
    return {**record, "error": entry.told}


def in_full(walk: Walk, entry: FailedRecord) -> str:
    return f"{entry.failure.message}\n{trace_of(walk, entry)}"


def trace_of(walk: Walk, entry: FailedRecord) -> str:
    """Which record it was, through which flows and steps it came, and what the connector said itself."""
    failure = entry.failure
    record = f"record {entry.key} " if entry.key else ""
    lines = [f"{record}at {walk.plan.nodes[entry.node].shown_path}: {failure.source} {failure.code}".rstrip()]
    return "\n".join([*lines, failure.trace] if failure.trace else lines)


def error_facts(failure: Failure) -> Record:
    """What expressions read as `error`: its class, its message, and the connector's own trace."""
    return {
        "type": class_of(failure),
        "source": str(failure.source),
        "code": failure.code,
        "message": failure.message,
        "classification": class_of(failure),
        "field": failure.field,
        "trace": failure.trace,
    }
