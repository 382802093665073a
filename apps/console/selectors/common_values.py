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


def strongest_value(records: Sequence[bytes], others: Sequence[bytes] = (), *, message: str = "") -> CommonValue | None:
    """The strongest value shared by records of a cause, set against those of other causes of the flow.

    None where there are fewer than two records, or nothing that tells them from others.
    """
    counts, of = _counted(records)
    if of < 2:
        return None
    elsewhere, _ = _counted(others)
    compared: Counter[str] = Counter()
    for (field, _), count in elsewhere.items():
        compared[field] += count
    words = message.casefold()
    best: tuple[float, Pair] | None = None
    for pair, count in counts.items():
        likelihood = _likelihood(pair, words)
        lead = count / of - (elsewhere[pair] / compared[pair[0]] if compared[pair[0]] else 0.0)
        is_evidence = compared[pair[0]] >= LEAST_COMPARED or likelihood >= NAMED
        if count < 2 or count / of < LEAST_SHARE or lead < LEAST_LEAD or not is_evidence:
            continue
        if best is None or lead + likelihood > best[0]:
            best = (lead + likelihood, pair)
    if best is None:
        return None
    field, value = best[1]
    return CommonValue(field, value, counts[best[1]], of)


def _likelihood(pair: Pair, words: str) -> float:
    name = pair[0].rsplit(".", 1)[-1].removesuffix("[*]").casefold()
    is_named = len(name) > 2 and name in words
    is_quoted = len(pair[1]) > 2 and pair[1].casefold() in words
    return NAMED * is_named + NAMED * is_quoted + EMPTY * (pair[1] in ("None", '""'))


def _counted(records: Iterable[bytes]) -> tuple[Counter[Pair], int]:
    """How many records have each value, and how many records could be read."""
    counts: Counter[Pair] = Counter()
    readable = 0
    for raw in records:
        try:
            record = orjson.loads(raw)
        except orjson.JSONDecodeError:
            continue
        if isinstance(record, dict):
            readable += 1
            counts.update(set(_pairs(record)))
    return counts, readable


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
