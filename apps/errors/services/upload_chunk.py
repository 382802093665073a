"""Retry data from an uploaded file, a chunk at a time inside the caller's transaction."""

import zlib
from collections.abc import Iterable, Mapping

import orjson

from apps.core.clock import read_now
from apps.errors.models import BulkAct, Error, RetryData, RetryVersion, Upload
from apps.errors.services.edit_chunk import CHANGED, RESULT_LENGTH, refusal, store_versions
from apps.errors.services.resolving import locked_errors
from apps.errors.uploaded import Entry, inexact, read_entries, says_the_same

EDITED_MEANWHILE = "edited meanwhile"
UNCHANGED = "unchanged"
UNKNOWN = "unknown"


def entries_of(upload: Upload) -> list[Entry]:
    """What stands in the file. Raises UploadRefused."""
    return read_entries(zlib.decompress(bytes(upload.content)))


def upload_chunk(act: BulkAct, ids: list[int]) -> dict[int, str]:
    """Error id -> `changed`, or why not. Somebody else's edit since the download is left as it is."""
    upload = Upload.objects.of(act.account_id).filter(pk=act.options["upload"]).first()
    if upload is None:
        return {}
    wanted = set(ids)
    entries = [entry for entry in entries_of(upload) if entry.error in wanted]
    errors = locked_errors(act.account_id, ids)
    stored = RetryData.objects.of(act.account_id).select_for_update().filter(error_id__in=ids).order_by("pk")
    data = {d.error_id: d for d in stored}
    results = judge(act.account_id, entries, errors, data)
    changed = [(data[e.error], orjson.dumps(e.record)) for e in entries if results[e.number] == CHANGED]
    store_versions(act, changed, read_now())
    return {e.error: results[e.number][:RESULT_LENGTH] for e in entries}


def judge(
    account: int, entries: Iterable[Entry], errors: Iterable[Error], data: Mapping[int, RetryData]
) -> dict[int, str]:
    """Entry number -> what comes of it: `changed`, `unchanged`, `unknown`, `edited meanwhile`, or why not."""
    known = {error.pk: error for error in errors}
    versions = _versions(account, [e for e in entries if e.error in data and e.version != data[e.error].version])
    return {e.number: _judged(e, known.get(e.error), data.get(e.error), versions) for e in entries}


def _versions(account: int, entries: list[Entry]) -> dict[tuple[int, int], bytes]:
    """(error, version) -> the record that was downloaded, of entries that are behind."""
    rows = RetryVersion.objects.of(account).filter(error_id__in=[e.error for e in entries])
    wanted = {(e.error, e.version) for e in entries}
    found = ((error, version, record) for error, version, record in rows.values_list("error_id", "version", "record"))
    return {(error, version): bytes(record or b"") for error, version, record in found if (error, version) in wanted}


def _judged(
    entry: Entry, error: Error | None, data: RetryData | None, versions: Mapping[tuple[int, int], bytes]
) -> str:
    if error is None and not entry.error:
        return f"invalid: {entry.problem}"
    if error is None:
        return UNKNOWN
    if why_not := refusal(error, data):
        return why_not
    if entry.problem:
        return f"invalid: {entry.problem}"
    assert data is not None
    downloaded = versions.get((error.pk, entry.version), b"")
    if says_the_same(entry, bytes(data.record or b"")) or says_the_same(entry, downloaded):
        return UNCHANGED
    if entry.version != data.version:
        return EDITED_MEANWHILE
    lost = inexact(entry)
    return f"invalid: {lost}" if lost else CHANGED
