"""`manage.py dispatch`: hints at what is due, every second, until it is stopped."""

import logging
import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand
from django.db import Error as DatabaseError
from django.db import connection

from apps.execution.dispatcher import dispatch

EVERY_S = 1.0

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Looks every second for runs, schedules and retries that are due, and tells the workers."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        while not stop.wait(EVERY_S):
            try:
                dispatch()
            except DatabaseError as error:
                logger.warning("The database does not answer: %s", error)
                connection.close()
