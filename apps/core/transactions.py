"""Transactions that are done again when the database gave them up for a reason that passes.

Two transactions that wait for each other, a SQLite file that is busy, a server that restarts: nothing of it was
written, so the same work is done once more. What was sent to the outside is never part of it.
"""

import logging
import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, connection, transaction

P = ParamSpec("P")
T = TypeVar("T")

PAUSES_S = (0.05, 0.2, 0.5, 1.5, 3.0)
"""Before the second, third, … time; together a little longer than a PostgreSQL takes to restart."""
PASSING = frozenset({"40001", "40P01", "55P03"})
"""SQLSTATE of serialization failure, deadlock, lock not available."""

logger = logging.getLogger(__name__)


def repeated(work: Callable[P, T]) -> Callable[P, T]:
    """Make a function one transaction, done up to six times. It must leave nothing behind but what it writes.

    Inside a transaction of its caller it is done once: only the outermost can be repeated.
    """

    @wraps(work)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        pauses = iter(() if connection.in_atomic_block else PAUSES_S)
        while True:
            try:
                with transaction.atomic():
                    return work(*args, **kwargs)
            except (OperationalError, InterfaceError) as error:
                pause_s = next(pauses, None)
                if pause_s is None or not is_passing(error):
                    raise
                logger.warning("%s is done again in %s s: %s", work.__name__, pause_s, str(error).strip())
                time.sleep(pause_s)

    return call


def is_passing(error: Exception) -> bool:
    """Whether the same work may well succeed when it is done again; gives a connection back that is lost."""
    if getattr(error.__cause__, "sqlstate", None) in PASSING or "is locked" in str(error):
        return True
    if connection.connection is not None and connection.is_usable():
        return False
    connection.close()
    return True
