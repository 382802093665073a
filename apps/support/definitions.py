"""Definitions as a stranger may have them: without what looks like a secret, and cut down to what fails."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from apps.connectors.redaction import HIDDEN, is_secret_name
from apps.flows.definition.document import read_document
from apps.flows.definition.mistakes import DefinitionError

FORMULAS = frozenset({"mapping", "map", "response_mapping", "substitute"})
"""The fields whose values are expressions: `token: record.token` tells where a token comes from, and none."""
FILES_CONNECTION = "Bundle files"
RECORDS_FILE = "records.jsonl"
_TEMPLATE = re.compile(r"\{\{.*?\}\}", re.DOTALL)


def without_secrets(text: str) -> str:
    """The text with every value hidden that stands under a telling name; all else stays as it was written."""
    spans = sorted({span_of(node) for node in telling_values(text)}, reverse=True)
    for start, end in spans:
        gap = text[start:end][len(text[start:end].rstrip()) :]
        text = f'{text[:start]}"{HIDDEN}"{gap}{text[end:]}'
    return text


def secrets_written_in(text: str) -> list[str]:
    """The values that `without_secrets` hides: they may turn up elsewhere too."""
    return [str(node.value) for node in telling_values(text)]


def telling_values(text: str) -> list[ScalarNode]:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        return []
    return list(telling_nodes(root, is_formula=False))


def span_of(node: ScalarNode) -> tuple[int, int]:
    return node.start_mark.index, node.end_mark.index


def telling_nodes(node: Node | None, *, is_formula: bool) -> Iterator[ScalarNode]:
    if isinstance(node, SequenceNode):
        for part in node.value:
            yield from telling_nodes(part, is_formula=is_formula)
    elif isinstance(node, MappingNode):
        for key, value in node.value:
            name = str(key.value)
            if isinstance(value, ScalarNode):
                if is_secret_name(name) and not is_harmless(value.value, is_formula):
                    yield value
            else:
                yield from telling_nodes(value, is_formula=is_formula or name in FORMULAS)


def is_harmless(text: str, is_formula: bool) -> bool:
    """Whether a value only tells where something comes from."""
    if is_formula:
        return not re.search(r"[\"']", text)
    return not _TEMPLATE.sub("", text).strip()


def cut_down(text: str, failed: str) -> str | None:
    """A definition that begins with the step that failed and reads the records of the bundle; None where the step does
    not stand on the main path, or is the export itself."""
    try:
        value: Any = read_document(text).value
    except DefinitionError:
        return None
    steps: list[Any] = (value.get("steps") if isinstance(value, Mapping) else None) or []
    keys = [step.get("key") for step in steps if isinstance(step, Mapping)]
    if failed not in keys[1:]:
        return None
    kept = {name: part for name, part in value.items() if name not in ("schedule", "run_after", "enabled")}
    source = {
        "key": steps[0]["key"],
        "export": {"connection": FILES_CONNECTION, "path": RECORDS_FILE},
        **({"trace_key": steps[0]["trace_key"]} if "trace_key" in steps[0] else {}),
    }
    kept |= {"enabled": True, "steps": [source, *steps[keys.index(failed) :]]}
    return yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, width=120)
