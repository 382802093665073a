"""Every rule of the classification, on messages as real systems write them."""

import time

import pytest

from apps.engine.classification import EXCEPTIONS, MESSAGES, STATUSES, classify
from apps.engine.database_codes import SQL_CODES
from apps.engine.ports import Classification

CASES = [
    # exception types, with and without their module
    ("connection", "ConnectionRefusedError", "[Errno 111] Connection refused", "connection"),
    ("connection", "socket.gaierror", "[Errno -2] Name or service not known", "connection"),
    ("connection", "ssl.SSLCertVerificationError", "certificate verify failed: self-signed certificate", "connection"),
    ("application", "ConnectionResetError", "[Errno 104] Connection reset by peer", "intermittent"),
    ("application", "TimeoutError", "", "intermittent"),
    ("internal", "json.decoder.JSONDecodeError", "Expecting value: line 1 column 1 (char 0)", "parse"),
    ("internal", "UnicodeDecodeError", "'utf-8' codec can't decode byte 0xff in position 0", "parse"),
    ("internal", "KeyError", "'id'", "missing"),
    ("internal", "FileNotFoundError", "No such file or directory", "missing"),
    ("internal", "FileExistsError", "File exists", "duplicate"),
    ("internal", "MemoryError", "", "too_large"),
    # HTTP statuses
    ("application", "400", "Bad Request", "value"),
    ("application", "400", "The customer number already exists", "duplicate"),
    ("application", "400", "Field email is required", "missing"),
    ("application", "400", "Malformed JSON in request body", "parse"),
    ("application", "401", "Unauthorized", "connection"),
    ("application", "403", "Forbidden", "connection"),
    ("application", "403", "API rate limit exceeded for user", "rate_limit"),
    ("application", "404", "Not Found", "missing"),
    ("application", "408", "Request Timeout", "intermittent"),
    ("application", "409", "Conflict", "duplicate"),
    ("application", "413", "Payload Too Large", "too_large"),
    ("application", "422", "Unprocessable Entity", "value"),
    ("application", "422", "email has already been taken", "duplicate"),
    ("application", "425", "Too Early", "intermittent"),
    ("application", "429", "Too Many Requests", "rate_limit"),
    ("application", "500", "Internal Server Error", "intermittent"),
    ("application", "502", "Bad Gateway", "intermittent"),
    ("application", "503", "Service Unavailable", "intermittent"),
    ("application", "504", "Gateway Timeout", "intermittent"),
    ("application", "599", "no more is known", "intermittent"),
    # PostgreSQL
    ("application", "02000", "No row of strikes has id = 5.", "missing"),
    ("application", "08006", "server closed the connection unexpectedly", "connection"),
    ("application", "22001", "value too long for type character varying(20)", "value"),
    ("application", "22003", 'value "99999999999" is out of range for type integer', "value"),
    ("application", "22007", 'invalid input syntax for type date: "yesterday-ish"', "parse"),
    ("application", "22008", 'date/time field value out of range: "2024-02-31"', "value"),
    ("application", "22012", "division by zero", "value"),
    ("application", "22P02", 'invalid input syntax for type integer: "abc"', "parse"),
    ("application", "22P05", "unsupported Unicode escape sequence", "value"),
    ("application", "23502", 'null value in column "name" violates not-null constraint', "missing"),
    ("application", "23503", 'Key (bird)=(9) is not present in table "birds".', "missing"),
    ("application", "23503", 'Key (id)=(1) is still referenced from table "hits".', "value"),
    ("application", "23505", 'duplicate key value violates unique constraint "t_pkey"', "duplicate"),
    ("application", "23514", 'new row for relation "t" violates check constraint "positive"', "value"),
    ("application", "28P01", 'password authentication failed for user "app"', "connection"),
    ("application", "3D000", 'database "shop" does not exist', "connection"),
    ("application", "40001", "could not serialize access due to concurrent update", "intermittent"),
    ("application", "40P01", "deadlock detected", "intermittent"),
    ("application", "42501", "permission denied for table t", "connection"),
    ("application", "42703", 'column "colour" of relation "t" does not exist', "value"),
    ("application", "42P01", 'relation "t" does not exist', "missing"),
    ("application", "53300", "sorry, too many clients already", "intermittent"),
    ("application", "53100", "could not extend file: No space left on device", "intermittent"),
    ("application", "54000", "index row size 5000 exceeds btree version 4 maximum 2704", "too_large"),
    ("application", "55P03", "canceling statement due to lock timeout", "intermittent"),
    ("application", "57014", "canceling statement due to statement timeout", "intermittent"),
    ("application", "57P01", "terminating connection due to administrator command", "intermittent"),
    ("application", "57P03", "the database system is starting up", "connection"),
    ("application", "P0001", "Owls are protected", ""),
    # SQLite
    ("application", "MYSQL_1062", "Duplicate entry '5' for key 'PRIMARY'", "duplicate"),
    ("application", "MYSQL_1048", "Column 'name' cannot be null", "missing"),
    ("application", "MYSQL_1406", "Data too long for column 'species'", "too_large"),
    ("application", "MYSQL_1264", "Out of range value for column 'speed'", "value"),
    ("application", "MYSQL_1292", "Incorrect date value: '6 May' for column `d`.`t`.`seen_on`", "parse"),
    ("application", "MYSQL_1366", "Incorrect integer value: 'fast' for column `d`.`t`.`speed`", "parse"),
    ("application", "MYSQL_1452", "Cannot add or update a child row: a foreign key constraint fails", "missing"),
    ("application", "MYSQL_1451", "Cannot delete or update a parent row: a foreign key constraint fails", "value"),
    ("application", "MYSQL_4025", "CONSTRAINT `cost_not_negative` failed for `d`.`t`", "value"),
    ("application", "MYSQL_1205", "Lock wait timeout exceeded; try restarting transaction", "intermittent"),
    ("application", "MYSQL_1213", "Deadlock found when trying to get lock; try restarting transaction", "intermittent"),
    ("application", "MYSQL_1045", "Access denied for user 'flows'@'10.0.0.5' (using password: YES)", "connection"),
    ("application", "MYSQL_1226", "User 'flows' has exceeded the 'max_questions' resource", "rate_limit"),
    ("application", "MYSQL_2013", "Lost connection to MySQL server during query", "intermittent"),
    ("application", "MYSQL_9999", "Duplicate something, whatever this number is", "duplicate"),
    ("application", "MSSQL_2627", "Violation of PRIMARY KEY constraint 'PK_t'", "duplicate"),
    ("application", "MSSQL_515", "Cannot insert the value NULL into column 'name'", "missing"),
    ("application", "MSSQL_1205", "Transaction was deadlocked on lock resources", "intermittent"),
    ("application", "ORA_1", "ORA-00001: unique constraint (FLOWS.PK_T) violated", "duplicate"),
    ("application", "ORA_1400", 'ORA-01400: cannot insert NULL into ("FLOWS"."T"."NAME")', "missing"),
    ("application", "ORA_12899", 'ORA-12899: value too large for column "FLOWS"."T"."NAME"', "too_large"),
    ("application", "SQLITE_BUSY", "database is locked", "intermittent"),
    ("application", "SQLITE_BUSY_SNAPSHOT", "database is locked", "intermittent"),
    ("application", "SQLITE_IOERR_WRITE", "disk I/O error", "intermittent"),
    ("application", "SQLITE_CANTOPEN", "unable to open database file", "connection"),
    ("application", "SQLITE_CONSTRAINT_NOTNULL", "NOT NULL constraint failed: t.name", "missing"),
    ("application", "SQLITE_CONSTRAINT_UNIQUE", "UNIQUE constraint failed: t.code", "duplicate"),
    ("application", "SQLITE_CONSTRAINT_PRIMARYKEY", "UNIQUE constraint failed: t.id", "duplicate"),
    ("application", "SQLITE_CONSTRAINT_FOREIGNKEY", "FOREIGN KEY constraint failed", "missing"),
    ("application", "SQLITE_CONSTRAINT_CHECK", "CHECK constraint failed: price >= 0", "value"),
    ("application", "SQLITE_CONSTRAINT_DATATYPE", "cannot store TEXT value in INTEGER column t.n", "value"),
    ("application", "SQLITE_TOOBIG", "string or blob too big", "too_large"),
    # words of our own
    ("application", "dns", "The name x could not be resolved.", "connection"),
    ("mapping", "mapping_missing", "Field price: the record has no field cost.", "missing"),
    ("lookup", "parameter_parse", 'Parameter id: "abc" is not a number.', "parse"),
    ("application", "unknown_column", "…", "value"),
    ("connection", "", "", "connection"),
    # what services write
    ("application", "SSS_REQUEST_LIMIT_EXCEEDED", "Concurrent request limit exceeded", "rate_limit"),
    ("application", "", "Request was throttled. Expected available in 13 seconds.", "rate_limit"),
    ("application", "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", "rate_limit"),
    ("application", "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access", "intermittent"),
    ("application", "", "You have exceeded your daily quota", "rate_limit"),
    ("application", "", "The attachment exceeds the maximum size of 10 MB", "too_large"),
    ("application", "", "552 5.3.4 Message size exceeds fixed limit: too big", "too_large"),
    ("application", "DUPLICATE_VALUE", "duplicate value found: code duplicates value on record", "duplicate"),
    ("application", "", "A customer record with this ID already exists.", "duplicate"),
    ("application", "", "SKU must be unique", "duplicate"),
    ("application", "INVALID_SESSION_ID", "Session expired or invalid", "connection"),
    ("application", "", "invalid_grant: authentication failed", "connection"),
    ("application", "", "535 5.7.8 Authentication failed: invalid credentials", "connection"),
    ("application", "", "UNABLE_TO_LOCK_ROW: unable to obtain exclusive access to this record", "intermittent"),
    ("application", "", "Lock wait timeout exceeded; try restarting transaction", "intermittent"),
    ("application", "", "The service is temporarily unavailable, please try again later", "intermittent"),
    ("application", "", "Unexpected token < in JSON at position 0", "parse"),
    ("application", "", "'31.02.2024' is not a valid date", "parse"),
    ("application", "", "Invalid date: 2024-13-01", "parse"),
    ("application", "REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]", "missing"),
    ("application", "", "Please enter value(s) for: the item is required", "missing"),
    ("application", "", "email can't be blank", "missing"),
    ("application", "", "No such customer: cus_123", "missing"),
    ("application", "", "Invalid field value for country", "value"),
    ("application", "", "quantity must be greater than 0", "value"),
    ("application", "", "Something happened.", ""),
]


@pytest.mark.parametrize(("source", "code", "message", "expected"), CASES)
def test_a_failure_gets_the_class_that_its_code_or_message_means(
    source: str, code: str, message: str, expected: str
) -> None:
    assert classify(source, code, message) == expected


def test_every_answer_is_one_of_the_words_of_the_console() -> None:
    known = {str(word) for word in Classification}
    tables = (EXCEPTIONS, STATUSES, SQL_CODES)
    assert {classify("application", code, "") for table in tables for code in table} <= known - {""}


@pytest.mark.parametrize("text", ["a" * 1_000_000, "timed " * 200_000, "exceeds the " * 90_000, "((((" * 200_000])
def test_long_messages_are_classified_in_no_time(text: str) -> None:
    started = time.monotonic()
    classify("application", "", text)
    assert time.monotonic() - started < 0.1


def test_no_pattern_repeats_a_repetition() -> None:
    nested = [pattern.pattern for pattern, _ in MESSAGES if any(sign in pattern.pattern for sign in ("*", "+", "{"))]
    assert nested == []
