"""The run history as CSV: the runs that match the filters, at most the last thousand."""

from django.http import HttpRequest, HttpResponse

from apps.console.context import preferences_of
from apps.console.csv_files import csv_response
from apps.console.selectors.history import HistoryFilter, history_rows
from apps.console.selectors.run_page import duration_of
from apps.console.selectors.run_words import canceled_text, started_by_text
from apps.flows.models import Flow
from apps.runs.models import Run

HEADER = (
    "run", "status", "started at", "ended at", "seconds", "started by", "canceled by", "attempt", "revision",
    "records in", "success", "ignored", "errors", "rolled back", "ms per record",
)  # fmt: skip


def history_download(request: HttpRequest, flow: Flow, chosen: HistoryFilter) -> HttpResponse:
    rows = (row_of(run, busy_ms) for run, busy_ms in history_rows(flow, chosen))
    return csv_response(f"runs-{flow.key}.csv", HEADER, rows, preferences_of(request).zone)


def row_of(run: Run, busy_ms: int) -> tuple[object, ...]:
    length = duration_of(run)
    return (
        str(run),
        run.outcome or run.status,
        run.started_at,
        run.ended_at,
        round(length.total_seconds(), 3) if length is not None else None,
        started_by_text(run),
        canceled_text(run),
        run.attempt,
        run.revision.number if run.revision else None,
        run.records_in,
        run.success,
        run.ignored,
        run.errors + run.unit_errors,
        run.rolled_back,
        round(busy_ms / run.records_in, 1) if run.records_in else None,
    )
