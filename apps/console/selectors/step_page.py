"""What the definition says of one step, as rows to read: its options, conditions and mappings."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from apps.connectors.redaction import redact
from apps.console.selectors.flow_page import Node
from apps.flows.models import StepKind

CONDITIONS = {
    "input_filter": "Takes a record if",
    "filter": "Lets a record through if",
    "output_filter": "Hands a record on if",
}
MAPPINGS = {
    "map": "Fields that the step makes",
    "mapping": "Fields that are sent",
    "response_mapping": "Fields taken from the answer",
    "parameters": "Parameters of the call",
    "result": "Fields taken from the called flow",
}
ELSEWHERE = {"connection", "steps", "ways", *MAPPINGS}
"""Options that are told in a place of their own."""


@dataclass(frozen=True)
class MappedField:
    """`empty`: in how many records of the run it came out empty."""

    name: str
    expression: str
    is_required: bool
    empty: int


@dataclass(frozen=True)
class StepPage:
    """`fields` are the step's in the definition; `empty` the counts of its empty fields in the run beside it."""

    node: Node
    fields: Mapping[str, Any]
    empty: Mapping[str, int]

    @property
    def trace_key(self) -> str:
        return str(self.fields.get("trace_key") or "")

    @property
    def conditions(self) -> list[tuple[str, str]]:
        return [(words, str(self.fields[name])) for name, words in CONDITIONS.items() if self.fields.get(name)]

    @property
    def options(self) -> list[tuple[str, str]]:
        """What the connector or the kind of the step is told, each in words; secrets never stand in a definition."""
        own = self.fields.get(self.node.step.kind)
        if isinstance(own, Mapping):
            own = {} if self.node.step.kind == StepKind.MAP else own
            return [(words_of(name), text_of(value)) for name, value in redact(own).items() if name not in ELSEWHERE]
        return [("Message", str(own))] if self.node.step.kind == StepKind.LOG and own else []

    @property
    def ways(self) -> list[tuple[str, str]]:
        """Of a branch: each way and its condition."""
        branch = self.fields.get("branch")
        ways = branch.get("ways") if isinstance(branch, Mapping) else None
        found = [way for way in ways if isinstance(way, Mapping)] if isinstance(ways, list) else []
        return [(str(way.get("name", "")), str(way.get("when") or "always")) for way in found]

    @property
    def mappings(self) -> list[tuple[str, list[MappedField]]]:
        return [
            (words, list(self._mapped(found))) for name, words in MAPPINGS.items() if (found := self._mapping(name))
        ]

    def _mapping(self, name: str) -> Mapping[str, Any] | None:
        call = self.fields.get("call")
        found = self.fields.get(name) or (call.get(name) if isinstance(call, Mapping) else None)
        return found if isinstance(found, Mapping) else None

    def _mapped(self, mapping: Mapping[str, Any]) -> Iterator[MappedField]:
        required = self.fields.get("required") or ()
        for name, expression in mapping.items():
            yield MappedField(str(name), text_of(expression), name in required, self.empty.get(str(name), 0))


def words_of(name: str) -> str:
    words = str(name).replace("_", " ")
    return words[:1].upper() + words[1:]


def text_of(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
