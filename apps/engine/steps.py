"""What each kind of step does with the items that stand before it."""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from apps.engine.expressions import ExpressionError
from apps.engine.plan import END, Node
from apps.engine.ports import (
    Batch,
    Classification,
    ConnectorError,
    ErrorSource,
    Failure,
    Outage,
    Record,
    Repeats,
    RolledBack,
    Scope,
    Target,
    Written,
)
from apps.engine.records import Item
from apps.engine.result import Wait
from apps.engine.sent import known_send, outcomes, remember
from apps.engine.walk import Walk, component_failure

T = TypeVar("T")

EXPRESSION_CLASS = {
    "missing": Classification.MISSING,
    "parse": Classification.PARSE,
    "value": Classification.VALUE,
    "limit": Classification.TOO_LARGE,
}


NOT_SENT_YET = "the rest was not sent yet"
IN_DOUBT = Failure(
    ErrorSource.APPLICATION,
    "in_doubt",
    "Flowmend was cut while it sent this record, and the destination cannot recognise a repeat. "
    "Check there whether it arrived; then mark it as sent, or retry it.",
    unknown=True,
)


def expression_failure(source: str, error: ExpressionError) -> Failure:
    """An expression that failed on a record, in the words of the console."""
    code = f"{source}_{error.kind}"
    return Failure(source, code, str(error), EXPRESSION_CLASS.get(error.kind, ""), field=error.field)


# --- filters ------------------------------------------------------------------------------------------------------
def run_filter(walk: Walk, node: Node, items: list[Item]) -> None:
    """Records for which the condition does not hold are ignored and go no further."""
    kept, dropped = split(walk, node, items, node.condition, ErrorSource.INPUT_FILTER)
    walk.drop(node, dropped)
    walk.succeed(node, kept)


def split(walk: Walk, node: Node, items: list[Item], condition: Any, source: str) -> tuple[list[Item], list[Item]]:
    """Those for which a condition holds, and those for which it does not; a condition that fails is a failure."""
    kept: list[Item] = []
    dropped: list[Item] = []
    scope_of = scopes(walk, node)
    for item in items:
        try:
            (kept if condition(item.record, scope_of(item)) else dropped).append(item)
        except ExpressionError as error:
            walk.fail(node, item, expression_failure(source, error))
    return kept, dropped


def scopes(walk: Walk, node: Node) -> Callable[[Item], Scope]:
    """The scope of each item at a node: the same for all, unless a handler has an error in hand."""
    if node.handles != END:
        return lambda item: walk.scope_at(node, item)
    scope = walk.scope_at(node)
    return lambda item: scope


def admitted(walk: Walk, node: Node, items: list[Item]) -> list[Item]:
    """The items that pass the step's input filter. The others are ignored by this step and go on unchanged."""
    if node.input_filter is None:
        return items
    kept, skipped = split(walk, node, items, node.input_filter, ErrorSource.INPUT_FILTER)
    walk.ignore(node, skipped)
    walk.forward(node, skipped)
    return kept


def hand_on(walk: Walk, node: Node, items: list[Item]) -> None:
    """Success, unless the step's output filter holds a record back: then it is ignored and goes no further."""
    if node.output_filter is not None:
        items, dropped = split(walk, node, items, node.output_filter, ErrorSource.OUTPUT_FILTER)
        walk.drop(node, dropped)
    walk.succeed(node, items)


# --- map, log, branch ---------------------------------------------------------------------------------------------
def run_map(walk: Walk, node: Node, items: list[Item]) -> None:
    mapped = []
    for item, fields in zip(*mapped_bodies(walk, node, admitted(walk, node, items)), strict=True):
        item.record = {**item.record, **fields} if node.keeps_record else fields
        mapped.append(item)
    hand_on(walk, node, mapped)


def mapped_bodies(walk: Walk, node: Node, items: list[Item]) -> tuple[list[Item], list[Record]]:
    """The items whose mapping worked, and what it made of them."""
    if node.mapping is None:
        return items, [item.record for item in items]
    run, empty_fields = node.mapping.run, node.mapping.empty_fields
    scope_of, empty = scopes(walk, node), walk.result.tally(node.index).empty_fields
    good: list[Item] = []
    bodies: list[Record] = []
    for item in items:
        try:
            body = run(item.record, scope_of(item))
        except ExpressionError as error:
            walk.fail(node, item, expression_failure(ErrorSource.MAPPING, error))
            continue
        if missing := empty_fields(body):
            empty.update(missing)
        good.append(item)
        bodies.append(body)
    return good, bodies


def run_log(walk: Walk, node: Node, items: list[Item]) -> None:
    items = admitted(walk, node, items)
    assert node.message is not None
    good, scope_of = [], scopes(walk, node)
    for item in items:
        try:
            text = str(node.message(item.record, scope_of(item)))
        except ExpressionError as error:
            walk.fail(node, item, expression_failure(ErrorSource.MAPPING, error))
            continue
        walk.log(node.level, node, text, item)
        good.append(item)
    walk.succeed(node, good)


def run_branch(walk: Walk, node: Node, items: list[Item]) -> None:
    """Send each item down the first way that holds (or all that do); where none holds it is ignored."""
    routed: dict[int, list[Item]] = {}
    for item in items:
        try:
            firsts = open_ways(walk, node, item)
        except ExpressionError as error:
            walk.fail(node, item, expression_failure(ErrorSource.BRANCH, error))
            continue
        if not firsts:
            walk.drop(node, [item])
        if len(firsts) > 1 and item.fork is None:
            item.fork = item.trip.outset or (node.index, item.record)
        for number, first in enumerate(firsts):
            twin = item if number == 0 else walk_copy(walk, item, (node.index, number))
            walk.result.tally(node.index).succeeded.append(twin)
            routed.setdefault(first, []).append(twin)
    for first, group in routed.items():
        walk.forward(replace(node, next=first), group)


def open_ways(walk: Walk, node: Node, item: Item) -> list[int]:
    found: list[int] = []
    scope = walk.scope_at(node, item)
    for way in node.ways:
        if way.when is None or way.when(item.record, scope):
            found.append(way.first)
            if not node.takes_all:
                break
    return found


def walk_copy(walk: Walk, item: Item, fork: tuple[int, int]) -> Item:
    twin = item.copy()
    twin.twin = (*item.twin, fork)
    walk.copies.append(twin)
    return twin


# --- lookup -------------------------------------------------------------------------------------------------------
def run_lookup(walk: Walk, node: Node, items: list[Item]) -> None:
    items = admitted(walk, node, items)
    good = []
    for item, found in zip(items, found_for(walk, node, items), strict=False):
        if isinstance(found, Failure):
            walk.fail(node, item, found)
        elif not found and node.is_required:
            walk.fail(node, item, nothing_found(walk, node, item))
        else:
            value = found if node.is_list else (found[0] if found else None)
            item.record = {**item.record, node.into: value}
            good.append(item)
    hand_on(walk, node, good)


def nothing_found(walk: Walk, node: Node, item: Item) -> Failure:
    asked = walk.opened.lookup(node).words_for(item.record, walk.scope_at(node, item))
    text = f"Step {node.name} found nothing in {asked}, and it is required."
    return Failure(ErrorSource.LOOKUP, "lookup_empty", text, Classification.MISSING)


def found_for(walk: Walk, node: Node, items: list[Item]) -> Sequence[list[Record] | Failure]:
    """What the application answers for each item. Answers are kept: a replay of the scope asks for nothing twice."""
    asked = [item for item in items if (node.index, item.name) not in walk.answers]
    if asked:
        answers = ask(walk, node, asked)
        if answers is None:
            return []
        walk.answers.update({(node.index, item.name): answer for item, answer in zip(asked, answers, strict=True)})
    return [walk.answers[node.index, item.name] for item in items]


def ask(walk: Walk, node: Node, items: list[Item]) -> Sequence[list[Record] | Failure] | None:
    """None: the lookup did not happen and the items wait."""
    lookup = walk.opened.lookup(node)
    try:
        return guarded(walk, node, lambda: lookup.find([item.record for item in items], walk.scope_at(node)))
    except Outage as outage:
        walk.outage(node, items, outage)
        return None
    except ConnectorError as error:
        return [error.failure()] * len(items)
    except Exception as error:
        walk.log("error", node, traceback.format_exc())
        return [component_failure(error)] * len(items)


def guarded(walk: Walk, node: Node, call: Callable[[], T]) -> T:
    """Make a call so that its failure leaves an open transaction usable."""
    if not (walk.is_scoped and node.is_transactional):
        return call()
    session = walk.opened.session(node.connection)
    session.savepoint("step")
    try:
        return call()
    except Outage:
        raise
    except Exception:
        session.rollback_to("step")
        raise


# --- import -------------------------------------------------------------------------------------------------------
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
        written = write_once(walk, node, target, items, bodies)
    except Outage as outage:
        if not onward:
            mark_alone(items)
        walk.outage(node, items, outage)
        return
    except ConnectorError as error:
        written = Written(dict.fromkeys(range(len(items)), error.failure()))
    except Exception as error:
        walk.log("error", node, traceback.format_exc())
        written = Written(dict.fromkeys(range(len(items)), component_failure(error)))
    book(walk, node, items, written, onward)


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
    try:
        written = write(walk, node, target, some, their_bodies)
    except Outage:
        raise
    except ConnectorError as error:
        written = Written(dict.fromkeys(range(len(some)), error.failure()))
    except Exception as error:
        walk.log("error", node, traceback.format_exc())
        written = Written(dict.fromkeys(range(len(some)), component_failure(error)))
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
