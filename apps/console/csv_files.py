"""Downloads as CSV that a spreadsheet opens as text: a cell that looks like a formula gets an apostrophe in front."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, tzinfo

from django.http import HttpResponse, StreamingHttpResponse

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def csv_response(
    name: str, header: Sequence[str], rows: Iterable[Sequence[object]], zone: tzinfo = UTC
) -> HttpResponse:
    """A download; moments are in ISO form with the offset of `zone`. UTF-8 with a byte order mark, for Excel."""
    response = HttpResponse("\ufeff", content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    writer = csv.writer(response)
    writer.writerow(header)
    writer.writerows([_cell(value, zone) for value in row] for row in rows)
    return response


def csv_stream(
    name: str, header: Sequence[str], rows: Iterable[Sequence[object]], zone: tzinfo = UTC
) -> StreamingHttpResponse:
    """The same for any number of rows: they are sent while they are read."""
    response = StreamingHttpResponse(_lines(header, rows, zone), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


class _Line:
    """What a csv writer writes to: keeps the line for the caller."""

    def write(self, text: str) -> str:
        return text


def _lines(header: Sequence[str], rows: Iterable[Sequence[object]], zone: tzinfo) -> Iterator[str]:
    writer = csv.writer(_Line())
    yield "\ufeff"
    yield writer.writerow(header)
    for row in rows:
        yield writer.writerow([_cell(value, zone) for value in row])


def _cell(value: object, zone: tzinfo) -> object:
    if isinstance(value, datetime):
        return value.astimezone(zone).isoformat(timespec="seconds")
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    return "" if value is None else value
