"""A list that is read whole and narrowed to what its filters ask for; one that ends up empty offers a way out."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.http import HttpRequest

from apps.console.filters import address_with

Row = TypeVar("Row")
MOST_WIDENINGS = 2


@dataclass(frozen=True)
class Criterion(Generic[Row]):
    """One filter: its parameter in the address, its name on screen, and whether a row is what it asks for."""

    name: str
    label: str
    is_met: Callable[[Row, str], bool]
    word: Callable[[str], str] = str  # a value as the reader knows it; blank: the label says it all

    def words(self, value: str) -> str:
        word = self.word(value)
        return f"{self.label}: {word}" if word else self.label


@dataclass(frozen=True)
class Widening:
    """The list without one of its filters, and how many rows it then has."""

    words: str
    count: int
    href: str


@dataclass(frozen=True)
class Narrowed(Generic[Row]):
    """`words` names the filters that are on; `clear_href` leads to the list without any."""

    rows: list[Row]
    total: int
    words: Sequence[str]
    clear_href: str
    widenings: Sequence[Widening]


def narrow(request: HttpRequest, rows: Iterable[Row], criteria: Iterable[Criterion[Row]]) -> Narrowed[Row]:
    """What is left of the rows; every filter that the address names must be met."""
    everything = list(rows)
    asked = [(criterion, request.GET.get(criterion.name, "").strip()) for criterion in criteria]
    chosen = [(criterion, value) for criterion, value in asked if value]
    left = _meeting(everything, chosen)
    clear_href = address_with(request, **{criterion.name: "" for criterion, _ in chosen})
    words = [criterion.words(value) for criterion, value in chosen]
    return Narrowed(left, len(everything), words, clear_href, () if left else _widenings(request, everything, chosen))


def _meeting(rows: list[Row], chosen: Sequence[tuple[Criterion[Row], str]]) -> list[Row]:
    return [row for row in rows if all(criterion.is_met(row, value) for criterion, value in chosen)]


def _widenings(
    request: HttpRequest, rows: list[Row], chosen: Sequence[tuple[Criterion[Row], str]]
) -> Sequence[Widening]:
    """Without one filter each, the longest list first; those that would still be empty are left out."""
    if len(chosen) < 2:  # without its only filter it is the list that "Clear filters" leads to
        return ()
    found = []
    for criterion, value in chosen:
        count = len(_meeting(rows, [other for other in chosen if other[0] is not criterion]))
        if count:
            found.append(Widening(criterion.words(value), count, address_with(request, **{criterion.name: ""})))
    return sorted(found, key=lambda widening: -widening.count)[:MOST_WIDENINGS]
