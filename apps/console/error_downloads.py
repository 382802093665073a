"""Lists of errors as CSV and JSON: all that match the filters, sent while they are read."""

from collections.abc import Iterable, Iterator

from django.http import HttpRequest, StreamingHttpResponse

from apps.console.access import member_of
from apps.console.csv_files import csv_stream
from apps.console.selectors.error_filters import filter_of, matching
from apps.console.views.reading import reader_of
from apps.errors.downloads import CHUNK, HEADER, RELATED, json_line, row_of, with_tags
from apps.errors.models import Error
from apps.errors.querysets import ErrorQuerySet

FORMATS = ("csv", "json")


def wants_download(request: HttpRequest) -> bool:
    return request.GET.get("format") in FORMATS


def error_download(request: HttpRequest, rows: ErrorQuerySet, name: str) -> StreamingHttpResponse:
    """The errors of `rows` that match the filters of the address, newest first."""
    zone, now = reader_of(request)
    found = matching(rows, filter_of(member_of(request), request.GET, zone, now))
    related = found.select_related(*RELATED).order_by("-id")
    if request.GET["format"] == "csv":
        plain = related.defer("effects").iterator(CHUNK)
        lines = ((*row_of(error), ", ".join(tags)) for error, tags in with_tags(plain))
        return csv_stream(f"{name}.csv", HEADER, lines, zone)
    answer = StreamingHttpResponse(
        json_lines(with_tags(related.select_related("retry_data").iterator(CHUNK))), content_type="application/json"
    )
    answer["Content-Disposition"] = f'attachment; filename="{name}.json"'
    return answer


def json_lines(errors: Iterable[tuple[Error, list[str]]]) -> Iterator[bytes]:
    """One array, an object a line."""
    before = b"[\n"
    for error, tags in errors:
        yield before + json_line(error, tags)
        before = b",\n"
    yield b"\n]\n" if before == b",\n" else b"[]\n"
