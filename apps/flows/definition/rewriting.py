"""Changing single fields of a definition's text: all other text, its comments and its order stay as they were written.

A value that stays is never touched; a new one is written on one line. What comes out is read again and must say exactly
what was asked for; where it does not (anchors, unusual notations) the change is refused, never made in part.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from apps.flows.definition.document import read_document
from apps.flows.definition.mistakes import DefinitionError, Mistake, Path, place_of

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
REMOVED = object()
"""In place of a value: the field is taken out."""


def rewrite(text: str, changes: Mapping[Path, Any]) -> str:
    """The text with the values at some paths changed (REMOVED: taken out); a path's last part names a field.

    Raises DefinitionError where the text cannot be read, or where a change cannot be made without touching more.
    """
    for path, value in changes.items():
        wanted = with_value(read_document(text).value, path, value)
        text = changed(text, path, value)
        if not says(text, wanted):
            raise refusal(path)
    return text


def refusal(path: Path) -> DefinitionError:
    message = "This field is written in a way that a form cannot change without touching the text around it."
    return DefinitionError([Mistake(place_of(path), message, "change it in the editor of the definition")])


def says(text: str, wanted: Any) -> bool:
    try:
        return same(read_document(text).value, wanted)  # as JSON: 1 is not True
    except DefinitionError:
        return False


def value_at(value: Any, path: Path) -> Any:
    """What stands at a path; REMOVED for nothing."""
    for part in path:
        is_there = part in value if isinstance(value, Mapping) else is_entry(value, part)
        if not is_there:
            return REMOVED
        value = value[part]
    return value


def is_entry(value: Any, part: str | int) -> bool:
    return isinstance(value, list) and isinstance(part, int) and part < len(value)


def with_value(value: Any, path: Path, new: Any) -> Any:
    """The value with another one at a path."""
    if not path:
        return new
    part, *rest = path
    if is_entry(value, part):
        return [with_value(entry, tuple(rest), new) if at == part else entry for at, entry in enumerate(value)]
    if not isinstance(value, Mapping) or (rest and part not in value):
        raise refusal(path)
    if new is REMOVED and not rest:
        return {name: entry for name, entry in value.items() if name != part}
    if part in value:
        return {name: with_value(entry, tuple(rest), new) if name == part else entry for name, entry in value.items()}
    return {**value, part: new}


def changed(text: str, path: Path, new: Any) -> str:
    """One change. A set of fields that stays one is changed field by field."""
    present = value_at(read_document(text).value, path)
    if new is present is REMOVED or (new is not REMOVED and present is not REMOVED and same(present, new)):
        return text
    if isinstance(present, Mapping) and isinstance(new, Mapping) and present.keys() & new.keys():
        for name in [*present, *(name for name in new if name not in present)]:
            text = changed(text, (*path, name), new.get(name, REMOVED))
        return text
    place = find(text, path)
    if new is REMOVED:
        return place.removed()
    return place.inserted(new) if place.entry is None else place.replaced(new)


def same(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@dataclass(frozen=True, slots=True)
class Place:
    """A field in the text: the object around it, and its key and value if it is there."""

    text: str
    around: MappingNode
    name: str
    path: Path
    entry: int | None

    @property
    def is_flow(self) -> bool:
        return bool(self.around.flow_style)

    def replaced(self, new: Any) -> str:
        assert self.entry is not None, "only what is there is replaced"
        key, value = self.around.value[self.entry]
        first = self.text.index(":", key.end_mark.index) + 1
        is_beside = "\n" not in self.text[first : value.start_mark.index] and not is_empty(value)
        start = value.start_mark.index if is_beside else first
        if start < first:  # an alias: its value stands elsewhere
            raise refusal(self.path)
        return splice(self.text, start, max(end_of(value), start), (written(new) if is_beside else f" {written(new)}"))

    def removed(self) -> str:
        assert self.entry is not None, "only what is there is removed"
        fields = self.around.value
        key, value = fields[self.entry]
        start, end = key.start_mark.index, end_of(value) or key.end_mark.index
        following = fields[self.entry + 1][0].start_mark.index if self.entry + 1 < len(fields) else None
        if self.is_flow:
            if following is not None:
                return splice(self.text, start, following, "")
            before = end_of(fields[self.entry - 1][1]) if self.entry else start
            return splice(self.text, before, end, "")
        line = self.text.rfind("\n", 0, start) + 1
        if self.text[line:start].strip():  # behind the dash of a list
            if following is None:
                raise refusal(self.path)
            return splice(self.text, start, following, "")
        return splice(self.text, line, end_of_line(self.text, max(end, key.end_mark.index)), "")

    def inserted(self, new: Any) -> str:
        field = f"{written(self.name)}: {written(new)}"
        fields = self.around.value
        if self.is_flow:
            at = end_of(fields[-1][1]) if fields else self.around.start_mark.index + 1
            return splice(self.text, at, at, f", {field}" if fields else field)
        number = len(fields) if self.path[:-1] else short_fields(fields)
        indent = " " * fields[0][0].start_mark.column
        if number == 0:
            at = fields[0][0].start_mark.index
            return splice(self.text, at, at, f"{field}\n{indent}")
        key, value = fields[number - 1]
        at = end_of_line(self.text, max(end_of(value), key.end_mark.index + 1))
        start = "" if self.text[:at].endswith("\n") else "\n"
        return splice(self.text, at, at, f"{start}{indent}{field}\n")


def short_fields(fields: list[tuple[Node, Node]]) -> int:
    """How many fields at the head of a definition stand on one line each: new ones come behind them."""
    tall = (at for at, (key, value) in enumerate(fields) if value.end_mark.line > key.start_mark.line)
    return next(tall, len(fields))


def find(text: str, path: Path) -> Place:
    """Raises DefinitionError for a place inside an alias, or below nothing."""
    node: Node | None = yaml.compose(text, Loader=_LOADER)
    *parents, name = path
    for part in parents:
        inner = child(node, part)
        if node is None or inner is None or not node.start_mark.index <= inner.start_mark.index < node.end_mark.index:
            raise refusal(path)
        node = inner
    if not isinstance(node, MappingNode) or not (node.value or node.flow_style):
        raise refusal(path)
    names = [key.value for key, _ in node.value]
    return Place(text, node, str(name), path, names.index(name) if name in names else None)


def child(node: Node | None, part: str | int) -> Node | None:
    if isinstance(node, SequenceNode) and isinstance(part, int):
        return node.value[part] if part < len(node.value) else None
    if isinstance(node, MappingNode):
        return next((value for key, value in node.value if key.value == part), None)
    return None


def is_empty(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.start_mark.index == node.end_mark.index


def end_of(node: Node) -> int:
    """Where a value's own text ends: the parser puts the end of a block behind the blank lines that follow it."""
    if isinstance(node, MappingNode) and node.value and not node.flow_style:
        key, value = node.value[-1]
        return max(end_of(value), key.end_mark.index + 1)
    if isinstance(node, SequenceNode) and node.value and not node.flow_style:
        return end_of(node.value[-1])
    return int(node.end_mark.index)


def end_of_line(text: str, at: int) -> int:
    """Behind the line break of the line that a place stands in; a place that begins a line is one already."""
    if at and text[at - 1] == "\n":
        return at
    found = text.find("\n", at)
    return len(text) if found < 0 else found + 1


def splice(text: str, start: int, end: int, new: str) -> str:
    return text[:start] + new + text[end:]


def written(value: Any) -> str:
    """A value on one line of YAML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{written(str(name))}: {written(entry)}" for name, entry in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(written, value)) + "]"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and not value.isprintable():
        return json.dumps(value)
    text: str = yaml.safe_dump([value], default_flow_style=True, allow_unicode=True, width=inf)
    return text.strip()[1:-1]


def dumped(value: Any) -> str:
    """A whole definition written anew, its fields in their order."""
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)
    return text
