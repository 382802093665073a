"""What a revision's definition says about each step and its row does not: what happens on an error, where it stands."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from apps.flows.definition.document import read_document
from apps.flows.definition.mistakes import DefinitionError
from apps.flows.models import Revision

FINAL_WORDS = {"set_aside": "set aside", "fail": "fail run", "ignore": "ignore"}
HANDLING_WORDS = {"custom_with_rollback": "handler", "custom_without_rollback": "handler", "continue": "go on"}
UNDONE_WORDS = {
    "custom_with_rollback": "If it fails, undo the record, then",
    "custom_without_rollback": "If it fails, undo this step, then",
}
END_WORDS = {"end": "Then this flow is done with the record", "error_end": "Then the error goes to the calling flow"}
TIMES = "\N{MULTIPLICATION SIGN}"
MOST_REVISIONS = 256


@dataclass(frozen=True, slots=True)
class StepFacts:
    """`policy` in words ("set aside"); `way`: the way of a branch that the step stands in, "" for the main one.

    `handles`: the key of the step whose handler the step is in; `undone` and `ends`: what comes before and after the
    step's own handler, in words; `callee`: the key of the flow that it calls. Each is "" for none. `sends_now`: a send
    that cannot be undone does not wait until the scope has committed.
    """

    policy: str = ""
    way: str = ""
    description: str = ""
    handles: str = ""
    undone: str = ""
    ends: str = ""
    callee: str = ""
    sends_now: bool = False


def facts_of(revision: Revision | None) -> dict[str, StepFacts]:
    """Step key -> its facts; empty for a flow without a definition."""
    return _facts(revision.pk, revision.definition) if revision is not None else {}


# A revision never changes, so what was read once stays true.
@lru_cache(maxsize=MOST_REVISIONS)
def _facts(revision_id: int, definition: str) -> dict[str, StepFacts]:
    try:
        value = read_document(definition).value
    except DefinitionError:
        return {}
    steps = value.get("steps") if isinstance(value, dict) else None
    return dict(_walk(steps, ""))


def _walk(steps: Any, way: str, handles: str = "") -> Iterator[tuple[str, StepFacts]]:
    for step in steps if isinstance(steps, list) else ():
        if isinstance(step, dict):
            key = str(step.get("key", ""))
            undone = UNDONE_WORDS.get(str(step.get("handling", "")), "")
            ends = END_WORDS.get(str(step.get("ends", "")), "")
            words = (policy_words(step), way, text_of(step), handles, undone, ends, callee_of(step))
            yield key, StepFacts(*words, sends_now=is_sending_now(step))
            yield from _walk_branch(step, handles)
            yield from _walk(step.get("handler"), way, handles or key)


def _walk_branch(step: dict[str, Any], handles: str) -> Iterator[tuple[str, StepFacts]]:
    branch = step.get("branch")
    ways = branch.get("ways") if isinstance(branch, dict) else None
    for way in ways if isinstance(ways, list) else ():
        if isinstance(way, dict):
            yield from _walk(way.get("steps"), str(way.get("name", "")), handles)


def is_sending_now(step: dict[str, Any]) -> bool:
    """As its author says, else if a later step may read the answer."""
    return str(step.get("when") or ("now" if step.get("response_mapping") else "")) == "now"


def text_of(part: dict[str, Any]) -> str:
    """The description of a flow or step, on one line."""
    return " ".join(str(part.get("description") or "").split())


def callee_of(step: dict[str, Any]) -> str:
    """The flow that a call names, by its key; it may stand alone or beside parameters."""
    call = step.get("call", "")
    return str(call.get("flow", "") if isinstance(call, dict) else call)


def policy_words(step: dict[str, Any]) -> str:
    """What happens when a record fails at the step, in a few words."""
    if "export" in step:
        return "fail run"
    given = step.get("on_error", "set_aside")
    rule = given if isinstance(given, dict) else {"policy": given}
    policy = str(rule.get("policy", "set_aside"))
    if policy == "retry":
        final = FINAL_WORDS.get(str(rule.get("then", "fail")), "fail run")
        words = f"retry {rule.get('attempts', 3)}{TIMES}, then {final}"
    else:
        words = FINAL_WORDS.get(policy, policy)
    if handling := HANDLING_WORDS.get(str(step.get("handling", ""))):
        words = words.replace("set aside", handling) if "set aside" in words else f"{words}, {handling}"
    going_on = ", go on" if step.get("continue_on_error") else ""
    return words + going_on + exception_words(rule)


def exception_words(rule: dict[str, Any]) -> str:
    """`, but value: fail run`; of several classes how many they are."""
    given = rule.get("exceptions")
    if not isinstance(given, dict) or not given:
        return ""
    if len(given) > 1:
        return f", {len(given)} exceptions"
    ((name, answer),) = given.items()
    return f", but {str(name).replace('_', ' ')}: {FINAL_WORDS.get(str(answer), str(answer))}"
