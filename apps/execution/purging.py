"""Purges and the exports before them, as work in slices: a lease, a fence, one short transaction for each batch.

A batch that was cut is simply not there; whoever goes on begins at the position that the last one wrote.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q

from apps.accounts.models import Account
from apps.core.clock import database_now, read_now
from apps.core.queue import enqueue
from apps.core.transactions import repeated
from apps.retention.ahead import look_ahead
from apps.retention.exporting import export_batch
from apps.retention.models import NOT_ENDED, Purge, PurgeExport, PurgeKind, PurgePlan
from apps.retention.schedule import due_after, oldest_kept
from apps.retention.services import LOOK_AHEAD, UNCOUNTED, WORK_EXPORT
from apps.retention.stages import STAGES

WORK_PURGE = "apps.execution.tasks.work_purge"
SLICE_S = 20.0
PAUSE_S = 0.02
"""Between two batches: whoever waits for a lock, or for the one writer of SQLite, has his turn."""
HINT_AGAIN_S = 10
AT_ONCE = 50

Work = Purge | PurgeExport


# --- the dispatcher's ------------------------------------------------------------------------------------------------
def begin_purges() -> int:
    """Begin the purges that are due; returns how many. An account's next one is a day later."""
    plan_new_accounts()
    due = PurgePlan.objects.filter(due_at__lte=database_now()).select_related("account").order_by("due_at")
    return sum(begin_purge(plan) for plan in due[:AT_ONCE])


def plan_new_accounts() -> None:
    new = list(Account.objects.filter(purge_plan__isnull=True)[:AT_ONCE])
    if new:
        now = read_now()
        plans = [PurgePlan(account=account, due_at=due_after(account, now)) for account in new]
        PurgePlan.objects.bulk_create(plans, ignore_conflicts=True)


@repeated
def begin_purge(plan: PurgePlan) -> bool:
    """Claim the time by compare-and-swap; while one purge of the account goes on, no other is begun."""
    account, now = plan.account, read_now()
    is_closing = account.closed_at is not None
    following = None if is_closing else due_after(account, now)
    mine = PurgePlan.objects.filter(pk=plan.pk, due_at=plan.due_at).update(due_at=following, **UNCOUNTED)
    if not mine:
        return False
    if Purge.objects.of(account).filter(NOT_ENDED).exists():
        if is_closing:  # the other one ends first
            PurgePlan.objects.filter(pk=plan.pk).update(due_at=database_now(seconds=60))
        return False
    purge = Purge(
        account=account,
        kind=PurgeKind.CLOSING if is_closing else PurgeKind.RETENTION,
        days=account.retention_days,
        before=now if is_closing else oldest_kept(account, now),
        hinted_at=now,
    )
    purge.save(force_insert=True)
    enqueue(WORK_PURGE, purge.pk)
    return True


def hint_purges() -> int:
    """Hint again at purges and exports whose hint was lost or whose worker died."""
    return hint_cut(Purge, WORK_PURGE) + hint_cut(PurgeExport, WORK_EXPORT)


def hint_cut(model: Any, task: str) -> int:
    unhinted = Q(hinted_at__isnull=True) | Q(hinted_at__lt=database_now(seconds=-HINT_AGAIN_S))
    cut = model.unscoped.filter(NOT_ENDED & is_free() & unhinted).order_by("pk")
    hinted = 0
    for key, at in cut.values_list("pk", "hinted_at")[:AT_ONCE]:
        with transaction.atomic():
            if model.unscoped.filter(pk=key, hinted_at=at).update(hinted_at=database_now()):
                enqueue(task, key)
                hinted += 1
    return hinted


def is_free() -> Q:
    return Q(lease_until__isnull=True) | Q(lease_until__lte=database_now())


# --- the worker's ----------------------------------------------------------------------------------------------------
def purge_slice(purge_id: int) -> None:
    work_slice(Purge, purge_id, purge_batch, WORK_PURGE)


def export_slice(export_id: int) -> None:
    work_slice(PurgeExport, export_id, export_batch, WORK_EXPORT)


def count_ahead(account_id: int) -> None:
    account = Account.objects.filter(pk=account_id).first()
    if account is not None:
        look_ahead(account)


def work_slice(model: Any, key: int, batch: Callable[[Any], bool], task: str) -> None:
    """Batches until the work is done, somebody else has it, or the slice is over; then it hints itself."""
    fence = claim(model, key)
    if fence is None:
        return
    begun = time.monotonic()
    while do_batch(model, key, fence, batch):
        if time.monotonic() - begun > SLICE_S:
            give_back(model, key, fence, task)
            return
        time.sleep(PAUSE_S)


@repeated
def claim(model: Any, key: int) -> int | None:
    """Take work that nobody has; None: somebody else's, or ended."""
    free = model.unscoped.filter(NOT_ENDED & is_free(), pk=key)
    lease_until = database_now(seconds=settings.LEASE_SECONDS)
    if not free.update(fence=F("fence") + 1, lease_until=lease_until):
        return None
    fence: int = model.unscoped.values_list("fence", flat=True).get(pk=key)
    return fence


@repeated
def do_batch(model: Any, key: int, fence: int, batch: Callable[[Any], bool]) -> bool:
    """One batch and where it got, in one transaction. False: all is done, or somebody else has it."""
    rows = model.unscoped.filter(NOT_ENDED, pk=key, fence=fence)
    work: Work | None = rows.select_for_update().first()
    if work is None:
        return False
    is_done = batch(work)
    work.ended_at = read_now() if is_done else None
    work.lease_until = None if is_done else read_now() + timedelta(seconds=settings.LEASE_SECONDS)
    work.save()
    return not is_done


@repeated
def give_back(model: Any, key: int, fence: int, task: str) -> None:
    if model.unscoped.filter(NOT_ENDED, pk=key, fence=fence).update(lease_until=None, hinted_at=database_now()):
        enqueue(task, key)


def purge_batch(purge: Purge) -> bool:
    """A batch of the purge's stage; behind the last one, what goes next is counted."""
    stages = STAGES[purge.kind]
    names = list(stages)
    purge.stage = purge.stage or names[0]
    if not stages[purge.stage](purge):
        return False
    place = names.index(purge.stage) + 1
    purge.position = {}
    if place < len(names):
        purge.stage = names[place]
        return False
    if purge.kind == PurgeKind.RETENTION:
        enqueue(LOOK_AHEAD, purge.account_id)  # it counts for long: not in this transaction
    return True
