"""What charts are drawn from: minutes for five days, half hours and quarters of days for a year, flow by flow."""

from collections import Counter

from django.db.models import Q

from apps.core.bulk import add_up, shift_rows
from apps.core.clock import read_now
from apps.errors.models import Cause, CauseBucket
from apps.flows.models import Flow
from apps.retention.models import Purge, PurgedSums
from apps.retention.stages.base import ROWS_AT_ONCE, delete_rows, take
from apps.retention.stages.runs import SUMS
from apps.runs.buckets import HALF_HOUR_S, MINUTES_KEPT, SUMS_KEPT
from apps.runs.models import Bucket, Grain

FLOWS_AT_ONCE, CAUSES_AT_ONCE = 20, 100
HALVES_A_QUARTER = Grain.QUARTER // Grain.HALF_HOUR


def purge_buckets(purge: Purge) -> bool:
    rows = Flow.objects.of(purge.account_id).filter(pk__gte=purge.position.get("flow", 0)).order_by("pk")
    flows = list(rows.values_list("pk", flat=True)[:FLOWS_AT_ONCE])
    for flow in flows:
        minutes, half_hours = take_minutes(purge, flow), take_quarters(purge, flow)
        if minutes or half_hours:
            purge.count(minutes=minutes, half_hours=half_hours)
            purge.position = {"flow": flow}
            return False
    purge.position = {"flow": flows[-1] + 1} if flows else {}
    return len(flows) < FLOWS_AT_ONCE


def take_minutes(purge: Purge, flow: int) -> int:
    """They are in their half hours already, so that they just go. An hour more than charts ask for."""
    oldest = int((read_now() - MINUTES_KEPT).timestamp()) // 60 - 60
    return take(Bucket.objects.of(purge.account_id).filter(flow_id=flow, grain=Grain.MINUTE, slot__lt=oldest))


def take_quarters(purge: Purge, flow: int) -> int:
    """Whole quarters of days with their half hours, so that both add up to the same."""
    oldest = first_kept_quarter()
    of_flow = Bucket.objects.of(purge.account_id).filter(flow_id=flow)
    found = of_flow.filter(grain=Grain.QUARTER, slot__lt=oldest).order_by("slot")
    quarters = list(found.values_list("slot", flat=True)[: ROWS_AT_ONCE // HALVES_A_QUARTER])
    if not quarters:
        return 0
    end = quarters[-1] + 1
    gone = list(
        of_flow.filter(Q(grain=Grain.QUARTER, slot__lt=end) | Q(grain=Grain.HALF_HOUR, slot__lt=end * HALVES_A_QUARTER))
    )
    halves = [row for row in gone if row.grain == Grain.HALF_HOUR]
    sums = [-sum(getattr(row, name) for row in halves) for name in SUMS]
    add_up(PurgedSums, ["flow"], SUMS, [(flow, purge.account_id, *sums)], fixed=["account"])
    return delete_rows(of_flow.filter(pk__in=[row.pk for row in gone]))


def first_kept_quarter() -> int:
    """Two days more than a year: a chart of a year begins at a midnight somewhere."""
    return int((read_now() - SUMS_KEPT).timestamp()) // (60 * Grain.QUARTER) - 8


def purge_cause_buckets(purge: Purge) -> bool:
    after = purge.position.get("cause", 0)
    found = Cause.objects.of(purge.account_id).filter(pk__gt=after).order_by("pk")
    causes = list(found.values_list("pk", flat=True)[:CAUSES_AT_ONCE])
    oldest = int((read_now() - SUMS_KEPT).timestamp()) // HALF_HOUR_S
    rows = CauseBucket.objects.of(purge.account_id).filter(cause_id__in=causes, slot__lt=oldest).order_by("pk")
    gone = list(rows[:ROWS_AT_ONCE])
    sums: Counter[int] = Counter()
    for row in gone:
        sums[row.cause_id] += row.errors
    shift_rows(Cause, ["older_errors"], list(sums.items()))
    of_causes = CauseBucket.objects.of(purge.account_id)
    purge.count(half_hours=delete_rows(of_causes.filter(pk__in=[row.pk for row in gone])))
    if len(gone) == ROWS_AT_ONCE:
        return False
    purge.position = {"cause": causes[-1]} if causes else {}
    return len(causes) < CAUSES_AT_ONCE
