"""Writing to a destination: what is sent now, what is held until the scope commits, and how each outcome is booked."""

import traceback
from collections.abc import Callable
from dataclasses import replace

from apps.engine.expressions import ExpressionError
from apps.engine.plan import Node
from apps.engine.ports import (
    Batch,
    ConnectorError,
    ErrorSource,
    Failure,
    Outage,
    Record,
    Repeats,
    RolledBack,
    Target,
    Written,
)
from apps.engine.records import Item
from apps.engine.result import Wait
from apps.engine.sent import known_send, outcomes, remember
from apps.engine.steps import admitted, expression_failure, guarded, mapped_bodies, split
from apps.engine.walk import Walk, component_failure

NOT_SENT_YET = "the rest was not sent yet"
IN_DOUBT = Failure(
    ErrorSource.APPLICATION,
    "in_doubt",
    "Flowmend was cut while it sent this record, and the destination cannot recognise a repeat. "
    "Check there whether it arrived; then mark it as sent, or retry it.",
    unknown=True,
)


def run_import(walk: Walk, node: Node, items: list[Item]) -> None:
    """Write. What cannot be rolled back waits, inside a scope, until the scope has committed."""
    items, bodies = mapped_bodies(walk, node, admitted(walk, node, items))
    if not items:
        return
    if walk.is_scoped and not node.is_transactional and not node.sends_now:
        keep_first_write(node, items)
        walk.held.append((node, items, bodies))
        walk.forward(node, items)
    else:
        send(walk, node, items, bodies)


def send(walk: Walk, node: Node, items: list[Item], bodies: list[Record], *, onward: bool = True) -> None:
    """Write the bodies and book each outcome."""
    target = walk.opened.target(node)
    items, bodies = without_doubtful(walk, node, target, items, bodies)
    try:
        written = answer(walk, node, items, lambda: write_once(walk, node, target, items, bodies))
    except Outage as outage:
        if not onward:
            mark_alone(items)
        walk.outage(node, items, outage)
        return
    book(walk, node, items, written, onward)


def answer(walk: Walk, node: Node, items: list[Item], ask: Callable[[], Written]) -> Written:
    """What was answered; where the whole call failed, that is the failure of each item. Raises Outage."""
    try:
        return ask()
    except Outage:
        raise
    except ConnectorError as error:
        failure = error.failure()
    except Exception as error:
        walk.log("error", node, traceback.format_exc())
        failure = component_failure(error)
    return Written(dict.fromkeys(range(len(items)), failure))


def mark_alone(items: list[Item]) -> None:
    for item in items:
        item.alone = True


def without_doubtful(
    walk: Walk, node: Node, target: Target, items: list[Item], bodies: list[Record]
) -> tuple[list[Item], list[Record]]:
    """Leave out the records whose send was cut by a kill where a repeat could not be recognised: they are in doubt."""
    if target.repeats is not Repeats.UNSAFE or node.policy.resends_unknown or not items:
        return items, bodies
    doubtful = walk.announce(node, items)
    for item in items:
        if item.ordinal in doubtful:
            walk.fail(node, item, IN_DOUBT)
    kept = [i for i, item in enumerate(items) if item.ordinal not in doubtful]
    return [items[i] for i in kept], [bodies[i] for i in kept]


def write_once(walk: Walk, node: Node, target: Target, items: list[Item], bodies: list[Record]) -> Written:
    """Write; what cannot be undone, and was sent in an earlier walk of its scope, is not sent again."""
    if not walk.is_scoped or node.is_transactional:
        return write(walk, node, target, items, bodies)
    fresh = [index for index, item in enumerate(items) if known_send(walk, node, item) is None]
    some, their_bodies = [items[i] for i in fresh], [bodies[i] for i in fresh]
    written = answer(walk, node, some, lambda: write(walk, node, target, some, their_bodies))
    remember(walk, node, some, their_bodies, written)
    if written.not_sent:
        park_unsent(walk, node, some, written, onward=True)
    return outcomes(walk, node, items)


def write(walk: Walk, node: Node, target: Target, items: list[Item], bodies: list[Record]) -> Written:
    if not items:
        return Written()
    if walk.forced is not None and target.repeats is Repeats.LEDGER:
        return Written()  # the ledger says that this part was committed: these went through
    batch = Batch(
        bodies=bodies,
        records=[item.record for item in items],
        ordinals=[item.ordinal for item in items],
        keys=lambda index: walk.idempotency_key(node, items[index]),
        scope=walk.scope_at(node),
        stop=walk.should_stop,
    )
    try:
        return guarded(walk, node, lambda: target.write(batch))
    except RolledBack as gone:
        gone.step, gone.ordinal = node.key, items[gone.at].ordinal
        raise


def book(walk: Walk, node: Node, items: list[Item], written: Written, onward: bool) -> None:
    if written.failures or written.not_sent:
        good = [item for index, item in enumerate(items) if index not in written.failures | written.not_sent]
    else:
        good = items
    if walk.is_scoped and node.is_transactional:
        keep_first_write(node, good)
    for item in good:
        item.taken = True
    if written.answers and node.response_mapping is not None:
        good = with_answers(walk, node, items, written)
    for index, failure in written.failures.items():
        walk.fail(node, items[index], failure, onward=onward)
    park_unsent(walk, node, items, written, onward)
    if node.output_filter is not None and onward:
        passed, held_back = split(walk, node, good, node.output_filter, ErrorSource.OUTPUT_FILTER)
        walk.succeed(node, held_back, onward=False)
        walk.leave(node, held_back)
        walk.succeed(node, passed)
    else:
        walk.succeed(node, good, onward=onward)


def keep_first_write(node: Node, items: list[Item]) -> None:
    """From here a retry must start when a later step fails: the write is undone, or the held send is not made."""
    for item in items:
        item.last_write = node.index
        if item.first_write is None:
            item.first_write = item.fork or item.trip.outset or (node.index, item.record)


def with_answers(walk: Walk, node: Node, items: list[Item], written: Written) -> list[Item]:
    """Put fields of the destination's answer back into the records."""
    good = []
    for index, item in enumerate(items):
        if index in written.failures or index in written.not_sent:
            continue
        try:
            scope = replace(walk.scope_at(node, item), answer=written.answers.get(index))
            fields = node.response_mapping(item.record, scope)
        except ExpressionError as error:
            walk.fail(node, item, expression_failure(ErrorSource.RESPONSE_MAPPING, error))
            continue
        item.record = {**item.record, **fields}
        good.append(item)
    return good


def park_unsent(walk: Walk, node: Node, items: list[Item], written: Written, onward: bool) -> None:
    if not written.not_sent:
        return
    unsent = [items[index] for index in written.not_sent]
    if not onward:
        mark_alone(unsent)
    wait_s = max(written.not_sent.values())
    if walk.is_scoped:
        raise Outage("not_sent", written.reason or NOT_SENT_YET, retry_after_s=wait_s)
    walk.is_halted = True
    walk.park(node.index, unsent)
    walk.wait_for(Wait(wait_s, f"connection {node.connection}: {written.reason or NOT_SENT_YET}", node.connection))
