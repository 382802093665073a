"""One change on many retry data, a chunk at a time inside the caller's transaction; each is a version of its own."""

from datetime import datetime
from typing import Any

import orjson

from apps.core.bulk import insert_rows, set_rows
from apps.core.clock import read_now
from apps.errors.changes import Change, ChangeRefused, apply_changes, is_same
from apps.errors.models import BulkAct, Error, RetryData, RetryVersion
from apps.errors.services.editing import EditRefused, parse_record
from apps.errors.services.resolving import locked_errors
from apps.errors.states import ErrorState, ErrorUnit

CHANGED = "changed"
RESULT_LENGTH = 32
VERSION_FIELDS = ["account", "error", "version", "record", "member", "at"]


def edit_chunk(act: BulkAct, ids: list[int]) -> dict[int, str]:
    """Error id -> `changed`, `unchanged`, or why not. An edit that somebody saved since the click is left as it is."""
    changes = [Change(**change) for change in act.options["changes"]]
    errors = locked_errors(act.account_id, ids)
    stored = RetryData.objects.of(act.account_id).select_for_update().filter(error_id__in=ids).order_by("pk")
    data = {d.error_id: d for d in stored}
    since = RetryVersion.objects.of(act.account_id).filter(error_id__in=ids, at__gt=act.created_at)
    edited = set(since.values_list("error_id", flat=True))
    now = read_now()
    results: dict[int, str] = {}
    changed: list[tuple[RetryData, bytes]] = []
    for error in errors:
        result, record = changed_record(error, data.get(error.pk), changes, now)
        if record is not None and error.pk in edited:
            result, record = "edited meanwhile", None
        results[error.pk] = result[:RESULT_LENGTH]
        if record is not None:
            changed.append((data[error.pk], record))
    store_versions(act, changed, now)
    return results


def changed_record(
    error: Error, data: RetryData | None, changes: list[Change], now: datetime
) -> tuple[str, bytes | None]:
    """What comes of the change on one error, with the new record if there is one."""
    if why_not := refusal(error, data):
        return why_not, None
    assert data is not None
    try:
        before = record_of(data)
        after = apply_changes(changes, before, now=now)
        if is_same(before, after):
            return "unchanged", None
        return CHANGED, orjson.dumps(after)
    except (ChangeRefused, EditRefused, orjson.JSONEncodeError) as refused:
        return f"invalid: {refused}", None


def refusal(error: Error, data: RetryData | None) -> str:
    """Why the retry data of an error cannot be edited now; "" if they can."""
    if error.retry_run_id is not None:
        return f"retried by r-{error.retry_run_id}"
    if error.state != ErrorState.OPEN:
        return "is resolved"
    if error.unit != ErrorUnit.RECORD:
        return "is no single record"
    return "" if data is not None and data.purged_at is None else "its retry data are gone"


def record_of(data: RetryData) -> dict[str, Any]:
    """The record of retry data as an object. Raises EditRefused for what is none."""
    return parse_record(bytes(data.record or b"").decode("utf-8", "replace"))


def store_versions(act: BulkAct, changed: list[tuple[RetryData, bytes]], now: datetime) -> None:
    """Write the new records, each as a version of its own beside the ones before."""
    originals = [(act.account_id, d.error_id, 1, d.record, None, now) for d, _ in changed if d.version == 1]
    edits = [(act.account_id, d.error_id, d.version + 1, new, act.member_id, now) for d, new in changed]
    insert_rows(RetryVersion, VERSION_FIELDS, [*originals, *edits])
    rows = [(d.pk, new, d.version + 1, d.generation + 1) for d, new in changed]  # another content is another send
    set_rows(RetryData, ["record", "version", "generation"], rows)
