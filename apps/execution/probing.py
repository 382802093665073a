"""Tries connections that are offline, and lets the work that waited for them go on."""

from apps.core.clock import database_now
from apps.core.queue import enqueue
from apps.engine.ports import ConnectorError
from apps.flows.connections import open_connector, surroundings_for
from apps.flows.models import Connection, ConnectionState
from apps.flows.services.health import claim_probe
from apps.runs.waking import come_back, wake_waiting

PROBE = "apps.execution.tasks.probe_connection"
MOST_AT_ONCE = 100


def hint_probes() -> int:
    """Hint at the probes that are due; returns how many."""
    due = Connection.unscoped.filter(state=ConnectionState.OFFLINE, probe_at__lte=database_now())
    mine = [connection for connection in due.order_by("probe_at")[:MOST_AT_ONCE] if claim_probe(connection)]
    for connection in mine:
        enqueue(PROBE, connection.pk)
    return len(mine)


def probe(connection_id: int) -> None:
    """Ping an offline connection; if it answers, it is online and what waited for it goes on."""
    connection = Connection.unscoped.filter(pk=connection_id, state=ConnectionState.OFFLINE).first()
    if connection is not None and answers(connection) and come_back(connection):
        wake_waiting(connection)


def answers(connection: Connection) -> bool:
    try:
        connector = open_connector(connection, surroundings_for(connection.account_id))
    except ConnectorError:
        return False
    try:
        return connector.ping().is_ok
    finally:
        connector.close()
