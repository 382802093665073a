"""What each kind of step does with the items that stand before it."""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from apps.engine.classification import class_of_expression
from apps.engine.expressions import ExpressionError
from apps.engine.plan import END, Node
from apps.engine.ports import (
    Classification,
    ConnectorError,
    ErrorSource,
    Failure,
    Outage,
    Record,
    Scope,
)
from apps.engine.records import Item
from apps.engine.walk import Walk, component_failure

T = TypeVar("T")


def expression_failure(source: str, error: ExpressionError) -> Failure:
    """An expression that failed on a record, in the words of the console."""
    code = f"{source}_{error.kind}"
    return Failure(source, code, str(error), class_of_expression(error.kind), field=error.field)


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
