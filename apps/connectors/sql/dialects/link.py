"""One connection through SQLAlchemy: where it may go, how it is set up, what its errors mean."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

import sqlalchemy
from sqlalchemy.engine import Connection, CursorResult
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from apps.connectors.base import Surroundings
from apps.connectors.egress import Egress, EgressRefusedError, ResolveError
from apps.connectors.sql.config import SqlConfig
from apps.connectors.sql.dialects.errors import code_of, message_of, translated
from apps.connectors.sql.dialects.speech import Speech
from apps.connectors.sql.dialects.values import as_parameter
from apps.connectors.sql.statements import Statement, Wording
from apps.engine.ports import Classification, ConnectorError, ErrorSource, Outage, Record

Parameters = tuple[Any, ...] | dict[str, Any]


class Link:
    """A connection that is opened when it is first needed, and again after it was lost."""

    def __init__(
        self, speech: Speech, config: SqlConfig, surroundings: Surroundings, *, is_reader: bool = False
    ) -> None:
        self.speech = speech
        self.config = config
        self.surroundings = surroundings
        self.is_reader = is_reader
        self.place = f"{config.host}:{config.port}"
        self._is_open = False
        self._connection: Connection | None = None
        self._engine = self._made_engine()
        dialect = self._engine.dialect
        self.paramstyle = dialect.paramstyle
        self.wording: Wording = speech.wording(dialect)

    def sibling(self, *, is_reader: bool = False) -> "Link":
        """Another connection to the same database."""
        return Link(self.speech, self.config, self.surroundings, is_reader=is_reader)

    # --- opening -----------------------------------------------------------------------------------------------------
    def _made_engine(self) -> sqlalchemy.Engine:
        try:
            driver = import_module(self.speech.library)
            return sqlalchemy.create_engine(
                f"{self.speech.dialect}://", creator=lambda: self._entered(driver), poolclass=NullPool
            )
        except ModuleNotFoundError as error:
            text = f"{self.speech.label} needs the Python library {self.speech.library}, which is not installed. "
            text += f"Install it where Flowmend runs: pip install {self.speech.library}; then start Flowmend again."
            raise ConnectorError(
                "library_missing", text, classification=Classification.CONNECTION, source=ErrorSource.CONNECTION
            ) from error

    def _entered(self, driver: Any) -> Any:
        """Called by the engine; each resolved address is judged, then tried."""
        refusal: BaseException | None = None
        for address in self._addresses():
            try:
                return self.speech.connect(driver, address)
            except OSError as error:
                refusal = error
        reason = getattr(refusal, "strerror", None) or str(refusal)
        code = "refused" if isinstance(refusal, ConnectionRefusedError) else "timeout"
        raise self._not_reached(code, reason) from refusal

    def _addresses(self) -> list[str]:
        config = self.config
        try:
            return Egress(self.surroundings.allow_nets).addresses(
                config.host, config.port, self.surroundings.limits.connect_s
            )
        except ResolveError as error:
            raise self._not_reached("dns", str(error)) from error
        except EgressRefusedError as error:
            raise self._not_reached("blocked", str(error)) from error

    def _not_reached(self, code: str, reason: str) -> Outage:
        message = f"Could not connect to {self.speech.label} at {self.place} as {self.config.user}: {reason}"
        return Outage(code, message, classification=Classification.CONNECTION)

    def connection(self) -> Connection:
        """The open connection. Raises Outage."""
        if self._connection is None or self.is_lost():
            self.close()
            try:
                self._connection = self._engine.connect()
                for text in self.speech.set_up(self._connection, is_reader=self.is_reader):
                    self._connection.exec_driver_sql(text)
                self._connection.commit()
            except DBAPIError as error:
                self.close()
                code = code_of(self.speech, error) or "connection"
                raise self._not_reached(code, message_of(self.speech, error)) from error
            except (SQLAlchemyError, OSError) as error:
                self.close()
                raise self._not_reached("connection", " ".join(str(error).split())) from error
        return self._connection

    def abandon(self) -> None:
        """Close in the middle of an answer."""
        self._is_open = False
        if self._connection is not None and not self.is_lost():
            self.speech.abandon(self._connection.connection.driver_connection)
            self._connection.invalidate()

    def close(self) -> None:
        self._is_open = False
        if self._connection is not None:
            with suppress(SQLAlchemyError, OSError):
                self._connection.close()
            self._connection = None

    # --- using -------------------------------------------------------------------------------------------------------
    @contextmanager
    def speaking(self, source: str = ErrorSource.APPLICATION) -> Iterator[Connection]:
        """The connection; database errors inside leave as ConnectorError or Outage."""
        connection = self.connection()
        try:
            yield connection
        except DBAPIError as error:
            raise self.refused(error, source) from error

    def refused(self, error: DBAPIError, source: str = ErrorSource.APPLICATION) -> ConnectorError:
        if error.connection_invalidated:
            self._is_open = False
        return translated(self.speech, error, self.place, source)

    def run(self, text: str, parameters: Parameters = (), source: str = ErrorSource.APPLICATION) -> CursorResult[Any]:
        """Run a text in the driver's own notation, made by `bind` or with `mark` and `literal`."""
        with self.speaking(source):
            return self.send(text, parameters)

    def send(self, text: str, parameters: Parameters = ()) -> CursorResult[Any]:
        """Like `run`, but errors stay those of the driver."""
        return self.connection().exec_driver_sql(text, parameters)

    def bind(self, statement: Statement, values: Record) -> tuple[str, Parameters]:
        """A statement in the driver's notation, and the values in its order."""
        given = iter(range(len(statement.names)))
        parts = [self.literal(statement.pieces[0])]
        for piece in statement.pieces[1:]:
            parts += [self.mark(next(given)), self.literal(piece)]
        return "".join(parts), self.parameters([as_parameter(values[name]) for name in statement.names])

    def mark(self, number: int) -> str:
        return {"qmark": "?", "named": f":fm_{number}", "numeric": f":{number + 1}"}.get(self.paramstyle, "%s")

    def literal(self, text: str) -> str:
        return text.replace("%", "%%") if self.paramstyle in {"format", "pyformat"} else text

    def parameters(self, values: Sequence[Any]) -> Parameters:
        if self.paramstyle == "named":
            return {f"fm_{number}": value for number, value in enumerate(values)}
        return tuple(values)

    # --- transactions ------------------------------------------------------------------------------------------------
    def begin(self, *, is_reading: bool = False) -> None:
        connection = self.connection()
        with self.speaking():
            if connection.in_transaction():
                connection.rollback()
            for text in self.speech.begin_reading if is_reading else self.speech.begin:
                connection.exec_driver_sql(text)
        self._is_open = True

    def commit(self) -> None:
        self._is_open = False
        with self.speaking() as connection:
            connection.commit()

    def rollback(self) -> None:
        """Also fine when the connection is lost: then the server has rolled back already."""
        self._is_open = False
        if self._connection is None:
            return
        try:
            self._connection.rollback()
        except (SQLAlchemyError, OSError):
            self.close()

    def has_transaction(self) -> bool:
        return self._is_open and not self.is_lost()

    def is_lost(self) -> bool:
        return self._connection is None or self._connection.closed or self._connection.invalidated
