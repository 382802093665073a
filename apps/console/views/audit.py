"""The audit log: who did what to which object, and when; narrowed by filters, and as a file."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render

from apps.accounts.audit import FieldChange
from apps.accounts.models import Account, AuditEntry
from apps.accounts.permissions import Act
from apps.accounts.services import record_download
from apps.console.access import account_of, member_of, member_page
from apps.console.context import Crumb
from apps.console.csv_files import csv_stream
from apps.console.filters import Filter, address_with, choice_filter
from apps.console.live import live_address
from apps.console.selectors.audit import (
    AuditFilter,
    Row,
    audit_page,
    choices_of,
    filter_of,
    matching,
    noun_of,
    with_objects,
)
from apps.console.selectors.connections import require
from apps.console.spans import span_filter, span_of
from apps.console.views.reading import cursor_of, reader_of
from apps.core.pagination import BadCursorError

CHUNK = 1_000
FORMATS = ("csv", "jsonl")
HEADER = ("at", "who", "by", "address", "act", "object", "number", "name", "changes")


@member_page
def audit_log(request: HttpRequest) -> HttpResponseBase:
    require(request, Act.READ_AUDIT)
    zone, now = reader_of(request)
    account, span = account_of(request), span_of(request, zone, now)
    wanted = filter_of(request.GET, span)
    file_format = request.GET.get("format", "")
    if file_format in FORMATS:
        record_download(member=member_of(request), act="audit.download", target=account, file_format=file_format)
    if file_format == "csv":
        return csv_stream("audit.csv", HEADER, (line_of(row) for row in every_row(account, wanted)), zone)
    if file_format == "jsonl":
        return json_lines(account, wanted)
    return shown_log(request, account, wanted)


def shown_log(request: HttpRequest, account: Account, wanted: AuditFilter) -> HttpResponse:
    damaged, rows, older, newer = "", list[Row](), "", ""
    try:
        page = audit_page(account, wanted, cursor=cursor_of(request))
        rows, older, newer = with_objects(account, page.rows), page.next_cursor, page.previous_cursor
    except BadCursorError as problem:
        damaged = str(problem)
    context = {
        "nav": "audit",
        "crumbs": [Crumb("Audit log")],
        "rows": rows,
        "damaged": damaged,
        "wanted": wanted,
        "filters": filters_of(request, account, wanted),
        "span": span_filter(request, "Done", wanted.span),
        "older_url": address_with(request, page=older) if older else "",
        "newer_url": address_with(request, page=newer) if newer else "",
        "csv_url": address_with(request, format="csv"),
        "jsonl_url": address_with(request, format="jsonl"),
        "live_url": live_address(request, "shell"),
    }
    return render(request, "audit/log.html", context)


def filters_of(request: HttpRequest, account: Account, wanted: AuditFilter) -> list[Filter]:
    """Menus of who, what and which kind; one object only where the address names it."""
    choices = choices_of(account)
    found = [
        choice_filter(request, "who", "Who", with_chosen(choices.who, wanted.who)),
        choice_filter(request, "act", "What", with_chosen(choices.acts, wanted.act)),
        choice_filter(request, "kind", "Object", with_chosen(choices.kinds, wanted.kind)),
    ]
    if wanted.thing:
        label = f"{noun_of(wanted.kind)} {wanted.thing}".strip()
        found.append(choice_filter(request, "object", "Only", [("", "any"), (wanted.thing, label)]))
    return found


def with_chosen(known: Any, chosen: str) -> list[tuple[str, str]]:
    """The choices with `any` in front; what the address names is among them in any case."""
    missing = [(chosen, chosen)] if chosen and chosen not in dict(known) else []
    return [("", "any"), *known, *missing]


# --- downloads -------------------------------------------------------------------------------------------------------
def every_row(account: Account, wanted: AuditFilter) -> Iterator[Row]:
    """All entries that match, newest first, read while they are sent."""
    entries = matching(account, wanted).iterator(CHUNK)
    while chunk := list(islice(entries, CHUNK)):
        yield from with_objects(account, chunk)


def line_of(row: Row) -> tuple[object, ...]:
    entry = row.entry
    changes = "; ".join(change_text(change) for change in row.changes)
    thing = (entry.object_kind, entry.object_id, row.name)
    return (entry.at, row.who, entry.actor_kind, entry.address, entry.act, *thing, changes)


def change_text(change: FieldChange) -> str:
    return f"{change.path}: {value_text(change.old)} -> {value_text(change.new)}"


def value_text(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def json_lines(account: Account, wanted: AuditFilter) -> StreamingHttpResponse:
    lines = (orjson.dumps(facts_of(row), option=orjson.OPT_APPEND_NEWLINE) for row in every_row(account, wanted))
    answer = StreamingHttpResponse(lines, content_type="application/jsonl")
    answer["Content-Disposition"] = 'attachment; filename="audit.jsonl"'
    return answer


def facts_of(row: Row) -> dict[str, object]:
    entry: AuditEntry = row.entry
    return {
        "at": entry.at,
        "who": row.who,
        "by": entry.actor_kind,
        "token": entry.token.prefix if entry.token is not None else None,
        "address": entry.address,
        "act": entry.act,
        "object": {"kind": entry.object_kind, "number": entry.object_id, "name": row.name},
        "before": entry.before,
        "after": entry.after,
    }
