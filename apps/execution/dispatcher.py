"""Looks every second for what is due and sends hints; safe to run many times beside itself.

It never works on a run: it claims due schedules by compare-and-swap and hints at runs that somebody should look at:
queued ones whose hint was lost, waiting ones whose time has come, and those whose worker has died.
"""

import logging
from datetime import datetime

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce

from apps.accounts.models import Account
from apps.core.clock import database_now, read_now
from apps.core.queue import enqueue
from apps.errors.models import BulkAct, Error
from apps.errors.services import cancel_attempts, start_due_retries
from apps.errors.services.acts import PERFORM_ACT
from apps.errors.states import ErrorState
from apps.execution.claims import due, lease_is_free
from apps.execution.ledgers import hint_ledgers
from apps.execution.notifying import hint_messages, hint_windows, tell_announced
from apps.execution.probing import hint_probes
from apps.execution.purging import begin_purges, hint_purges
from apps.execution.ruling import hint_rules
from apps.execution.test_claims import hint_tests, purge_tests
from apps.execution.webhooks import hint_webhooks
from apps.flows.models import Flow
from apps.flows.schedules import next_due
from apps.runs.models import Run
from apps.runs.reruns import start_rerun
from apps.runs.services import RunRefused, hint, start_run
from apps.runs.statuses import RunStatus, Trigger
from apps.support.models import SupportBundle
from apps.support.services import KEPT_S

logger = logging.getLogger(__name__)

HINT_AGAIN_S = 10
"""A hint that was not followed in that time is taken for lost."""
HINT_SELDOM_S = 60
MOST_AT_ONCE = 200


def dispatch() -> int:
    """One round; returns how many runs it hinted at or started."""
    end_schedules()
    purge_tests()
    purge_bundles()
    begin_purges()
    return (
        start_scheduled()
        + start_retries()
        + start_reruns()
        + hint_due_runs()
        + hint_unfinished_acts()
        + hint_rules()
        + hint_probes()
        + hint_ledgers()
        + hint_purges()
        + hint_tests()
        + hint_webhooks()
        + hint_windows()
        + tell_announced()
        + hint_messages()
    )


def hint_unfinished_acts() -> int:
    """Hint again at acts on many errors whose worker died or whose hint was lost, each at most once in HINT_AGAIN_S."""
    free = Q(hinted_until=None) | Q(hinted_until__lte=database_now())
    cut = BulkAct.unscoped.filter(free, ended_at__isnull=True, created_at__lt=database_now(seconds=-HINT_AGAIN_S))
    hinted = 0
    for account_id, act_id in list(cut.order_by("pk").values_list("account_id", "pk")[:MOST_AT_ONCE]):
        with transaction.atomic():
            mine = BulkAct.unscoped.filter(free, pk=act_id).update(hinted_until=database_now(seconds=HINT_AGAIN_S))
            if mine:
                enqueue(PERFORM_ACT, account_id, act_id, queue="interactive")
                hinted += 1
    return hinted


def end_schedules() -> int:
    """Cancel the automatic attempts of flows that try nothing by themselves any more. Returns how many."""
    is_off = Q(flow__auto_resolve=False) | Q(flow__auto_retry=False)
    off = Error.unscoped.filter(is_off, next_attempt_at__isnull=False)
    flows = Flow.unscoped.filter(pk__in=off.order_by().values("flow_id"))
    return sum(cancel_attempts(flow) for flow in flows[:MOST_AT_ONCE])


def purge_bundles() -> int:
    """Forget support bundles of yesterday, a few at a time. Returns how many."""
    # by account, as the index is: without it SQLite walks through every zip
    old = SupportBundle.unscoped.filter(account__in=Account.objects.all(), made_at__lt=database_now(seconds=-KEPT_S))
    keys = list(old.values_list("pk", flat=True)[:MOST_AT_ONCE])
    if keys:
        SupportBundle.unscoped.filter(pk__in=keys).delete()
    return len(keys)


def start_retries() -> int:
    """Start the automatic attempts that are due, flow by flow; while a flow is disabled its clock stands still."""
    due = Error.unscoped.filter(
        next_attempt_at__lte=database_now(),
        state=ErrorState.OPEN,
        flow__enabled=True,
        flow__auto_resolve=True,
        flow__auto_retry=True,
    )
    flows = Flow.unscoped.filter(pk__in=due.order_by().values("flow_id")).select_related("integration")
    return sum(start_due_retries(flow) for flow in flows[:MOST_AT_ONCE])


def start_reruns() -> int:
    """Run again what failed and is due; what waits in a flow that was disabled meanwhile has failed for good."""
    is_over = Q(flow__enabled=False) | Q(flow__removed_at__isnull=False)
    due = Run.unscoped.to_be_run_again().filter(Q(not_before__lte=database_now()) | is_over)
    return sum(start_rerun(run) is not None for run in due.order_by("not_before", "pk")[:MOST_AT_ONCE])


def hint_due_runs() -> int:
    """Hint at runs that wait for a worker, each at most once in HINT_AGAIN_S unless its time has come since.

    One that waits for another run of its flow is hinted at by that one's end; thousands may, so they are asked seldom.
    """
    waiting = Q(status=RunStatus.QUEUED) | Q(status=RunStatus.RUNNING) & lease_is_free()
    due_since = Coalesce("not_before", "lease_until", "created_at")
    unhinted = (
        Q(hinted_at__isnull=True)
        | Q(hinted_at__lt=F("due_since"))
        | Q(hinted_at__lt=database_now(seconds=-HINT_AGAIN_S)) & (Q(wait_reason="") | Q(status=RunStatus.RUNNING))
        | Q(hinted_at__lt=database_now(seconds=-HINT_SELDOM_S))
    )
    runs = Run.unscoped.annotate(due_since=due_since).filter(due() & waiting & unhinted).order_by("pk")
    hinted = 0
    for key, at in runs.values_list("pk", "hinted_at")[:MOST_AT_ONCE]:
        hinted += hint_once(key, at)
    return hinted


def hint_once(run_id: int, hinted_at: datetime | None) -> bool:
    """Hint unless another dispatcher just did."""
    with transaction.atomic():
        mine = Run.unscoped.filter(pk=run_id, hinted_at=hinted_at).update(hinted_at=database_now())
        if mine:
            hint(run_id)
    return bool(mine)


def start_scheduled() -> int:
    """Start the runs of flows whose schedule has come. Ticks that were missed are made up for by one run."""
    flows = Flow.unscoped.filter(enabled=True, removed_at__isnull=True, next_due_at__lte=database_now())
    return sum(start_tick(flow) for flow in flows.order_by("next_due_at")[:MOST_AT_ONCE])


def start_tick(flow: Flow) -> bool:
    """Claim one tick and start its run, in one transaction; at most one run a tick."""
    assert flow.next_due_at is not None
    due_at = flow.next_due_at
    with transaction.atomic():
        following = next_due(flow.cron, flow.time_zone, read_now()) if flow.cron else None
        mine = Flow.unscoped.filter(pk=flow.pk, enabled=True, next_due_at=due_at).update(next_due_at=following)
        if not mine:
            return False
        try:
            start_run(flow=flow, trigger=Trigger.SCHEDULE, scheduled_for=due_at)
        except RunRefused as refused:
            logger.info("The tick of flow %s at %s started nothing: %s", flow.key, due_at, refused)
            return False
    return True
