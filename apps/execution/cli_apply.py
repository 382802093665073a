"""The files of `flow apply`: read, and put into an order in which no flow needs one that is not there yet."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apps.flows.definition import DefinitionError, Mistake
from apps.flows.definition.document import read_document


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was asked for; `problem` says why it could not be read."""

    name: str
    text: str = ""
    problem: str = ""

    def refuse_unreadable(self) -> None:
        if self.problem:
            raise DefinitionError([Mistake("", self.problem)])

    def peek(self) -> tuple[str, frozenset[str]]:
        """The flow's key and those of the flows that it runs after or calls, as far as they can be read."""
        try:
            value = read_document(self.text).value
        except DefinitionError:
            return "", frozenset()
        fields = value if isinstance(value, dict) else {}
        needed = {str(fields.get("run_after") or ""), *called_in(fields)}
        return str(fields.get("flow") or ""), frozenset(needed - {""})


def called_in(value: Any) -> Iterator[str]:
    """The keys of the flows that are called anywhere in a definition."""
    if isinstance(value, list):
        for entry in value:
            yield from called_in(entry)
    elif isinstance(value, dict):
        call = value.get("call")
        yield str((call.get("flow") if isinstance(call, dict) else call) or "")
        for entry in value.values():
            yield from called_in(entry)


def read_source(name: str) -> Source:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return Source("<input>" if name == "-" else name, data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return Source(name, problem=f"The file is not UTF-8 text (byte {error.start}).")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return Source(name, problem=f"The file cannot be read: {why}.")


def ordered(sources: Iterable[Source]) -> list[Source]:
    """As given, but a flow that runs after another one of these files, or calls it, comes behind it."""
    waiting = [(source, *source.peek()) for source in sources]
    placed: list[Source] = []
    while waiting:
        keys = {key for _, key, _ in waiting if key}
        ready = [entry for entry in waiting if not entry[2] & keys] or waiting
        placed += [source for source, _, _ in ready]
        waiting = [entry for entry in waiting if entry not in ready]
    return placed
