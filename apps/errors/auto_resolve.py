"""Auto-resolve: what the passes of a page say about the stored errors of their keys, and about each other.

One look-up of watched keys for the whole page; nothing is asked while a flow has none.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from django.db import connection

from apps.core.bulk import in_array
from apps.engine.records import Item
from apps.engine.result import PageResult
from apps.errors.facts import Book, NewError, Watched, failed_key_hash
from apps.errors.states import ErrorState, Passed, Reason


def watched_errors(book: Book, result: PageResult) -> list[Watched]:
    """The stored errors of this flow whose key went by in this page; one look-up, one parameter for all keys."""
    hashes = {item.key_hash for item in _items(result)}
    hashes |= {failed_key_hash(entry) for entry in result.failures()}
    hashes.discard(None)
    if not hashes:
        return []
    condition, params = in_array("key_hash", [h for h in hashes if h is not None])
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, step_id, run_id, cause_id, state, retry_run_id, passed_run_id, in_doubt, key_hash, "  # noqa: S608
            "payload_hash, pass_order, collision_no, has_notes, assignee_id FROM error WHERE flow_id = %s AND "
            f"key_hash IS NOT NULL AND (state = 'open' OR passed_run_id IS NULL) AND {condition} ORDER BY id",
            [book.flow, *params],
        )
        return [_watched(*row) for row in cursor.fetchall()]


def _watched(*row: Any) -> Watched:
    """From the columns in the order of the look-up."""
    number, step, run, cause, state, retry_run, passed_run, in_doubt, hashed, payload, order, collision, *notes = row
    is_open, has_notes, assignee = state == ErrorState.OPEN, bool(notes[0]), notes[1]
    return Watched(
        number, step, run, cause, is_open, retry_run is not None, passed_run is not None, bool(in_doubt), hashed,
        payload, order, collision, has_notes=has_notes, assignee=assignee,
    )  # fmt: skip


def _items(result: PageResult) -> Iterable[Item]:
    for tally in result.tallies.values():
        yield from tally.succeeded
        yield from tally.ignored


def judge(book: Book, result: PageResult, watched: list[Watched]) -> None:
    """What the passes of this page say about each watched error.

    While auto-resolve is off they resolve none, but it stays known which records went through.
    """
    wanted: set[int | None] = {old.key_hash for old in watched}
    visits, ended = _visits(book, result, wanted), _ended_elsewhere(result, wanted)
    for old in watched:
        passes = visits.get((old.step, old.key_hash)) or [
            (item, Passed.IGNORED) for item in ended.get(old.key_hash, [])
        ]
        for item, outcome in passes:
            _judge_pass(book, old, item, outcome)


def _judge_pass(book: Book, old: Watched, item: Item, outcome: str) -> None:
    order = book.order_of(item)
    if order <= old.order:
        return
    if is_one_pass(order, old.order) and old.payload_hash != item.payload_hash:
        old.collides = old.collides or outcome != Passed.ERROR  # of two that failed the new error tells
        return
    old.passed, old.passed_order = outcome, order
    if old.is_open and book.is_auto_resolving and outcome != Passed.ERROR:
        old.reason = Reason.of_pass(outcome)


def is_one_pass(order: int, other: int) -> bool:
    """Whether two records went by in the same pass of their flow; a retry belongs to the pass of its error."""
    return order >> 32 == other >> 32


def _visits(
    book: Book, result: PageResult, wanted: set[int | None]
) -> dict[tuple[int, int | None], list[tuple[Item, str]]]:
    """(step id, key hash) -> the visits of that key, in the order of the records."""
    found: dict[tuple[int, int | None], list[tuple[Item, str]]] = defaultdict(list)
    for node, tally in result.tallies.items():
        groups = (
            (Passed.SUCCESS, tally.succeeded),
            (Passed.IGNORED, tally.ignored),
            (Passed.ERROR, [entry.item for entry in tally.failed if not entry.is_handled]),
        )
        for outcome, items in groups:
            for item in items:
                if item.key_hash in wanted:
                    found[book.steps[node], item.key_hash].append((item, outcome))
    for visits in found.values():
        visits.sort(key=lambda visit: visit[0].ordinal)
    return found


def _ended_elsewhere(result: PageResult, wanted: set[int | None]) -> dict[int | None, list[Item]]:
    """Records that came to their end without a failure: a step that they never reached has no more use for them."""
    unfinished = {item.ordinal for item in (*result.rest, *result.undone)}
    unfinished |= {item.ordinal for tally in result.tallies.values() for item in tally.rolled_back}
    found: dict[int | None, dict[int, Item]] = defaultdict(dict)
    for item in _items(result):
        if item.key_hash in wanted and not item.failed and item.ordinal not in unfinished:
            found[item.key_hash][item.ordinal] = item
    return {hashed: [items[o] for o in sorted(items)] for hashed, items in found.items()}


def judge_new(book: Book, result: PageResult, new: list[NewError]) -> None:
    """What the visits of this page say about its own new errors: the same record may have come again, and gone through.

    Another record with the same trace key leaves the error open, whichever of them came first: they collide.
    """
    judged: dict[int, dict[str, list[NewError]]] = defaultdict(lambda: defaultdict(list))
    for error in new:
        if error.key_hash is not None and error.is_open:
            judged[error.node][error.entry.item.key].append(error)
    for node, errors in judged.items():
        tally = result.tallies[node]
        for outcome, items in ((Passed.SUCCESS, tally.succeeded), (Passed.IGNORED, tally.ignored)):
            for item in items:
                for error in errors.get(item.key, ()):
                    _judge_twin(book, error, item, outcome)


def _judge_twin(book: Book, error: NewError, item: Item, outcome: str) -> None:
    if item.payload_hash != error.payload_hash:
        error.collides = True
    elif book.is_auto_resolving and book.order_of(item) > error.order:
        error.reason = Reason.of_pass(outcome)


def match_new(book: Book, new: list[NewError], watched: list[Watched]) -> None:
    """Set each new error against the open ones of its key: the newer supersedes, other payloads of one run collide."""
    standing: dict[tuple[int, int], list[Watched | NewError]] = defaultdict(list)
    for old in watched:
        if old.is_open and (old.is_retrying or not old.reason):
            standing[old.step, old.key_hash].append(old)
    for error in sorted(new, key=lambda e: e.order):
        if error.key_hash is None or not error.is_open:
            continue
        rivals = standing[book.steps[error.node], error.key_hash]
        error.collides = error.collides or any(_collide(error, rival) for rival in rivals)
        if book.is_auto_resolving:
            rivals[:] = [rival for rival in rivals if not _supersedes(book, error, rival)]
        if error.is_open:
            error.collision_no = 1 + max((r.collision_no for r in rivals), default=-1)
            rivals.append(error)


def collisions(book: Book, new: list[NewError], watched: list[Watched]) -> Counter[tuple[int, int]]:
    """(run, step) -> how many records of this page share their trace key with another record of the pass."""
    found = Counter((book.run, book.steps[error.node]) for error in new if error.collides)
    return found + Counter((book.run, old.step) for old in watched if old.collides)


def _supersedes(book: Book, error: NewError, rival: "Watched | NewError") -> bool:
    """Let the later of two open errors of one key resolve the earlier; True: the rival is resolved."""
    if _collide(error, rival):
        return False
    if rival.order > error.order:
        error.reason, error.resolved_error = Reason.SUPERSEDED, rival.id
        return False
    rival.reason, rival.resolved_error = Reason.SUPERSEDED, error.id
    return not (isinstance(rival, Watched) and rival.is_retrying)  # who is retried stays until its retry is over


def _collide(error: NewError, rival: "Watched | NewError") -> bool:
    """Whether they are two records of one pass that carry the same trace key."""
    return is_one_pass(error.order, rival.order) and error.payload_hash != rival.payload_hash
