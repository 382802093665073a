"""Sets kept counters to what they count, one row after the other, and says what it changed.

Each row is mended behind the locks with which commits begin, so that it may be done while flows run.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.db import connection

from apps.core.bulk import add_up
from apps.core.clock import read_now
from apps.core.transactions import repeated
from apps.errors.services.counting import lock_flow_states
from apps.execution.check_books import CHECKS, Check, Difference, Kind, found_by
from apps.flows.models import Flow
from apps.runs.buckets import HALF_HOUR_S
from apps.runs.models import Bucket, Grain

HALVES_A_QUARTER = Grain.QUARTER // Grain.HALF_HOUR
FLOW_OF = {
    "step_state": "SELECT account_id, flow_id FROM step_state WHERE step_id = %s",
    "cause": "SELECT account_id, flow_id FROM cause WHERE id = %s",
    "run": "SELECT account_id, flow_id FROM run WHERE id = %s",
    "step_run": "SELECT r.account_id, r.flow_id FROM step_run s JOIN run r ON r.id = s.run_id WHERE s.id = %s",
    "flow_state": "SELECT account_id, flow_id FROM flow_state WHERE flow_id = %s",
}


@dataclass(frozen=True, slots=True)
class Mended:
    """A difference, and whether it is one no more."""

    difference: Difference
    is_mended: bool

    def __str__(self) -> str:
        found = self.difference
        if self.is_mended:
            return f"{found.what}: was {found.kept:,}, set to {found.counted:,}"
        return f"{found}: not mended, for a row is missing and not miscounted"


def mend() -> Iterator[Mended]:
    """Every counter that was wrong. What a later check counts is set right by the checks before it."""
    for check in CHECKS:
        for key, kept, counted in found_by(check):
            mender = MENDERS.get(check.kind)
            if mender is not None:
                mender(check, key, counted - kept)
            yield Mended(Difference(f"{check.what} {key}", kept, counted), mender is not None)


@repeated
def mend_column(check: Check, key: int, _difference: int) -> None:
    """Count again behind the locks, and set."""
    with connection.cursor() as cursor:
        cursor.execute(FLOW_OF[check.table], [key])
        place = cursor.fetchone()
        if place is None:  # it went meanwhile
            return
        lock_flow_states(*place)
        cursor.execute(
            f"UPDATE {check.table} AS t SET {check.column} = COALESCE(({check.counted}), 0) WHERE {check.key} = %s",  # noqa: S608 (constants of the checks)
            [key],
        )


@repeated
def mend_half_hours(check: Check, flow: int, difference: int) -> None:
    """When it happened is not known: the largest half hour takes the difference, with its quarter of a day."""
    account = Flow.unscoped.values_list("account_id", flat=True).get(pk=flow)
    lock_flow_states(account, flow)
    rows = Bucket.objects.of(account).filter(flow_id=flow)
    largest = rows.filter(grain=Grain.HALF_HOUR).order_by(f"-{check.column}", "-slot").values_list("slot", flat=True)
    slot = largest.first()
    if slot is None:
        slot = int(read_now().timestamp()) // HALF_HOUR_S
    places = [(flow, Grain.HALF_HOUR, slot), (flow, Grain.QUARTER, slot // HALVES_A_QUARTER)]
    amounts = [(*place, account, difference) for place in places]
    add_up(Bucket, ["flow", "grain", "slot"], [check.column], amounts, fixed=["account"])


@repeated
def mend_quarters(check: Check, flow: int, _difference: int) -> None:
    """Each quarter of a day is the sum of its half hours."""
    account = Flow.unscoped.values_list("account_id", flat=True).get(pk=flow)
    lock_flow_states(account, flow)
    rows = Bucket.objects.of(account).filter(flow_id=flow)
    wrong: dict[int, int] = {}
    for slot, number in rows.filter(grain=Grain.HALF_HOUR).values_list("slot", check.column):
        wrong[slot // HALVES_A_QUARTER] = wrong.get(slot // HALVES_A_QUARTER, 0) + number
    for slot, number in rows.filter(grain=Grain.QUARTER).values_list("slot", check.column):
        wrong[slot] = wrong.get(slot, 0) - number
    amounts = [(flow, Grain.QUARTER, slot, account, number) for slot, number in wrong.items() if number]
    add_up(Bucket, ["flow", "grain", "slot"], [check.column], amounts, fixed=["account"])


MENDERS: dict[Kind, Callable[[Check, int, int], None]] = {
    Kind.KEPT: mend_column,
    Kind.HALF_HOURS: mend_half_hours,
    Kind.QUARTERS: mend_quarters,
}
