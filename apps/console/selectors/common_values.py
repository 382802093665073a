"""What the failed records of a root cause have in common: the value of a field that most of them share."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

MOST_FIELDS = 200  # of one record
DEEPEST = 4
LONGEST_VALUE = 60
LEAST_SHARE = 0.4
LEAST_LEAD = 0.15  # over the records that failed for other reasons, else the value says nothing about this one
LEAST_COMPARED = 3  # records of other causes that have the field; with fewer it counts only if the message names it
NAMED, EMPTY = 0.5, 0.3  # a field that the message names, or that is empty, is the likelier reason

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class CommonValue:
    """`airport = None in 61 of 74`"""

    field: str
    value: str
    count: int
    of: int

    @property
    def where(self) -> str:
        return f"in all {self.of:,}" if self.count == self.of else f"in {self.count:,} of {self.of:,}"

    def __str__(self) -> str:
        return f"{self.field} = {self.value} {self.where}"


@dataclass(frozen=True, slots=True)
class Counted:
    """How many records have each value, how many values each field has, and how many records could be read."""

    pairs: Counter[Pair]
    fields: Counter[str]
    records: int


def counted(records: Iterable[bytes]) -> Counted:
    pairs: Counter[Pair] = Counter()
    readable = 0
    for raw in records:
        try:
            record = orjson.loads(raw)
        except orjson.JSONDecodeError:
            continue
        if isinstance(record, dict):
            readable += 1
            pairs.update(set(_pairs(record)))
    fields: Counter[str] = Counter()
    for (field, _), count in pairs.items():
        fields[field] += count
    return Counted(pairs, fields, readable)


def counted_together(parts: Iterable[Counted]) -> Counted:
    pairs: Counter[Pair] = Counter()
    fields: Counter[str] = Counter()
    records = 0
    for part in parts:
        pairs.update(part.pairs)
        fields.update(part.fields)
        records += part.records
    return Counted(pairs, fields, records)


def strongest_value(records: Sequence[bytes], others: Sequence[bytes] = (), *, message: str = "") -> CommonValue | None:
    """The strongest value shared by records of a cause, set against those of other causes of the flow."""
    own = counted(records)
    return strongest_of(own, counted_together([own, counted(others)]), message=message)


def strongest_of(own: Counted, everyone: Counted, *, message: str = "") -> CommonValue | None:
    """The same of what was counted; `everyone` are all records of the flow, the cause's own among them.

    None where there are fewer than two records, or nothing that tells them from others.
    """
    if own.records < 2:
        return None
    words = message.casefold()
    best: tuple[float, Pair] | None = None
    for pair, count in own.pairs.items():
        share = count / own.records
        if count < 2 or share < LEAST_SHARE:
            continue
        compared = everyone.fields[pair[0]] - own.fields[pair[0]]
        lead = share - ((everyone.pairs[pair] - count) / compared if compared else 0.0)
        likelihood = _likelihood(pair, words)
        is_evidence = compared >= LEAST_COMPARED or likelihood >= NAMED
        if lead >= LEAST_LEAD and is_evidence and (best is None or lead + likelihood > best[0]):
            best = (lead + likelihood, pair)
    if best is None:
        return None
    field, value = best[1]
    return CommonValue(field, value, own.pairs[best[1]], own.records)


def _likelihood(pair: Pair, words: str) -> float:
    name = pair[0].rsplit(".", 1)[-1].removesuffix("[*]").casefold()
    is_named = len(name) > 2 and name in words
    is_quoted = len(pair[1]) > 2 and pair[1].casefold() in words
    return NAMED * is_named + NAMED * is_quoted + EMPTY * (pair[1] in ("None", '""'))


def _pairs(record: dict[str, Any]) -> Iterator[Pair]:
    for number, (path, value) in enumerate(_leaves(record, "", 0)):
        if number == MOST_FIELDS:
            return
        text = str(value) if value != "" else '""'
        if len(text) <= LONGEST_VALUE:
            yield path, text


def _leaves(value: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and depth < DEEPEST:
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}" if path else name, depth + 1)
    elif isinstance(value, list) and depth < DEEPEST:
        for inner in value:
            yield from _leaves(inner, f"{path}[*]", depth + 1)
    elif value is None or isinstance(value, str | int | float | bool):
        yield path, value
