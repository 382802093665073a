"""Assign and tag, a chunk at a time inside the caller's transaction."""

from apps.core.bulk import insert_rows
from apps.errors.models import BulkAct, Comment, Error, ErrorTag
from apps.errors.services.resolving import locked_errors


def assign_chunk(act: BulkAct, ids: list[int]) -> dict[int, str]:
    """Error id -> what came of it. `assignee` of the options is a member's id; None takes the assignee away."""
    assignee = act.options["assignee"]
    errors = locked_errors(act.account_id, ids)
    chosen = [e.pk for e in errors if e.assignee_id != assignee]
    Error.objects.of(act.account_id).filter(pk__in=chosen).update(assignee_id=assignee)
    done = "assigned" if assignee else "unassigned"
    return {e.pk: done if e.pk in set(chosen) else "was so already" for e in errors}


def tag_chunk(act: BulkAct, ids: list[int]) -> dict[int, str]:
    """Error id -> what came of it. `add` and `remove` of the options are ids of tags."""
    errors = [e.pk for e in locked_errors(act.account_id, ids)]
    rows = ErrorTag.objects.of(act.account_id).filter(error_id__in=errors)
    rows.filter(tag_id__in=act.options["remove"]).delete()
    given = set(rows.filter(tag_id__in=act.options["add"]).values_list("error_id", "tag_id"))
    missing = [(act.account_id, e, tag) for e in errors for tag in act.options["add"] if (e, tag) not in given]
    insert_rows(ErrorTag, ["account", "error", "tag"], missing)
    keep_has_notes(act.account_id, errors)
    return dict.fromkeys(errors, "tagged")


def keep_has_notes(account: int, ids: list[int]) -> None:
    """Let `has_notes` say whether an error has tags or comments."""
    noted = set(ErrorTag.objects.of(account).filter(error_id__in=ids).values_list("error_id", flat=True))
    noted |= set(Comment.objects.of(account).filter(error_id__in=ids).values_list("error_id", flat=True))
    errors = Error.objects.of(account).filter(pk__in=ids)
    errors.filter(pk__in=noted, has_notes=False).update(has_notes=True)
    errors.exclude(pk__in=noted).filter(has_notes=True).update(has_notes=False)
