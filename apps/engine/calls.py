"""Sub-flows and handlers: into a call and back, and the end of a handler. And what becomes of both in the books."""

from collections.abc import Callable
from dataclasses import replace

from apps.engine.expressions import ExpressionError
from apps.engine.handling import end_handler, step_in, step_out
from apps.engine.plan import Joint, Node, Plan, StepKind
from apps.engine.ports import ErrorSource, Record
from apps.engine.records import Item
from apps.engine.result import PageResult, Tally
from apps.engine.sending import run_import
from apps.engine.steps import (
    admitted,
    expression_failure,
    hand_on,
    mapped_bodies,
    run_branch,
    run_filter,
    run_log,
    run_lookup,
    run_map,
)
from apps.engine.walk import Walk


def run_call(walk: Walk, node: Node, items: list[Item]) -> None:
    """Into the sub-flow, each with the record that its parameters make."""
    for item, record in zip(*mapped_bodies(walk, node, admitted(walk, node, items)), strict=True):
        step_in(item, node.index, record)
        walk.send_to(node.body, item)


def run_return(walk: Walk, node: Node, items: list[Item]) -> None:
    """Back in the calling flow, with its record and what the sub-flow's result puts into it."""
    back: list[tuple[Node, Item]] = []
    for item in items:
        result = item.record
        call = step_out(walk, item)
        try:
            item.record = with_result(walk, call, item, result)
        except ExpressionError as error:
            walk.fail(call, item, expression_failure(ErrorSource.RESPONSE_MAPPING, error))
            continue
        back.append((call, item))
    if back:
        hand_on(walk, back[0][0], [item for _, item in back])


def with_result(walk: Walk, call: Node, item: Item, result: Record) -> Record:
    if call.response_mapping is None:
        return item.record
    scope = replace(walk.scope_at(call, item), answer=result)
    return {**item.record, **call.response_mapping(item.record, scope)}


def run_end(walk: Walk, node: Node, items: list[Item]) -> None:
    for item in items:
        end_handler(walk, node, item)


STEPS: dict[str, Callable[[Walk, Node, list[Item]], None]] = {
    StepKind.FILTER: run_filter,
    StepKind.MAP: run_map,
    StepKind.LOG: run_log,
    StepKind.BRANCH: run_branch,
    StepKind.LOOKUP: run_lookup,
    StepKind.IMPORT: run_import,
    StepKind.CALL: run_call,
    Joint.RETURN: run_return,
    Joint.END: run_end,
}


# --- books -----------------------------------------------------------------------------------------------------------
def fold(plan: Plan, result: PageResult) -> None:
    """Let the calls stand for the nodes inlined for them: an inner failure is the call's, and so is the time.

    A record visits a call once, with its first failure inside if it had any; each further one counts as a visit.
    """
    for node in plan.nodes:
        tally = result.tallies.pop(node.index, None) if node.is_inner else None
        if tally is None:
            continue
        own = result.tally(node.own)
        own.busy_s += tally.busy_s
        own.empty_fields += tally.empty_fields
        if tally.failed:
            take_failures(own, tally, node)
    if result.culprit is not None and (node := plan.nodes[result.culprit.node]).is_inner:
        result.culprit.inner, result.culprit.node = node.index, node.own


def take_failures(own: Tally, inner: Tally, node: Node) -> None:
    names = {entry.item.name for entry in inner.failed}
    for visits in (own.succeeded, own.ignored, own.rolled_back):
        visits[:] = [item for item in visits if item.name not in names]
    for entry in inner.failed:
        entry.inner, entry.node = node.index, node.own
    own.failed += inner.failed
