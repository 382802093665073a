"""What flows did over time: the sums of their buckets at each point of an axis, for up to eight streams."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import BigIntegerField, ExpressionWrapper, F, Field, QuerySet, Sum, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast

from apps.accounts.reach import Reach
from apps.analytics.axis import MINUTE_S, Axis, Unit
from apps.analytics.quarters import SLOTS_A_DAY, quarters_of
from apps.analytics.streams import Stream, StreamKind
from apps.runs.models import Bucket, Grain

SUMS = ("success", "errors", "ignored", "resolved", "busy_ms")
NOTHING: Sequence[int] = (0,) * len(SUMS)


@dataclass(frozen=True)
class Series:
    """A stream's numbers, one for each point of the axis."""

    stream: Stream
    sums: Mapping[str, Sequence[int]]

    @property
    def ms_per_success(self) -> list[float | None]:
        """Average processing time per successful record in milliseconds; None where there was none."""
        pairs = zip(self.sums["busy_ms"], self.sums["success"], strict=True)
        return [busy / success if success else None for busy, success in pairs]


def read_series(reach: Reach, streams: Sequence[Stream], axis: Axis) -> list[Series]:
    """The series of these streams, which the reader must be known to see; a query for each kind of stream."""
    filled = {(stream.kind, stream.pk): [NOTHING] * len(axis.starts) for stream in streams}
    for kind in StreamKind:
        keys = [stream.pk for stream in streams if stream.kind == kind]
        for key, place, sign, sums in placed_sums(reach, kind, keys, axis) if keys else ():
            row = filled[kind, key]
            is_first = row[place] is NOTHING and sign == 1  # most are: a third of the time is saved
            row[place] = sums if is_first else [so_far + sign * more for so_far, more in zip(row[place], sums)]  # noqa: B905
    columns = {key: list(zip(*rows, strict=True)) for key, rows in filled.items()}
    return [Series(stream, dict(zip(SUMS, columns[stream.kind, stream.pk], strict=True))) for stream in streams]


def placed_sums(
    reach: Reach, kind: StreamKind, keys: Sequence[int], axis: Axis
) -> Iterator[tuple[int, int, int, Sequence[int]]]:
    """(stream's key, place on the axis, 1 or -1, sums to add there or to take away)"""
    buckets: QuerySet[Any]
    buckets, who = buckets_of(reach, kind, keys)
    if axis.unit != Unit.DAY:
        size = (Grain.MINUTE if axis.unit == Unit.MINUTE else Grain.HALF_HOUR) * MINUTE_S
        slots = {"slot__gte": -(-axis.starts[0] // size), "slot__lt": -(-axis.until // size)}
        rows = buckets.filter(grain=size // MINUTE_S, **slots).annotate(who=who, part=F("slot"))
        for key, _, slot, *sums in added_up(rows):
            yield key, bisect_right(axis.starts, slot * size) - 1, 1, sums
        return
    days = quarters_of(axis.starts, axis.until)
    rows = buckets.annotate(who=who, part=unconverted(days.part), of_day=F("slot") % SLOTS_A_DAY).filter(days.condition)
    for key, grain, part, *sums in added_up(rows):
        for place, sign in days.shares(grain, part):
            yield key, place, sign, sums


def added_up(rows: "QuerySet[Any]") -> Iterable[Any]:
    """(who, grain, part, each sum). PostgreSQL adds large integers up to decimals, therefore the cast."""
    sums = {f"sum_{name}": unconverted(Cast(Sum(name), BigIntegerField())) for name in SUMS}
    return rows.order_by().values_list("who", "grain", "part").annotate(**sums)


def unconverted(number: Combinable) -> ExpressionWrapper:
    """As the database gives it: Django would make an int of each int, which takes as long as the sums themselves."""
    return ExpressionWrapper(number, output_field=Field())


def buckets_of(reach: Reach, kind: StreamKind, keys: Sequence[int]) -> tuple["QuerySet[Bucket]", Combinable]:
    """The buckets of all these streams, and which stream each is of."""
    rows = Bucket.objects.of(reach.account_id)
    if kind == StreamKind.FLOW:
        return rows.filter(flow__in=keys), F("flow_id")
    if kind == StreamKind.INTEGRATION:
        return rows.filter(flow__integration__in=keys), F("flow__integration_id")
    return rows.filter(**reach.where("flow__integration")), Value(0)
