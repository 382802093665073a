"""Errors as rows of a file: the columns of downloads and exports, and the retry data as it is stored."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice

import orjson

from apps.accounts.selectors import person
from apps.errors.models import Error, ErrorTag, RetryData

CHUNK = 1_000
HEADER = (
    "error", "state", "flow", "step", "trace key", "message", "class", "source", "code", "unit", "occurred at", "run",
    "attempts", "resolved at", "why", "resolved by", "assignee", "tags",
)  # fmt: skip
RELATED = ("flow", "step", "cause", "resolved_by__user", "assignee__user")
"""What a row is made of beside the error."""


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


def json_line(error: Error, tags: Sequence[str]) -> bytes:
    """An object: the columns, and the retry data of an error that came with them."""
    facts = dict(zip((name.replace(" ", "_") for name in HEADER), (*row_of(error), tags), strict=True))
    return orjson.dumps(facts | retry_facts(error))


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
