"""Signs of life: a process that others rely on leaves one every few seconds, and takes it back when it ends."""

import os
import socket

from apps.core.clock import database_now
from apps.runs.models import Machine

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
