"""The live topics of connections: how they are, in the list and on the page of one."""

import hashlib
from collections.abc import Iterable, Iterator

from django.http import HttpRequest
from django.template.loader import render_to_string

from apps.console.access import reach_of
from apps.console.context import preferences_of
from apps.console.live import Told, nothing, topic
from apps.console.loaded import connection_of
from apps.console.selectors.connection_health import latencies, waiting_on
from apps.console.selectors.pulse import connections_in
from apps.flows.models import Connection


def connection_topic(connection: Connection) -> str:
    return f"connection:{connection.pk}"


@topic("connections", shared=True)
def connections_told(request: HttpRequest, key: str) -> Told:
    """State, last OK and latency of each row, and that there is a new connection."""
    connections = list(connections_in(reach_of(request)).order_by("pk"))
    known = "-".join(str(connection.pk) for connection in connections)

    def fragments(since: str) -> Iterator[str]:
        times = latencies(reach_of(request).account_id, [connection.pk for connection in connections])
        facts = {
            "rows": [(connection, times.get(connection.pk)) for connection in connections],
            "prefs": preferences_of(request),
            "has_new": known_in(since) != _digest([known]),
        }
        yield render_to_string("connection/_live_rows.html", facts)

    return Told(f"{_digest([known])}:{_digest(map(_state_of, connections))}", fragments, known_in)


@topic("connection", shared=True)
def connection_told(request: HttpRequest, key: str) -> Told:
    connection = connection_of(request, int(key) if key.isascii() and key.isdigit() and len(key) < 19 else 0)

    def fragments(since: str) -> Iterator[str]:
        facts = {
            "connection": connection,
            "p50_ms": latencies(connection.account_id, [connection.pk]).get(connection.pk),
            "waiting": waiting_on(connection, reach_of(request)),
            "prefs": preferences_of(request),
        }
        yield render_to_string("connection/_live.html", facts)

    return Told(_digest([_state_of(connection)]), fragments, nothing)


def known_in(version: str) -> str:
    return version.partition(":")[0]


def _state_of(connection: Connection) -> str:
    facts = (connection.state, connection.offline_since, connection.last_ok_at, connection.last_error)
    return "|".join(map(str, facts))


def _digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]
