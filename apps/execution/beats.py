"""Signs of life: a process that others rely on leaves one every few seconds, and takes it back when it ends.

They tell how many workers there are; the leases tell how many of them hold something.
"""

import os
import socket

from django.db.models import Sum

from apps.core.clock import database_now
from apps.runs.models import WORKER_SILENCE_S, Machine, Page, Run
from apps.runs.querysets import DELIVERING, RUNNING

SIGN_OF_LIFE_S = 5.0
FORGOTTEN_S = 3600


def own_name() -> str:
    return f"{socket.gethostname()[:60]}:{os.getpid()}"


def sign(*, workers: int = 0, dispatches: bool = False) -> None:
    """This process lives: it keeps so many workers running, or looks for what is due."""
    facts = {"workers": workers, "dispatches": dispatches, "seen_at": database_now()}
    Machine.objects.update_or_create(name=own_name(), defaults=facts)
    Machine.objects.filter(seen_at__lt=database_now(seconds=-FORGOTTEN_S)).delete()


def sign_off() -> None:
    Machine.objects.filter(name=own_name()).delete()


def workers_at_work() -> int:
    """How many workers own a run, or have a page of one: many may be at work on one run."""
    runs = Run.unscoped.filter(RUNNING, lease_until__gt=database_now())
    pages = Page.unscoped.filter(DELIVERING, lease_until__gt=database_now())
    owners = {*runs.values_list("lease_owner", flat=True), *pages.values_list("lease_owner", flat=True)}
    return len(owners - {""})


def free_workers() -> int | None:
    """How many workers own no run and no page. None: no machine says how many there are."""
    lately = Machine.objects.filter(seen_at__gt=database_now(seconds=-WORKER_SILENCE_S))
    workers: int | None = lately.aggregate(workers=Sum("workers"))["workers"]
    return max(0, workers - workers_at_work()) if workers else None
