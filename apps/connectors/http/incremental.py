"""Where the next export of an application begins, and which records of the overlap it has handed on already."""

import datetime as dt
from base64 import b64decode, b64encode
from hashlib import blake2b
from typing import Any

from apps.connectors.http.documents import MISSING, parse_path, value_at
from apps.connectors.http.options import HttpExportOptions
from apps.connectors.sql.watermark import comparable, step_back
from apps.engine.ports import CheckpointValue, Classification, ConnectorError, Record, Window
from apps.engine.records import to_json

SINCE = "since"
HASH_BYTES = 8
MAX_SEEN = 10_000
"""Records of the overlap that are remembered; beyond that they are exported again."""


class Progress:
    """How far one window has got. `saved` goes into the position of a page, `restore` takes it from there."""

    def __init__(self, options: HttpExportOptions, window: Window) -> None:
        self._options = options
        self._window = window
        self._path = parse_path(options.incremental_field)
        start = window.checkpoint if options.incremental != "none" else None
        self._old = split(start.seen) if start else set()
        self._start = start
        self.value: Any = start.value.get(SINCE) if start else None
        self._recent: dict[bytes, Any] = {}

    # --- what the requests may read ----------------------------------------------------------------------------------
    def since(self) -> Any:
        """The checkpoint less the overlap, else the window's start, else None."""
        if self._start is not None and self._start.value.get(SINCE) is not None:
            return step_back(self._start.value[SINCE], self._options.overlap_s)
        return None if self._window.start is None else moment_text(self._window.start)

    def until(self) -> str:
        return moment_text(self._window.end or self._window.now)

    # --- taking note -------------------------------------------------------------------------------------------------
    def is_new(self, record: Record) -> bool:
        """Take note of a record; whether the run before did not hand it on already."""
        if self._options.incremental != "field":
            return True
        value = value_at(record, self._path)
        if value is MISSING or value is None or isinstance(value, bool | dict | list):
            return True
        if self.value is None or self._is_after(value, self.value):
            self.value = value
        mark = blake2b(to_json(record, sort=True), digest_size=HASH_BYTES).digest()
        self._recent[mark] = value
        if len(self._recent) > 2 * MAX_SEEN:
            self._prune()
        return mark not in self._old

    def checkpoint(self) -> CheckpointValue | None:
        if self._options.incremental == "window":
            return CheckpointValue({SINCE: self.until()})
        if self._options.incremental == "none" or self.value is None:
            return None
        self._prune()
        kept = set(self._recent)
        if self._start is not None and not self._is_after(self.value, self._start.value.get(SINCE)):
            kept |= self._old
        return CheckpointValue({SINCE: self.value}, b"".join(sorted(kept)))

    def saved(self) -> Record:
        if self._options.incremental != "field":
            return {}
        self._prune()
        return {"value": self.value, "recent": b64encode(b"".join(self._recent)).decode()}

    def restore(self, saved: Record) -> None:
        if saved:
            self.value = saved["value"]
            self._recent = dict.fromkeys(split(b64decode(saved["recent"])), self.value)

    def _prune(self) -> None:
        """Keep the records that the next run's overlap reaches."""
        if self.value is None:
            return
        edge = step_back(self.value, self._options.overlap_s)
        self._recent = {mark: value for mark, value in self._recent.items() if not self._is_after(edge, value)}
        while len(self._recent) > MAX_SEEN:
            self._recent.pop(next(iter(self._recent)))

    def _is_after(self, left: Any, right: Any) -> bool:
        try:
            return bool(comparable(left) > comparable(right))
        except (TypeError, ArithmeticError):
            name = self._options.incremental_field
            text = f'The values of "{name}" cannot be compared: "{left}" and "{right}" are of different kinds.'
            raise ConnectorError("value", text[:500], classification=Classification.VALUE) from None


def split(marks: bytes) -> set[bytes]:
    return {marks[at : at + HASH_BYTES] for at in range(0, len(marks), HASH_BYTES)}


def moment_text(moment: dt.datetime) -> str:
    text = moment.astimezone(dt.UTC).isoformat() if moment.tzinfo else moment.isoformat()
    return text.replace("+00:00", "Z")
