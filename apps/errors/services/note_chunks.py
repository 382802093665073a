"""Assign and tag, a chunk at a time inside the caller's transaction."""

from datetime import datetime

from apps.core.bulk import insert_rows
from apps.core.clock import read_now
from apps.errors.models import Assignment, BulkAct, Comment, Error, ErrorTag, Tag
from apps.errors.services.resolving import locked_errors


def assign_chunk(act: BulkAct, ids: list[int]) -> dict[int, str]:
    """Error id -> what came of it. `assignee` of the options is a member's id; None takes the assignee away."""
    assignee = act.options["assignee"]
    errors = locked_errors(act.account_id, ids)
    chosen = [e.pk for e in errors if e.assignee_id != assignee]
    Error.objects.of(act.account_id).filter(pk__in=chosen).update(assignee_id=assignee)
    keep_assignments(act.account_id, chosen, assignee=assignee, by=act.member_id, now=read_now())
    done = "assigned" if assignee else "unassigned"
    return {e.pk: done if e.pk in set(chosen) else "was so already" for e in errors}


def keep_assignments(account: int, errors: list[int], *, assignee: int | None, by: int | None, now: datetime) -> None:
    """What a digest has to tell of these errors: one that somebody else got meanwhile is not told any more."""
    Assignment.objects.of(account).filter(error_id__in=errors, mailed_at__isnull=True).delete()
    if assignee is not None and assignee != by:
        fields = ["account", "error", "assignee", "assigned_by", "at"]
        insert_rows(Assignment, fields, [(account, error, assignee, by, now) for error in errors])


def tag_chunk(act: BulkAct, ids: list[int]) -> dict[int, str]:
    """Error id -> what came of it. `add` and `remove` of the options are ids of tags; one that is gone is left out."""
    errors = [e.pk for e in locked_errors(act.account_id, ids)]
    rows = ErrorTag.objects.of(act.account_id).filter(error_id__in=errors)
    rows.filter(tag_id__in=act.options["remove"]).delete()
    tags = list(Tag.objects.of(act.account_id).filter(pk__in=act.options["add"]).values_list("pk", flat=True))
    given = set(rows.filter(tag_id__in=tags).values_list("error_id", "tag_id"))
    missing = [(act.account_id, e, tag) for e in errors for tag in tags if (e, tag) not in given]
    insert_rows(ErrorTag, ["account", "error", "tag"], missing)
    keep_has_notes(act.account_id, errors)
    return dict.fromkeys(errors, "tagged" if act.options["add"] else "untagged")


def keep_has_notes(account: int, ids: list[int]) -> None:
    """Let `has_notes` say whether an error has tags or comments."""
    noted = set(ErrorTag.objects.of(account).filter(error_id__in=ids).values_list("error_id", flat=True))
    noted |= set(Comment.objects.of(account).filter(error_id__in=ids).values_list("error_id", flat=True))
    errors = Error.objects.of(account).filter(pk__in=ids)
    errors.filter(pk__in=noted, has_notes=False).update(has_notes=True)
    errors.exclude(pk__in=noted).filter(has_notes=True).update(has_notes=False)
