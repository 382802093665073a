"""What became of a page: outcomes of its parts put together, and each record counted once."""

from typing import Any

from apps.engine.calls import fold
from apps.engine.carried import Carried
from apps.engine.plan import Plan, StepKind
from apps.engine.ports import (
    ErrorSource,
    Failure,
)
from apps.engine.records import Item, Page
from apps.engine.result import FailedRecord, PageResult
from apps.engine.walk import Walk


def merge(entrance: PageResult, walked: PageResult, carried: Carried) -> PageResult:
    """One result out of the entrance, the last walk and what was taken out before it."""
    return join(join(walked, carried.result), entrance)


def join(walked: PageResult, part: PageResult) -> PageResult:
    """Add the outcome of some records to that of others."""
    for index, tally in part.tallies.items():
        into = walked.tally(index)
        into.succeeded += tally.succeeded
        into.ignored += tally.ignored
        into.failed += tally.failed
        into.rolled_back += tally.rolled_back
        into.empty_fields += tally.empty_fields
        into.busy_s += tally.busy_s
    walked.rest += part.rest
    walked.log = part.log + walked.log
    walked.stopped_by = walked.stopped_by or part.stopped_by
    walked.failed += part.failed
    if part.wait and (walked.wait is None or part.wait.seconds > walked.wait.seconds):
        walked.wait = part.wait
    return walked


def settle(result: PageResult, items: list[Item], copies: list[Item], *, shares_fates: bool) -> None:
    """Count the records that came to an end: failed if any error, else success if an import took it, else ignored."""
    if shares_fates:
        items = share_fates([*items, *copies])
    waiting = {item.ordinal for item in (*result.rest, *result.undone)}
    malformed = [entry.item for entry in result.tally(0).failed if entry.raw is not None]
    ended = [item for item in items if item.ordinal not in waiting] if waiting else items
    for item in ended:
        if item.failed:
            result.failed += 1
        elif item.taken:
            result.success += 1
        else:
            result.ignored += 1
    result.rolled_back += len({item.ordinal for item in result.undone})
    result.ended = [*ended, *malformed, *result.undone]
    result.busy_s = sum(tally.busy_s for tally in result.tallies.values())


def tell_standing(plan: Plan, result: PageResult) -> None:
    """Tell with each failure what the record wrote and sent that stands."""
    entries = {entry.item.ordinal: entry for entry in result.failures() if entry.raw is None}
    if not entries:
        return
    for node in plan.nodes:
        if node.kind is StepKind.IMPORT and node.index in result.tallies:
            effect = "committed" if node.is_transactional else "sent"
            for item in result.tallies[node.index].succeeded:
                if item.ordinal in entries:
                    entries[item.ordinal].effects.setdefault(effect, []).append(node.shown_path)


def share_fates(items: list[Item]) -> list[Item]:
    """Copies of one record share its fate: a failure on one way is a failure of the record. One item a record."""
    fates: dict[int, tuple[bool, bool]] = {}
    for item in items:
        failed, taken = fates.get(item.ordinal, (False, False))
        fates[item.ordinal] = (failed or item.failed, taken or item.taken)
    for item in items:
        item.failed, item.taken = fates[item.ordinal]
    return list({item.ordinal: item for item in items}.values())


def refuse_deadly(walk: Walk, page: Page, started: list[Item], *, is_unknown: bool) -> PageResult:
    """The record on which workers died becomes an error at the step before which it stands; in doubt if unknown."""
    text = "The worker died again and again while it had this record. It is set aside and not tried any more."
    for item in started:
        failure = Failure(ErrorSource.INTERNAL, "worker_died", text, unknown=is_unknown)
        end_where_it_stands(walk.plan, walk.result, item, failure)
    fold(walk.plan, walk.result)
    settle(walk.result, page.items, [], shares_fates=False)
    return walk.result


def end_where_it_stands(plan: Plan, result: PageResult, item: Item, failure: Failure, **facts: Any) -> None:
    """A record goes no further, wherever it waits: inside a sub-flow its retry repeats the call."""
    node = plan.nodes[min(item.at, len(plan.nodes) - 1)]
    start, record = item.trip.outset or (node.index, item.record)
    item.failed = True
    result.tally(node.index).failed.append(FailedRecord(item, node.index, failure, start, record, **facts))
