"""Bulk edit: one change on many retry data, seen before it is done, and retried afterwards if asked."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.accounts.models import Account, Member
from apps.accounts.permissions import Act, may
from apps.core.clock import read_now
from apps.errors.changes import MOST_DIFFS, Change, ChangeRefused, Difference, check_change, differences, same_changes
from apps.errors.models import BulkAct, Error, RetryData, RetryVersion
from apps.errors.querysets import ErrorQuerySet
from apps.errors.services.acts import EVERY, begin_act
from apps.errors.services.edit_chunk import CHANGED, changed_record, record_of
from apps.errors.services.editing import EditRefused, parse_record
from apps.errors.states import BulkKind

MOST_SHOWN = 20
MOST_LOOKED_AT = 2_000
CHUNK = 200
RETRIES = {"none": 0, "1": 1, "10": 10, "all": EVERY}


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """What would become of one error's retry data: the fields that differ, or why it stays as it is."""

    error: Error
    result: str
    differences: Sequence[Difference]


@dataclass(frozen=True, slots=True)
class EditPreview:
    """Counts over the newest errors of a selection, up to 2,000, and the first 20 that would change or cannot."""

    rows: Sequence[PreviewRow]
    changed: int
    unchanged: int
    invalid: int
    left_alone: int
    is_more: bool

    @property
    def looked_at(self) -> int:
        return self.changed + self.unchanged + self.invalid + self.left_alone


def preview_edit(*, account: Account, errors: ErrorQuerySet, changes: Sequence[Change]) -> EditPreview:
    """What the changes would do; writes nothing. Raises ChangeRefused for a change that cannot be."""
    _check(changes)
    ids = list(errors.filter(account_id=account.pk).order_by("-pk").values_list("pk", flat=True)[: MOST_LOOKED_AT + 1])
    rows: list[PreviewRow] = []
    counts: Counter[str] = Counter()
    for first in range(0, min(len(ids), MOST_LOOKED_AT), CHUNK):
        for row in _previewed(account, ids[first : min(first + CHUNK, MOST_LOOKED_AT)], changes):
            kind = _kind(row.result)
            counts[kind] += 1
            if kind in ("changed", "invalid") and len(rows) < MOST_SHOWN:
                rows.append(row)
    return EditPreview(
        rows, counts["changed"], counts["unchanged"], counts["invalid"], counts["left"], len(ids) > MOST_LOOKED_AT
    )


def _kind(result: str) -> str:
    if result.startswith("invalid"):
        return "invalid"
    return result if result in (CHANGED, "unchanged") else "left"


def _previewed(account: Account, ids: list[int], changes: Sequence[Change]) -> list[PreviewRow]:
    data = RetryData.objects.of(account).in_bulk(ids)
    now = read_now()
    found = []
    for error in Error.objects.of(account).filter(pk__in=ids).defer("effects").order_by("-pk"):
        result, record = changed_record(error, data.get(error.pk), list(changes), now)
        parts = differences(record_of(data[error.pk]), parse_record(record.decode())) if record is not None else []
        found.append(PreviewRow(error, result, parts))
    return found


def edit_errors(
    *, account: Account, member: Member, errors: ErrorQuerySet, changes: Sequence[Change], retries: int = 0
) -> BulkAct:
    """Change the retry data of open errors; then retry `retries` of the changed ones, oldest first, or EVERY.

    Raises ChangeRefused for a change that cannot be, EditRefused for a member who may not edit all of them.
    """
    _check(changes)
    refuse_unless_allowed(account, member, errors)
    options = {"changes": [change.as_options() for change in changes], "retries": retries}
    return begin_act(account, member, BulkKind.EDIT, errors, options)


def _check(changes: Sequence[Change]) -> None:
    if not changes:
        raise ChangeRefused("There is no change to make.")
    for change in changes:
        check_change(change)


def refuse_unless_allowed(account: Account, member: Member, errors: ErrorQuerySet) -> None:
    """Raises EditRefused for a member who may not edit the retry data of all of these."""
    if may(member, Act.EDIT_RETRY_DATA):
        return
    rows = errors.filter(account_id=account.pk).order_by().values_list("flow__integration", flat=True).distinct()
    if not all(may(member, Act.EDIT_RETRY_DATA, integration_id=integration) for integration in rows):
        raise EditRefused("You need the role manager, or the permission to edit retry data.")


def edits_like(before: Mapping[str, Any], text: str) -> list[Change]:
    """The edit of one record as changes for others that have the same values. Raises EditRefused for no record."""
    return same_changes(before, parse_record(text))


def edit_made(error: Error, version: int) -> list[Change]:
    """What the edit to this version changed, as changes for others that have the same values.

    Raises ChangeRefused for an edit that is not there, or too large to be repeated; EditRefused for what is no record.
    """
    rows = RetryVersion.objects.of(error.account_id).filter(error=error.pk, version__in=(version - 1, version))
    texts = {row.version: bytes(row.record or b"").decode("utf-8", "replace") for row in rows}
    if len(texts) < 2:
        raise ChangeRefused("There is no such edit of this error.")
    changes = edits_like(parse_record(texts[version - 1]), texts[version])
    if len(changes) >= MOST_DIFFS:
        raise ChangeRefused(f"This edit changed {MOST_DIFFS} fields or more: too much to be repeated elsewhere.")
    return changes
