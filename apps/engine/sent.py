"""Sends that cannot be undone, made `now` in the middle of a scope: made once, however often the page is walked."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from apps.engine.plan import Node
from apps.engine.ports import Failure, Record, Written
from apps.engine.records import Item, Name

if TYPE_CHECKING:
    from apps.engine.walk import Walk


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent for a record, and what came back."""

    body: Record
    answer: Any = None
    failure: Failure | None = None


SentBook = dict[tuple[int, Name], Sent]
"""(node, record) -> its send in this delivery."""


def known_send(walk: "Walk", node: Node, item: Item) -> Sent | None:
    """The send of a record at a node in this delivery, or in one that waited in the middle of its scope."""
    found = walk.sent.get((node.index, item.name))
    if found is None and item.sent and node.index in item.sent:
        body, answer = item.sent[node.index]
        found = walk.sent[node.index, item.name] = Sent(body, answer)
    return found


def remember(walk: "Walk", node: Node, items: list[Item], bodies: list[Record], written: Written) -> None:
    """Keep the outcomes. What went through is kept with the record too: it is not sent again after a wait."""
    for index, (item, body) in enumerate(zip(items, bodies, strict=True)):
        if index in written.not_sent:
            continue
        failure, answer = written.failures.get(index), written.answers.get(index)
        walk.sent[node.index, item.name] = Sent(body, answer, failure)
        if failure is None:
            item.sent = {**(item.sent or {}), node.index: (body, answer)}


def outcomes(walk: "Walk", node: Node, items: list[Item]) -> Written:
    """The outcomes of sends that were made, as if they had just been."""
    written = Written()
    for index, item in enumerate(items):
        sent = walk.sent[node.index, item.name]
        if sent.failure is not None:
            written.failures[index] = sent.failure
        elif sent.answer is not None:
            written.answers[index] = sent.answer
    return written


@dataclass(frozen=True, slots=True)
class Standing:
    """A send that went through and stands, although what was around it is undone."""

    node: int
    ordinal: int
    step: str
    sent: Sent

    def told(self) -> Record:
        return {
            "record": self.ordinal + 1,
            "step": self.step,
            "request": self.sent.body,
            "answer": self.sent.answer,
        }


def uncompensated(walk: "Walk", ordinals: Iterable[int]) -> dict[int, list[Standing]]:
    """Ordinal -> the sends of a record that went through in this delivery."""
    wanted = set(ordinals)
    found: dict[int, list[Standing]] = {}
    for (index, (ordinal, _)), sent in walk.sent.items():
        if ordinal in wanted and sent.failure is None:
            one = Standing(index, ordinal, walk.plan.nodes[index].shown_path, sent)
            found.setdefault(ordinal, []).append(one)
    return found
