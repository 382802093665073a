"""The errors that a purge is about to take, written to a file in parts, so that any machine can hand it out."""

import zlib
from collections.abc import Iterator, Sequence

from apps.core.csv_lines import MARK, csv_lines
from apps.errors.downloads import HEADER, RELATED, json_line, row_of, with_tags
from apps.errors.models import Error
from apps.retention.models import ExportFormat, ExportPart, PurgeExport
from apps.retention.stages.base import ERRORS_AT_ONCE
from apps.retention.stages.errors import behind


def export_batch(export: PurgeExport) -> bool:
    """The next part of the file; True once there is no error left."""
    rows = Error.objects.of(export.account_id).filter(occurred_at__lt=export.before, keep=False, retry_run__isnull=True)
    related = behind(rows, "occurred_at", export.position).select_related(*RELATED, "retry_data")
    errors: list[Error] = list(related[:ERRORS_AT_ONCE])
    is_first = not export.position
    if errors or is_first:
        add_part(export, part_of(export, errors, is_first=is_first))
    if errors:
        export.errors += len(errors)
        export.position = {"at": errors[-1].occurred_at.isoformat(), "id": errors[-1].pk}
    return len(errors) < ERRORS_AT_ONCE


def part_of(export: PurgeExport, errors: Sequence[Error], *, is_first: bool) -> bytes:
    tagged = list(with_tags(iter(errors)))
    if export.format == ExportFormat.JSON_LINES:
        return b"".join(json_line(error, tags) + b"\n" for error, tags in tagged)
    rows = [(*row_of(error), ", ".join(tags)) for error, tags in tagged]
    if is_first:
        return (MARK + "".join(csv_lines([HEADER, *rows]))).encode()
    return "".join(csv_lines(rows)).encode()


def add_part(export: PurgeExport, content: bytes) -> None:
    parts = ExportPart.objects.of(export.account_id).filter(export=export)
    parts.create(account_id=export.account_id, export=export, seq=parts.count(), content=zlib.compress(content, 1))
    export.size += len(content)


def content_of(export: PurgeExport) -> Iterator[bytes]:
    """The file, part by part."""
    parts = ExportPart.objects.of(export.account_id).filter(export=export).order_by("seq")
    for key in list(parts.values_list("pk", flat=True)):
        yield zlib.decompress(bytes(parts.get(pk=key).content))
