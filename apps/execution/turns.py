"""Runs of one flow take turns, page by page: a run and a retry never write at the same time, unless overlap is `allow`.

Whoever claims a page takes the turn and gives it on with the page commit, to the next run of the flow that waits for
it. A turn ends with the lease of a worker that died, so nobody waits for the dead for longer than for its run.
"""

from django.conf import settings
from django.db.models import F, Q, QuerySet

from apps.core.clock import database_now
from apps.core.transactions import repeated
from apps.flows.models import Overlap
from apps.runs.models import FlowState, Run
from apps.runs.services import hint
from apps.runs.statuses import RunStatus

ANOTHER_HAS_IT = "another run of this flow has its turn"
HANDED_ON_S = 5
"""How long a turn is kept for the run that it was given to, until its worker has come."""


def has_turns(run: Run) -> bool:
    return bool(run.flow.overlap != Overlap.ALLOW)


@repeated
def take_turn(run: Run, fence: int) -> bool:
    """Take the flow's turn; False: another run has it, and this one was put aside until that one's is over at most."""
    return may_take_turn(run) or _wait_for_turn(run, fence)


def may_take_turn(run: Run) -> bool:
    """Take the flow's turn, or keep it, if no other run has it."""
    if not has_turns(run):
        return True
    mine = Q(delivery_owner__in=["", str(run)]) | Q(delivery_until__isnull=True) | Q(delivery_until__lte=database_now())
    state = FlowState.objects.of(run.account_id).filter(flow_id=run.flow_id)
    until = database_now(seconds=settings.LEASE_SECONDS)
    return bool(state.filter(mine).update(delivery_owner=str(run), delivery_until=until))


def is_awaited(run: Run) -> bool:
    """Whether another run of the flow waits for its turn."""
    return has_turns(run) and runs_that_wait(run).exists()


def runs_that_wait(run: Run) -> QuerySet[Run]:
    runs = Run.objects.of(run.account_id)
    return runs.filter(flow_id=run.flow_id, status=RunStatus.RUNNING, wait_reason=ANOTHER_HAS_IT).exclude(pk=run.pk)


def _wait_for_turn(run: Run, fence: int) -> bool:
    """Behind the locks of run and state: whoever has the turn either ends it before, or sees that this run waits."""
    own = Run.objects.of(run.account_id).filter(pk=run.pk, fence=fence, status=RunStatus.RUNNING)
    locked = own.select_for_update().first()
    state = FlowState.objects.of(run.account_id).select_for_update().get(flow_id=run.flow_id)
    if locked is None:
        return False
    if not state.delivery_owner:
        state.delivery_owner = str(run)
        FlowState.objects.of(run.account_id).filter(flow_id=run.flow_id).update(
            delivery_owner=str(run), delivery_until=database_now(seconds=settings.LEASE_SECONDS)
        )
        return True
    own.update(
        lease_owner="",
        lease_until=database_now(),
        not_before=state.delivery_until,
        wait_reason=ANOTHER_HAS_IT,
        change_no=F("change_no") + 1,
    )
    return False


def pass_turn(run: Run) -> None:
    """Give the turn on to the next run that waits for it; part of the transaction that ends this run's."""
    if not has_turns(run):
        return
    state = FlowState.objects.of(run.account_id).filter(flow_id=run.flow_id, delivery_owner=str(run))
    if not state.update(delivery_owner="", delivery_until=None):
        return
    numbers = sorted(runs_that_wait(run).values_list("pk", flat=True), key=lambda pk: (pk < run.pk, pk))
    for number in numbers[:1]:
        _give_turn(run, number)


def _give_turn(run: Run, number: int) -> None:
    """Keep the turn for a run and wake it; one that somebody has locked this moment is being taken anyway."""
    following = Run.objects.of(run.account_id).filter(pk=number, wait_reason=ANOTHER_HAS_IT)
    if following.select_for_update(skip_locked=True).first() is None:
        return
    FlowState.objects.of(run.account_id).filter(flow_id=run.flow_id).update(
        delivery_owner=f"r-{number}", delivery_until=database_now(seconds=HANDED_ON_S)
    )
    following.update(not_before=database_now(), wait_reason="", hinted_at=database_now())
    hint(number)
