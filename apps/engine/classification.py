"""Why a record failed, in one of eight words: pure rules over what an application, a driver or the network answered.

The first rule that fits decides, in this order: exception type, HTTP status, SQLSTATE or SQLite code, words of the
message. Every pattern runs in linear time. A new rule is one line here and one row of its test table.
"""

import re
from collections.abc import Mapping

from apps.engine.database_codes import (
    CONNECTION,
    DUPLICATE,
    INTERMITTENT,
    MISSING,
    PARSE,
    RATE_LIMIT,
    TOO_LARGE,
    VALUE,
    class_of_code,
)
from apps.engine.ports import Classification, ErrorSource, Failure

EXCEPTIONS: Mapping[str, Classification] = {
    "ConnectionRefusedError": CONNECTION,
    "gaierror": CONNECTION,
    "herror": CONNECTION,
    "SSLError": CONNECTION,
    "SSLCertVerificationError": CONNECTION,
    "CertificateError": CONNECTION,
    "PermissionError": CONNECTION,
    "ClientConnectorError": CONNECTION,
    "ClientConnectorDNSError": CONNECTION,
    "SMTPAuthenticationError": CONNECTION,
    "ConnectionResetError": INTERMITTENT,
    "ConnectionAbortedError": INTERMITTENT,
    "BrokenPipeError": INTERMITTENT,
    "TimeoutError": INTERMITTENT,
    "ServerTimeoutError": INTERMITTENT,
    "ServerDisconnectedError": INTERMITTENT,
    "IncompleteRead": INTERMITTENT,
    "ClientPayloadError": INTERMITTENT,
    "SMTPServerDisconnected": INTERMITTENT,
    "BlockingIOError": INTERMITTENT,
    "MemoryError": TOO_LARGE,
    "RecursionError": TOO_LARGE,
    "OverflowError": VALUE,
    "ZeroDivisionError": VALUE,
    "TypeError": VALUE,
    "KeyError": MISSING,
    "IndexError": MISSING,
    "AttributeError": MISSING,
    "FileNotFoundError": MISSING,
    "FileExistsError": DUPLICATE,
    "JSONDecodeError": PARSE,
    "UnicodeDecodeError": PARSE,
    "UnicodeEncodeError": VALUE,
    "ParseError": PARSE,
    "XMLSyntaxError": PARSE,
    "BadGzipFile": PARSE,
    "BadZipFile": PARSE,
    "ValueError": VALUE,
}

STATUSES: Mapping[str, Classification] = {
    "400": VALUE,
    "401": CONNECTION,
    "403": CONNECTION,
    "404": MISSING,
    "407": CONNECTION,
    "408": INTERMITTENT,
    "409": DUPLICATE,
    "410": MISSING,
    "411": VALUE,
    "412": VALUE,
    "413": TOO_LARGE,
    "414": TOO_LARGE,
    "415": VALUE,
    "416": VALUE,
    "422": VALUE,
    "423": INTERMITTENT,
    "425": INTERMITTENT,
    "429": RATE_LIMIT,
    "431": TOO_LARGE,
    "500": INTERMITTENT,
    "502": INTERMITTENT,
    "503": INTERMITTENT,
    "504": INTERMITTENT,
    "507": INTERMITTENT,
    "509": RATE_LIMIT,
    "511": CONNECTION,
    "520": INTERMITTENT,
    "521": CONNECTION,
    "522": INTERMITTENT,
    "523": CONNECTION,
    "524": INTERMITTENT,
    "525": CONNECTION,
    "526": CONNECTION,
    "529": INTERMITTENT,
    "530": CONNECTION,
}

WORDS: Mapping[str, Classification] = {
    "dns": CONNECTION,
    "refused": CONNECTION,
    "tls": CONNECTION,
    "auth": CONNECTION,
    "blocked": CONNECTION,
    "timeout": INTERMITTENT,
    "reset": INTERMITTENT,
    "truncated": INTERMITTENT,
    "lost": INTERMITTENT,
    "rate_limit": RATE_LIMIT,
    "too_large": TOO_LARGE,
    "limit": TOO_LARGE,
    "duplicate": DUPLICATE,
    "missing": MISSING,
    "not_found": MISSING,
    "parse": PARSE,
    "encoding": PARSE,
    "value": VALUE,
    "unknown_column": VALUE,
    "nested": VALUE,
    "not_finite": VALUE,
    "out_of_range": VALUE,
}

MESSAGES = tuple(
    (re.compile(pattern, re.IGNORECASE), found)
    for pattern, found in (
        (r"rate.?limit|too many requests|throttl|quota|concurrency limit|request.?limit", RATE_LIMIT),
        (r"too (?:large|big|long)|exceeds the (?:maximum|limit)|maximum (?:size|length)|payload size", TOO_LARGE),
        (r"size limit|larger than the", TOO_LARGE),
        (r"already (?:exists|been taken|in use|registered)|duplicate|must be unique|not unique", DUPLICATE),
        (r"unique (?:constraint|key|index)|has been taken", DUPLICATE),
        (r"unauthori[sz]ed|forbidden|access denied|permission denied|invalid (?:api.?key|credentials)", CONNECTION),
        (
            r"invalid_grant|expired (?:token|session|certificate)|(?:token|session|certificate) (?:has )?expired",
            CONNECTION,
        ),
        (r"authentication failed|invalid_session_id|connection refused|could not connect|no route to host", CONNECTION),
        (r"name or service not known|could not be resolved|getaddrinfo|certificate verify|handshake fail", CONNECTION),
        (
            r"timed? ?-?out|deadlock|lock wait|unable_to_lock_row|connection (?:was )?(?:reset|closed|lost)",
            INTERMITTENT,
        ),
        (r"try again|temporar(?:y|ily)|service unavailable|bad gateway|internal server error|is locked", INTERMITTENT),
        (r"broken pipe|overloaded|under maintenance|server (?:has )?disconnected", INTERMITTENT),
        (r"malformed|unexpected (?:token|end|character)|not well.?formed|invalid json|cannot parse|parse error", PARSE),
        (
            r"unparsable|unterminated|invalid (?:date|datetime|timestamp)|is not a (?:valid )?date|codec can't decode",
            PARSE,
        ),
        (r"does not match (?:the )?format|could not be read as|cannot be parsed|invalid literal", PARSE),
        (r"not[ _]found|does not exist|no such|is required|required[ _](?:field|property|value)|missing", MISSING),
        (
            r"can(?:not|'t) be (?:blank|empty|null)|may not be (?:blank|empty|null)|must not be (?:blank|empty|null)",
            MISSING,
        ),
        (r"null value|is empty|no matching|unknown (?:id|record|customer|item)|not present in", MISSING),
        (r"out of range|invalid|must be|not a valid|not allowed|check constraint|unsupported|expected", VALUE),
        (r"too (?:short|small|low|high|few|many)|cannot be converted|inappropriate|not accepted", VALUE),
    )
)

LONGEST_MESSAGE = 2000


def class_of(failure: Failure) -> str:
    """The class of a failure: its connector's word, else what the rules say; `none` where neither knows."""
    return failure.classification or classify(failure.source, failure.code, failure.message) or "none"


def classify(source: str, code: str, message: str) -> str:
    """The `Classification` of a failure from its source, the foreign system's own code and its message."""
    shown = message[:LONGEST_MESSAGE]
    return str(_by_code(code, shown) or _by_source(source) or _by_message(f"{code} {shown}"))


def class_of_expression(kind: str) -> str:
    """The class of an expression that failed on a record, by the kind of its `ExpressionError`; blank without one."""
    return WORDS.get(kind, "")


def _by_code(code: str, message: str) -> Classification | None:
    name = code.rsplit(".", 1)[-1]
    if found := EXCEPTIONS.get(name):
        return found
    if len(code) == 3 and code.isdigit():
        return _by_status(code, message)
    if found := class_of_code(code, message):
        return found
    return WORDS.get(code) or WORDS.get(code.rsplit("_", 1)[-1])  # `mapping_missing` is a `missing`


def _by_status(status: str, message: str) -> Classification | None:
    """The message may say more than the status does: many services answer 400 or 500 to anything."""
    general = STATUSES.get(status) or (INTERMITTENT if status >= "500" else None)
    if status in {"400", "403", "422", "500"}:
        said = _by_message(message)
        precise = {"400": {DUPLICATE, MISSING, PARSE, TOO_LARGE, RATE_LIMIT}, "403": {RATE_LIMIT}}
        if said in precise.get(status, {DUPLICATE} if status == "422" else set()):
            return said
    return general


def _by_source(source: str) -> Classification | None:
    return CONNECTION if source == ErrorSource.CONNECTION else None


def _by_message(message: str) -> Classification:
    for pattern, found in MESSAGES:
        if pattern.search(message):
            return found
    return Classification.NONE
