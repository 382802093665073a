"""The answers of databases in the words of the engine: what concerns one record, all of them, or is an outage."""

import re
from collections.abc import Sequence

from sqlalchemy.exc import DBAPIError

from apps.connectors.sql.dialects.speech import Speech
from apps.connectors.sql.face import Job, half_character
from apps.engine.classification import classify
from apps.engine.ports import Classification, ConnectorError, ErrorSource, Failure, Outage, Record

ROW_ERRORS = (DBAPIError, UnicodeError, OverflowError, TypeError, ValueError)
COLUMN = re.compile(
    r"[Cc]olumn:? (?:name )?(?:[`'\"\[][^`'\"\]]+[`'\"\]]\.){0,3}[`'\"\[]([^`'\"\]]+)[`'\"\]]|Field '([^']+)' doesn't"
    r"|\((?:\"[^\"]+\"\.)*\"([^\"]+)\"\)"
)
DOUBLE = re.compile(r"Duplicate entry '(.*)' for key")
EMPTY = re.compile(r"Column '([^']+)' cannot be null")
AT_ROW = re.compile(r" at row (\d+)")
ROW_NUMBER = re.compile(r" (?:at|for) row 1\b|, at row 1\b")


def code_of(speech: Speech, error: DBAPIError) -> str:
    assert error.orig is not None
    number = speech.code_of(error.orig)
    return f"{speech.prefix}_{number}" if number else ""


def message_of(speech: Speech, error: DBAPIError) -> str:
    assert error.orig is not None
    return ROW_NUMBER.sub("", speech.message_of(error.orig))


def number_of(code: str) -> str:
    return code.rpartition("_")[2]


def is_outage(speech: Speech, error: DBAPIError) -> bool:
    """Also a deadlock: nothing of the transaction stands, and the page is sent again."""
    number = number_of(code_of(speech, error))
    return error.connection_invalidated or not number or number in speech.outages | speech.undoing


def translated(speech: Speech, error: DBAPIError, place: str, source: str) -> ConnectorError:
    """What to raise for an error that concerns the whole call."""
    code, message = code_of(speech, error), message_of(speech, error)
    if not is_outage(speech, error):
        return ConnectorError(code, message, classification=classify(source, code, message), source=source)
    if number_of(code) in speech.undoing:
        words = f"{speech.label} at {place} rolled the transaction back; nothing of it stands: {message}"
    elif error.connection_invalidated or not code:
        words = f"The connection to {speech.label} at {place} was lost: {message}"
    else:
        words = f"{speech.label} at {place} can't take anything now: {message}"
    return Outage(code or "lost", words, classification=Classification.INTERMITTENT)


def row_failure(speech: Speech, error: Exception, values: Record, source: str = ErrorSource.APPLICATION) -> Failure:
    """What the database, or the way to it, said about one row."""
    if not isinstance(error, DBAPIError):
        return unsendable(error, values, source)
    code, message = code_of(speech, error), message_of(speech, error)
    return Failure(source, code, message, classify(source, code, message), field=field_of(message, values))


def unsendable(error: Exception, values: Record, source: str) -> Failure:
    if name := half_character(values):
        text = f'The field "{name}" contains half of a character (a lone surrogate), which is no text.'
        return Failure(source, "encoding", text, Classification.VALUE, field=name)
    return Failure(source, "value", f"The record can't be sent to the database: {error}.", Classification.VALUE)


def suspect_among(error: Exception, rows: Sequence[Record]) -> int | None:
    """Which of many rows the database seems to mean: by its number, its empty column or its double key."""
    text = str(error.orig) if isinstance(error, DBAPIError) else ""
    if found := AT_ROW.search(text):
        return min(int(found[1]), len(rows)) - 1
    if found := EMPTY.search(text):
        return next((at for at, row in enumerate(rows) if row.get(found[1], "") is None), None)
    if found := DOUBLE.search(text):
        return next((at for at, row in enumerate(rows) if found[1] in map(str, row.values())), None)
    return None


def field_of(message: str, values: Record) -> str | None:
    if double := DOUBLE.search(message):
        names = [name for name, value in values.items() if str(value) == double[1]]
        return names[0] if len(names) == 1 else None
    match = COLUMN.search(message)
    named = next(filter(None, match.groups()), "") if match else ""
    return next((name for name in values if name.lower() == named.lower()), None)


def missing_row(job: Job, values: Record) -> Failure:
    assert job.table is not None
    message = f"No row of {job.table.name} has {job.words_for(values)}."
    return Failure(ErrorSource.APPLICATION, "02000", message, Classification.MISSING)
