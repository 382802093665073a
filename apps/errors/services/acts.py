"""Acts on many errors: the selection is frozen at the click, then done in chunks, each one transaction.

A chunk that was cut is simply not there; whoever goes on takes the items that have no result yet.
"""

from collections.abc import Callable, Mapping
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection, transaction
from django.db.models import F, QuerySet

from apps.accounts.models import Account, Member
from apps.accounts.services import SYSTEM, Actor, acting_as_rule, record_audit
from apps.core.bulk import set_rows
from apps.core.clock import database_now
from apps.core.queue import enqueue
from apps.core.transactions import repeated
from apps.errors.models import BulkAct, BulkItem, Error, Upload
from apps.errors.services.edit_chunk import CHANGED, edit_chunk
from apps.errors.services.note_chunks import assign_chunk, tag_chunk
from apps.errors.services.removing import delete_chunk
from apps.errors.services.resolving import reopen_chunk, resolve_chunk, sent_chunk
from apps.errors.services.retries import begin_runs, retry_chunk
from apps.errors.services.steering import classify_chunk
from apps.errors.services.upload_chunk import upload_chunk
from apps.errors.states import BulkKind

PERFORM_ACT = "apps.execution.tasks.perform_act"
CHUNK = 1_000
AT_ONCE = 200
"""Selections up to this size are done in the request; larger ones by a worker, with progress."""

EVERY = -1
"""As many retries after an edit as it changed."""

Chunk = Callable[[BulkAct, list[int]], dict[int, str]]
CHUNKS: Mapping[str, Chunk] = {
    BulkKind.RESOLVE: resolve_chunk,
    BulkKind.SENT: sent_chunk,
    BulkKind.REOPEN: reopen_chunk,
    BulkKind.RETRY: retry_chunk,
    BulkKind.ASSIGN: assign_chunk,
    BulkKind.TAG: tag_chunk,
    BulkKind.EDIT: edit_chunk,
    BulkKind.CLASSIFY: classify_chunk,
    BulkKind.UPLOAD: upload_chunk,
    BulkKind.DELETE: delete_chunk,
}


class ActRefused(Exception):  # noqa: N818 (an answer, not a fault)
    """An act that cannot begin; the message tells why."""


def resolve_errors(*, account: Account, member: Member | None, errors: "QuerySet[Error]") -> BulkAct:
    """Resolve open errors by hand. Idempotent: what is resolved stays as it is."""
    return begin_act(account, member, BulkKind.RESOLVE, errors, {})


def mark_sent(*, account: Account, member: Member | None, errors: "QuerySet[Error]") -> BulkAct:
    """Resolve errors in doubt whose record somebody found at the destination. Nothing is sent, no later step runs.

    Their retry data stay, so that they can be reopened; errors that are not in doubt are left alone.
    """
    return begin_act(account, member, BulkKind.SENT, errors, {})


def reopen_errors(*, account: Account, member: Member | None, errors: "QuerySet[Error]") -> BulkAct:
    """Open resolved errors again, unless a newer error of the same record is open."""
    return begin_act(account, member, BulkKind.REOPEN, errors, {})


def delete_errors(*, account: Account, member: Member | None, errors: "QuerySet[Error]") -> BulkAct:
    """Remove resolved errors with all that is stored about them; open ones and those under a retry are left alone."""
    return begin_act(account, member, BulkKind.DELETE, errors, {})


def retry_errors(
    *,
    account: Account,
    member: Member | None,
    errors: "QuerySet[Error]",
    uses_original_revision: bool = False,
    includes_resolved: bool = False,
    includes_rest: bool = False,
    is_forced: bool = False,
) -> BulkAct:
    """Retry errors from the point stored with their retry data: one retry run per flow and starting step.

    Where the steps after it were done already, only the failed step is done again, unless `includes_rest`. A record of
    which a newer pass went through since is not sent, unless `is_forced`.
    """
    options = {
        "uses_original_revision": uses_original_revision, "includes_resolved": includes_resolved,
        "includes_rest": includes_rest, "is_forced": is_forced,
    }  # fmt: skip
    return begin_act(account, member, BulkKind.RETRY, errors, options)


def begin_act(
    account: Account, member: Member | None, kind: str, errors: "QuerySet[Error]", options: dict[str, Any]
) -> BulkAct:
    """Freeze the selection; few errors are done at once, many by a worker."""
    with transaction.atomic():
        act = freeze_act(account, member, kind, errors, options)
        if act.count > AT_ONCE:
            enqueue(PERFORM_ACT, account.pk, act.pk, queue="interactive")
    if act.count <= AT_ONCE:
        perform_act(account.pk, act.pk)
    act.refresh_from_db()
    return act


@transaction.atomic
def freeze_act(
    account: Account, member: Member | None, kind: str, errors: "QuerySet[Error]", options: dict[str, Any]
) -> BulkAct:
    """Begin an act: which errors are meant is written down. Whoever calls it performs it; else the dispatcher hints."""
    act = BulkAct(account=account, act=kind, member=member, options=options)
    act.save(force_insert=True)
    act.count = _freeze(act, errors)
    act.save(update_fields=["count"])
    actor = Actor.member(member) if member else SYSTEM
    chosen = {name: value for name, value in options.items() if value is True}
    record_audit(account=account, actor=actor, act=f"error.{kind}", target=act, after={"count": act.count} | chosen)
    return act


def _freeze(act: BulkAct, errors: "QuerySet[Error]") -> int:
    """Write down which errors are meant; errors that arrive later are not swept in."""
    chosen = errors.filter(account_id=act.account_id).order_by().values(chosen=F("pk"))
    try:
        selected, params = chosen.query.sql_with_params()
    except EmptyResultSet:  # a filter that nothing can match
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO bulk_item (account_id, act_id, error_id, result) "  # noqa: S608 (a query of the ORM)
            f"SELECT %s, %s, selected.chosen, '' FROM ({selected}) AS selected",
            [act.account_id, act.pk, *params],
        )
        return int(cursor.rowcount)


def perform_act(account_id: int, act_id: int, *, most_chunks: int | None = None) -> None:
    """Do what is left of an act, or a few chunks of it; may be called again at any time, by anybody."""
    done = 0
    while done != most_chunks and _perform_chunk(account_id, act_id):
        done += 1


@repeated
def _perform_chunk(account_id: int, act_id: int) -> bool:
    """One chunk, one transaction; False when the act is done."""
    acts = BulkAct.objects.of(account_id)
    act = acts.select_for_update().filter(pk=act_id, ended_at__isnull=True).first()
    if act is None:
        return False
    # of two errors of one record a reopen takes the newer one, so it begins with the newest
    order = "-error_id" if act.act == BulkKind.REOPEN else "error_id"
    items = BulkItem.objects.of(act.account_id).filter(act=act, result="").order_by(order)
    chunk = list(items.values_list("pk", "error_id")[:CHUNK])
    if not chunk:
        _end(act)
        acts.filter(pk=act.pk).update(ended_at=database_now())
        return False
    results = CHUNKS[act.act](act, [error for _, error in chunk])
    set_rows(BulkItem, ["result"], [(pk, results.get(error, "gone")) for pk, error in chunk])
    acts.filter(pk=act.pk).update(done=F("done") + len(chunk))
    return True


def rule_of(act: BulkAct) -> dict[str, Any]:
    """The option that names the revision of the rule whose act it is; nothing for a member's."""
    return {"rule": act.options["rule"]} if "rule" in act.options else {}


def _end(act: BulkAct) -> None:
    """All items have their result: let the retries begin that this act collected, or that shall follow an edit."""
    begin_runs(act)
    Upload.objects.of(act.account_id).filter(pk=act.options.get("upload")).delete()
    retries = act.options.get("retries", 0)
    if act.act not in (BulkKind.EDIT, BulkKind.UPLOAD) or not retries:
        return
    changed = BulkItem.objects.of(act.account_id).filter(act=act, result=CHANGED).order_by("error_id")
    errors = (
        changed.values("error_id") if retries == EVERY else list(changed.values_list("error_id", flat=True)[:retries])
    )
    rows = Error.objects.of(act.account_id).filter(pk__in=errors)
    with acting_as_rule(act.options.get("rule")):
        following = begin_act(act.account, act.member, BulkKind.RETRY, rows, rule_of(act))
    act.options["retry_act"] = following.pk
    act.save(update_fields=["options"])
