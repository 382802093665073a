"""YAML as plain values with the line of each: read event by event, so that no text can cost more than its caps allow.

Of YAML's types only text, numbers, true, false and null are read (the core schema of YAML 1.2: `no` is a text, not
false); dates stay text. Tags and merge keys are refused, anchors count as often as they are used.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, NoReturn

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from apps.flows.definition.mistakes import DefinitionError, Mistake, Path, place_of

MAX_BYTES = 1_000_000
MAX_DEPTH = 40
MAX_VALUES = 50_000
"""Values in one definition, those behind an alias counted each time they are used."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")
_MEANINGS = {"true": True, "false": False, "null": None}
_WORDS = {form: value for word, value in _MEANINGS.items() for form in (word, word.capitalize(), word.upper())}
_WORDS |= {"~": None, "": None}


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML text as plain values. `lines` tells the line (from 1) of every place but those behind an alias."""

    value: Any
    lines: dict[Path, int]
    mistakes: tuple[Mistake, ...] = ()

    def line_of(self, path: Path) -> int:
        """The line of a place, or of the nearest place around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_document(text: str) -> Document:
    """Read one YAML document. Raises DefinitionError where it is no YAML or beyond the caps.

    Fields that stand twice are told in `mistakes`; the first one counts.
    """
    check_size(text)
    builder = Builder()
    try:
        for event in events_of(text):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        raise DefinitionError([syntax_mistake(error, text)]) from error
    except DefinitionError:
        raise
    except (yaml.YAMLError, ValueError) as error:  # the reader's own kinds, such as an escape beyond Unicode
        raise DefinitionError([Mistake("", f"This is not YAML: {first_line(error)}.")]) from error
    return Document(builder.root, builder.lines, tuple(builder.mistakes))


def check_size(text: str) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise DefinitionError([Mistake("", "The text holds characters that are not valid Unicode.")]) from None
    if size > MAX_BYTES:
        limit = f"{MAX_BYTES:,} bytes"
        raise DefinitionError([Mistake("", f"A definition may have at most {limit}; this one has {size:,}.")])


def events_of(text: str) -> Iterator[Event]:
    loader = _LOADER(text)
    try:
        while loader.check_event():
            yield loader.get_event()
    finally:
        loader.dispose()


def line_of(event: Event) -> int:
    """The line of an event, from 1."""
    return event.start_mark.line + 1 if event.start_mark is not None else 1


def first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["it cannot be read"])[0].strip().rstrip(".")


def syntax_mistake(error: yaml.MarkedYAMLError, text: str) -> Mistake:
    """The parser's complaint with line, column and the line itself."""
    mark = error.problem_mark or error.context_mark
    problem = (error.problem or error.context or "it cannot be read").strip()
    if mark is None:
        return Mistake("", f"This is not YAML: {problem}.")
    rows = text.splitlines()
    snippet = rows[mark.line].strip()[:80] if mark.line < len(rows) else "the end of the text"
    message = f"This is not YAML: line {mark.line + 1}, column {mark.column + 1}: {problem}, near: {snippet}"
    hint = "YAML wants blanks, not tabs, at the start of a line" if is_indented_by_tab(rows, mark.line) else ""
    return Mistake("", message, hint, mark.line + 1)


def is_indented_by_tab(rows: list[str], number: int) -> bool:
    row = rows[number] if number < len(rows) else ""
    return "\t" in row[: len(row) - len(row.lstrip())]


@dataclass(slots=True)
class Frame:
    """An object or list that is being read: its value so far, and the field name that waits for its value."""

    path: Path
    value: dict[str, Any] | list[Any]
    anchor: str | None
    first_size: int
    key: str | None = None
    key_line: int = 0
    is_repeated: bool = False

    def next_path(self) -> Path:
        part = len(self.value) if isinstance(self.value, list) else (self.key or "")
        return (*self.path, part)


@dataclass(slots=True)
class Builder:
    """Builds the values of one document out of the parser's events."""

    root: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)
    stack: list[Frame] = field(default_factory=list)
    anchors: dict[str, tuple[Any, int]] = field(default_factory=dict)
    size: int = 0
    documents: int = 0

    def take(self, event: Event) -> None:
        if isinstance(event, ScalarEvent):
            self.scalar(event)
        elif isinstance(event, MappingStartEvent | SequenceStartEvent):
            self.open(event)
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            self.close()
        elif isinstance(event, AliasEvent):
            self.alias(event)
        elif isinstance(event, DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                self.refuse(event, "There is more than one document in this text: keep one, without a line ---.")

    def refuse(self, event: Event, message: str) -> NoReturn:
        line = line_of(event)
        raise DefinitionError([Mistake(place_of(self.here()), message, line=line)])

    def here(self) -> Path:
        return self.stack[-1].next_path() if self.stack else ()

    def scalar(self, event: ScalarEvent) -> None:
        self.check_tag(event, event.tag, event.implicit[0] or event.implicit[1])
        frame = self.stack[-1] if self.stack else None
        if frame is not None and isinstance(frame.value, dict) and frame.key is None:
            self.field(frame, event)
            return
        value = event.value if event.style else plain_value(event.value)
        self.put(event, value, 1, event.anchor)

    def field(self, frame: Frame, event: ScalarEvent) -> None:
        """A field name; one that stands a second time is told and its value dropped."""
        if event.value == "<<" and not event.style:
            self.refuse(event, "Merge keys (<<) are not read: write the fields out.")
        frame.key, frame.key_line = event.value, line_of(event)
        frame.is_repeated = event.value in frame.value
        if frame.is_repeated:
            first = self.lines.get(frame.next_path(), 0)
            message = f"The field {event.value} stands twice; first in line {first}."
            self.mistakes.append(Mistake(place_of(frame.next_path()), message, line=frame.key_line))

    def open(self, event: MappingStartEvent | SequenceStartEvent) -> None:
        self.check_tag(event, event.tag, event.implicit)
        frame = self.stack[-1] if self.stack else None
        if frame is not None and isinstance(frame.value, dict) and frame.key is None:
            self.refuse(event, "A field name must be text; here it is an object or a list.")
        if len(self.stack) >= MAX_DEPTH:
            self.refuse(event, f"This is nested more than {MAX_DEPTH} levels deep.")
        self.count(event, 1)
        path = self.here()
        self.note(path, event)
        is_object = isinstance(event, MappingStartEvent)
        if event.anchor:
            self.anchors.pop(event.anchor, None)
        self.stack.append(Frame(path, {} if is_object else [], event.anchor, self.size))

    def close(self) -> None:
        frame = self.stack.pop()
        if frame.anchor:
            self.anchors[frame.anchor] = (frame.value, self.size - frame.first_size + 1)
        self.hand_over(frame.value)

    def alias(self, event: AliasEvent) -> None:
        if self.stack and isinstance(self.stack[-1].value, dict) and self.stack[-1].key is None:
            self.refuse(event, "A field name must be text; here it is an alias.")
        if event.anchor not in self.anchors:
            self.refuse(event, f"*{event.anchor} points to nothing that stands before it (and is finished).")
        value, size = self.anchors[event.anchor]
        self.put(event, value, size, None)

    def put(self, event: Event, value: Any, size: int, anchor: str | None) -> None:
        self.count(event, size)
        self.note(self.here(), event)
        if anchor:
            self.anchors[anchor] = (value, size)
        self.hand_over(value)

    def hand_over(self, value: Any) -> None:
        """Put a finished value where it belongs."""
        if not self.stack:
            self.root = value
            return
        frame = self.stack[-1]
        if isinstance(frame.value, list):
            frame.value.append(value)
            return
        assert frame.key is not None, "a value of an object follows its field name"
        if not frame.is_repeated:
            frame.value[frame.key] = value
        frame.key = None

    def note(self, path: Path, event: Event) -> None:
        frame = self.stack[-1] if self.stack else None
        line = frame.key_line if frame is not None and frame.key is not None else line_of(event)
        self.lines.setdefault(path, line)

    def count(self, event: Event, size: int) -> None:
        self.size += size
        if self.size > MAX_VALUES:
            self.refuse(event, f"A definition may hold at most {MAX_VALUES:,} values (aliases count as often as used).")

    def check_tag(self, event: Event, tag: str | None, is_implicit: bool) -> None:
        if tag is not None and tag != "!" and not is_implicit:
            self.refuse(event, f"Tags are not read: leave out {tag[:60]}.")


def plain_value(text: str) -> Any:
    """The value of an unquoted word by the core schema of YAML 1.2; very long digits stay text."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and isfinite(float(text)):
        return float(text)
    return text
