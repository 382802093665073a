"""The log on the error output: lines for people or JSON for machines, each with the request and run that it is about.

Plain Python, because the settings name it before Django is set up.
"""

import json
import logging
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from apps.connectors.redaction import redact

_about: ContextVar[Mapping[str, str]] = ContextVar("flowmend_log_about", default={})  # noqa: B039 (never changed)


@contextmanager
def logged_with(**facts: str) -> Iterator[None]:
    """Every line that is logged in this block (and thread) carries these facts: `request`, `run`."""
    reset = _about.set({**_about.get(), **facts})
    try:
        yield
    finally:
        _about.reset(reset)


def about(record: logging.LogRecord) -> dict[str, str]:
    """What a line is about; Django tells of answers like 404 when the block of the request has ended."""
    request_id = getattr(getattr(record, "request", None), "request_id", "")
    return {**({"request": request_id} if request_id else {}), **_about.get()}


class LineFormatter(logging.Formatter):
    """`2026-11-20 15:02:41,412 WARNING apps.x what happened [run r-7]`; what looks like a secret is hidden."""

    def __init__(self) -> None:
        super().__init__("{asctime} {levelname} {name} {message}", None, "{")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (so the library calls it)
        facts = ", ".join(f"{name} {value}" for name, value in about(record).items())
        return super().formatMessage(record) + (f" [{facts}]" if facts else "")

    def format(self, record: logging.LogRecord) -> str:
        return str(redact(super().format(record)))


class JsonFormatter(logging.Formatter):
    """One object a line: at, level, logger, message, machine, process, and request, run and trace where there are."""

    def format(self, record: logging.LogRecord) -> str:
        facts = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "machine": MACHINE,
            "process": os.getpid(),
            **about(record),
        }
        if record.exc_info:
            facts["trace"] = self.formatException(record.exc_info)
        return json.dumps(redact(facts), ensure_ascii=False)


MACHINE = socket.gethostname()
FORMATTERS = {"line": f"{__name__}.LineFormatter", "json": f"{__name__}.JsonFormatter"}
"""What `LOG_FORMAT` may say."""
