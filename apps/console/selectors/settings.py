"""What the settings of a flow are shown with: its definition as plain values, and its steps' places in it."""

from collections.abc import Iterator, Mapping
from typing import Any

from apps.console.selectors.flow_page import FlowHead
from apps.console.setting_forms import Subject
from apps.core.clock import read_now
from apps.errors.models import Error
from apps.flows.definition import DefinitionError
from apps.flows.definition.document import read_document
from apps.flows.definition.mistakes import Path
from apps.flows.models import Connection, Flow, Step


def definition_of(flow: Flow) -> Mapping[str, Any]:
    """The definition as plain values; empty where there is none, or none that can be read."""
    try:
        value = read_document(flow.revision.definition).value if flow.revision else None
    except DefinitionError:
        return {}
    return value if isinstance(value, dict) else {}


def subject_of(head: FlowHead) -> Subject:
    """At most one query beside the head's."""
    flow = head.flow
    key = newest_key(head.with_errors[0].step) if head.with_errors else ""
    return Subject(flow, definition_of(flow), read_now(), head.open_errors, key)


def limited_connections(head: FlowHead) -> list[Connection]:
    """The connections of the flow's steps, by name, for the limits that each sets to all flows together."""
    found = {node.step.connection.pk: node.step.connection for node in head.nodes if node.step.connection}
    return sorted(found.values(), key=lambda connection: connection.name.casefold())


def newest_key(step: Step) -> str:
    """The trace key of a step's newest open error: read from the index of its open errors."""
    newest = Error.objects.of(step.account_id).open().filter(step=step).order_by("-id")
    return newest.values_list("key", flat=True).first() or ""


def step_subject_of(head: FlowHead, step: Step) -> Subject | None:
    """A step's part of the definition; None where it is not in it."""
    raw = definition_of(head.flow)
    node = head.node_of(step.pk)
    for path, found in steps_in(raw.get("steps"), ("steps",)):
        if found.get("key") == step.key:
            open_errors = node.open_errors if node else 0
            return Subject(head.flow, raw, read_now(), open_errors, "", path, found)
    return None


def steps_in(steps: Any, path: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Every step of a definition with its place, those in ways and handlers too."""
    for number, step in enumerate(steps if isinstance(steps, list) else ()):
        if not isinstance(step, Mapping):
            continue
        here: Path = (*path, number)
        yield here, step
        yield from steps_in(step.get("handler"), (*here, "handler"))
        branch = step.get("branch")
        ways = branch.get("ways") if isinstance(branch, Mapping) else None
        for way_number, way in enumerate(ways if isinstance(ways, list) else ()):
            if isinstance(way, Mapping):
                yield from steps_in(way.get("steps"), (*here, "branch", "ways", way_number, "steps"))
