"""Retry data that were edited in a file: looked at first, then stored as versions, and retried if asked."""

import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Q

from apps.accounts.models import Account, Member
from apps.core.clock import read_now
from apps.errors.changes import Difference, differences
from apps.errors.models import BulkAct, Error, RetryData, Upload
from apps.errors.querysets import ErrorQuerySet
from apps.errors.services.acts import begin_act
from apps.errors.services.bulk_edit import CHUNK, MOST_SHOWN, refuse_unless_allowed
from apps.errors.services.edit_chunk import CHANGED, record_of
from apps.errors.services.upload_chunk import EDITED_MEANWHILE, UNCHANGED, UNKNOWN, entries_of, judge
from apps.errors.states import BulkKind
from apps.errors.uploaded import Entry, UploadRefused, read_entries

KEPT_FOR = timedelta(days=1)
KINDS = (CHANGED, UNCHANGED, UNKNOWN, EDITED_MEANWHILE)


@dataclass(frozen=True, slots=True)
class UploadRow:
    """One entry that would change something, or that cannot; `error` is None for one that is not there."""

    entry: Entry
    error: Error | None
    result: str
    differences: Sequence[Difference]


@dataclass(frozen=True, slots=True)
class UploadPreview:
    """Counts over all entries, and the first 20 that would change something or cannot."""

    rows: Sequence[UploadRow]
    counts: Counter[str]

    @property
    def changed(self) -> int:
        return self.counts[CHANGED]

    @property
    def unchanged(self) -> int:
        return self.counts[UNCHANGED]

    @property
    def unknown(self) -> int:
        return self.counts[UNKNOWN]

    @property
    def edited_meanwhile(self) -> int:
        return self.counts[EDITED_MEANWHILE]

    @property
    def invalid(self) -> int:
        return self.counts["invalid"]

    @property
    def left_alone(self) -> int:
        return self.counts["left"]


def keep_upload(*, account: Account, member: Member, name: str, content: bytes) -> Upload:
    """Keep a file until it is stored. Earlier ones of the member that he did not store go, and those of yesterday.

    Raises UploadRefused for a file that is no download of errors.
    """
    if not read_entries(content):
        raise UploadRefused("There is no error in this file.")
    waiting = Upload.objects.of(account).filter(act__isnull=True)
    waiting.filter(Q(member=member) | Q(at__lt=read_now() - KEPT_FOR)).delete()
    upload = Upload(account=account, member=member, name=name[:120], content=zlib.compress(content))
    upload.save(force_insert=True)
    return upload


def preview_upload(*, upload: Upload, errors: ErrorQuerySet) -> UploadPreview:
    """What storing would do to `errors`, those that the member sees and may edit; writes nothing."""
    rows: list[UploadRow] = []
    counts: Counter[str] = Counter()
    for row in _rows(upload, errors):
        counts[_kind(row.result)] += 1
        if row.result != UNCHANGED and len(rows) < MOST_SHOWN:
            rows.append(row)
    return UploadPreview(rows, counts)


def _rows(upload: Upload, errors: ErrorQuerySet) -> Iterator[UploadRow]:
    entries = entries_of(upload)
    for first in range(0, len(entries), CHUNK):
        yield from _previewed(upload, errors, entries[first : first + CHUNK])


def _previewed(upload: Upload, errors: ErrorQuerySet, entries: list[Entry]) -> list[UploadRow]:
    ids = [e.error for e in entries]
    known = {error.pk: error for error in errors.filter(account_id=upload.account_id, pk__in=ids).defer("effects")}
    data = RetryData.objects.of(upload.account_id).in_bulk(list(known))
    results = judge(upload.account_id, entries, known.values(), data)
    return [
        UploadRow(
            e, known.get(e.error), results[e.number],
            differences(record_of(data[e.error]), e.record) if results[e.number] == CHANGED else [],
        )
        for e in entries
    ]  # fmt: skip


def _kind(result: str) -> str:
    if result.startswith("invalid"):
        return "invalid"
    return result if result in KINDS else "left"


def store_upload(*, upload: Upload, member: Member, errors: ErrorQuerySet, retries: int = 0) -> BulkAct:
    """Store the records of a file that differ as versions; then retry `retries` of those that changed, or EVERY.

    A second click finds nothing to change. Raises EditRefused for a member who may not edit all of them.
    """
    differing = [row.error.pk for row in _rows(upload, errors) if row.error is not None and row.result != UNCHANGED]
    chosen = errors.filter(pk__in=differing)
    refuse_unless_allowed(member.account, member, chosen)
    options = {"upload": upload.pk, "retries": retries}
    act = begin_act(member.account, member, BulkKind.UPLOAD, chosen, options)
    Upload.objects.of(upload.account_id).filter(pk=upload.pk).update(act=act)  # it stays until a worker is through
    return act
