"""The strip of numbers above a dashboard: what is open now, and how the last 24 hours went. Three queries."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Max, Min, QuerySet, Subquery, Sum

from apps.accounts.models import Account
from apps.console.access import Reach
from apps.console.ranges import HALF_HOUR_S
from apps.core.clock import wall_now
from apps.errors.models import Cause, Error, StepState
from apps.runs.models import Bucket, Grain

SLOTS_A_DAY = 48


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


def open_counts(reach: Reach) -> dict[int, OpenCount]:
    """By flow; flows without a state are left out."""
    rows = StepState.objects.of(reach.account_id).filter(**reach.where()).order_by()
    found = rows.values_list("flow_id").annotate(Sum("open_errors"), Max("last_error_at"))
    return {flow: OpenCount(total or 0, last) for flow, total, last in found}


def strip_of(reach: Reach, opened: Mapping[int, OpenCount], midnight: datetime) -> Strip:
    """`opened`: the open counts of this reach; `midnight`: the reader's, for what is new today."""
    facts = _waiting(reach, midnight)
    return Strip(
        open_errors=sum(count.errors for count in opened.values()),
        flows_with_errors=sum(count.errors > 0 for count in opened.values()),
        causes=facts["causes"] or 0,
        new_causes=facts["new_causes"] or 0,
        auto_retrying=facts["auto_retrying"] or 0,
        next_attempt_at=facts["next_attempt_at"],
        day=last_day(reach),
    )


def _waiting(reach: Reach, midnight: datetime) -> dict[str, Any]:
    where = reach.where("flow__integration")
    causes = Cause.objects.of(reach.account_id).open().filter(**where)
    due = Error.objects.of(reach.account_id).filter(next_attempt_at__isnull=False, **where)
    facts: dict[str, Any] = {
        "causes": _of(causes, Count("pk")),
        "new_causes": _of(causes.filter(first_seen_at__gte=midnight), Count("pk")),
        "auto_retrying": _of(due, Count("pk")),
        "next_attempt_at": _of(due, Min("next_attempt_at")),
    }
    return dict(Account.objects.filter(pk=reach.account_id).values(**facts).get())


def _of(rows: "QuerySet[Any]", total: Any) -> Subquery:
    return Subquery(rows.order_by().values("account_id").annotate(total=total).values("total"))


def last_day(reach: Reach) -> Day:
    now = wall_now()
    first = int((now - timedelta(days=1)).timestamp()) // HALF_HOUR_S + 1
    rows = Bucket.objects.of(reach.account_id).filter(
        grain=Grain.HALF_HOUR, slot__gte=first, **reach.where("flow__integration")
    )
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
