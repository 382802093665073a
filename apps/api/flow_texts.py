"""Bodies of flows as definitions: the definition is the truth, so every change of a flow is a change of its text."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from django.utils.text import slugify

from apps.accounts.permissions import Act
from apps.api.caller import Caller
from apps.api.failures import Refusal, invalid
from apps.api.schedules import cron_of
from apps.api.selectors.flows import FlowFacts
from apps.flows.definition.document import read_document
from apps.flows.definition.mistakes import Path
from apps.flows.definition.rewriting import REMOVED, dumped, rewrite
from apps.flows.definition.steps import place_of_step, with_steps, without_steps
from apps.flows.models import Flow, Integration, Step, StepKind
from apps.flows.naming import free_key, free_name

Changes = dict[Path, Any]
Raw = dict[str, Any]
PIPELINE = ("pageGenerators", "pageProcessors")


# --- a definition as it was sent -------------------------------------------------------------------------------------
def text_of(definition: Any) -> str:
    """YAML as it is; an object as JSON, which is YAML too."""
    return definition if isinstance(definition, str) else orjson.dumps(definition, option=orjson.OPT_INDENT_2).decode()


def read(text: str) -> Raw:
    """The plain values of a definition; raises DefinitionError where it is no YAML."""
    value = read_document(text).value
    return value if isinstance(value, dict) else {}


def refuse_out_of_reach(caller: Caller, raw: Raw, flow: Flow | None) -> None:
    """Raises a Refusal for a definition of another flow, PermissionDenied for an integration above the role."""
    if flow is not None and raw.get("flow") != flow.key:
        raise invalid(f"This is the definition of another flow: flow is {flow.key} here.", "definition.flow")
    part = raw.get("integration")
    slug = part.get("key") if isinstance(part, dict) else part
    if flow is not None and slug == flow.integration.slug:
        return
    known = Integration.objects.of(caller.account).filter(slug=str(slug)[:120].replace("\x00", "")).first()
    caller.require(Act.EDIT_FLOWS, known.pk if known else None)


# --- a flow that is there --------------------------------------------------------------------------------------------
def changed_text(caller: Caller, facts: FlowFacts, body: Mapping[str, Any], *, is_whole: bool) -> str:
    """The flow's text with the body's fields; `is_whole`: what the body does not say is taken out."""
    flow = facts.flow
    if flow.revision is None:
        raise invalid("This flow has no definition yet: send one as definition.", "definition")
    if is_whole:
        refuse_losing_steps(body)
    text = with_pipeline(flow.revision.definition, facts, body)
    return rewrite(text, head_changes(caller, flow, body, is_whole=is_whole))


def refuse_losing_steps(body: Mapping[str, Any]) -> None:
    missing = [name for name in PIPELINE if name not in body]
    if missing:
        message = f"A PUT replaces the flow: without {missing[0]} its steps would be lost. Name them, or use PATCH."
        raise invalid(message, missing[0])


def head_changes(caller: Caller, flow: Flow, body: Mapping[str, Any], *, is_whole: bool) -> Changes:
    """The fields beside the steps that differ. Whether the flow is enabled is no part of its definition."""
    found: Changes = {}
    if body.get("name", flow.name) != flow.name:
        found["name",] = body["name"]
    description = body.get("description", "" if is_whole else flow.description) or ""
    if description != flow.description:
        found["description",] = description or REMOVED
    resolves = body.get("autoResolveMatchingTraceKeys", True if is_whole else flow.auto_resolve)
    if resolves != flow.auto_resolve:
        found["auto_resolve",] = resolves
    schedule = wanted_schedule(flow, body, is_whole=is_whole)
    if schedule != (flow.cron, flow.time_zone):
        found["schedule",] = {"cron": schedule[0], "time_zone": schedule[1]} if schedule[0] else REMOVED
    if "_integrationId" in body and body["_integrationId"] != flow.integration_id:
        found["integration",] = integration_of(caller, body).slug
    return found


def wanted_schedule(flow: Flow, body: Mapping[str, Any], *, is_whole: bool) -> tuple[str, str]:
    """Cron expression and time zone; two blanks for none."""
    cron = cron_of(body["schedule"] or "") if "schedule" in body else ("" if is_whole else flow.cron)
    zone = body.get("timezone", "" if is_whole else flow.time_zone) or "UTC"
    return (cron, zone) if cron else ("", "")


def integration_of(caller: Caller, body: Mapping[str, Any]) -> Integration:
    """The integration that the body names, whose flows the caller may edit."""
    rows = Integration.objects.of(caller.account).filter(**caller.reach.where(""))
    found = rows.filter(pk=body["_integrationId"]).first()
    if found is None:
        raise invalid("There is no such integration.", "_integrationId")
    caller.require(Act.EDIT_FLOWS, found.pk)
    return found


# --- its steps -------------------------------------------------------------------------------------------------------
def with_pipeline(text: str, facts: FlowFacts, body: Mapping[str, Any]) -> str:
    """The text with the named steps in the named order; lookups and imports that are not named are taken out."""
    if "pageGenerators" in body:
        refuse_other_export(facts, body["pageGenerators"])
    if "pageProcessors" not in body:
        return text
    steps, raw = {step.pk: step for step in facts.steps}, read(text)
    if not isinstance(raw.get("steps"), list):
        raise invalid("This flow's definition has no steps: send another one as definition.", "definition")
    named = [chosen_step(steps, entry, at) for at, entry in enumerate(body["pageProcessors"])]
    keys = [step.key for step in named]
    present = [steps[entry[entry["type"]]].key for entry in facts.processors]
    kept = without_steps(raw, set(present) - set(keys))
    kept["steps"] = reordered(kept["steps"], keys, [key for key in present if key in keys])
    if kept["steps"] != raw["steps"]:
        text = with_steps(text, raw, kept["steps"])
    changes: Changes = {}
    for step, entry in zip(named, body["pageProcessors"], strict=True):
        changes |= flag_changes(kept, step, entry)
    return rewrite(text, changes)


def refuse_other_export(facts: FlowFacts, generators: Sequence[Mapping[str, Any]]) -> None:
    if [entry["_exportId"] for entry in generators] != [entry["export"] for entry in facts.generators]:
        raise invalid("A flow has exactly one export, and keeps it.", "pageGenerators", "invalid_operation")


def chosen_step(steps: Mapping[int, Step], entry: Mapping[str, Any], at: int) -> Step:
    """The flow's own lookup or import that an entry names."""
    name = "_importId" if "_importId" in entry else "_exportId"
    step = steps.get(entry.get(name, 0))
    kind = StepKind.IMPORT if name == "_importId" else StepKind.LOOKUP
    if step is None or step.kind != kind:
        raise invalid("This flow has no such step: exports and imports belong to their flow.", f"pageProcessors[{at}]")
    return step


def reordered(steps: list[Raw], wanted: Sequence[str], present: Sequence[str]) -> list[Raw]:
    """The steps with those in `present` in the wanted order; what is between them keeps its place."""
    if list(wanted) == list(present):
        return steps
    by_key = {step.get("key"): step for step in steps}
    if len(set(wanted)) != len(wanted) or not set(wanted) <= by_key.keys():
        message = "Only steps outside of branches can be put in another order, each once: send the definition instead."
        raise invalid(message, "pageProcessors", "invalid_operation")
    following = iter(wanted)
    return [by_key[next(following)] if step.get("key") in present else step for step in steps]


def flag_changes(raw: Raw, step: Step, entry: Mapping[str, Any]) -> Changes:
    """What an entry says about its step: whether failed records go on, and what the answer puts into the record."""
    place = place_of_step(raw, step.key)
    if place is None or step.kind != StepKind.IMPORT:
        return {}
    part: Any = raw
    for name in place:
        part = part[name]
    wanted = {
        "continue_on_error": True if entry.get("proceedOnFailure") else REMOVED,
        "response_mapping": entry.get("responseMapping") or REMOVED,
    }
    present = {name: part.get(name) or REMOVED for name in wanted}
    return {(*place, name): value for name, value in wanted.items() if value != present[name]}


# --- a new flow ------------------------------------------------------------------------------------------------------
def new_text(caller: Caller, body: Mapping[str, Any]) -> str:
    """The definition of a new flow whose steps are copies of the ones that are named."""
    for name in ("name", "_integrationId", "pageGenerators"):
        if not body.get(name):
            raise invalid(f"A new flow needs {name}, or a definition.", name)
    if len(body["pageGenerators"]) != 1:
        raise invalid("A flow has exactly one export.", "pageGenerators")
    wanted = [*body["pageGenerators"], *body.get("pageProcessors", [])]
    raw: Raw = {
        "flow": free_key(caller.account, slugify(body["name"])),
        "name": body["name"],
        "integration": integration_of(caller, body).slug,
    }
    cron = cron_of(body.get("schedule") or "")
    raw |= {"description": body["description"]} if body.get("description") else {}
    raw |= {"schedule": {"cron": cron, "time_zone": body.get("timezone") or "UTC"}} if cron else {}
    raw |= {"auto_resolve": False} if body.get("autoResolveMatchingTraceKeys") is False else {}
    raw["steps"] = copied_steps(caller, wanted)
    return dumped(raw)


def copied_steps(caller: Caller, wanted: Sequence[Mapping[str, Any]]) -> list[Raw]:
    """What the definitions of other flows say of these steps, each under a key of its own."""
    keys = [entry.get("_importId", entry.get("_exportId")) for entry in wanted]
    rows = Step.objects.of(caller.account).present().filter(pk__in=[key for key in keys if key])
    found = {step.pk: step for step in rows.filter(**caller.reach.where("flow__integration")).select_related(
        "flow__revision"
    )}  # fmt: skip
    copies: list[Raw] = []
    taken: set[str] = set()
    for at, key in enumerate(keys):
        step = found.get(key or 0)
        raw = read(step.flow.revision.definition) if step is not None and step.flow.revision else {}
        place = place_of_step(raw, step.key) if step is not None else None
        if step is None or place is None:
            field = "pageGenerators" if at == 0 else f"pageProcessors[{at - 1}]"
            raise invalid("There is no such step to copy.", field)
        part: Any = raw
        for name in place:
            part = part[name]
        own = free_name(step.key, taken)
        taken.add(own)
        copies.append({**copy.deepcopy(part), "key": own})
    return copies


def cloned_text(caller: Caller, flow: Flow, body: Mapping[str, Any]) -> str:
    """The flow's definition under a free key and another name, disabled."""
    if flow.revision is None:
        raise invalid("This flow has no definition to clone.", code="invalid_operation")
    text = flow.revision.definition
    changes: Changes = {
        ("flow",): free_key(caller.account, f"{flow.key}-copy"),
        ("name",): body.get("name") or f"{flow.name} (copy)"[:120],
        ("enabled",): False,
    }
    if "_integrationId" in body:
        changes["integration",] = integration_of(caller, body).slug
    return rewrite(text, changes)


def expected_revision(header: str) -> int | None:
    """The number in `If-Match`; None where any will do. Raises a Refusal for what is none."""
    text = header.strip().removeprefix("W/").strip('"')
    if text in ("", "*"):
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Refusal(400, "bad_request", 'If-Match holds the number of a revision, such as "3".', "If-Match")
    return int(text)
