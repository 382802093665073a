"""Days in any time zone from few buckets: quarters of UTC days, and the half hours between a midnight and a quarter.

A midnight divides a quarter of a day. The quarter is counted to the day with the larger part of it, and the half hours
of the smaller part (six at most) are read and moved from that day to its neighbor. So a day takes four to ten buckets
instead of 48. In zones a quarter of an hour off, a half hour counts to the day in which it begins.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from django.db.models import Case, F, IntegerField, Q, Value, When
from django.db.models.expressions import Combinable

from apps.runs.buckets import HALF_HOUR_S
from apps.runs.models import Grain

SLOTS = Grain.QUARTER // Grain.HALF_HOUR  # half hours in a quarter of a day
SLOTS_A_DAY = 48


@dataclass(frozen=True)
class Midnight:
    """A border between two days; `slot` is the first half hour that begins after it."""

    slot: int

    @property
    def quarter(self) -> int:
        return self.slot // SLOTS

    @property
    def is_early(self) -> bool:
        """Whether the larger part of its quarter is of the day that begins."""
        return self.slot % SLOTS <= SLOTS // 2

    @property
    def first_quarter(self) -> int:
        """The first one that is counted to the day that begins."""
        return self.quarter if self.is_early else self.quarter + 1

    @property
    def window(self) -> tuple[int, int]:
        """The half hours of the smaller part, counted within a UTC day; none where quarters meet."""
        slot = self.slot % SLOTS_A_DAY
        start = slot // SLOTS * SLOTS
        return (start, slot) if self.is_early else (slot, start + SLOTS)


Shares = Sequence[tuple[int, int]]
"""(place of a day, 1 or -1) for each day to which a sum is added, or from which it is taken."""


@dataclass(frozen=True)
class DayQuarters:
    """Which buckets to read, and to which days each sum of them counts.

    Sums are grouped by grain and `part`: the first of up to four quarters, or the quarter that the half hours are in.
    """

    firsts: Sequence[int]  # the first quarter of each day, and the one after the last day
    edges: Mapping[int, Shares]
    condition: Q
    part: Combinable

    def shares(self, grain: int, part: int) -> Shares:
        if grain == Grain.HALF_HOUR:
            return self.edges[part]
        return ((bisect_right(self.firsts, part) - 1, 1),)


def quarters_of(starts: Sequence[int], until: int) -> DayQuarters:
    """For days that start at these seconds since 1970, the last one up to `until`."""
    midnights = [Midnight(-(-moment // HALF_HOUR_S)) for moment in (*starts, until)]
    firsts = [midnight.first_quarter for midnight in midnights]
    condition = Q(grain=Grain.QUARTER, slot__gte=firsts[0], slot__lt=firsts[-1])
    for (begin, end), group in groupby(midnights, key=lambda midnight: midnight.window):
        same = list(group)  # while the zone keeps its distance from UTC
        first, last = same[0].quarter * SLOTS, (same[-1].quarter + 1) * SLOTS
        if begin < end:
            condition |= Q(grain=Grain.HALF_HOUR, slot__gte=first, slot__lt=last, of_day__gte=begin, of_day__lt=end)
    part = Case(When(grain=Grain.QUARTER, then=first_of_four(firsts)), default=F("slot") / SLOTS)
    edges = {midnight.quarter: edge_shares(midnight, place, len(starts)) for place, midnight in enumerate(midnights)}
    return DayQuarters(firsts, edges, condition, part)


def edge_shares(midnight: Midnight, place: int, days: int) -> Shares:
    """What the half hours of the smaller part are to the day before this midnight and to the one after it."""
    sign = -1 if midnight.is_early else 1
    return [(day, change) for day, change in ((place - 1, -sign), (place, sign)) if 0 <= day < days]


def first_of_four(firsts: Sequence[int]) -> Combinable:
    """A quarter's slot without what it is past the first quarter of its day, so that a day is one sum."""
    changes = [place for place in range(1, len(firsts)) if firsts[place] % 4 != firsts[place - 1] % 4]
    cases = [When(slot__lt=firsts[place], then=Value(firsts[place - 1] % 4)) for place in changes]
    of_day = (
        Case(*cases, default=Value(firsts[-1] % 4), output_field=IntegerField()) if cases else Value(firsts[-1] % 4)
    )
    return F("slot") - (F("slot") - of_day) % 4
