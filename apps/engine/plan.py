"""A flow ready to run: its steps compiled once, laid out flat in the order in which records pass them.

Each node names the node after it, so a record can start anywhere: a retry, the rest of a page and a branch all put
items before a node and let them go.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from apps.engine.ports import Record, Scope
from apps.engine.records import KeyOf, default_key

Evaluate = Callable[[Record, Scope], Any]
END = -1
"""The `next` of the last node of a way."""


class StepKind(StrEnum):
    EXPORT = "export"
    LOOKUP = "lookup"
    MAP = "map"
    FILTER = "filter"
    BRANCH = "branch"
    IMPORT = "import"
    CALL = "call"
    LOG = "log"


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


@dataclass(frozen=True, slots=True)
class Policy:
    """A step's error policy.

    With `retry`: `attempts` more tries, `seconds` apart (doubling with `backoff`), then `then`. `resends_unknown`: a
    send whose answer was lost is sent again although the destination cannot recognise a repeat.
    """

    on_error: OnError = OnError.SET_ASIDE
    seconds: float = 10.0
    attempts: int = 3
    backoff: bool = False
    then: OnError = OnError.FAIL
    continue_on_error: bool = False
    resends_unknown: bool = False

    def final(self) -> OnError:
        return self.then if self.on_error is OnError.RETRY else self.on_error

    def wait_s(self, attempt: int) -> float:
        return self.seconds * (2**attempt if self.backoff else 1)


@dataclass(frozen=True, slots=True)
class Way:
    """One path out of a branch: taken when `when` holds (None: always). `first` is its first node, or what follows."""

    name: str
    when: Evaluate | None
    first: int


@dataclass(frozen=True, slots=True)
class Node:
    """One compiled step. Which fields are filled depends on its kind."""

    index: int
    key: str
    name: str
    kind: StepKind
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


@dataclass(frozen=True, slots=True)
class Plan:
    """The compiled revision that a run works by. `nodes[0]` is the export."""

    nodes: tuple[Node, ...]
    scope: ScopeKind = ScopeKind.NONE
    page_size: int = 1000
    flow: Record = field(default_factory=dict)
    settings: Record = field(default_factory=dict)
    key_of: KeyOf = default_key

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


def scope_for(plan: Plan, run: Mapping[str, Any], now: Any) -> Scope:
    return Scope(now=now, flow=plan.flow, run=dict(run), settings=plan.settings)
