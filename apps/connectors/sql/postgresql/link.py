"""One PostgreSQL connection: where it may go, how it is set up, what its errors mean."""

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import RawCursor
from psycopg.pq import TransactionStatus

from apps.connectors.base import Surroundings
from apps.connectors.egress import Egress, EgressRefusedError, ResolveError, is_this_machine, resolve
from apps.connectors.sql.config import SqlConfig
from apps.connectors.sql.postgresql.errors import connect_failure, translated
from apps.connectors.sql.postgresql.values import adapters
from apps.engine.ports import Classification, ErrorSource, Outage

Cursor = psycopg.Cursor[tuple[Any, ...]]
IDLE_S = 120
EXPORT_IDLE_S = 900
GRACE_S = 5.0
"""How long after its own statement time-out a server may take to say so."""
OPEN = frozenset({TransactionStatus.INTRANS, TransactionStatus.INERROR, TransactionStatus.ACTIVE})


@dataclass(frozen=True, slots=True)
class Address:
    """Where a connection goes: the host as written and the judged numeric address."""

    host: str
    port: int
    numeric: str


class SilentServerError(psycopg.OperationalError):
    """The server did not answer in time."""


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that does not wait for ever: the server's own time-outs say nothing once the server is silent."""

    patience_s: float = 60.0

    def wait(self, gen: Generator[Any, Any, Any], interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            return super().wait(self._bounded(gen, timeout or self.patience_s), interval)
        except SilentServerError:
            self.close()
            raise

    def _bounded(self, gen: Generator[Any, Any, Any], seconds: float) -> Generator[Any, Any, Any]:
        deadline = time.monotonic() + seconds
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if time.monotonic() > deadline:
                    raise SilentServerError(f"no answer within {seconds:g} seconds")
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value


class Link:
    """A connection that is opened when it is first needed, and again after it was lost."""

    def __init__(self, config: SqlConfig, surroundings: Surroundings, *, is_reader: bool = False) -> None:
        self.config = config
        self.surroundings = surroundings
        self.is_reader = is_reader
        self.place = f"{config.host}:{config.port}"
        self.may_create_functions = False
        self.server_version = ""
        self.generation = 0
        """Grows with every new connection: what was made in an old one is gone."""
        self._connection: Connection | None = None

    @property
    def statement_ms(self) -> int:
        return int(1000 * (self.config.statement_timeout_s or self.surroundings.limits.statement_s))

    @property
    def lock_ms(self) -> int:
        return int(1000 * (self.config.lock_timeout_s or self.surroundings.limits.lock_s))

    # --- opening -----------------------------------------------------------------------------------------------------
    def connection(self) -> Connection:
        """The open connection. Raises Outage."""
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
            self.generation += 1
            self._set_up()
        return self._connection

    def _connect(self) -> Connection:
        refusal: Outage | None = None
        for address in self._addresses():
            try:
                return self._connect_to(address)
            except (psycopg.Error, OSError) as error:
                refusal = connect_failure(error, self.place, self.config.user)
        assert refusal is not None, "a resolved name has an address"
        raise refusal

    def _addresses(self) -> list[Address]:
        config, limits = self.config, self.surroundings.limits
        try:
            found = Egress(self.surroundings.allow_nets).addresses(config.host, config.port, limits.connect_s)
        except ResolveError as error:
            raise self._not_reached("dns", str(error)) from error
        except EgressRefusedError as error:
            raise self._not_reached("blocked", str(error)) from error
        if any(is_own(address, config, own) for own in self.surroundings.own_databases for address in found):
            raise self._not_reached("blocked", "this is Flowmend's own database, which flows may not touch.")
        return [Address(config.host, config.port, numeric) for numeric in found]

    def _not_reached(self, code: str, reason: str) -> Outage:
        message = f"Could not connect to PostgreSQL at {self.place} as {self.config.user}: {reason}"
        return Outage(code, message, classification=Classification.CONNECTION)

    def _connect_to(self, address: Address) -> Connection:
        config, limits = self.config, self.surroundings.limits
        made = Connection.connect(
            host=address.host,
            hostaddr=address.numeric,  # the judged address: the name is not resolved a second time
            port=address.port,
            dbname=config.name,
            user=config.user,
            password=config.password.get_secret_value() if config.password else "",
            passfile="/dev/null/none",  # else the machine user's own passwords would be tried
            sslmode=config.sslmode,
            gssencmode="disable",
            connect_timeout=max(1, int(limits.connect_s)),
            tcp_user_timeout=self.statement_ms + int(1000 * GRACE_S),
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
            application_name="flowmend",
            client_encoding="UTF8",
            autocommit=True,
            prepare_threshold=None,  # poolers hand out another server connection with each transaction
            cursor_factory=RawCursor,
            context=_Context(),
        )
        made.patience_s = self.statement_ms / 1000 + GRACE_S
        return made

    def _set_up(self) -> None:
        wanted = {
            "TimeZone": "UTC",
            "DateStyle": "ISO",
            "IntervalStyle": "iso_8601",
            "bytea_output": "hex",
            "extra_float_digits": "1",
            "standard_conforming_strings": "on",
            "client_min_messages": "warning",
            "statement_timeout": str(self.statement_ms),
            "lock_timeout": str(self.lock_ms),
            "idle_in_transaction_session_timeout": str(1000 * (EXPORT_IDLE_S if self.is_reader else IDLE_S)),
            "synchronous_commit": "on" if self.config.synchronous_commit else "off",
        }
        if self.config.search_path:
            wanted["search_path"] = self.config.search_path
        calls = ", ".join(f"set_config(${2 * n + 1}, ${2 * n + 2}, false)" for n in range(len(wanted)))
        facts = "current_setting('server_version'), has_database_privilege(current_database(), 'TEMP')"
        row = self.execute(f"SELECT {facts}, {calls}", [part for pair in wanted.items() for part in pair]).fetchone()
        assert row is not None
        self.server_version, self.may_create_functions = row[0], bool(row[1])

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # --- using -------------------------------------------------------------------------------------------------------
    @contextmanager
    def speaking(self, source: str = ErrorSource.APPLICATION) -> Iterator[Connection]:
        """The connection; database errors inside leave as ConnectorError or Outage."""
        connection = self.connection()
        try:
            yield connection
        except psycopg.Error as error:
            raise translated(error, self.place, bool(connection.closed or connection.broken), source) from error

    def execute(self, sql: str, values: Sequence[Any] = (), source: str = ErrorSource.APPLICATION) -> Cursor:
        with self.speaking(source) as connection:
            return connection.execute(sql.encode(), values or None)

    def has_transaction(self) -> bool:
        connection = self._connection
        return connection is not None and not connection.closed and status(connection) in OPEN

    def is_failed(self) -> bool:
        return self._connection is not None and status(self._connection) == TransactionStatus.INERROR

    def is_lost(self) -> bool:
        return self._connection is None or bool(self._connection.closed)


class _Context:
    """Hands our adapters to a new connection."""

    adapters = adapters()
    connection = None


def status(connection: Connection) -> TransactionStatus:
    return TransactionStatus(connection.pgconn.transaction_status)


def is_own(address: str, config: SqlConfig, own: str) -> bool:
    """Whether an address is the database `own` ("host:port/name"). All addresses of this machine are one."""
    place, slash, name = own.rpartition("/")
    host, _, port = place.rpartition(":")
    if not slash or not port.isdigit() or int(port) != config.port or name != config.name:
        return False
    if not host or host.startswith("/"):
        return is_this_machine(address)
    try:
        addresses = resolve(host.strip("[]"), int(port), 5.0)
    except ResolveError:
        return host == config.host
    return address in addresses or (is_this_machine(address) and any(map(is_this_machine, addresses)))
