"""The test of a connection that a person asks for: what was tried and what was found, within seconds."""

import logging
import threading
import traceback
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from time import perf_counter

from django.db import connections, transaction

from apps.accounts.models import Member
from apps.accounts.services import record_audit
from apps.connectors.base import ConnectionConfig, Connector, Limits, Ping, Surroundings
from apps.connectors.redaction import Redactor
from apps.core.clock import database_now
from apps.core.crypto import SecretUnreadableError
from apps.core.text import short, storable
from apps.engine.ports import ConnectorError
from apps.flows.connections import connector_class, connector_config, surroundings_for
from apps.flows.models import Connection, ConnectionState
from apps.flows.secrets import read_secrets
from apps.flows.services.applying import actor_of
from apps.flows.services.health import LONGEST_ERROR
from apps.runs.waking import come_back, wake_waiting

logger = logging.getLogger(__name__)

LONGEST_TEST_S = 10.0
STEP_S, TOTAL_S = 6.0, 8.0
BOUNDS = Limits(connect_s=4.0, statement_s=STEP_S, lock_s=STEP_S, read_s=STEP_S, total_s=TOTAL_S)
"""Tighter than for runs: somebody sits before the screen."""
WAITING = threading.BoundedSemaphore(8)
"""At most so many tests at once in a process, those included that nobody waits for any more."""


def try_connection(*, connection: Connection, member: Member | None = None) -> Ping:
    """Ping a connection within 10 seconds, keep what was found with it, and let waiting work go on if it is back.

    Never raises for a foreign reason; what it returns holds no secret.
    """
    redactor = Redactor(known_secrets(connection))
    found = ping_in_time(connection, redactor)
    ping = Ping(found.is_ok, cleaned(found.tried, redactor), cleaned(found.found, redactor), found.ms)
    if note(connection, ping, member):
        wake_waiting(connection)
    return ping


def known_secrets(connection: Connection) -> list[str]:
    try:
        return list(read_secrets(connection).values())
    except SecretUnreadableError:
        return []


def cleaned(text: str, redactor: Redactor) -> str:
    return short(storable(redactor.text(text))[0], LONGEST_ERROR)


@transaction.atomic
def note(connection: Connection, ping: Ping, member: Member | None) -> bool:
    """Keep the result; returns whether the connection was offline and is back. A failed test takes none offline."""
    mine = Connection.objects.of(connection.account_id).filter(pk=connection.pk)
    after = {"ok": ping.is_ok, "tried": ping.tried, "found": ping.found, "ms": ping.ms}
    record_audit(
        account=connection.account_id, actor=actor_of(member), act="connection.test", target=connection, after=after
    )
    if not ping.is_ok:
        mine.update(last_error=ping.found)
        return False
    mine.exclude(state=ConnectionState.OFFLINE).update(
        state=ConnectionState.ONLINE, failures=0, last_error="", last_ok_at=database_now()
    )
    return come_back(connection)


def ping_in_time(connection: Connection, redactor: Redactor) -> Ping:
    """The ping in a thread of its own, because no time-out of a library bounds all that it may do."""
    try:
        connector = connector_class(connection.kind)
        config = hurried(connector_config(connection))
    except ConnectorError as error:
        return Ping(False, "Read the connection's fields and secrets", error.message)
    if not WAITING.acquire(blocking=False):
        return Ping(False, "Wait for other tests", "Too many connections are being tested; try again in a moment.")
    surroundings = replace(surroundings_for(connection.account_id), limits=BOUNDS)
    found: list[Ping] = []

    def work() -> None:
        try:
            found.append(pinged(connector, config, surroundings, redactor))
        finally:
            connections.close_all()
            WAITING.release()

    return waited_for(work, found, connector.label)


def waited_for(work: Callable[[], None], found: list[Ping], label: str) -> Ping:
    begun = perf_counter()
    thread = threading.Thread(target=work, name="test of a connection", daemon=True)
    thread.start()
    thread.join(LONGEST_TEST_S)
    if found:
        return found[0]
    waited_ms = round((perf_counter() - begun) * 1000)
    return Ping(False, f"Reach the {label}", f"No answer within {LONGEST_TEST_S:.0f} seconds.", waited_ms)


def pinged(
    connector: type[Connector], config: ConnectionConfig, surroundings: Surroundings, redactor: Redactor
) -> Ping:
    tried = f"Open the {connector.label}"
    try:
        with closing(connector(config, surroundings)) as opened:
            return opened.ping()
    except ConnectorError as error:
        return Ping(False, tried, error.message)
    except Exception as error:  # a fault of the connector: told here, or nobody would hear of it
        logger.error("The test of a connection broke off: %s", redactor.text(traceback.format_exc()))
        reason = f"The connector itself failed ({type(error).__name__}). The log of the server tells more."
        return Ping(False, tried, reason)


def hurried(config: ConnectionConfig) -> ConnectionConfig:
    """The config with each of its own time-outs (fields that end in `_timeout_s`, in seconds) cut to the test's."""
    own = {name: getattr(config, name) for name in type(config).model_fields if name.endswith("_timeout_s")}
    return config.model_copy(update={name: min(value, STEP_S) for name, value in own.items() if value})
