"""The files of a bundle, one after the other in a fixed order, each without secrets."""

import platform
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import orjson
from django.db import connection as database

from apps.connectors.redaction import HIDDEN
from apps.core.crypto import SecretUnreadableError
from apps.core.text import short
from apps.errors.models import Error, RetryData
from apps.flows.models import Connection, Revision
from apps.flows.secrets import secret_names
from apps.runs.log_text import text_lines
from apps.runs.models import Run, RunLog, StepRun
from apps.support.cleaning import Cleaner
from apps.support.definitions import RECORDS_FILE, cut_down, secrets_written_in
from apps.support.mails import mail_texts
from apps.support.subjects import Subject
from apps.support.tickets import moment_text, run_text

MOST_LINES = 5_000
"""Of a run's log: the newest."""
LONGEST_RECORD = 256 * 1024
File = tuple[str, bytes]


def files_of(subject: Subject, cleaner: Cleaner, seen: Collection[int] | None) -> Iterator[File]:
    """Everything but the ticket, the screenshots and what is told of the bundle itself.

    Of the flows that it calls those of integrations that its reader sees; None: of all.
    """
    if subject.revision is not None:
        for revision in (subject.revision, *called_by(subject.revision)):
            cleaner.learn(secrets_written_in(revision.definition))
    yield "errors.txt", cleaner.text("errors.txt", "\n".join(error_text(error) for error in subject.samples) or NONE)
    yield "log.txt", cleaner.text("log.txt", "".join(log_parts(subject)) or NONE)
    yield "emails.txt", cleaner.text("emails.txt", "\n".join(mail_texts(subject)) or NONE)
    yield from definitions(subject, cleaner, seen)
    yield "connections.json", cleaner.json("connections.json", connection_facts(subject, seen))
    yield "runs.json", cleaner.json("runs.json", [run_facts(run) for run in subject.runs])
    yield from samples(subject, cleaner)
    yield "environment.json", cleaner.json("environment.json", environment_facts())


NONE = "There is none.\n"


# --- errors and logs -------------------------------------------------------------------------------------------------
def error_text(error: Error) -> str:
    """An error with all that is known of it, a fact a line."""
    cause = error.cause
    counts = f"{cause.open_errors:,} open, {cause.total_errors:,} in all, first {moment_text(cause.first_seen_at)}"
    facts = {
        "Message": error.message,
        "Source, code": f"{cause.source} {cause.code}".strip(),
        "Class": cause.get_classification_display(),
        "Step": f"{error.step.name} ({error.source_step_path or error.step.path or error.step.key})",
        "State": f"{error.get_state_display()} {error.reason}".strip(),
        "Concerns": error.get_unit_display().lower(),
        "Trace key": error.key or "none",
        "Occurred": moment_text(error.occurred_at),
        "Run": f"r-{error.run_id}" + ("" if error.page_seq is None else f", page {error.page_seq + 1}"),
        "Attempts": str(error.tries),
        "Root cause": f"c-{cause.pk}: {cause.pattern}",
        "Its errors": counts,
    }
    more = {"Field": "field", "In the source": "place", "Trace": "trace"}
    facts |= {name: str(error.effects[key]) for name, key in more.items() if error.effects.get(key)}
    return f"{error}\n" + "".join(f"  {name}: {value}\n" for name, value in facts.items())


def log_parts(subject: Subject) -> Iterator[str]:
    """The logs of the runs, each with a heading and its oldest line first; in UTC."""
    for run in subject.runs:
        rows = RunLog.objects.of(run.account_id).filter(run=run).select_related("step").order_by("-id")
        lines = list(rows[: MOST_LINES + 1])
        older = "  older lines are left out\n" if len(lines) > MOST_LINES else ""
        yield f"== {run_text(run)}\n{older}"
        yield from text_lines(reversed(lines[:MOST_LINES]), UTC)


# --- definition and connections --------------------------------------------------------------------------------------
def definitions(subject: Subject, cleaner: Cleaner, seen: Collection[int] | None) -> Iterator[File]:
    """The definition that failed, those of the flows that it calls, and the one that shows the failure by itself."""
    revision = subject.revision
    if revision is None:
        return
    yield "definition.yaml", cleaner.definition("definition.yaml", revision.definition)
    for called in called_by(revision, seen):
        name = f"definitions/{called.flow.key}.yaml"
        yield name, cleaner.definition(name, called.definition)
    failed = start_of(subject.samples[0]) if subject.samples else ""
    own = cut_down(revision.definition, failed)
    if own is not None:
        yield "reproduce.yaml", cleaner.definition("reproduce.yaml", own)


def called_by(revision: Revision, seen: Collection[int] | None = None) -> Sequence[Revision]:
    rows = Revision.objects.of(revision.account_id).filter(pk__in=revision.callees.values())
    if seen is not None:
        rows = rows.filter(flow__integration__in=seen)
    return list(rows.select_related("flow").order_by("flow__key"))


def start_of(error: Error) -> str:
    """The key of the step at which its record comes in."""
    data = retry_data_of(error)
    return data.from_step.key if data is not None else error.step.key


def connection_facts(subject: Subject, seen: Collection[int] | None) -> list[dict[str, Any]]:
    """The connections that the flow, and the flows that it calls, go to: which secrets they have, and none of them."""
    called = called_by(subject.revision, seen) if subject.revision is not None else []
    flows = [subject.flow.pk, *(one.flow_id for one in called)]
    rows = Connection.objects.of(subject.flow.account_id).filter(steps__flow__in=flows).distinct().order_by("name")
    return [
        {
            "name": row.name,
            "kind": row.kind,
            "environment": row.environment,
            "state": row.state,
            "config": row.config,
            "secrets": dict.fromkeys(known_secret_names(row), HIDDEN),
            "last_error": row.last_error,
        }
        for row in rows
    ]


def known_secret_names(connection: Connection) -> list[str]:
    try:
        return secret_names(connection)
    except SecretUnreadableError:
        return []


# --- runs and samples ------------------------------------------------------------------------------------------------
def run_facts(run: Run) -> dict[str, Any]:
    """A run with the counts of its steps, by their keys."""
    steps = StepRun.objects.of(run.account_id).filter(run=run).select_related("step").order_by("position", "pk")
    counted = ("came_in", "success", "ignored", "errors", "rolled_back", "unit_errors", "open_errors", "busy_ms")
    own = ("records_in", "success", "ignored", "failed", "rolled_back", "unit_errors", "pages_fetched", "pages_done")
    told = ("kind", "status", "outcome", "trigger", "parameters", "wait_reason", "attempt", "attempts")
    times = ("created_at", "started_at", "ended_at", "window_from", "window_to")
    return {
        "run": str(run),
        "revision": run.revision.number if run.revision else None,
        **{name: getattr(run, name) for name in told},
        **{name: iso(getattr(run, name)) for name in times},
        "counts": {name: getattr(run, name) for name in own},
        "steps": {row.step.key: {name: getattr(row, name) for name in counted} for row in steps},
    }


def iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()


def samples(subject: Subject, cleaner: Cleaner) -> Iterator[File]:
    """Of each error its record, request and answer; and the records that can be read again, a line each."""
    whole: list[Any] = []
    failed = start_of(subject.samples[0]) if subject.samples else ""
    for error in subject.samples:
        folder = f"samples/{error}"
        data = retry_data_of(error)
        if data is not None and data.record is not None:
            record = record_of(data)
            yield f"{folder}/record.json", cleaner.json(f"{folder}/record.json", record)
            whole += [record] if isinstance(record, dict) and start_of(error) == failed else []
        if data is not None and data.window:
            yield f"{folder}/window.json", cleaner.json(f"{folder}/window.json", data.window)
        if error.capture is not None:
            sent = error.capture
            head = {"sent_at": iso(sent.sent_at), "method": sent.method}
            yield f"{folder}/request.json", cleaner.json(f"{folder}/request.json", head | {"request": sent.request})
            answer = {"status": sent.status, "ms": sent.ms, "response": sent.response}
            yield f"{folder}/response.json", cleaner.json(f"{folder}/response.json", answer)
    if whole:
        yield f"samples/{RECORDS_FILE}", cleaner.lines(f"samples/{RECORDS_FILE}", whole)


def retry_data_of(error: Error) -> RetryData | None:
    """What was read with the error; None where there is none."""
    found: RetryData | None = getattr(error, "retry_data", None)
    return found


def record_of(data: RetryData) -> Any:
    """The record as it came into the step; as text where it is no JSON, or too long to be kept whole."""
    raw = bytes(data.record or b"")
    text = short(raw.decode("utf-8", "backslashreplace"), LONGEST_RECORD)
    if len(raw) > LONGEST_RECORD:
        return text
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return text


def environment_facts() -> dict[str, Any]:
    with database.cursor() as cursor:
        cursor.execute("SELECT sqlite_version()" if database.vendor == "sqlite" else "SHOW server_version")
        number = cursor.fetchone()[0]
    return {
        "flowmend": version("flowmend"),
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
        "database": f"{database.vendor} {number}",
    }
