"""What the parts of a page's booking hand to each other."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from apps.core.text import short, storable
from apps.engine.classification import class_of
from apps.engine.records import SHOWN_KEY_LENGTH, Item, key_hash
from apps.engine.result import FailedRecord
from apps.errors.fingerprint import fingerprint, shape_of
from apps.errors.states import ErrorUnit, Reason

LONGEST_MESSAGE = 10_000


@dataclass(frozen=True, slots=True)
class Book:
    """Whose page is booked: ids of the run, its flow and its steps (by node index and the other way round)."""

    account: int
    integration: int
    flow: int
    run: int
    root_run: int
    pass_no: int
    now: datetime
    steps: Sequence[int]
    paths: Sequence[str]
    is_auto_resolving: bool
    is_auto_retrying: bool
    page_seq: int | None = None
    is_auto_retry: bool = False
    member: int | None = None

    def order_of(self, item: Item) -> int:
        """The place of a record among all passes of its key; a retry keeps the place of its error."""
        return self.pass_no << 32 | item.ordinal if item.order is None else item.order


@dataclass(slots=True)
class Booked:
    """What was written, for the log and the counters of run, steps and buckets. Keys of the counters: (run, step id).

    `closed_causes` counts the resolved errors by cause id.
    """

    errors: "list[NewError]" = field(default_factory=list)
    open_errors: Counter[tuple[int, int]] = field(default_factory=Counter)
    auto_resolved: Counter[tuple[int, int]] = field(default_factory=Counter)
    user_resolved: Counter[tuple[int, int]] = field(default_factory=Counter)
    retried: int = 0
    again: int = 0
    closed_causes: Counter[int] = field(default_factory=Counter)
    collisions: Counter[tuple[int, int]] = field(default_factory=Counter)
    by_step: Counter[int] = field(default_factory=Counter)
    units_by_step: Counter[int] = field(default_factory=Counter)

    @property
    def rows(self) -> int:
        return len(self.errors)


@dataclass(slots=True)
class Watched:
    """A stored error that a pass of its key may resolve or mark as passed.

    `reason` of one that a retry has is what it is resolved with if the retry gives it back unsent.
    """

    id: int
    step: int
    run: int
    cause: int
    is_open: bool
    is_retrying: bool
    is_passed: bool
    is_in_doubt: bool
    key_hash: int
    payload_hash: int | None
    order: int
    collision_no: int
    collides: bool = False
    reason: str = ""
    resolved_error: int | None = None
    passed: str = ""
    passed_order: int | None = None
    has_notes: bool = False
    assignee: int | None = None

    @property
    def is_resolved(self) -> bool:
        """Whether this page resolves it; what a retry has stays with the retry."""
        return bool(self.reason) and not self.is_retrying


@dataclass(slots=True)
class NewError:
    """An error about to be written."""

    id: int
    node: int
    entry: FailedRecord
    unit: str
    classification: str
    message: str
    key: str
    key_hash: int | None
    payload_hash: int | None
    order: int
    fingerprint: str
    pattern: str
    window: Mapping[str, Any] | None = None
    records: bytes | None = None
    collision_no: int = 0
    collides: bool = False
    tries: int = 1
    reason: str = ""
    resolved_error: int | None = None
    has_notes: bool = False
    assignee: int | None = None

    @property
    def is_open(self) -> bool:
        return not self.reason


def new_error(book: Book, entry: FailedRecord, *, unit: str = ErrorUnit.RECORD) -> NewError:
    failure = entry.failure
    message = short(storable(_placed(entry))[0], LONGEST_MESSAGE)
    code = short(storable(failure.code)[0], 128)
    pattern = shape_of(message)
    has_key = unit == ErrorUnit.RECORD and entry.raw is None
    key = (entry.key or entry.item.key) if has_key else ""
    return NewError(
        id=0,
        node=entry.node,
        entry=entry,
        unit=unit,
        classification=class_of(failure),
        message=message,
        key=short(storable(key)[0], SHOWN_KEY_LENGTH),
        key_hash=failed_key_hash(entry) if has_key else None,
        payload_hash=entry.item.payload_hash if has_key else None,
        order=book.order_of(entry.item),
        fingerprint=fingerprint(failure.source, code, pattern),
        pattern=pattern,
        tries=1 + entry.item.attempt,
        reason=Reason.HANDLED if entry.is_handled else "",
    )


def cause_mark(entry: FailedRecord) -> str:
    """The fingerprint of the root cause that an error of this failure would have."""
    message = short(storable(_placed(entry))[0], LONGEST_MESSAGE)
    code = short(storable(entry.failure.code)[0], 128)
    return fingerprint(entry.failure.source, code, shape_of(message))


def failed_key_hash(entry: FailedRecord) -> int | None:
    """The hash that a failed record is matched on; of the key of a retried one only the shown part is at hand."""
    return key_hash(entry.key) if entry.key and entry.key != entry.item.key else entry.item.key_hash


def next_generation(entry: FailedRecord) -> int:
    """Whose idempotency key the next send carries: a definite failure ends the one of this send."""
    is_definite = not (entry.failure.unknown or entry.failure.keeps_key)
    return entry.item.generation + is_definite


def _placed(entry: FailedRecord) -> str:
    """The failure's words after the place in the source; many connectors begin with it themselves."""
    message = entry.failure.message
    return f"{entry.place}: {message}" if entry.place and not message.startswith(entry.place) else message
