"""What databases answer, in the eight words of a classification: SQLSTATEs, SQLite's codes, numbers of the others."""

import re
from collections.abc import Mapping

from apps.engine.ports import Classification

CONNECTION = Classification.CONNECTION
INTERMITTENT = Classification.INTERMITTENT
RATE_LIMIT = Classification.RATE_LIMIT
TOO_LARGE = Classification.TOO_LARGE
DUPLICATE = Classification.DUPLICATE
MISSING = Classification.MISSING
PARSE = Classification.PARSE
VALUE = Classification.VALUE

SQL_CODES: Mapping[str, Classification] = {
    "02000": MISSING,  # no data: the update or delete found no row
    "22P02": PARSE,  # invalid text representation
    "22P03": PARSE,
    "22P04": PARSE,
    "22007": PARSE,  # invalid date or time format
    "22032": PARSE,  # invalid JSON text
    "22000": VALUE,
    "22021": VALUE,
    "22004": MISSING,  # null value not allowed
    "23502": MISSING,
    "23503": MISSING,  # unless the row is still referenced: see the messages before the codes
    "23505": DUPLICATE,
    "23514": VALUE,
    "23P01": DUPLICATE,  # exclusion constraint
    "25P03": INTERMITTENT,
    "25006": CONNECTION,  # the server only lets read (a standby)
    "3D000": CONNECTION,  # no such database
    "42501": CONNECTION,  # the role lacks the privilege
    "42703": VALUE,  # undefined column
    "42P01": MISSING,  # undefined table
    "42883": VALUE,
    "42P10": VALUE,
    "53400": TOO_LARGE,
    "54000": TOO_LARGE,
    "54001": TOO_LARGE,
    "55P03": INTERMITTENT,  # lock not available
    "55006": INTERMITTENT,
    "57P03": CONNECTION,  # the server is starting up or shutting down
    "SQLITE_BUSY": INTERMITTENT,
    "SQLITE_LOCKED": INTERMITTENT,
    "SQLITE_INTERRUPT": INTERMITTENT,
    "SQLITE_FULL": INTERMITTENT,
    "SQLITE_IOERR": INTERMITTENT,
    "SQLITE_PROTOCOL": INTERMITTENT,
    "SQLITE_NOMEM": INTERMITTENT,
    "SQLITE_CANTOPEN": CONNECTION,
    "SQLITE_READONLY": CONNECTION,
    "SQLITE_PERM": CONNECTION,
    "SQLITE_AUTH": CONNECTION,
    "SQLITE_NOTADB": CONNECTION,
    "SQLITE_CORRUPT": CONNECTION,
    "SQLITE_TOOBIG": TOO_LARGE,
    "SQLITE_MISMATCH": VALUE,
    "SQLITE_RANGE": VALUE,
    "SQLITE_CONSTRAINT": VALUE,
    "SQLITE_CONSTRAINT_CHECK": VALUE,
    "SQLITE_CONSTRAINT_DATATYPE": VALUE,
    "SQLITE_CONSTRAINT_TRIGGER": VALUE,
    "SQLITE_CONSTRAINT_NOTNULL": MISSING,
    "SQLITE_CONSTRAINT_FOREIGNKEY": MISSING,
    "SQLITE_CONSTRAINT_PRIMARYKEY": DUPLICATE,
    "SQLITE_CONSTRAINT_UNIQUE": DUPLICATE,
    "SQLITE_CONSTRAINT_ROWID": DUPLICATE,
}

DATABASE_CODES: Mapping[str, Classification] = {
    # MySQL and MariaDB, by their error numbers
    "MYSQL_1021": INTERMITTENT,  # disk full
    "MYSQL_1040": INTERMITTENT,  # too many connections
    "MYSQL_1044": CONNECTION,
    "MYSQL_1045": CONNECTION,  # access denied
    "MYSQL_1048": MISSING,  # a column cannot be null
    "MYSQL_1049": CONNECTION,  # no such database
    "MYSQL_1053": INTERMITTENT,
    "MYSQL_1054": VALUE,  # unknown column
    "MYSQL_1062": DUPLICATE,
    "MYSQL_1064": VALUE,
    "MYSQL_1114": INTERMITTENT,  # the table is full
    "MYSQL_1129": CONNECTION,
    "MYSQL_1130": CONNECTION,  # this host may not connect
    "MYSQL_1136": VALUE,
    "MYSQL_1142": CONNECTION,  # no privilege on the table
    "MYSQL_1143": CONNECTION,
    "MYSQL_1146": MISSING,  # no such table
    "MYSQL_1153": TOO_LARGE,  # larger than max_allowed_packet
    "MYSQL_1169": DUPLICATE,
    "MYSQL_1203": INTERMITTENT,
    "MYSQL_1205": INTERMITTENT,  # lock wait
    "MYSQL_1213": INTERMITTENT,  # deadlock
    "MYSQL_1216": MISSING,
    "MYSQL_1217": VALUE,
    "MYSQL_1226": RATE_LIMIT,  # the user has used up what it may in an hour
    "MYSQL_1264": VALUE,  # out of range
    "MYSQL_1265": VALUE,
    "MYSQL_1290": CONNECTION,  # the server only lets read
    "MYSQL_1292": PARSE,  # no date, no number
    "MYSQL_1305": MISSING,
    "MYSQL_1317": INTERMITTENT,
    "MYSQL_1364": MISSING,  # a column without a value
    "MYSQL_1366": PARSE,  # no number, or a text of another character set
    "MYSQL_1406": TOO_LARGE,
    "MYSQL_1411": PARSE,
    "MYSQL_1451": VALUE,  # the row is still referenced
    "MYSQL_1452": MISSING,  # the row it refers to is not there
    "MYSQL_1557": DUPLICATE,
    "MYSQL_1586": DUPLICATE,
    "MYSQL_1644": VALUE,  # a trigger's own refusal
    "MYSQL_1690": VALUE,
    "MYSQL_1836": CONNECTION,
    "MYSQL_1927": INTERMITTENT,
    "MYSQL_1969": INTERMITTENT,  # the statement took too long
    "MYSQL_2002": CONNECTION,
    "MYSQL_2003": CONNECTION,
    "MYSQL_2006": INTERMITTENT,
    "MYSQL_2013": INTERMITTENT,
    "MYSQL_3024": INTERMITTENT,
    "MYSQL_3140": PARSE,  # no JSON
    "MYSQL_3572": INTERMITTENT,
    "MYSQL_3819": VALUE,
    "MYSQL_4025": VALUE,  # a check
    # SQL Server
    "MSSQL_207": VALUE,
    "MSSQL_208": MISSING,
    "MSSQL_229": CONNECTION,
    "MSSQL_241": PARSE,
    "MSSQL_245": PARSE,
    "MSSQL_515": MISSING,
    "MSSQL_547": VALUE,
    "MSSQL_1105": INTERMITTENT,
    "MSSQL_1205": INTERMITTENT,
    "MSSQL_1222": INTERMITTENT,
    "MSSQL_2601": DUPLICATE,
    "MSSQL_2627": DUPLICATE,
    "MSSQL_2628": TOO_LARGE,
    "MSSQL_4060": CONNECTION,
    "MSSQL_8114": PARSE,
    "MSSQL_8115": VALUE,
    "MSSQL_8152": TOO_LARGE,
    "MSSQL_18456": CONNECTION,
    "MSSQL_20009": CONNECTION,
    # Oracle
    "ORA_1": DUPLICATE,
    "ORA_54": INTERMITTENT,
    "ORA_60": INTERMITTENT,
    "ORA_904": VALUE,
    "ORA_942": MISSING,
    "ORA_1017": CONNECTION,
    "ORA_1031": CONNECTION,
    "ORA_1400": MISSING,
    "ORA_1407": MISSING,
    "ORA_1438": VALUE,
    "ORA_1653": INTERMITTENT,
    "ORA_1722": PARSE,
    "ORA_1843": PARSE,
    "ORA_1861": PARSE,
    "ORA_2290": VALUE,
    "ORA_2291": MISSING,
    "ORA_2292": VALUE,
    "ORA_12514": CONNECTION,
    "ORA_12541": CONNECTION,
    "ORA_12899": TOO_LARGE,
}
"""Numbers alone would be mistaken for HTTP statuses, and mean another thing in each database."""

SQL_CLASSES: Mapping[str, Classification] = {
    "08": CONNECTION,
    "21": VALUE,
    "22": VALUE,
    "23": VALUE,
    "28": CONNECTION,
    "40": INTERMITTENT,
    "42": VALUE,
    "44": VALUE,
    "53": INTERMITTENT,
    "54": TOO_LARGE,
    "55": INTERMITTENT,
    "57": INTERMITTENT,
    "58": INTERMITTENT,
}

SQL_MESSAGES = (
    (re.compile(r"is still referenced from"), VALUE),
    (re.compile(r"date/time field value out of range"), VALUE),
)

SQLSTATE = re.compile(r"[0-9A-Z]{5}")


def class_of_code(code: str, message: str) -> Classification | None:
    """The class of a code that only databases answer; None for what is no such code."""
    if found := DATABASE_CODES.get(code):
        return found
    if code.startswith("SQLITE_"):
        return _by_sqlite(code)
    if SQLSTATE.fullmatch(code) and not code.isalpha():
        return _by_sqlstate(code, message)
    return None


def _by_sqlite(code: str) -> Classification | None:
    """An extended code (SQLITE_BUSY_SNAPSHOT) belongs to its primary one (SQLITE_BUSY)."""
    return SQL_CODES.get(code) or SQL_CODES.get("_".join(code.split("_")[:2]))


def _by_sqlstate(code: str, message: str) -> Classification | None:
    for pattern, found in SQL_MESSAGES:
        if code[:2] in {"22", "23"} and pattern.search(message):
            return found
    if code in SQL_CODES:
        return SQL_CODES[code]
    return SQL_CLASSES.get(code[:2])
