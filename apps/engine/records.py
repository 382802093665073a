"""A record on its way: the `Item`, the trace key that identifies it, and how a page of items is stored."""

import json
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from operator import attrgetter
from typing import Any, NamedTuple

import orjson

from apps.engine.ports import BadRecord, Failure, Record

KEY_FIELDS = ("id", "_id", "Id", "internalId", "uuid", "key", "externalId", "sku", "number", "email")
"""Where a trace key is looked for when the author of a flow names none, first one present."""
SHOWN_KEY_LENGTH = 128

KeyOf = Callable[[Record], str]
NOWHERE = -2
"""Before every node: the `last_write` of a record that has written nothing yet."""


@dataclass(slots=True, eq=False)
class FailedRecord:
    """One record that failed at a step, and where a retry of it starts with which record.

    `is_handled`: the step's policy or handling answered the failure: it counts, but nobody has to act. `is_alone`: what
    comes after the step was done before, so a retry does only this one. `inner` is the node inside the sub-flow where
    it failed, when `node` is the call that stands for it. `told` is what handler steps read as `error`. `effects` says
    what was undone, kept or sent.
    """

    item: "Item"
    node: int
    failure: Failure
    start: int
    record: Record
    is_handled: bool = False
    key: str = ""
    raw: bytes | None = None
    place: str = ""
    is_alone: bool = False
    inner: int | None = None
    told: Record = field(default_factory=dict)
    effects: dict[str, Any] = field(default_factory=dict)


class Frame(NamedTuple):
    """A call under way: its node, the caller's record there, and the error that the caller's handler had in hand."""

    call: int
    record: Record
    caught: FailedRecord | None = None


class Trip(NamedTuple):
    """Where a record is beyond the plain steps of its flow.

    `frames` are the calls that it is in, outermost first; `caught` the failure that a handler has in hand; `outset` the
    step of the outermost flow (and the record there) from which all that would be done again.
    """

    frames: tuple[Frame, ...] = ()
    caught: FailedRecord | None = None
    outset: tuple[int, Record] | None = None


AT_HOME = Trip()


class Item:
    """One record at one place of its way.

    `at` is the index of the node it stands before, `record` what it is there. `first_write` names the node (and the
    record at its input) from which a retry must start once that write is undone, `last_write` the latest node whose
    write can be undone; `fork` the branch (and the record there) where copies of this record went other ways, for a
    write behind it is undone with theirs, and `twin` tells such copies apart. `trip` says where it is in sub-flows and
    handlers. `alone` items leave the flow after their node: what comes after it was done before. `sent` holds the
    outcomes of sends that cannot be undone, by node, which a scope that is done again does not repeat. `origin` is the
    record as exported, or its hash. A retry carries the id of its `error`, that error's place in the `order` of passes,
    and its `root`: the run that first exported the record, and its ordinal there.
    """

    __slots__ = (
        "_hash",
        "alone",
        "at",
        "attempt",
        "error",
        "failed",
        "first_write",
        "fork",
        "generation",
        "key",
        "last_write",
        "order",
        "ordinal",
        "origin",
        "record",
        "root",
        "sent",
        "taken",
        "trip",
        "twin",
    )

    def __init__(self, ordinal: int, record: Record, key: str = "", at: int = 0) -> None:
        self.ordinal = ordinal
        self.record = record
        self.origin: Record | int = record
        self.key = key
        self.at = at
        self.attempt = 0
        self.generation = 0
        self.failed = False
        self.taken = False
        self.alone = False
        self.first_write: tuple[int, Record] | None = None
        self.last_write = NOWHERE
        self.trip = AT_HOME
        self.sent: dict[int, Any] | None = None
        self.twin: tuple[tuple[int, int], ...] = ()
        self.fork: tuple[int, Record] | None = None
        self.error: int | None = None
        self.order: int | None = None
        self.root: tuple[int, int] | None = None
        self._hash: int | None = None

    def copy(self) -> "Item":
        twin = Item(self.ordinal, self.record, self.key, self.at)
        twin.attempt, twin.generation, twin.alone = self.attempt, self.generation, self.alone
        twin.origin, twin.error, twin.order, twin.root = self.origin, self.error, self.order, self.root
        twin.failed, twin.taken, twin.first_write, twin.fork = self.failed, self.taken, self.first_write, self.fork
        twin.last_write, twin.trip, twin.twin = self.last_write, self.trip, self.twin
        twin.sent = None if self.sent is None else dict(self.sent)
        return twin

    def name_at(self, place: int) -> "Name":
        """What tells this copy of the record from others, as far as they had parted before a node."""
        return self.ordinal, tuple(fork for fork in self.twin if fork[0] < place) if self.twin else ()

    @property
    def name(self) -> "Name":
        return self.ordinal, self.twin

    @property
    def key_hash(self) -> int | None:
        """The hash that errors of this record are matched on; reckoned when it is first asked for."""
        if self._hash is None:
            self._hash = key_hash(self.key)
        return self._hash

    def remember_hash(self, hashed: int | None) -> None:
        """Take over the hash of a key of which only the shown part is known."""
        self._hash = hashed

    @property
    def payload_hash(self) -> int:
        """What tells two records with the same trace key apart: a hash of the record as it was exported."""
        if isinstance(self.origin, dict):
            self.origin = payload_hash(self.origin)
        return self.origin


Name = tuple[int, tuple[tuple[int, int], ...]]
"""A record of a page, or one copy of it: its ordinal, and the branches and ways where the copies parted."""


def default_key(record: Record) -> str:
    """The first of the usual key fields that holds a value, as text; "" if there is none."""
    for name in KEY_FIELDS:
        value = record.get(name)
        if value is not None and value != "" and not isinstance(value, dict | list):
            return str(value)
    return ""


def key_hash(key: str) -> int | None:
    """A signed 64-bit hash of the whole key, None for a blank one: what errors are matched on."""
    if not key:
        return None
    return int.from_bytes(blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big", signed=True)


def payload_hash(record: Record) -> int:
    """A signed 64-bit hash of a record's content, the order of its fields aside."""
    return int.from_bytes(blake2b(to_json(record, sort=True), digest_size=8).digest(), "big", signed=True)


def to_json(value: Any, *, sort: bool = False) -> bytes:
    """JSON bytes of any record; what JSON cannot hold (lone surrogates) is escaped, never lost."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS if sort else 0)
    except TypeError:
        return _lenient_json(value, sort)


def _lenient_json(value: Any, sort: bool) -> bytes:
    return json.dumps(value, sort_keys=sort, default=str, ensure_ascii=True, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Malformed:
    """A row that is no record, with the ordinal it takes in the run, or the error whose retry it is."""

    ordinal: int
    bad: BadRecord
    error: int | None = None


@dataclass(slots=True)
class Page:
    """A page, or the rest (`part`) of one, as it is delivered. `now` is what expressions see, also when sent again."""

    seq: int
    part: int
    now: datetime
    items: list[Item]
    malformed: list[Malformed] = field(default_factory=list)
    is_deadly: bool = False
    """Workers died on it again and again; it is down to one record, which is not delivered any more."""
    cut_from: tuple[int, ...] = ()
    """The parts that this one was cut out of, oldest first: a ledger may tell its outcomes under their names."""

    def __len__(self) -> int:
        return len(self.items) + len(self.malformed)


def number_records(
    records: Iterable[Record | BadRecord], first: int, key_of: KeyOf
) -> tuple[list[Item], list[Malformed]]:
    """Give each row of a source page its ordinal in the run and its trace key."""
    items: list[Item] = []
    malformed: list[Malformed] = []
    for ordinal, row in enumerate(records, first):
        if isinstance(row, BadRecord):
            malformed.append(Malformed(ordinal, row))
        else:
            items.append(Item(ordinal, row, key_of(row)))
    return items, malformed


PLAIN = (
    *("ordinal", "at", "attempt", "generation", "failed", "taken", "alone", "key", "record"),
    *("error", "order", "root", "_hash"),
)
"""What a stored item keeps as it is; `first_write`, the hash of `origin`, and what only a few have follow."""
_plain_of = attrgetter(*PLAIN)


def pack(items: list[Item], malformed: list[Malformed]) -> bytes:
    """Items as one compressed row of bytes (JSON, zlib level 1)."""
    rows = [[*_plain_of(item), item.first_write, _origin(item), *_further(item)] for item in items]
    bad = [[m.ordinal, m.bad.raw.hex(), m.bad.place, _failure_row(m.bad.failure), m.error] for m in malformed]
    return zlib.compress(to_json([rows, bad]), 1)


def unpack(payload: bytes) -> tuple[list[Item], list[Malformed]]:
    """The inverse of `pack`."""
    rows, bad = loads(zlib.decompress(payload))
    return [_item(row) for row in rows], [_malformed(*row) for row in bad]


def _item(row: list[Any]) -> Item:
    first_write, origin, *further = row[len(PLAIN) :]
    values = dict(zip(PLAIN, row, strict=False))
    item = Item(values["ordinal"], values["record"], values["key"], values["at"])
    item.attempt, item.generation, item.alone = values["attempt"], values["generation"], values["alone"]
    item.failed, item.taken, item.error, item.order = (values[n] for n in ("failed", "taken", "error", "order"))
    item.first_write = tuple(first_write) if first_write else None
    item.root = tuple(values["root"]) if values["root"] else None
    item.remember_hash(values["_hash"])
    if origin is not None:
        item.origin = origin
    if further:
        _take_further(item, *further)
    return item


def _further(item: Item) -> list[Any]:
    """What a record has that waits in the middle of a sub-flow or handler, or was sent where nothing is undone."""
    if item.trip is AT_HOME and not item.sent and not item.twin:
        return []
    frames = [[frame.call, frame.record, _caught_row(frame.caught)] for frame in item.trip.frames]
    sent = [[index, *outcome] for index, outcome in (item.sent or {}).items()]
    return [frames, _caught_row(item.trip.caught), item.trip.outset, sent, item.twin]


def _take_further(item: Item, frames: list[Any], caught: Any, outset: Any, sent: Any, twin: Any) -> None:
    calls = tuple(Frame(call, record, _caught(item, row)) for call, record, row in frames)
    item.trip = Trip(calls, _caught(item, caught), tuple(outset) if outset else None)
    item.sent = {index: (body, answer) for index, body, answer in sent} or None
    item.twin = tuple((branch, way) for branch, way in twin)


def _caught_row(entry: FailedRecord | None) -> list[Any] | None:
    if entry is None:
        return None
    return [entry.node, _failure_row(entry.failure), entry.start, entry.record, entry.key, entry.told]


def _caught(item: Item, row: list[Any] | None) -> FailedRecord | None:
    if row is None:
        return None
    node, failure, start, record, key, told = row
    return FailedRecord(item, node, Failure(*failure), start, record, key=key, told=told)


def _malformed(ordinal: int, raw: str, place: str, failure: list[Any], error: int | None) -> Malformed:
    return Malformed(ordinal, BadRecord(bytes.fromhex(raw), place, Failure(*failure)), error)


def _origin(item: Item) -> int | None:
    return None if item.origin is item.record else item.payload_hash


def _failure_row(failure: Failure) -> list[Any]:
    return [failure.source, failure.code, failure.message, failure.classification, failure.field]


def loads(data: bytes) -> Any:
    """Parse JSON of ours: strict and fast, with a slow path for the escapes that `to_json` wrote for odd text."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return json.loads(data)
