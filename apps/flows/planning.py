"""From a definition to the engine's plan: every expression compiled once, the steps laid out flat."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from apps.engine.expressions import Compiled, ExpressionError, compile_expression, compile_mapping, compile_template
from apps.engine.plan import END, Node, OnError, Plan, Policy, Way, WorkflowRetry
from apps.engine.ports import Classification, Record, Scope
from apps.engine.records import KeyOf, default_key
from apps.flows.definition import Definition, parse_definition
from apps.flows.definition.models import (
    AnyStep,
    BranchStep,
    ExportStep,
    FilterStep,
    Handled,
    ImportStep,
    LogStep,
    LookupStep,
    MapStep,
    OnErrorPart,
    StepPart,
    Use,
    WayPart,
    WorkflowRetryPart,
)
from apps.flows.definition.texts import ANSWER_NAMES, FAILED_NAMES, KEY_NAMES, PAYLOAD_NAMES
from apps.flows.models import Revision
from apps.flows.selectors import known_to

KEPT_PLANS = 64
LASTING = (Classification.VALUE, Classification.MISSING, Classification.PARSE, Classification.TOO_LARGE)
"""Classes of failures that the same record meets again: they are not tried again, unless the definition says so."""


_plans: dict[tuple[int, str], Plan] = {}


def plan_for(revision: Revision) -> Plan:
    """The plan of a revision, compiled once per process. Raises DefinitionError if it cannot be run any more.

    That happens when a connection that it names is gone or has changed its kind.
    """
    name = (revision.pk, revision.sha256)
    plan = _plans.get(name)
    if plan is None:
        plan = build_plan(read_revision(revision))
        while len(_plans) >= KEPT_PLANS:
            _plans.pop(next(iter(_plans)), None)
        _plans[name] = plan
    return plan


def read_revision(revision: Revision) -> Definition:
    """The definition of a revision. Other flows may have changed since it was applied: they are not looked at."""
    return parse_definition(revision.definition, known=replace(known_to(revision.account_id), flows=None))


def build_plan(definition: Definition) -> Plan:
    """Compile a definition."""
    head = definition.head
    flow = {
        "key": head.flow,
        "name": head.shown_name,
        "integration": head.integration.key,
        "environment": definition.environment,
    }
    layout = Layout(transactional_connections(definition.steps))
    layout.place(definition.steps, END, "")
    export = definition.steps[0]
    assert isinstance(export, ExportStep), "a definition begins with its export"
    return Plan(
        nodes=tuple(layout.nodes),
        scope=definition.scope,
        page_size=head.page_size,
        flow=flow,
        settings=head.settings,
        key_of=trace_key_of(export, Scope(datetime.now(UTC), flow=flow, settings=head.settings)),
        workflow_retry=workflow_retry_of(head.workflow_retry),
    )


# --- laying out ------------------------------------------------------------------------------------------------------
class Layout:
    """Gives each step its index, in the order in which records pass them, and tells it the one after it."""

    def __init__(self, transactional: frozenset[str]) -> None:
        self.nodes: list[Node] = []
        self.transactional = transactional

    def place(self, steps: Sequence[AnyStep], following: int, path: str) -> None:
        """Append steps; the last one leads to `following`."""
        for step in steps:
            is_last = step is steps[-1]
            index = len(self.nodes)
            after = following if is_last else index + size_of(step)
            self.nodes.append(self.node(step, index, after, path))
            if isinstance(step, BranchStep):
                self.place_ways(step, after, path)

    def place_ways(self, step: BranchStep, after: int, path: str) -> None:
        for way in step.branch.ways:
            self.place(way.steps, after, f"{path}{step.key}/{way.name}/")

    def node(self, step: AnyStep, index: int, after: int, path: str) -> Node:
        fields: dict[str, Any] = {"index": index, "key": step.key, "name": step.shown_name, "kind": step.kind}
        fields |= {"next": after, "path": path.rstrip("/"), "policy": policy_of(step)}
        if isinstance(step, BranchStep):
            fields |= {"takes_all": step.branch.takes_all, "ways": ways_of(step.branch.ways, index + 1, after)}
        if (use := use_of(step)) is not None:
            fields |= self.connected(use, step)
        return Node(**fields, **compiled_parts(step))

    def connected(self, use: Use, step: AnyStep) -> dict[str, Any]:
        """What a node knows of its connection. A lookup takes part in the transaction of an import beside it."""
        assert use.connector is not None, "a definition without a mistake has its connectors"
        joins = not isinstance(step, ExportStep) and use.connection in self.transactional
        return {
            "connection": use.connection,
            "connector": use.connector.kind,
            "options": use.options,
            "is_transactional": joins,
        }


def size_of(step: AnyStep) -> int:
    """How many nodes a step takes, those of its ways included."""
    if not isinstance(step, BranchStep):
        return 1
    return 1 + sum(size_of(inner) for way in step.branch.ways for inner in way.steps)


def ways_of(ways: Sequence[WayPart], first: int, after: int) -> tuple[Way, ...]:
    """The ways with the index of their first node; one without steps leads to what follows the branch."""
    placed: list[Way] = []
    for way in ways:
        when = compile_expression(way.when) if way.when is not None else None
        placed.append(Way(way.name, when, first if way.steps else after))
        first += sum(size_of(step) for step in way.steps)
    return tuple(placed)


def use_of(step: StepPart) -> Use | None:
    if isinstance(step, ExportStep):
        return step.export
    if isinstance(step, LookupStep):
        return step.lookup
    return step.use if isinstance(step, ImportStep) else None


def all_steps(steps: Sequence[AnyStep]) -> list[AnyStep]:
    """The steps and those in their ways, in order."""
    found: list[AnyStep] = []
    for step in steps:
        found.append(step)
        for way in step.branch.ways if isinstance(step, BranchStep) else ():
            found += all_steps(way.steps)
    return found


def transactional_connections(steps: Sequence[AnyStep]) -> frozenset[str]:
    """The connections that imports of the flow write to within a transaction."""
    uses = [step.use for step in all_steps(steps) if isinstance(step, ImportStep)]
    return frozenset(use.connection for use in uses if use.connector is not None and use.connector.is_transactional())


# --- compiling -------------------------------------------------------------------------------------------------------
def compiled_parts(step: AnyStep) -> dict[str, Any]:
    """The compiled expressions of a step, by the node's fields."""
    parts: dict[str, Any] = {
        "input_filter": condition(getattr(step, "input_filter", None)),
        "output_filter": condition(getattr(step, "output_filter", None)),
    }
    if isinstance(step, MapStep):
        parts |= {"mapping": compile_mapping(step.map, step.required), "keeps_record": step.keep}
    elif isinstance(step, ImportStep):
        parts |= import_parts(step)
    elif isinstance(step, LookupStep):
        parts |= {"into": step.lookup.into, "is_list": step.lookup.is_many, "is_required": step.lookup.is_required}
    elif isinstance(step, FilterStep):
        parts["condition"] = compile_expression(step.filter)
    elif isinstance(step, LogStep):
        parts |= {"message": compile_template(step.log), "level": step.level}
    return parts


def import_parts(step: ImportStep) -> dict[str, Any]:
    return {
        "mapping": compile_mapping(step.mapping, step.required) if step.mapping else None,
        "response_mapping": (
            compile_mapping(step.response_mapping, names=ANSWER_NAMES) if step.response_mapping else None
        ),
    }


def condition(source: str | None) -> Compiled | None:
    return None if source is None else compile_expression(source)


def workflow_retry_of(part: WorkflowRetryPart | None) -> WorkflowRetry:
    if part is None:
        return WorkflowRetry()
    unique_id = compile_template(part.unique_id, PAYLOAD_NAMES) if part.unique_id is not None else None
    return WorkflowRetry(part.attempts, part.minutes, part.backoff, unique_id)


def policy_of(step: StepPart) -> Policy:
    part = step.on_error if isinstance(step, Handled) else OnErrorPart(policy="set_aside")
    return Policy(
        on_error=OnError(part.policy),
        seconds=part.seconds,
        attempts=part.attempts,
        backoff=part.backoff,
        then=OnError(part.final) if part.is_trying_again else OnError.FAIL,
        exceptions=exceptions_of(part),
        substitute=compile_mapping(part.substitute, names=FAILED_NAMES) if part.substitute else None,
        continue_on_error=isinstance(step, ImportStep) and step.continue_on_error,
        resends_unknown=isinstance(step, ImportStep) and getattr(step.use.options, "on_unknown", "") == "retry",
    )


def exceptions_of(part: OnErrorPart) -> dict[str, OnError]:
    """Class -> what is done about its failures, where that is not what the step's policy says."""
    lasting = {str(name): OnError(part.final) for name in LASTING} if part.policy == "retry" else {}
    return lasting | {name: OnError(answer) for name, answer in part.exceptions.items()}


# --- trace keys ------------------------------------------------------------------------------------------------------
def trace_key_of(export: ExportStep, scope: Scope) -> KeyOf:
    """How a record of this export is known again: by its template, else its connector's field, else a usual one."""
    assert export.export.connector is not None, "a definition without a mistake has its connectors"
    fallback = key_in_field(export.export.connector.default_trace_key(export.export.options))
    if export.trace_key is None:
        return fallback
    template = compile_template(export.trace_key, KEY_NAMES)

    def key_of(record: Record) -> str:
        try:
            return str(template(record, scope)).strip() or fallback(record)
        except ExpressionError:  # the record itself is not at fault: it is known by its usual key instead
            return fallback(record)

    return key_of


def key_in_field(name: str | None) -> KeyOf:
    if name is None:
        return default_key

    def key_of(record: Record) -> str:
        value = record.get(name)
        return default_key(record) if value is None or isinstance(value, dict | list) else str(value)

    return key_of
