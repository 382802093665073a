"""Cuts the rows of a page into what is sent together, and turns them into JSON that PostgreSQL can read."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from apps.connectors.sql.face import Job, Row
from apps.connectors.sql.postgresql.errors import unstorable
from apps.engine.ports import Failure

CHUNK_ROWS = 20
CALL_ROWS = 1000
CALL_BYTES = 16 * 1024 * 1024


@dataclass(slots=True)
class Call:
    """One call of a function: chunks as JSON, where each starts, and all rows in the order of the chunks."""

    chunks: list[bytes] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    size: int = 0

    def add(self, encoded: bytes, rows: Sequence[Row]) -> None:
        self.chunks.append(encoded)
        self.starts.append(len(self.rows))
        self.rows.extend(rows)
        self.size += len(encoded)

    def is_full(self) -> bool:
        return len(self.rows) >= CALL_ROWS or self.size >= CALL_BYTES


def same_shapes(job: Job, rows: Sequence[Row]) -> list[list[Row]]:
    """Groups of rows with the same columns. Two rows of the same key never change their order."""
    if len({tuple(row.values) for row in rows}) <= 1:
        return [list(rows)] if rows else []
    done: list[list[Row]] = []
    groups: dict[tuple[str, ...], list[Row]] = {}
    owners: dict[Any, tuple[str, ...]] = {}
    for row in rows:
        shape = tuple(sorted(row.values))
        key = key_of(job, row)
        if job.keys and owners.setdefault(key, shape) != shape:
            done += groups.values()
            groups, owners = {}, {key: shape}
        groups.setdefault(shape, []).append(row)
    return [*done, *groups.values()]


def key_of(job: Job, row: Row) -> Any:
    values = row.values
    key = tuple([values.get(name) for name in job.keys])
    try:
        hash(key)
    except TypeError:
        return repr(key)
    return key


def chunked(job: Job, rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """About twenty rows each; a key never stands twice in one, so that the later row comes later."""
    if not job.keys or len({key_of(job, row) for row in rows}) == len(rows):
        for start in range(0, len(rows), CHUNK_ROWS):
            yield rows[start : start + CHUNK_ROWS]
        return
    chunk: list[Row] = []
    seen: set[Any] = set()
    for row in rows:
        key = key_of(job, row)
        if key in seen or len(chunk) >= CHUNK_ROWS:
            yield chunk
            chunk, seen = [], set()
        chunk.append(row)
        seen.add(key)
    yield chunk


def calls(job: Job, rows: Sequence[Row], failures: dict[int, Failure]) -> Iterator[Call]:
    """The rows as calls; rows that cannot be JSON go into `failures`."""
    call = Call()
    for chunk in chunked(job, rows):
        encoded, good = encode(chunk, failures)
        if good:
            call.add(encoded, good)
        if call.is_full():
            yield call
            call = Call()
    if call.rows:
        yield call


def encode(chunk: Sequence[Row], failures: dict[int, Failure]) -> tuple[bytes, Sequence[Row]]:
    """A chunk as a JSON array, and its rows without those that failed."""
    try:
        return orjson.dumps([row.values for row in chunk]), chunk
    except (TypeError, ValueError):
        encoded = [(row, encode_row(row)) for row in chunk]
    failures.update({row.at: made for row, made in encoded if isinstance(made, Failure)})
    good = [(row, made) for row, made in encoded if isinstance(made, bytes)]
    return b"[" + b",".join(made for _, made in good) + b"]", [row for row, _ in good]


def encode_row(row: Row) -> bytes | Failure:
    """One row as JSON; what orjson refuses (whole numbers beyond 64 bits, depth) may still be fine for PostgreSQL."""
    try:
        return orjson.dumps(row.values)
    except (TypeError, ValueError):
        pass
    for name, value in row.values.items():
        if problem := why_not(name, value):
            return problem
    return json.dumps(row.values, allow_nan=False, default=str).encode()


def why_not(name: str, value: Any) -> Failure | None:
    """What makes a value impossible to send, or None."""
    try:
        json.dumps(value, allow_nan=False, default=str, ensure_ascii=False).encode()
        name.encode()
    except UnicodeEncodeError:
        return unstorable(name, "22021", "contains half of a character (a lone surrogate), which is no text")
    except RecursionError:
        return unstorable(name, "54001", "is nested too deep to be stored")
    except ValueError:
        return unstorable(name, "22003", "holds a number that is infinite, undefined or has more than 4,300 digits")
    except TypeError:
        return unstorable(name, "22032", "cannot be written as JSON")
    return None
