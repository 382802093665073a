"""The files of `flow apply`: read, and put into an order in which no flow runs after one that is not there yet."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

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

    def peek(self) -> tuple[str, str]:
        """The flow's key and that of the flow before it, as far as they can be read."""
        try:
            value = read_document(self.text).value
        except DefinitionError:
            return "", ""
        fields = value if isinstance(value, dict) else {}
        return str(fields.get("flow") or ""), str(fields.get("run_after") or "")


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
    """As given, but a flow that runs after another one of these files comes behind it."""
    waiting = [(source, *source.peek()) for source in sources]
    placed: list[Source] = []
    while waiting:
        keys = {key for _, key, _ in waiting if key}
        ready = [entry for entry in waiting if entry[2] not in keys] or waiting
        placed += [source for source, _, _ in ready]
        waiting = [entry for entry in waiting if entry not in ready]
    return placed
