"""The product's WSGI application called by a server or client in the test's own thread, on the test's own database."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.signals import request_finished, request_started
from django.db import close_old_connections

SIGNALS = (request_started, request_finished)


@contextmanager
def connection_stays() -> Iterator[None]:
    """The end of a request closes its database connection; this one is the test's."""
    for signal in SIGNALS:
        signal.disconnect(close_old_connections)
    try:
        yield
    finally:
        for signal in SIGNALS:
            signal.connect(close_old_connections)
