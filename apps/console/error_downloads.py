"""Lists of errors as CSV and JSON: all that match the filters, sent while they are read."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import orjson
from django.http import HttpRequest, StreamingHttpResponse

from apps.console.access import member_of
from apps.console.csv_files import csv_stream
from apps.console.selectors.error_filters import filter_of, matching
from apps.console.selectors.run_words import person
from apps.console.views.reading import reader_of
from apps.errors.models import Error, ErrorTag, RetryData
from apps.errors.querysets import ErrorQuerySet

FORMATS = ("csv", "json")
CHUNK = 1_000
HEADER = (
    "error", "state", "flow", "step", "trace key", "message", "class", "source", "code", "unit", "occurred at", "run",
    "attempts", "resolved at", "why", "resolved by", "assignee", "tags",
)  # fmt: skip


def wants_download(request: HttpRequest) -> bool:
    return request.GET.get("format") in FORMATS


def error_download(request: HttpRequest, rows: ErrorQuerySet, name: str) -> StreamingHttpResponse:
    """The errors of `rows` that match the filters of the address, newest first."""
    zone, now = reader_of(request)
    found = matching(rows, filter_of(member_of(request), request.GET, zone, now))
    related = found.select_related("flow", "step", "cause", "resolved_by__user", "assignee__user").order_by("-id")
    if request.GET["format"] == "csv":
        plain = related.defer("effects").iterator(CHUNK)
        lines = ((*row_of(error), ", ".join(tags)) for error, tags in with_tags(plain))
        return csv_stream(f"{name}.csv", HEADER, lines, zone)
    answer = StreamingHttpResponse(
        json_lines(with_tags(related.select_related("retry_data").iterator(CHUNK))), content_type="application/json"
    )
    answer["Content-Disposition"] = f'attachment; filename="{name}.json"'
    return answer


def with_tags(errors: Iterator[Error]) -> Iterator[tuple[Error, list[str]]]:
    """Each error with the names of its tags; a query for every thousand errors some of which have notes."""
    while chunk := list(islice(errors, CHUNK)):
        names = tag_names([error for error in chunk if error.has_notes])
        yield from ((error, names.get(error.pk, [])) for error in chunk)


def tag_names(noted: Sequence[Error]) -> dict[int, list[str]]:
    """Error id -> the names of its tags in their order."""
    found: dict[int, list[str]] = defaultdict(list)
    if noted:
        rows = ErrorTag.objects.of(noted[0].account_id).filter(error__in=[error.pk for error in noted])
        for error, name in rows.order_by("tag__name").values_list("error", "tag__name"):
            found[error].append(name)
    return found


def row_of(error: Error) -> tuple[object, ...]:
    """All columns but the last one, the tags."""
    return (
        str(error),
        error.shown_state,
        error.flow.name,
        error.step.name,
        error.key,
        error.message,
        error.cause.classification,
        error.cause.source,
        error.cause.code,
        error.unit,
        error.occurred_at,
        f"r-{error.run_id}",
        error.attempts,
        error.resolved_at,
        error.reason,
        person(error.resolved_by),
        person(error.assignee),
    )


def json_lines(errors: Iterable[tuple[Error, list[str]]]) -> Iterator[bytes]:
    """One array, an object a line: the columns of the CSV, and the retry data as it is stored."""
    before = b"[\n"
    for error, tags in errors:
        facts = dict(zip((name.replace(" ", "_") for name in HEADER), (*row_of(error), tags), strict=True))
        yield before + orjson.dumps(facts | retry_facts(error))
        before = b",\n"
    yield b"\n]\n" if before == b",\n" else b"[]\n"


def retry_facts(error: Error) -> dict[str, object]:
    """`retry_data` with its version; as text where it is no JSON, None where there is none."""
    data: RetryData | None = getattr(error, "retry_data", None)
    if data is None or data.record is None:
        return {"retry_data": None}
    raw = bytes(data.record)
    try:
        orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {"retry_data": raw.decode(errors="backslashreplace"), "version": data.version}
    return {"retry_data": orjson.Fragment(raw), "version": data.version}
