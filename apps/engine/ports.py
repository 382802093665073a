"""What the engine asks of the world: sources, lookups, targets, sessions, a clock and a journal.

The engine knows no database, no network and no Django. Connectors implement the outward ports (`Source`, `Lookup`,
`Target`, `Session`), `apps.execution` the inward one (`Journal`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

Record = dict[str, Any]
"""One JSON object that moves through a flow. Steps never change a record in place: they hand on a new one."""


class Classification(StrEnum):
    """Why a record failed, in the words of the console; decides what may be retried without a person."""

    NONE = ""
    CONNECTION = "connection"
    INTERMITTENT = "intermittent"
    RATE_LIMIT = "rate_limit"
    TOO_LARGE = "too_large"
    DUPLICATE = "duplicate"
    MISSING = "missing"
    PARSE = "parse"
    VALUE = "value"


class ErrorSource(StrEnum):
    """Which part of the way of a record an error comes from."""

    APPLICATION = "application"
    INTERNAL = "internal"
    CONNECTION = "connection"
    RESOURCE = "resource"
    LOOKUP = "lookup"
    TRANSFORMATION = "transformation"
    INPUT_FILTER = "input_filter"
    OUTPUT_FILTER = "output_filter"
    MAPPING = "mapping"
    RESPONSE_MAPPING = "response_mapping"
    TRACE_KEY = "trace_key"
    BRANCH = "branch"


class Repeats(StrEnum):
    """What happens at a destination when the same write is sent twice."""

    SAFE = "safe"  # the second one changes nothing (upsert, delete by key, PUT, write-then-rename)
    KEYED = "keyed"  # the destination recognises our idempotency key
    LEDGER = "ledger"  # not by itself, but our ledger row stands in the same target transaction
    UNSAFE = "unsafe"  # it happens twice


@dataclass(frozen=True, slots=True)
class Capture:
    """A request and its answer as they went over the wire, secrets already redacted."""

    method: str
    status: int | None
    request: dict[str, Any]
    response: dict[str, Any]
    sent_at: datetime
    ms: int


@dataclass(frozen=True, slots=True)
class Failure:
    """A definite answer that concerns one record (or, in a unit error, one page, run or window).

    `code` is the foreign system's own code where it has one (SQLSTATE, HTTP status), else a word of ours.
    `unknown` marks a send whose answer was lost: the record may or may not have arrived, and a person has to say.
    `keeps_key` marks one that may be sent again without asking: a retry must carry the same idempotency key.
    """

    source: str
    code: str
    message: str
    classification: str = Classification.NONE
    field: str | None = None
    unknown: bool = False
    retry_after_s: float | None = None
    capture: Capture | None = None
    trace: str = ""
    keeps_key: bool = False


class ConnectorError(Exception):
    """A failure that concerns the whole call: a read, a lookup or a write of many records.

    Raised from `Source.pages` it fails the window; from `Lookup.find` or `Target.write` it becomes one error
    per record.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        classification: str = Classification.NONE,
        source: str = ErrorSource.APPLICATION,
        retry_after_s: float | None = None,
        capture: Capture | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.classification = classification
        self.source = source
        self.retry_after_s = retry_after_s
        self.capture = capture

    def failure(self) -> Failure:
        return Failure(
            self.source,
            self.code,
            self.message,
            self.classification,
            retry_after_s=self.retry_after_s,
            capture=self.capture,
        )


class Outage(ConnectorError):  # noqa: N818 (the word of the console)
    """Nothing was sent (no connection, refused, blocked, rate limited): no error, the page waits and is sent again.

    Also raised when the outcome of a *repeatable* call is unknown (connection cut before COMMIT was answered).
    """


class RolledBack(Outage):
    """The target ended the transaction by itself while it wrote one record: nothing of the transaction stands.

    `at` is the record's index in the batch. Who repeats the transaction leaves it out: it would end it again.
    """

    def __init__(self, at: int, failure: Failure) -> None:
        super().__init__(failure.code, failure.message, classification=failure.classification)
        self.at = at
        self.known = failure
        self.step, self.ordinal = "", 0


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A row that the source delivered but that is not a record: `raw` as received, `place` in words ("line 17")."""

    raw: bytes
    place: str
    failure: Failure


@dataclass(frozen=True, slots=True)
class CheckpointValue:
    """How far an export has got: `value` for people and the next run, `seen` a compact set for de-duplication."""

    value: Record
    seen: bytes = b""


@dataclass(frozen=True, slots=True)
class SourcePage:
    """What an export hands on together.

    `position` resumes this window right after the page; `checkpoint` is where the next run would start if every page
    up to this one is through (None: the checkpoint does not move). `source_ref` says in words where it came from.
    """

    records: list[Record | BadRecord]
    position: Record
    checkpoint: CheckpointValue | None = None
    source_ref: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """What one run exports: from the checkpoint (or `start`) to `end`; `parameters` were given at the start.

    `flow` and `settings` are what expressions of an export know by these names.
    """

    page_size: int
    now: datetime
    position: Record | None = None
    checkpoint: CheckpointValue | None = None
    start: datetime | None = None
    end: datetime | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    flow: Record = field(default_factory=dict)
    settings: Record = field(default_factory=dict)


class Source(Protocol):
    """An opened export.

    `resumable`: `pages` can start at any `Window.position` it handed out (else all pages are stored before the first
    is delivered, at most 100,000 records). `in_order`: the checkpoint may move with every page, else with the last.
    """

    resumable: bool
    in_order: bool

    def pages(self) -> Iterator[SourcePage]:
        """Yield the pages after the window's position. Constant memory. Raises ConnectorError or Outage."""

    def finish(self) -> None:
        """Called when every page of the window is through (move the file away, …). May be called twice."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Scope:
    """What expressions may read beside the record; one for all records of a page."""

    now: datetime
    flow: Record = field(default_factory=dict)
    run: Record = field(default_factory=dict)
    settings: Record = field(default_factory=dict)
    error: Record | None = None
    answer: Any = None


class Lookup(Protocol):
    """An opened lookup. One query a page where the application allows it."""

    def find(self, records: Sequence[Record], scope: Scope) -> Sequence["list[Record] | Failure"]:
        """The rows found for each record, in order (an empty list: nothing found). Raises ConnectorError or Outage."""

    def words_for(self, record: Record, scope: Scope) -> str:
        """What was looked for, for the message that nothing was found: `table airport with iata "BAD"`."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Records to be written together. The sequences run in step; `keys(i)` is the idempotency key of the i-th."""

    bodies: Sequence[Record]
    records: Sequence[Record]
    ordinals: Sequence[int]
    keys: Callable[[int], str]
    scope: Scope
    stop: Callable[[], bool] = lambda: False
    """True once nothing new may be started; what was not sent goes into `Written.not_sent`."""


@dataclass(slots=True)
class Written:
    """The outcome of a batch by index into it. What is in none of the three went through."""

    failures: dict[int, Failure] = field(default_factory=dict)
    answers: dict[int, Any] = field(default_factory=dict)
    not_sent: dict[int, float] = field(default_factory=dict)
    """Not started, or politely refused: index -> seconds to wait at least."""
    reason: str = ""
    """Why the rest was not sent, for people; "" where there is nothing to say."""


@dataclass(slots=True)
class Built:
    """What an import would send of a batch, unsent: by index into it the request, as people may see it.

    `failures` are the records of which no request can be made.
    """

    requests: dict[int, Record] = field(default_factory=dict)
    failures: dict[int, Failure] = field(default_factory=dict)


class Target(Protocol):
    """An opened import. `transactional` ones write inside the open transaction of their session."""

    transactional: bool
    repeats: Repeats

    def write(self, batch: Batch) -> Written:
        """Write; pin every failing record exactly and let the others through.

        A record fails alone: the good records of the batch are written even if others fail.
        Raises Outage if nothing was sent, ConnectorError if one answer concerns all records.
        """


class Session(Protocol):
    """One transaction at a time on a transactional connection. All calls raise Outage when the connection is lost."""

    def begin(self) -> None: ...
    def savepoint(self, name: str) -> None: ...
    def rollback_to(self, name: str) -> None: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...

    def read_ledger(self, key: "LedgerKey") -> bytes | None:
        """The outcomes that a committed delivery of this part left in the target, or None. Creates no table."""

    def write_ledger(self, key: "LedgerKey", outcomes: bytes) -> None:
        """Leave the outcomes in the target's own open transaction (creates `flowmend_ledger` before its first use)."""


@dataclass(frozen=True, slots=True)
class LedgerKey:
    """Names one delivered part of one page at one step, for ever."""

    account: int
    run: int
    page: int
    part: int
    step: str


class Clock(Protocol):
    """Time is handed in: `now` in UTC (the database's clock), `monotonic` in seconds."""

    def now(self) -> datetime: ...
    def monotonic(self) -> float: ...
