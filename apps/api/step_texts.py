"""Bodies of exports and imports as changes of their flow's definition."""

from collections.abc import Collection, Mapping
from typing import Any

from apps.api.caller import Caller
from apps.api.failures import invalid
from apps.api.flow_texts import Changes, Raw, read
from apps.core.ids import Kind, wire_id
from apps.flows.definition.mistakes import Path
from apps.flows.definition.rewriting import REMOVED, rewrite
from apps.flows.definition.steps import place_of_step, placed_steps, with_steps, without_steps
from apps.flows.models import Flow, Step
from apps.flows.naming import free_name


def added(caller: Caller, flow: Flow, body: Mapping[str, Any], kinds: Collection[str]) -> tuple[str, str]:
    """The flow's text with one step more at its end, and the key of that step."""
    part = dict(body.get("definition") or {})
    kind = next((str(kind) for kind in kinds if str(kind) in part), None)
    if kind is None or flow.revision is None:
        wanted = " or ".join(str(kind) for kind in kinds)
        raise invalid(f"A new step needs a definition with {wanted} in it.", "definition")
    text = flow.revision.definition
    raw = read(text)
    taken = {str(step.get("key")) for _, step in placed_steps(raw)}
    key = str(part.get("key") or free_name(kind, taken))
    if key in taken:
        raise invalid(f"The flow has a step {key} already.", "definition.key")
    part = {"key": key, **part}
    if "name" in body:
        part["name"] = body["name"]
    if "_connectionId" in body and isinstance(part[kind], dict):
        part[kind] = {"connection": connection_of(caller, body), **part[kind]}
    return with_steps(text, raw, [*raw["steps"], part]), key


def changed(caller: Caller, step: Step, body: Mapping[str, Any], *, is_whole: bool) -> str:
    """The flow's text with other fields of one step; its key and its kind stay."""
    text, _, place, part = placed(step)
    changes: Changes = {}
    if "definition" in body:
        changes |= field_changes(place, part, body["definition"], is_whole=is_whole)
    elif is_whole:
        raise invalid("A PUT replaces the step's definition: send it, or use PATCH.", "definition")
    if changes.get((*place, "key"), step.key) != step.key or (*place, step.kind) in removed_in(changes):
        raise invalid("A step keeps its key and its kind: its errors hang on them.", "definition", "invalid_operation")
    if "name" in body:
        changes[*place, "name"] = body["name"]
    if "_connectionId" in body:
        changes[*place, step.kind, "connection"] = connection_of(caller, body)
    return rewrite(text, changes)


def removed_in(changes: Changes) -> set[Path]:
    return {path for path, value in changes.items() if value is REMOVED}


def field_changes(place: Path, part: Raw, wanted: Mapping[str, Any], *, is_whole: bool) -> Changes:
    """By field; null takes one out, and with `is_whole` so does not naming it (a step's key is always known)."""
    found: Changes = {(*place, name): REMOVED if value is None else value for name, value in wanted.items()}
    if is_whole:
        found |= {(*place, name): REMOVED for name in part.keys() - wanted.keys() - {"key"}}
    return found


def removed(step: Step) -> str:
    text, raw, _, _ = placed(step)
    return with_steps(text, raw, without_steps(raw, {step.key})["steps"])


def placed(step: Step) -> tuple[str, Raw, Path, Raw]:
    """The text of the step's flow, its plain values, and where in them the step stands."""
    revision = step.flow.revision
    text = revision.definition if revision else ""
    raw = read(text) if text else {}
    place = place_of_step(raw, step.key)
    if place is None:
        raise invalid("The flow's definition has no such step any more.", code="invalid_operation")
    part: Any = raw
    for name in place:
        part = part[name]
    return text, raw, place, part


def connection_of(caller: Caller, body: Mapping[str, Any]) -> str:
    """The name of the connection that the body names by its id."""
    return caller.connection(wire_id(Kind.CONNECTION, body["_connectionId"])).name
