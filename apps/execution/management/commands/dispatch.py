"""`manage.py dispatch`: hints at what is due, every second, until it is stopped."""

import logging
import signal
import threading
import time
from typing import Any

from django.core.management.base import BaseCommand
from django.db import Error as DatabaseError
from django.db import connection

from apps.execution.beats import SIGN_OF_LIFE_S, sign, sign_off
from apps.execution.dispatcher import dispatch

EVERY_S = 1.0

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Looks every second for runs, schedules and retries that are due, and tells the workers."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        look_until(stop)


def look_until(stop: threading.Event) -> None:
    """A sign of life is left only after a look that went well: one that hangs or fails is not ready."""
    signed_at = 0.0
    while not stop.wait(EVERY_S):
        try:
            dispatch()
            if time.monotonic() - signed_at > SIGN_OF_LIFE_S:
                signed_at = time.monotonic()
                sign(dispatches=True)
        except DatabaseError as error:
            logger.warning("The database does not answer: %s", error)
            connection.close()
    sign_off()
