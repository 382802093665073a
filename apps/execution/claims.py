"""Who works on what: runs and pages are claimed by compare-and-swap, held by a lease, guarded by a fence.

The queue may lose, delay or repeat a hint; whoever changes the row owns the work. Time is the database's.
"""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection, transaction
from django.db.models import Exists, F, Q, QuerySet
from django.db.models.functions import Coalesce

from apps.core.clock import database_now
from apps.core.transactions import repeated
from apps.flows.models import Flow, Overlap
from apps.runs.log import log_start, log_takeover
from apps.runs.models import FlowState, Page, Run
from apps.runs.reruns import leave_rest
from apps.runs.services import count_started
from apps.runs.statuses import PageState, RunKind, RunStatus


def due() -> Q:
    return Q(not_before__isnull=True) | Q(not_before__lte=database_now())


def lease_is_free() -> Q:
    return Q(lease_until__isnull=True) | Q(lease_until__lte=database_now())


@dataclass(frozen=True, slots=True)
class Claim:
    """A run that this worker owns for as long as its lease holds and nobody has a newer fence."""

    run_id: int
    owner: str
    fence: int


def worker_name() -> str:
    return f"{socket.gethostname()[:40]}:{os.getpid()}:{threading.get_ident() % 100000}"


def others_wait(run_id: int) -> bool:
    """Whether another run could be worked on now."""
    waiting = Q(status=RunStatus.QUEUED, wait_reason="") | Q(status=RunStatus.RUNNING) & lease_is_free()
    return Run.unscoped.filter(due() & waiting).exclude(pk=run_id).exists()


@repeated
def claim_run(run_id: int) -> Claim | None:
    """Take a run that is queued and due, or whose lease has run out. None: somebody else's, ended, or not due."""
    owner = worker_name()
    run = Run.unscoped.filter(pk=run_id).select_related("flow").first()
    if run is None or run.is_ended:
        return None
    if run.status == RunStatus.QUEUED and not may_begin(run):
        return None
    free = Q(status=RunStatus.QUEUED) | (Q(status=RunStatus.RUNNING) & lease_is_free())
    taken = Run.unscoped.filter(due() & free, pk=run_id, fence=run.fence).update(
        status=RunStatus.RUNNING,
        lease_owner=owner,
        lease_until=database_now(seconds=settings.LEASE_SECONDS),
        fence=F("fence") + 1,
        not_before=None,
        wait_reason="",
        started_at=Coalesce("started_at", database_now()),
        change_no=F("change_no") + 1,
    )
    if not taken:
        return None
    if run.status == RunStatus.QUEUED:
        begin(run)
        log_start(run, owner)
    elif run.lease_owner:
        log_takeover(run, owner)
    return Claim(run_id, owner, run.fence + 1)


def may_begin(run: Run) -> bool:
    """Whether the flow's overlap policy lets a queued run begin; checked under the flow's row lock."""
    flow = Flow.unscoped.select_for_update(no_key=True).get(pk=run.flow_id)
    if flow.overlap == Overlap.ALLOW or run.kind != RunKind.FLOW:
        return True
    ahead = Run.unscoped.filter(flow_id=flow.pk, kind=RunKind.FLOW).exclude(pk=run.pk)
    under_way = ahead.filter(Q(status=RunStatus.RUNNING) | Q(status=RunStatus.QUEUED, pk__lt=run.pk))
    blocking = under_way.order_by("pk").first()
    if blocking is not None:
        Run.unscoped.filter(pk=run.pk, status=RunStatus.QUEUED).update(
            wait_reason=f"run {blocking} of this flow goes first"
        )
    return blocking is None


def begin(run: Run) -> None:
    """A run's first claim takes the flow's next pass number: the order of its records against those of other runs.

    A retry takes none: its records keep the order that they had.
    """
    if run.kind == RunKind.FLOW:
        take_pass_number(run)
    if run.attempt > 1:
        leave_rest(run)
    count_started(run)


def take_pass_number(run: Run) -> None:
    Flow.unscoped.filter(pk=run.flow_id).update(pass_no=F("pass_no") + 1)
    pass_no = Flow.unscoped.values_list("pass_no", flat=True).get(pk=run.flow_id)
    Run.unscoped.filter(pk=run.pk).update(pass_no=pass_no)


@repeated
def release_run(claim: Claim, *, wait_s: float | None = None, reason: str = "") -> bool:
    """Give a run back that goes on later: at once, or after `wait_s` seconds. False: it was not ours any more."""
    released = bool(
        Run.unscoped.filter(pk=claim.run_id, fence=claim.fence, status=RunStatus.RUNNING).update(
            lease_owner="",
            lease_until=database_now(),
            not_before=database_now(seconds=wait_s) if wait_s is not None else None,
            wait_reason=reason[:255],
            hinted_at=database_now(),
            change_no=F("change_no") + 1,
        )
    )
    leave_pages(claim)
    return released


@repeated
def leave_pages(claim: Claim) -> None:
    """Pages that this worker has in delivery are free at once: it will not book them any more."""
    left = Page.unscoped.filter(run_id=claim.run_id, state=PageState.DELIVERING, lease_owner=claim.owner)
    left.update(lease_until=database_now())


def claim_page(page: Page, claim: Claim) -> Page | None:
    """Take a stored page of a run that we own; counts the delivery. None: not due yet, or the run is not ours."""
    ours = Run.unscoped.filter(pk=claim.run_id, fence=claim.fence, status=RunStatus.RUNNING)
    waiting = Q(state__in=[PageState.FETCHED, PageState.PARKED]) & due()
    open_pages = Page.unscoped.filter(waiting | Q(state=PageState.DELIVERING), Exists(ours))
    return delivering_page(page, claim, open_pages)


def delivering_page(page: Page, claim: Claim, pages: QuerySet[Page]) -> Page | None:
    """The page in delivery by this worker, if it is still among `pages`."""
    taken = pages.filter(pk=page.pk, fence=page.fence).update(
        state=PageState.DELIVERING,
        lease_owner=claim.owner,
        lease_until=database_now(seconds=settings.LEASE_SECONDS),
        fence=F("fence") + 1,
        deliveries=F("deliveries") + 1,
    )
    if not taken:
        return None
    page.fence, page.deliveries, page.state = page.fence + 1, page.deliveries + 1, PageState.DELIVERING
    return page


class Heartbeat:
    """Renews a claim from a thread with a connection of its own; `is_lost` once somebody else has the run."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.holds: Callable[[], list[tuple[int, int]]] | None = None
        """Keys and fences of the pages in hand, where each page has a lease of its own; else that of its run counts."""
        self.lost = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat r-{claim.run_id}", daemon=True)

    @property
    def is_lost(self) -> bool:
        return self.lost.is_set()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=5)

    def _beat(self) -> None:
        try:
            while not self._stop.wait(settings.LEASE_SECONDS / 3):
                if not (self._renew() and self._renew_held()):
                    self.lost.set()
                    return
        finally:
            connection.close()

    def _renew(self) -> bool:
        until = database_now(seconds=settings.LEASE_SECONDS)
        try:
            with transaction.atomic():
                mine = Run.unscoped.filter(pk=self.claim.run_id, fence=self.claim.fence, lease_owner=self.claim.owner)
                renewed = mine.filter(status=RunStatus.RUNNING).update(lease_until=until)
                turn = FlowState.unscoped.filter(flow__runs=self.claim.run_id, delivery_owner=f"r-{self.claim.run_id}")
                turn.update(delivery_until=until)
                if self.holds is None:
                    pages = Page.unscoped.filter(run_id=self.claim.run_id, lease_owner=self.claim.owner)
                    pages.filter(state=PageState.DELIVERING).update(lease_until=until)
        except Exception:  # the database is away: the lease decides, and the page commit will find out
            connection.close()
            return True
        return bool(renewed)

    def _renew_held(self) -> bool:
        """Renew the pages in hand; False: another worker has taken one of them."""
        until, in_hand = database_now(seconds=settings.LEASE_SECONDS), self.holds or list
        try:
            for key, fence in in_hand():
                mine = Page.unscoped.filter(pk=key, fence=fence, state=PageState.DELIVERING)
                if not mine.update(lease_until=until) and (key, fence) in in_hand():
                    return False
        except DatabaseError:  # as above
            connection.close()
        return True


class HelperHeartbeat(Heartbeat):
    """The same for a helper, which holds pages of a run that another worker owns."""

    def _renew(self) -> bool:
        try:
            turn = FlowState.unscoped.filter(flow__runs=self.claim.run_id, delivery_owner=f"r-{self.claim.run_id}")
            turn.update(delivery_until=database_now(seconds=settings.LEASE_SECONDS))
            return bool(Run.unscoped.filter(pk=self.claim.run_id, status=RunStatus.RUNNING).exists())
        except DatabaseError:
            connection.close()
            return True


@contextmanager
def heartbeat(claim: Claim, kind: type[Heartbeat] = Heartbeat) -> Iterator[Heartbeat]:
    beat = kind(claim)
    beat.start()
    try:
        yield beat
    finally:
        beat.stop()
