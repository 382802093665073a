"""Downloads as CSV."""

from collections.abc import Iterable, Sequence
from datetime import UTC, tzinfo
from itertools import chain

from django.http import HttpResponse, StreamingHttpResponse

from apps.core.csv_lines import MARK, csv_lines

TYPE = "text/csv; charset=utf-8"


def csv_response(
    name: str, header: Sequence[str], rows: Iterable[Sequence[object]], zone: tzinfo = UTC
) -> HttpResponse:
    """A download; moments are in ISO form with the offset of `zone`. UTF-8 with a byte order mark, for Excel."""
    response = HttpResponse(MARK, content_type=TYPE)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response.writelines(csv_lines(chain([header], rows), zone))
    return response


def csv_stream(
    name: str, header: Sequence[str], rows: Iterable[Sequence[object]], zone: tzinfo = UTC
) -> StreamingHttpResponse:
    """The same for any number of rows: they are sent while they are read."""
    lines = chain([MARK], csv_lines(chain([header], rows), zone))
    response = StreamingHttpResponse(lines, content_type=TYPE)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
