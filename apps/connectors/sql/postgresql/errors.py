"""PostgreSQL's answers in the words of the engine: what concerns one record, all of them, or is an outage."""

import re

import psycopg

from apps.connectors.sql.face import Column, short
from apps.engine.classification import classify
from apps.engine.ports import Classification, ConnectorError, ErrorSource, Failure, Outage, Record

OUTAGES = ("08", "53", "58", "57P", "25P03")
"""The server has no room, no disk or goes down: nothing of the page stands, it is sent again later."""

CONNECT_CODES = (
    (re.compile(r"password authentication failed|no password supplied|role \".*\" does not exist"), "28P01"),
    (re.compile(r"no pg_hba.conf entry|authentication"), "28000"),
    (re.compile(r"database \".*\" does not exist"), "3D000"),
    (re.compile(r"too many (?:clients|connections)|remaining connection slots"), "53300"),
    (re.compile(r"starting up|shutting down|recovery mode"), "57P03"),
    (re.compile(r"refused"), "refused"),
    (re.compile(r"timeout|timed out"), "timeout"),
    (re.compile(r"SSL|certificate|TLS"), "tls"),
)
QUOTED_VALUE = re.compile(r'(?::|value) "(.*)"(?: is out of range.*)?$', re.DOTALL)
TYPE_IN_MESSAGE = re.compile(r"type ([a-z ]+(?:\(\d+(?:,\d+)?\))?)")
KEY_IN_DETAIL = re.compile(r"Key \(([^,()]+)\)=")
PRECISION = re.compile(r"precision (\d+), scale (\d+)")


def is_outage(code: str) -> bool:
    return code.startswith(OUTAGES)


def one_line(message: str, detail: str | None) -> str:
    """The server's message with its detail; the detail that repeats the whole row is left out."""
    parts = [" ".join(message.split())]
    if detail and not detail.startswith("Failing row contains"):
        parts.append(" ".join(detail.split()))
    return ". ".join(part.rstrip(".") for part in parts) + ("." if len(parts) > 1 else "")


def translated(error: psycopg.Error, place: str, is_lost: bool, source: str) -> ConnectorError:
    """What to raise for an error that concerns the whole call."""
    code = error.sqlstate or ""
    message = one_line(error.diag.message_primary or str(error), error.diag.message_detail)
    if is_lost or not code or is_outage(code):
        words = f"The connection to PostgreSQL at {place} was lost: {message}"
        if code and not is_lost:
            words = f"PostgreSQL at {place} can't take anything now: {message}"
        return Outage(code or "lost", words, classification=Classification.INTERMITTENT)
    return ConnectorError(code, message, classification=classify(source, code, message), source=source)


def connect_failure(error: Exception, place: str, user: str) -> Outage:
    text = " ".join(str(error).split())
    reason = text.rsplit("FATAL: ", 1)[-1].rsplit(" failed: ", 1)[-1].strip()
    code = next((code for pattern, code in CONNECT_CODES if pattern.search(text)), "connection")
    message = f"Could not connect to PostgreSQL at {place} as {user}: {reason}"
    return Outage(code, message, classification=Classification.CONNECTION)


def row_failure(
    code: str,
    message: str,
    detail: str | None,
    column: str | None,
    values: Record,
    columns: "dict[str, Column]",
    source: str = ErrorSource.APPLICATION,
) -> Failure:
    """What the server said about one row, with the field that it means where that can be told."""
    field = column or guess_field(code, message, detail or "", values, columns)
    if code == "22P05" and (found := field_with_nul(values)):
        field, text = found, f'The field "{found}" contains a NUL character, which PostgreSQL cannot store.'
    else:
        text = one_line(message, detail)
        if field and f'"{field}"' not in text and f"({field})" not in text:
            text = f'Column "{field}": {text}'
    return Failure(source, code, text, classify(source, code, text), field=field or None)


def field_with_nul(values: Record) -> str:
    return next((name for name, value in values.items() if "\x00" in str(value) or "\\x00" in repr(value)), "")


def guess_field(code: str, message: str, detail: str, values: Record, columns: "dict[str, Column]") -> str:
    """PostgreSQL does not name the column of a value that it can't convert: find the one whose value it quotes."""
    if code[:2] == "23" and (key := KEY_IN_DETAIL.match(detail)):
        return key[1]
    if code[:2] != "22":
        return ""
    fits = [name for name in values if name in columns and is_meant(columns[name], message, detail)]
    if match := QUOTED_VALUE.search(message):
        quoted = [name for name, value in values.items() if as_quoted(value) == match[1]]
        both = [name for name in quoted if name in fits] or quoted
        return both[0] if len(both) == 1 else ""
    if code == "22001":
        fits = [name for name in fits if len(as_quoted(values[name])) > type_length(columns[name].type)]
    return fits[0] if len(fits) == 1 else ""


def is_meant(column: Column, message: str, detail: str) -> bool:
    if match := PRECISION.search(detail):
        return column.type == f"numeric({match[1]},{match[2]})"
    match = TYPE_IN_MESSAGE.search(message)
    return match is not None and (column.type == match[1].strip() or column.type.startswith(match[1].strip() + "("))


def type_length(type_name: str) -> int:
    digits = "".join(ch for ch in type_name if ch.isdigit())
    return int(digits) if digits else 0


def as_quoted(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def missing_row(words: str, table: str) -> Failure:
    message = f"No row of {table} has {words}."
    return Failure(ErrorSource.APPLICATION, "02000", message, Classification.MISSING)


def unstorable(name: str, code: str, why: str, value: object = None) -> Failure:
    shown = f" ({short(value)})" if value is not None else ""
    message = f'The field "{name}" {why}{shown}.'
    return Failure(ErrorSource.APPLICATION, code, message, classify(ErrorSource.APPLICATION, code, message), field=name)
