"""Keeps the product running on one machine: starts its processes, starts them again, stops them in order.

A watchdog looks whether work is open that nobody does: an idle worker that was killed can dead-lock django-q2's whole
cluster, which then neither works nor ends.
"""

import logging
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.db.models import Q, Sum

from apps.core.clock import DatabaseNow, database_now
from apps.core.queue import oldest_hint
from apps.errors.models import BulkAct
from apps.execution import drain
from apps.execution.beats import SIGN_OF_LIFE_S, sign, sign_off, workers_at_work
from apps.execution.claims import due
from apps.execution.processes import STOP_PATIENCE_S, Child
from apps.notifications.models import MessageDelivery
from apps.runs.models import FlowState, Run
from apps.runs.statuses import RunStatus

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 0.25
NEWEST = 1_000
"""Runs that are looked through for the last one that began; the state of a flow tells of its own, not of retries."""
MANAGE = str(settings.BASE_DIR / "manage.py")


def worker() -> Child:
    return Child("worker", [sys.executable, MANAGE, "qcluster"])


def dispatcher() -> Child:
    return Child("dispatcher", [sys.executable, MANAGE, "dispatch"])


def demo_applications(port: int, mail_port: int) -> Child:
    """The applications that the demo's flows talk to."""
    ports = ["--port", str(port), "--mail-port", str(mail_port)]
    return Child("demo applications", [sys.executable, MANAGE, "demo_applications", *ports])


def web(host: str, port: int) -> Child:
    """The web server; its processes die with it too."""
    command = [
        sys.executable, "-m", "gunicorn", "config.wsgi:application", "--bind", f"{host}:{port}", "--workers", "1",
        "--threads", str(settings.WEB_THREADS), "--config", "python:config.gunicorn", "--chdir", str(settings.BASE_DIR),
    ]  # fmt: skip
    return Child("web", command)


def moves(since: DatabaseNow) -> bool:
    """Whether a run began or ended since: then the workers work, and what waits only waits for its turn."""
    began_or_ended = Q(last_started_at__gt=since) | Q(last_ended_at__gt=since)
    newest = Run.unscoped.order_by("-pk").values("pk")[:NEWEST]
    runs = Run.unscoped.filter(Q(started_at__gt=since) | Q(ended_at__gt=since), pk__in=newest)
    return FlowState.unscoped.filter(began_or_ended).exists() or runs.exists()


def waits_since(long_ago: DatabaseNow) -> bool:
    """Whether a run that could be worked on waits since then."""
    abandoned = Q(status=RunStatus.RUNNING, lease_until__lt=long_ago)
    unheard = Q(status=RunStatus.QUEUED, wait_reason="", created_at__lt=long_ago)
    waiting = Run.unscoped.filter(due(), Q(not_before__isnull=True) | Q(not_before__lt=long_ago))
    return waiting.filter(abandoned | unheard).exists()


def present_work() -> tuple[str | None, int]:
    """The hint that waits longest, and how far acts on many errors have got: while workers live, one of both moves."""
    done = BulkAct.unscoped.filter(ended_at__isnull=True).aggregate(done=Sum("done"))["done"]
    return oldest_hint(), done or 0


def is_mail_under_way() -> bool:
    """Whoever is killed while he sends leaves a mail in doubt."""
    return MessageDelivery.unscoped.filter(is_sending=True, next_at__gt=database_now()).exists()


class Supervisor:
    """Runs until SIGTERM or Ctrl-C, then stops its children in order and gives every run back."""

    def __init__(self, children: Sequence[Child]) -> None:
        self.children = list(children)
        self.is_stopping = False
        self.drain_file = Path(tempfile.gettempdir()) / f"flowmend-drain-{os.getpid()}"
        self.signed_at = 0.0
        self.cluster_started_at = time.monotonic()
        self.work: tuple[str | None, int] = (None, 0)
        self.work_since = time.monotonic()
        self.busy_at = time.monotonic()

    def run(self) -> None:
        os.environ[drain.VARIABLE] = str(self.drain_file)
        drain.withdraw(self.drain_file)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        for child in self.children:
            child.start()
        try:
            while not self.is_stopping:
                self._look()
                time.sleep(LOOK_EVERY_S)
        finally:
            self._stop()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.is_stopping = True

    def _look(self) -> None:
        for child in self.children:
            if child.restart_if_ended() and child.name == "worker":
                self.cluster_started_at = time.monotonic()
        if time.monotonic() - self.signed_at > SIGN_OF_LIFE_S:
            self.signed_at = time.monotonic()
            self._sign_and_watch()

    def _sign_and_watch(self) -> None:
        """Leave a sign of life for the console, and break a dead-locked cluster open."""
        try:
            self._sign()
            stuck = self._is_stuck()
        except DatabaseError as error:
            logger.warning("The database does not answer: %s", error)
            connection.close()
            return
        if stuck:
            logger.warning("Work is open and no worker takes it: the workers are started anew.")
            for child in self.children:
                if child.name == "worker":
                    child.kill_group()

    def _sign(self) -> None:
        has_workers = any(child.name == "worker" and child.is_running for child in self.children)
        sign(workers=settings.WORKERS if has_workers else 0)

    def _is_stuck(self) -> bool:
        """Whether work waits for a worker for longer than two leases, workers are free, and nothing moves."""
        patience = 2 * settings.LEASE_SECONDS
        is_unheard, is_idle = self._is_unheard(patience), self._is_idle(patience)
        if time.monotonic() - self.cluster_started_at < patience:
            return False
        long_ago = database_now(seconds=-patience)
        waits = is_unheard or waits_since(long_ago)
        stuck = is_idle and waits and not moves(long_ago)
        if stuck:
            self.cluster_started_at = time.monotonic()
        return stuck

    def _is_idle(self, patience_s: float) -> bool:
        """Whether a worker was free at every look for that long: one that helps holds nothing between two pages."""
        if workers_at_work() >= settings.WORKERS:
            self.busy_at = time.monotonic()
        return time.monotonic() - self.busy_at > patience_s

    def _is_unheard(self, patience_s: float) -> bool:
        """Whether the same hint is the next one for that long: what waits may be no run but an act, a mail, a purge."""
        work = present_work()
        if work != self.work:
            self.work, self.work_since = work, time.monotonic()
        is_unheard = work[0] is not None and time.monotonic() - self.work_since > patience_s
        return is_unheard and not is_mail_under_way()

    def _stop(self) -> None:
        drain.ask(self.drain_file)
        for child in self.children:
            child.ask_to_stop()
        deadline = time.monotonic() + STOP_PATIENCE_S
        for child in self.children:
            child.wait(deadline)
        drain.withdraw(self.drain_file)
        sign_off()
