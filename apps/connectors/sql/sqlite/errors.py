"""SQLite's answers in the words of the engine."""

import re
import sqlite3

from apps.connectors.sql.face import Job, half_character, short
from apps.engine.classification import classify
from apps.engine.ports import Classification, ConnectorError, ErrorSource, Failure, Outage, Record

OUTAGES = (
    "SQLITE_BUSY",
    "SQLITE_LOCKED",
    "SQLITE_PROTOCOL",
    "SQLITE_FULL",
    "SQLITE_IOERR",
    "SQLITE_CANTOPEN",
    "SQLITE_NOTADB",
    "SQLITE_CORRUPT",
    "SQLITE_NOMEM",
)
COLUMNS = re.compile(r"constraint failed: ([^()]+)$|value in \w+ column (\S+)$")
NEWER_NAMES = {3091: "SQLITE_CONSTRAINT_DATATYPE"}
PRIMARY_NAMES = {
    8: "SQLITE_READONLY",
    10: "SQLITE_IOERR",
    14: "SQLITE_CANTOPEN",
    19: "SQLITE_CONSTRAINT",
}
BIGGEST = 2**63
WORDS = {
    "SQLITE_BUSY": "somebody else has locked it for too long",
    "SQLITE_FULL": "the disk is full",
    "SQLITE_NOTADB": "it is not a SQLite database",
}


def code_of(error: sqlite3.Error) -> str:
    """The extended name of the error; Python's own table of names ends before some of them."""
    name = getattr(error, "sqlite_errorname", None) or "SQLITE_MISUSE"
    if name != "unknown":
        return name
    number = getattr(error, "sqlite_errorcode", 0)
    return NEWER_NAMES.get(number) or PRIMARY_NAMES.get(number & 0xFF, "SQLITE_ERROR")


def is_outage(code: str) -> bool:
    return code.startswith(OUTAGES)


def translated(error: sqlite3.Error, file: str, source: str) -> ConnectorError:
    """What to raise for an error that concerns the whole call."""
    code, message = code_of(error), str(error)
    if code == "SQLITE_INTERRUPT":
        message = "The statement took longer than the statement time-out allows and was stopped."
    if is_outage(code):
        why = next((words for start, words in WORDS.items() if code.startswith(start)), message)
        words = f"The SQLite database {file} can't be used now: {why}."
        return Outage(code, words, classification=classify(source, code, message))
    return ConnectorError(code, message, classification=classify(source, code, message), source=source)


def row_failure(error: Exception, values: Record, source: str = ErrorSource.APPLICATION) -> Failure:
    """What SQLite, or the way to it, said about one row."""
    if isinstance(error, OverflowError):
        return unstorable(too_big(values), "out_of_range", "holds a number that does not fit into 64 bits")
    if isinstance(error, UnicodeEncodeError):
        name = half_character(values)
        return unstorable(name, "encoding", "contains half of a character (a lone surrogate), which is no text")
    assert isinstance(error, sqlite3.Error)
    code, message = code_of(error), str(error)
    return Failure(source, code, message, classify(source, code, message), field=field_of(message))


def unstorable(name: str, code: str, why: str) -> Failure:
    return Failure(
        ErrorSource.APPLICATION, code, f'The field "{short(name)}" {why}.', Classification.VALUE, field=name or None
    )


def field_of(message: str) -> str | None:
    """The column in `NOT NULL constraint failed: strikes.species`, if it is one."""
    match = COLUMNS.search(message)
    named = (match[1] or match[2]) if match else ""
    if not named or "," in named or "." not in named or " " in named:
        return None
    return named.rsplit(".", 1)[1]


def too_big(values: Record) -> str:
    return next((n for n, v in values.items() if isinstance(v, int) and not -BIGGEST <= v < BIGGEST), "")


def missing_row(job: Job, values: Record) -> Failure:
    assert job.table is not None
    message = f"No row of {job.table.name} has {job.words_for(values)}."
    return Failure(ErrorSource.APPLICATION, "02000", message, Classification.MISSING)
