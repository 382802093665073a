"""Steps in a definition's text: finding one by its key, leaving some out, writing another list of them.

They are worked on as plain values; whether they make a flow is for the definition's models to say.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import yaml

from apps.flows.definition.mistakes import Path
from apps.flows.definition.rewriting import end_of, end_of_line, find, refusal, says, splice

Step = Mapping[str, Any]
LISTS = frozenset({"steps", "handler"})
"""The fields, at any depth, that hold steps."""
STEPS: Path = ("steps",)


def placed_steps(value: Any, path: Path = ()) -> Iterator[tuple[Path, Step]]:
    """Every step below a value with its place, those of branches and handlers too, in the order of the text."""
    if isinstance(value, list):
        for at, part in enumerate(value):
            if path and path[-1] in LISTS and isinstance(part, Mapping):
                yield (*path, at), part
            yield from placed_steps(part, (*path, at))
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield from placed_steps(part, (*path, name))


def place_of_step(value: Any, key: str) -> Path | None:
    """Where the step with this key stands."""
    return next((path for path, step in placed_steps(value) if step.get("key") == key), None)


def without_steps(value: Any, keys: Collection[str], *, is_list: bool = False) -> Any:
    """The value without the steps that have one of these keys, at any depth."""
    if isinstance(value, list):
        kept = [part for part in value if not (is_list and isinstance(part, Mapping) and part.get("key") in keys)]
        return [without_steps(part, keys) for part in kept]
    if isinstance(value, Mapping):
        return {name: without_steps(part, keys, is_list=name in LISTS) for name, part in value.items()}
    return value


def with_steps(text: str, value: Mapping[str, Any], steps: Sequence[Step]) -> str:
    """The text with another list of steps; what stands around it stays as it was written.

    `value` is what the text says now. Raises DefinitionError where the list cannot be replaced on its own.
    """
    place = find(text, STEPS)
    if place.entry is None or place.is_flow:
        raise refusal(STEPS)
    key, node = place.around.value[place.entry]
    block = yaml.safe_dump({"steps": list(steps)}, sort_keys=False, allow_unicode=True, width=120)
    end = end_of_line(text, max(end_of(node), key.end_mark.index + 1))
    changed = splice(text, key.start_mark.index, end, block)
    if not says(changed, {**value, "steps": list(steps)}):
        raise refusal(STEPS)
    return changed
