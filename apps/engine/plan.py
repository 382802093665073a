"""A flow ready to run: its steps compiled once, laid out flat in the order in which records pass them.

Each node names the node after it, so a record can start anywhere: a retry, the rest of a page and a branch all put
items before a node and let them go.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from apps.engine.classification import class_of
from apps.engine.ports import Failure, Record, Scope
from apps.engine.records import KeyOf, default_key

Evaluate = Callable[[Record, Scope], Any]
END = -1
"""The `next` of the last node of a way."""
ROOT = -1
"""The savepoint at the root of the outermost flow: the record as it came into the scope."""
MAX_RECORDS = 100_000
"""The most records of a run that is one scope, and of an export that is spooled because it cannot resume."""
MOST_PARALLEL_PAGES = 32
"""The most pages of one run that are at work at once."""
LONGEST_WAIT_S = 24 * 3600.0
"""No wait before another attempt is longer, however often it has doubled."""


class StepKind(StrEnum):
    EXPORT = "export"
    LOOKUP = "lookup"
    MAP = "map"
    FILTER = "filter"
    BRANCH = "branch"
    IMPORT = "import"
    CALL = "call"
    LOG = "log"


class Joint(StrEnum):
    """Nodes that no author wrote: where a sub-flow is left, and where a handler has come to its end."""

    RETURN = "return"
    END = "end"


class Handling(StrEnum):
    """What is undone when a step fails a record, and whether its handler runs; see `apps.engine.handling`."""

    ROLLBACK = "rollback"
    CUSTOM_WITH_ROLLBACK = "custom_with_rollback"
    CUSTOM_WITHOUT_ROLLBACK = "custom_without_rollback"
    CONTINUE = "continue"

    @property
    def is_custom(self) -> bool:
        return self in {Handling.CUSTOM_WITH_ROLLBACK, Handling.CUSTOM_WITHOUT_ROLLBACK}

    @property
    def sets_savepoint(self) -> bool:
        """Whether only the step's own writes are undone."""
        return self in {Handling.CUSTOM_WITHOUT_ROLLBACK, Handling.CONTINUE}


class OnError(StrEnum):
    """What happens to a record that failed at a step."""

    SET_ASIDE = "set_aside"
    FAIL = "fail"
    IGNORE = "ignore"
    RETRY = "retry"


class ScopeKind(StrEnum):
    """The unit that one target transaction holds together."""

    NONE = "none"
    RECORD = "record"
    PAGE = "page"
    RUN = "run"

    @property
    def is_all_or_nothing(self) -> bool:
        """Whether one failure that leaves the flow undoes what other records wrote."""
        return self in {ScopeKind.PAGE, ScopeKind.RUN}


@dataclass(frozen=True, slots=True)
class Policy:
    """A step's error policy.

    With `retry`: `attempts` more tries, `seconds` apart (doubling with `backoff`), then `then`. `exceptions` answers
    the failures of a class in another way. `substitute` makes the fields with which an ignored record goes on.
    `resends_unknown`: a send whose answer was lost is sent again although the destination cannot recognise a repeat.
    """

    on_error: OnError = OnError.SET_ASIDE
    seconds: float = 10.0
    attempts: int = 3
    backoff: bool = False
    then: OnError = OnError.FAIL
    continue_on_error: bool = False
    resends_unknown: bool = False
    exceptions: Mapping[str, OnError] = field(default_factory=dict)
    substitute: Evaluate | None = None

    def answer_to(self, failure: Failure) -> OnError:
        """What is done about a failure at first; after the last attempt of `retry` it is `then`."""
        return self.exceptions.get(class_of(failure), self.on_error) if self.exceptions else self.on_error

    def wait_s(self, attempt: int) -> float:
        return min(self.seconds * (2**attempt if self.backoff else 1), LONGEST_WAIT_S)


@dataclass(frozen=True, slots=True)
class WorkflowRetry:
    """How often a run that failed is run again, each time `minutes` later (doubling with `backoff`).

    `unique_id` tells which payload a run has, by its first record: a newer run with the same one takes its place.
    """

    attempts: int = 0
    minutes: float = 5.0
    backoff: bool = False
    unique_id: Evaluate | None = None

    def wait_s(self, attempt: int) -> float:
        """How long the run that follows the attempt of this number waits; numbers begin with 1."""
        return min(self.minutes * 60 * (2 ** (attempt - 1) if self.backoff else 1), LONGEST_WAIT_S)


@dataclass(frozen=True, slots=True)
class Way:
    """One path out of a branch: taken when `when` holds (None: always). `first` is its first node, or what follows."""

    name: str
    when: Evaluate | None
    first: int


@dataclass(frozen=True, slots=True)
class Surrounds:
    """What expressions of an inlined sub-flow read as `flow` and `settings`."""

    flow: Record
    settings: Record


@dataclass(frozen=True, slots=True)
class Node:
    """One compiled step. Which fields are filled depends on its kind.

    `own` is the step of the outermost flow that stands for this node in the books: itself, or the call that it is
    inlined for. `savepoint` is where the writes of a record go back to when it fails here with a rollback: a call
    whose handling sets one, else ROOT. `exit` is where a record goes that goes no further here: out of the sub-flow, or
    to the end of the handler. In a handler `handles` is the step that failed; `raises_again` how the handler ends.
    """

    index: int
    key: str
    name: str
    kind: StepKind | Joint
    next: int
    path: str = ""
    policy: Policy = field(default_factory=Policy)
    connection: str = ""
    connector: str = ""
    options: Any = None
    input_filter: Evaluate | None = None
    output_filter: Evaluate | None = None
    mapping: Any = None
    response_mapping: Any = None
    condition: Evaluate | None = None
    ways: tuple[Way, ...] = ()
    takes_all: bool = False
    keeps_record: bool = False
    into: str = ""
    is_list: bool = False
    is_required: bool = False
    message: Evaluate | None = None
    level: str = "info"
    trace_key: Evaluate | None = None
    is_transactional: bool = False
    own: int = END
    surrounds: Surrounds | None = None
    handling: Handling = Handling.ROLLBACK
    handler: int = END
    logs_error: bool = True
    handles: int = END
    raises_again: bool = False
    savepoint: int = ROOT
    exit: int = END
    body: int = END
    keeps_changes: bool = True
    sends_now: bool = False

    @property
    def shown_path(self) -> str:
        return self.path or self.name

    @property
    def is_inner(self) -> bool:
        """Whether it belongs to a sub-flow, and the call stands for it in the books."""
        return self.own not in {END, self.index}

    @property
    def is_undoable(self) -> bool:
        return self.kind is StepKind.IMPORT and self.is_transactional


@dataclass(frozen=True, slots=True)
class Plan:
    """The compiled revision that a run works by. `nodes[0]` is the export.

    Up to `parallel_pages` pages of a run are at work at once, in any order; 1: one after the other.
    """

    nodes: tuple[Node, ...]
    scope: ScopeKind = ScopeKind.NONE
    page_size: int = 1000
    parallel_pages: int = 1
    max_records: int = MAX_RECORDS
    flow: Record = field(default_factory=dict)
    settings: Record = field(default_factory=dict)
    key_of: KeyOf = default_key
    workflow_retry: WorkflowRetry = field(default_factory=WorkflowRetry)

    @property
    def export(self) -> Node:
        return self.nodes[0]

    def index_of(self, step_key: str) -> int:
        """The place of a step. Raises KeyError for a step that this revision does not have."""
        for node in self.nodes:
            if node.key == step_key:
                return node.index
        raise KeyError(step_key)

    @property
    def makes_copies(self) -> bool:
        return any(node.takes_all for node in self.nodes)

    @property
    def calls(self) -> bool:
        return any(node.is_inner for node in self.nodes)


def scope_for(plan: Plan, run: Mapping[str, Any], now: Any) -> Scope:
    return Scope(now=now, flow=plan.flow, run=dict(run), settings=plan.settings)
