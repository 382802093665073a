"""The steps of a definition, laid out flat: each with its index and the one after it, sub-flows and handlers inlined.

Behind a call stand the steps of its sub-flow and the node that leads back; behind those, or behind any other step with
a handler, the handler's steps and the node that ends it. So a record only ever moves forward.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from apps.engine.expressions import compile_expression
from apps.engine.plan import END, ROOT, Handling, Joint, Node, Surrounds, Way
from apps.flows.compiling import compiled_parts, policy_of
from apps.flows.definition import Definition
from apps.flows.definition.models import (
    AnyStep,
    BranchStep,
    CallStep,
    ExportStep,
    Handled,
    ImportStep,
    LookupStep,
    StepPart,
    Use,
    WayPart,
)
from apps.flows.definition.texts import FAILED_NAMES, NAMES

BETWEEN = " \u203a "
"""Between flows and steps in the path of a step inside a sub-flow."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where steps stand: below which branch, in which sub-flow and handler. The fields are those of their nodes."""

    path: str = ""
    trail: str = ""
    prefix: str = ""
    own: int = END
    surrounds: Surrounds | None = None
    handles: int = END
    savepoint: int = ROOT
    exit: int = END

    @property
    def names(self) -> frozenset[str]:
        """What expressions may read here."""
        return NAMES if self.handles == END else FAILED_NAMES

    def shown(self, name: str) -> str:
        return f"{self.trail}{name}" if self.trail else self.path.rstrip("/")


def lay_out(definition: Definition) -> tuple[Node, ...]:
    """The nodes of a flow; the first is its export."""
    layout = Layout(definition, transactional_connections(definition.steps))
    layout.place(definition.steps, END, Place())
    return tuple(layout.nodes)


def facts_of(definition: Definition) -> dict[str, Any]:
    """What expressions read as `flow`."""
    head = definition.head
    return {
        "key": head.flow,
        "name": head.shown_name,
        "integration": head.integration.key,
        "environment": definition.environment,
    }


class Layout:
    """Lays out the steps of one flow and of those that it calls."""

    def __init__(self, definition: Definition, transactional: frozenset[str]) -> None:
        self.definition = definition
        self.nodes: list[Node] = []
        self.transactional = transactional

    def place(self, steps: Sequence[AnyStep], following: int, place: Place) -> None:
        """Append steps; the last one leads to `following`."""
        for step in steps:
            after = following if step is steps[-1] else len(self.nodes) + size_of(step)
            node = self.node(step, after, place)
            self.nodes.append(node)
            if isinstance(step, BranchStep):
                for way in step.branch.ways:
                    self.place(way.steps, after, replace(place, path=f"{place.path}{step.key}/{way.name}/"))
            if isinstance(step, CallStep):
                self.place_callee(step, node, place)
            if isinstance(step, Handled) and step.has_handler:
                self.place_handler(step, node, place)

    def place_callee(self, step: CallStep, call: Node, place: Place) -> None:
        callee = step.call.definition
        steps = callee.steps[1:]
        back = len(self.nodes) + sum(map(size_of, steps))
        trail = place.trail or f"{self.definition.head.shown_name}{BETWEEN}"
        inside = Place(
            trail=f"{trail}{step.shown_name}{BETWEEN}{callee.head.shown_name}{BETWEEN}",
            prefix=f"{call.key}/",
            own=call.index if place.own == END else place.own,
            surrounds=Surrounds(facts_of(callee), callee.head.settings),
            savepoint=call.index if call.handling.sets_savepoint else place.savepoint,
            exit=back,
        )
        self.place(steps, back, inside)
        self.nodes.append(joint(Joint.RETURN, back, call, inside))

    def place_handler(self, step: Handled, node: Node, place: Place) -> None:
        end = node.handler + sum(map(size_of, step.handler))
        inside = replace(place, path=f"{place.path}{step.key}/on error/", handles=node.index, exit=end)
        self.place(step.handler, end, inside)
        last = joint(Joint.END, end, node, place)
        self.nodes.append(replace(last, handles=node.index, raises_again=step.ends == "error_end"))

    def node(self, step: AnyStep, after: int, place: Place) -> Node:
        index = len(self.nodes)
        fields: dict[str, Any] = {
            "index": index,
            "key": f"{place.prefix}{step.key}",
            "name": step.shown_name,
            "kind": step.kind,
            "next": after,
            "path": place.shown(step.shown_name),
            "policy": policy_of(step),
            **surroundings(place),
        }
        if isinstance(step, BranchStep):
            fields |= {"takes_all": step.branch.takes_all}
            fields |= {"ways": ways_of(step.branch.ways, index + 1, after, place.names)}
        if isinstance(step, CallStep):
            fields |= {"body": index + 1, "keeps_changes": self.keeps_changes(step)}
        if isinstance(step, Handled):
            fields |= handling_fields(step, index)
        if (use := use_of(step)) is not None:
            fields |= self.connected(use, step)
        return Node(**fields, **compiled_parts(step, place.names))

    def keeps_changes(self, step: CallStep) -> bool:
        """Whether what the sub-flow kept stays although it raises its error again: one that says no is enough."""
        return self.definition.head.rethrow_keeps_changes and step.call.definition.head.rethrow_keeps_changes

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


def surroundings(place: Place) -> dict[str, Any]:
    names = ("own", "surrounds", "handles", "savepoint", "exit")
    return {name: getattr(place, name) for name in names}


def joint(kind: Joint, index: int, of: Node, place: Place) -> Node:
    """The node that leads back from a sub-flow, or ends a handler."""
    fields = surroundings(place) | {"own": of.index if place.own == END else place.own}
    return Node(index, f"{of.key}/{kind}", of.name, kind, END, path=of.path, **fields)


def handling_fields(step: Handled, index: int) -> dict[str, Any]:
    """The handler stands behind the step, and behind its sub-flow."""
    return {
        "handling": Handling(step.handling or "rollback"),
        "handler": index + own_size(step) if step.has_handler else END,
        "logs_error": step.handler_log,
    }


def size_of(step: StepPart) -> int:
    """How many nodes a step takes, with its ways, its sub-flow and its handler."""
    handler = step.handler if isinstance(step, Handled) and step.has_handler else None
    return own_size(step) + (0 if handler is None else sum(map(size_of, handler)) + 1)


def own_size(step: StepPart) -> int:
    if isinstance(step, BranchStep):
        return 1 + sum(size_of(inner) for way in step.branch.ways for inner in way.steps)
    if isinstance(step, CallStep):
        return 2 + sum(map(size_of, step.call.definition.steps[1:]))
    return 1


def ways_of(ways: Sequence[WayPart], first: int, after: int, names: frozenset[str]) -> tuple[Way, ...]:
    """The ways with the index of their first node; one without steps leads to what follows the branch."""
    placed: list[Way] = []
    for way in ways:
        when = compile_expression(way.when, names) if way.when is not None else None
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
    """The steps and those in their ways, sub-flows and handlers, in order; a sub-flow's export is not used."""
    found: list[AnyStep] = []
    for step in steps:
        found.append(step)
        for way in step.branch.ways if isinstance(step, BranchStep) else ():
            found += all_steps(way.steps)
        if isinstance(step, CallStep):
            found += all_steps(step.call.definition.steps[1:])
        if isinstance(step, Handled):
            found += all_steps(step.handler)
    return found


def transactional_connections(steps: Sequence[AnyStep]) -> frozenset[str]:
    """The connections that imports of the flow write to within a transaction."""
    uses = [step.use for step in all_steps(steps) if isinstance(step, ImportStep)]
    return frozenset(use.connection for use in uses if use.connector is not None and use.connector.is_transactional())
