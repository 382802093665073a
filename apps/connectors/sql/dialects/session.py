"""The transaction of a target, and the ledger that stands in it."""

from datetime import UTC, datetime

import sqlalchemy
from sqlalchemy import BigInteger, Column, DateTime, LargeBinary, MetaData, String, Table, func
from sqlalchemy.exc import DBAPIError, IntegrityError

from apps.connectors.base import LedgerRows
from apps.connectors.sql.dialects.link import Link
from apps.connectors.sql.face import LEDGER_TABLE
from apps.engine.ports import Classification, ConnectorError, LedgerKey, Outage

LEDGER = Table(
    LEDGER_TABLE,
    MetaData(),
    Column("account", BigInteger, primary_key=True, autoincrement=False),
    Column("run", BigInteger, primary_key=True, autoincrement=False),
    Column("page", BigInteger, primary_key=True, autoincrement=False),
    Column("part", BigInteger, primary_key=True, autoincrement=False),
    Column("step", String(64), primary_key=True),
    Column("outcomes", LargeBinary(2**31 - 1), nullable=False),
    Column("committed_at", DateTime, nullable=False, server_default=func.current_timestamp()),
    mysql_engine="InnoDB",
    mysql_charset="utf8mb4",
    mariadb_engine="InnoDB",
    mariadb_charset="utf8mb4",
)


class DialectSession:
    """One transaction at a time. A lost connection is an Outage; `begin` opens a new one."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self._has_ledger = False

    def begin(self) -> None:
        assert not self.link.has_transaction(), "a transaction is already open"
        had_connection = not self.link.is_lost()
        try:
            self.link.begin()
        except Outage:
            if not had_connection:
                raise
            self.link.close()  # the server was restarted since the last page: once more on a new connection
            self.link.begin()

    def savepoint(self, name: str) -> None:
        self._check_open()
        with self.link.speaking() as connection:
            connection.dialect.do_savepoint(connection, name)

    def rollback_to(self, name: str) -> None:
        self._check_open()
        with self.link.speaking() as connection:
            connection.dialect.do_rollback_to_savepoint(connection, name)

    def release(self, name: str) -> None:
        with self.link.speaking() as connection:
            connection.dialect.do_release_savepoint(connection, name)

    def commit(self) -> None:
        self._check_open()
        self.link.commit()

    def rollback(self) -> None:
        self.link.rollback()

    def read_ledger(self, key: LedgerKey) -> bytes | None:
        if not self._ledger_is_there():
            return None
        same = [LEDGER.c[name] == value for name, value in _ids(key).items()]
        with self.link.speaking() as connection:
            found = connection.execute(sqlalchemy.select(LEDGER.c.outcomes).where(*same)).scalar_one_or_none()
        return None if found is None else bytes(found)

    def write_ledger(self, key: LedgerKey, outcomes: bytes) -> None:
        self._check_open()
        if not self._ledger_is_there():
            self._make_ledger()
        try:
            with self.link.speaking() as connection:
                connection.execute(LEDGER.insert().values(**_ids(key), outcomes=outcomes))
        except ConnectorError as error:
            if not isinstance(error.__cause__, IntegrityError):
                raise
            message = "The target's ledger says that this part of the page was delivered already."
            raise ConnectorError(error.code, message, classification=Classification.DUPLICATE) from error

    def trim_ledger(self, account: int, before_run: int, older_than: datetime) -> LedgerRows | None:
        if not self._ledger_is_there():
            return None
        cut = older_than.astimezone(UTC).replace(tzinfo=None)
        old = LEDGER.delete().where(LEDGER.c.account == account, LEDGER.c.run < before_run, LEDGER.c.committed_at < cut)
        rest = sqlalchemy.select(func.count(), func.min(LEDGER.c.committed_at)).where(LEDGER.c.account == account)
        self.begin()
        try:
            with self.link.speaking() as connection:
                removed = connection.execute(old).rowcount
                kept, oldest = connection.execute(rest).one()
            self.commit()
        finally:
            self.rollback()
        return LedgerRows(removed, kept, oldest.replace(tzinfo=UTC) if oldest else None)

    def _ledger_is_there(self) -> bool:
        if not self._has_ledger:
            with self.link.speaking() as connection:
                self._has_ledger = sqlalchemy.inspect(connection).has_table(LEDGER_TABLE)
        return self._has_ledger

    def _make_ledger(self) -> None:
        """On a connection of its own: in many databases making a table ends the open transaction."""
        other = self.link.sibling()
        try:
            connection = other.connection()
            try:
                LEDGER.create(connection, checkfirst=True)
                connection.commit()
            except DBAPIError as error:
                refusal = other.refused(error)
                if isinstance(refusal, Outage) or not self._ledger_is_there():  # else another worker was faster
                    raise ledger_refused(refusal) from error
        finally:
            other.close()
        self._has_ledger = True

    def _check_open(self) -> None:
        if not self.link.has_transaction():
            label, place = self.link.speech.label, self.link.place
            message = f"The connection to {label} at {place} was lost, and its transaction with it."
            raise Outage("lost", message, classification=Classification.INTERMITTENT)


def _ids(key: LedgerKey) -> dict[str, object]:
    return {"account": key.account, "run": key.run, "page": key.page, "part": key.part, "step": key.step}


def ledger_refused(error: ConnectorError) -> ConnectorError:
    if isinstance(error, Outage):
        return error
    message = (
        f"Flowmend keeps a table {LEDGER_TABLE} in the target so that nothing is written twice, but may not create it "
        f"({error.message}). Let the user create tables once, or switch the step's ledger off."
    )
    return ConnectorError(error.code, message, classification=error.classification)
