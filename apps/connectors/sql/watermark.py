"""Incremental exports: where the next one starts, and which rows of the overlap it has seen already.

The next export starts at the highest value that was exported, less the overlap, so that rows which became visible late
are found. The rows that were exported from there on are remembered by a hash of 8 bytes each.
"""

import datetime as dt
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from hashlib import blake2b
from typing import Any

import orjson

from apps.engine.ports import CheckpointValue, Classification, ConnectorError

HASH_BYTES = 8
MAX_SEEN = 1_000_000
SEEN_PER_PAGE = 10_000
"""With more rows in the overlap the checkpoint moves only with the last page: it would be copied too often."""
NAME = "watermark"


def comparable(value: Any) -> Any:
    """A watermark value in a form in which values of one column compare: a time, a decimal number or a text."""
    if isinstance(value, str):
        try:
            moment = dt.datetime.fromisoformat(value)
        except ValueError:
            return number_of(value)
        return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return Decimal(str(value))


def number_of(text: str) -> Any:
    try:
        return Decimal(text)
    except InvalidOperation:
        return text


def step_back(value: Any, overlap: float) -> Any:
    """The value less the overlap (seconds, or units of a number), written as the value is written."""
    if not overlap:
        return value
    found = comparable(value)
    if isinstance(found, Decimal):
        back = found - Decimal(str(overlap))
        return str(back) if isinstance(value, str) else (int(back) if isinstance(value, int) else float(back))
    if isinstance(found, str):
        message = f'The watermark "{value}" is neither a number nor a time, so it can have no overlap.'
        raise ConnectorError("value", message, classification=Classification.VALUE)
    return written_like(found - dt.timedelta(seconds=overlap), str(value))


def written_like(moment: dt.datetime, sample: str) -> str:
    """A time written as the sample is: with T or blank, with its zone or none, only the date if that is all."""
    if len(sample) <= 10:
        return moment.date().isoformat()
    has_zone = dt.datetime.fromisoformat(sample).tzinfo is not None
    if not has_zone and moment.tzinfo is not None:
        moment = moment.astimezone(dt.UTC).replace(tzinfo=None)
    text = moment.isoformat(sep="T" if "T" in sample else " ")
    return text.replace("+00:00", "Z") if sample.endswith("Z") else text


def row_hash(parts: Sequence[Any]) -> bytes:
    """Tells one row in one state from another."""
    return blake2b(orjson.dumps(parts, default=str), digest_size=HASH_BYTES).digest()


@dataclass
class Progress:
    """How far an incremental export has got, page by page."""

    overlap: float
    start: CheckpointValue | None
    value: Any = None
    _old: frozenset[bytes] = frozenset()
    _recent: deque[tuple[Any, bytes]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        if self.start is not None:
            seen = self.start.seen
            self.value = self.start.value.get(NAME)
            self._old = frozenset(seen[at : at + HASH_BYTES] for at in range(0, len(seen), HASH_BYTES))

    def is_new(self, watermark: Any, hashed: bytes) -> bool:
        """Take note of a row (they come in the order of the watermark); whether it was not exported before."""
        if self.value is None or comparable(watermark) > comparable(self.value):
            self.value = watermark
        self._recent.append((watermark, hashed))
        if len(self._recent) > MAX_SEEN:
            message = f"More than {MAX_SEEN:,} rows lie in the overlap of the watermark; make the overlap smaller."
            raise ConnectorError("too_large", message, classification=Classification.TOO_LARGE)
        return hashed not in self._old

    def checkpoint(self, *, is_last: bool) -> CheckpointValue | None:
        """Where the next export would start; None if nothing can be said yet."""
        if self.value is None:
            return None
        self._prune()
        if not is_last and len(self._recent) > SEEN_PER_PAGE:
            return None
        hashes = {hashed for _, hashed in self._recent}
        if not self._is_past_start():
            hashes |= self._old
        return CheckpointValue({NAME: self.value}, b"".join(sorted(hashes)))

    def _prune(self) -> None:
        edge = comparable(step_back(self.value, self.overlap))
        while self._recent and comparable(self._recent[0][0]) < edge:
            self._recent.popleft()

    def _is_past_start(self) -> bool:
        """Once the rows are past the old checkpoint, all of its overlap was read again in this window."""
        if self.start is None or not self._recent:
            return self.start is None
        return bool(comparable(self._recent[-1][0]) > comparable(self.start.value.get(NAME)))
