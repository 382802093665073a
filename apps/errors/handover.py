"""Tags, comments and assignee of an error that gives way to a newer one go over to that one."""

from collections.abc import Iterable

from apps.core.bulk import insert_rows, set_rows
from apps.errors.facts import NewError, Watched
from apps.errors.models import Assignment, Comment, Error, ErrorTag
from apps.errors.retried import Retried

Move = tuple[int, int]
"""Of one error's notes: from this error, to that one."""


def inherit_notes(watched: Iterable[Watched], retried: Iterable[Retried], new: Iterable[NewError]) -> list[Move]:
    """Let new errors take over from those that they supersede, or that a retry ended in; returns whose notes move.

    Asks no database: most errors carry no notes, and then there is nothing to do.
    """
    by_id = {error.id: error for error in new}
    moves = []
    for old in watched:
        heir = _last(by_id, old.resolved_error)
        if heir is not None and (old.has_notes or old.assignee):
            moves.append(_inherit(old, heir))
    for tried in retried:
        heir = _last(by_id, tried.new_error)
        if heir is not None and (tried.has_notes or tried.assignee):
            moves.append(_inherit(tried, heir))
    return moves


def _last(by_id: dict[int, NewError], number: int | None) -> NewError | None:
    """The new error that stays open at the end: within a page one may supersede the other."""
    error = by_id.get(number or 0)
    while error is not None and error.resolved_error in by_id:
        error = by_id[error.resolved_error]
    return error


def _inherit(old: Watched | Retried, heir: NewError) -> Move:
    heir.has_notes = heir.has_notes or old.has_notes
    heir.assignee = heir.assignee or old.assignee
    return old.id, heir.id


def move_notes(account: int, moves: list[Move]) -> None:
    """Hand tags and comments over; the older error keeps none, and no assignee."""
    if not moves:
        return
    heirs = dict(moves)
    _move_tags(account, heirs)
    comments = Comment.objects.of(account).filter(error_id__in=list(heirs)).values_list("pk", "error_id")
    set_rows(Comment, ["error"], [(pk, heirs[error]) for pk, error in comments])
    waiting = Assignment.objects.of(account).filter(error_id__in=list(heirs), mailed_at__isnull=True)
    set_rows(Assignment, ["error"], [(pk, heirs[error]) for pk, error in waiting.values_list("pk", "error_id")])
    set_rows(Error, ["has_notes", "assignee"], [(old, False, None) for old in heirs])


def _move_tags(account: int, heirs: dict[int, int]) -> None:
    """Two errors may hand the same tag to one heir, so tags are set anew rather than moved."""
    tags = ErrorTag.objects.of(account).filter(error_id__in=list(heirs))
    given = {(heirs[error], tag) for error, tag in tags.values_list("error_id", "tag_id")}
    tags.delete()
    insert_rows(ErrorTag, ["account", "error", "tag"], [(account, error, tag) for error, tag in sorted(given)])
