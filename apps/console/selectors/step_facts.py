"""What a revision's definition says about each step and its row does not: the error policy, and the way of a branch."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from apps.flows.definition.document import read_document
from apps.flows.definition.mistakes import DefinitionError
from apps.flows.models import Revision

FINAL_WORDS = {"set_aside": "set aside", "fail": "fail run", "ignore": "ignore"}
TIMES = "\N{MULTIPLICATION SIGN}"
MOST_REVISIONS = 256


@dataclass(frozen=True, slots=True)
class StepFacts:
    """`policy` in words ("set aside"); `way`: the way of a branch that the step stands in, "" for the main one."""

    policy: str = ""
    way: str = ""


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


def _walk(steps: Any, way: str) -> Iterator[tuple[str, StepFacts]]:
    for step in steps if isinstance(steps, list) else ():
        if isinstance(step, dict):
            yield str(step.get("key", "")), StepFacts(policy_words(step), way)
            yield from _walk_branch(step)


def _walk_branch(step: dict[str, Any]) -> Iterator[tuple[str, StepFacts]]:
    branch = step.get("branch")
    ways = branch.get("ways") if isinstance(branch, dict) else None
    for way in ways if isinstance(ways, list) else ():
        if isinstance(way, dict):
            yield from _walk(way.get("steps"), str(way.get("name", "")))


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
