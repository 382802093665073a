"""The strip of numbers above a dashboard: what is open now, and how the last 24 hours went. Four queries."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Max, Q, Sum

from apps.console.access import Reach
from apps.core.clock import wall_now
from apps.errors.models import Cause, Error, StepState
from apps.runs.buckets import HALF_HOUR_S
from apps.runs.models import Bucket, Grain

SLOTS_A_DAY = 48
MOST_WAITING = 500
"""So many errors that wait for their next attempt are counted; of more it is said that there are more."""


@dataclass(frozen=True)
class OpenCount:
    """What is open at a flow now; removed steps keep their errors, so they count too."""

    errors: int
    last_error_at: datetime | None


NOTHING_OPEN = OpenCount(0, None)


@dataclass(frozen=True)
class Day:
    """The last 24 hours in half hours, oldest first, the one under way as the last."""

    success: tuple[int, ...]
    errors: tuple[int, ...]
    records: tuple[int, ...]
    read_at: datetime

    @property
    def total_success(self) -> int:
        return sum(self.success)

    @property
    def error_percent(self) -> float | None:
        """None: there were no records."""
        records = sum(self.records)
        return 100 * sum(self.errors) / records if records else None

    @property
    def error_rates(self) -> tuple[float, ...]:
        return tuple(
            errors / records if records else 0.0 for errors, records in zip(self.errors, self.records, strict=True)
        )


@dataclass(frozen=True)
class Strip:
    open_errors: int
    flows_with_errors: int
    causes: int
    new_causes: int  # first seen since midnight of the reader
    auto_retrying: int
    next_attempt_at: datetime | None
    day: Day

    @property
    def auto_retrying_text(self) -> str:
        """`32`, or `500+`"""
        return f"{MOST_WAITING:,}+" if self.auto_retrying > MOST_WAITING else f"{self.auto_retrying:,}"


def open_counts(reach: Reach, *, with_last: bool = True) -> dict[int, OpenCount]:
    """By flow; flows without a state are left out. `with_last`: when the last error came, which of many flows costs."""
    rows = StepState.objects.of(reach.account_id).filter(**reach.where()).order_by().values_list("flow_id")
    if not with_last:
        return {flow: OpenCount(total or 0, None) for flow, total in rows.annotate(Sum("open_errors"))}
    found = rows.annotate(Sum("open_errors"), Max("last_error_at"))
    return {flow: OpenCount(total or 0, last) for flow, total, last in found}


def strip_of(reach: Reach, opened: Mapping[int, OpenCount], midnight: datetime) -> Strip:
    """`opened`: the open counts of this reach; `midnight`: the reader's, for what is new today."""
    known, new = _causes(reach, midnight)
    waiting = _waiting(reach, list(opened))
    return Strip(
        open_errors=sum(count.errors for count in opened.values()),
        flows_with_errors=sum(count.errors > 0 for count in opened.values()),
        causes=known,
        new_causes=new,
        auto_retrying=len(waiting),
        next_attempt_at=waiting[0] if waiting else None,
        day=last_day(reach, list(opened)),
    )


def _causes(reach: Reach, midnight: datetime) -> tuple[int, int]:
    """Open root causes, and those of them that are new since then."""
    rows = Cause.objects.of(reach.account_id).open().filter(**reach.where("flow__integration"))
    found = rows.aggregate(known=Count("pk"), new=Count("pk", filter=Q(first_seen_at__gte=midnight)))
    return found["known"], found["new"]


def _waiting(reach: Reach, flow_ids: list[int]) -> list[datetime]:
    """When the next automatic attempts are due, soonest first, `MOST_WAITING` and one at most."""
    due = Error.objects.of(reach.account_id).filter(next_attempt_at__isnull=False, flow__pk__among=flow_ids)
    soonest = due.order_by("next_attempt_at").values_list("next_attempt_at", flat=True)[: MOST_WAITING + 1]
    return [moment for moment in soonest if moment is not None]


def last_day(reach: Reach, flow_ids: list[int]) -> Day:
    """Of these flows: the index of the buckets begins with the flow."""
    now = wall_now()
    first = int((now - timedelta(days=1)).timestamp()) // HALF_HOUR_S + 1
    rows = Bucket.objects.of(reach.account_id).filter(flow__pk__among=flow_ids, grain=Grain.HALF_HOUR, slot__gte=first)
    sums = (
        rows.order_by().values_list("slot").annotate(Sum("success"), Sum("errors"), Sum("ignored"), Sum("rolled_back"))
    )
    by_slot = {
        slot: (success, errors, success + errors + others)
        for slot, success, errors, *rest in sums
        for others in [sum(rest)]
    }
    slots = [by_slot.get(slot, (0, 0, 0)) for slot in range(first, first + SLOTS_A_DAY)]
    success, errors, records = zip(*slots, strict=True)
    return Day(success, errors, records, now)
