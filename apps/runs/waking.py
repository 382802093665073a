"""Lets the work go on that waited for a connection which is back."""

from math import log2

from apps.core.clock import database_now
from apps.flows.models import Connection
from apps.runs.models import Run
from apps.runs.services import hint

WAVE_S = 3.0
"""One run first, two more after that time, then four, eight, …"""


def waiting_reason(name: str) -> str:
    """How the wait reason of a run begins that waits for a connection."""
    return f"waiting: connection {name}:"


def wake_waiting(connection: Connection) -> None:
    """Let the runs that waited go on, the oldest first, in waves that double."""
    waiting = Run.objects.of(connection.account_id).active().filter(
        environment=connection.environment, wait_reason__startswith=waiting_reason(connection.name)
    )  # fmt: skip
    for number, key in enumerate(waiting.order_by("pk").values_list("pk", flat=True)):
        wave = int(log2(number + 1))
        Run.objects.of(connection.account_id).filter(pk=key).update(
            not_before=database_now(seconds=wave * WAVE_S), hinted_at=database_now()
        )
        if wave == 0:
            hint(key)
