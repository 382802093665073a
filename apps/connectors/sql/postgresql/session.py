"""The transaction of a PostgreSQL target, and the ledger that stands in it."""

from contextlib import suppress
from datetime import UTC, datetime

from apps.connectors.base import LedgerRows
from apps.connectors.sql.face import LEDGER_TABLE
from apps.connectors.sql.postgresql.link import Link
from apps.connectors.sql.statements import quote_name
from apps.engine.ports import Classification, ConnectorError, LedgerKey, Outage

LEDGER = f"""
CREATE TABLE IF NOT EXISTS {LEDGER_TABLE} (
    account bigint NOT NULL,
    run bigint NOT NULL,
    page bigint NOT NULL,
    part bigint NOT NULL,
    step text NOT NULL,
    outcomes bytea NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account, run, page, part, step)
)"""
READ = f"SELECT outcomes FROM {LEDGER_TABLE} WHERE (account, run, page, part, step) = ($1, $2, $3, $4, $5)"  # noqa: S608
WRITE = f"INSERT INTO {LEDGER_TABLE} (account, run, page, part, step, outcomes) VALUES ($1, $2, $3, $4, $5, $6)"  # noqa: S608
TRIM = f"DELETE FROM {LEDGER_TABLE} WHERE account = $1 AND run < $2 AND committed_at < $3::timestamptz"  # noqa: S608
COUNT = f"SELECT count(*), extract(epoch FROM min(committed_at))::float8 FROM {LEDGER_TABLE} WHERE account = $1"  # noqa: S608
DUPLICATES = frozenset({"23505", "42P07", "42710"})


class Created:
    """The temporary functions that stand. A rollback takes those of its transaction, a lost connection takes all."""

    def __init__(self) -> None:
        self._kept: set[str] = set()
        self._fresh: set[str] = set()
        self._generation = 0

    def add(self, name: str) -> None:
        self._fresh.add(name)

    def has(self, name: str) -> bool:
        return name in self._kept or name in self._fresh

    def count(self) -> int:
        return len(self._kept) + len(self._fresh)

    def keep(self) -> None:
        self._kept |= self._fresh
        self._fresh.clear()

    def undo(self) -> None:
        self._fresh.clear()

    def forget_all(self) -> None:
        self._kept.clear()
        self._fresh.clear()

    def see(self, generation: int) -> None:
        """Told with which connection a transaction begins."""
        if generation != self._generation:
            self.forget_all()
            self._generation = generation


class PostgresqlSession:
    """One transaction at a time. A lost connection is an Outage; `begin` opens a new one."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.created = Created()

    def begin(self) -> None:
        assert not self.link.has_transaction(), "a transaction is already open"
        start = (
            f"BEGIN; SET LOCAL statement_timeout = {self.link.statement_ms}; "
            f"SET LOCAL lock_timeout = {self.link.lock_ms}; SET CONSTRAINTS ALL IMMEDIATE"
        )
        had_connection = not self.link.is_lost()
        try:
            self.link.execute(start)
        except Outage:
            if not had_connection:
                raise
            self.link.close()  # the server was restarted since the last page: once more on a new connection
            self.link.execute(start)
        self.created.see(self.link.generation)

    def savepoint(self, name: str) -> None:
        self._in_transaction(f"SAVEPOINT {quote_name(name)}")

    def rollback_to(self, name: str) -> None:
        self.created.undo()
        self._in_transaction(f"ROLLBACK TO SAVEPOINT {quote_name(name)}")

    def commit(self) -> None:
        try:
            answer = self._in_transaction("COMMIT")
        except ConnectorError as error:
            if not error.code.startswith("40"):
                raise
            raise Outage(error.code, error.message, classification=Classification.INTERMITTENT) from error
        if answer != "COMMIT":
            message = "PostgreSQL rolled the transaction back instead of committing it: a statement in it had failed."
            raise ConnectorError("25P02", message, classification=Classification.INTERMITTENT)
        self.created.keep()

    def rollback(self) -> None:
        """Also fine when the connection is lost: then the server has rolled back already."""
        self.created.undo()
        if not self.link.has_transaction():
            return
        with suppress(Outage):
            self.link.execute("ROLLBACK")
        if self.link.has_transaction():
            self.link.close()

    def read_ledger(self, key: LedgerKey) -> bytes | None:
        if not self._has_ledger():
            return None
        row = self.link.execute(READ.replace("outcomes", "encode(outcomes, 'hex')", 1), _ids(key)).fetchone()
        return None if row is None else bytes.fromhex(row[0])

    def write_ledger(self, key: LedgerKey, outcomes: bytes) -> None:
        self._make_ledger()
        try:
            self._in_transaction(WRITE, [*_ids(key), outcomes])
        except ConnectorError as error:
            if error.code != "23505":
                raise
            message = "The target's ledger says that this part of the page was delivered already."
            raise ConnectorError(error.code, message, classification=Classification.DUPLICATE) from error

    def trim_ledger(self, account: int, before_run: int, older_than: datetime) -> LedgerRows | None:
        self.begin()
        try:
            if not self._has_ledger():
                return None
            removed = self.link.execute(TRIM, [account, before_run, older_than.isoformat()]).rowcount
            kept, oldest = self.link.execute(COUNT, [account]).fetchone() or (0, None)
            self.commit()
        finally:
            self.rollback()
        return LedgerRows(removed, int(kept), datetime.fromtimestamp(float(oldest), UTC) if oldest else None)

    def _has_ledger(self) -> bool:
        found = self.link.execute("SELECT to_regclass($1) IS NOT NULL", [LEDGER_TABLE]).fetchone()
        return bool(found and found[0])

    def _make_ledger(self) -> None:
        if self._has_ledger():
            return
        self.savepoint("fm_ledger")
        try:
            self._in_transaction(LEDGER)
        except Outage:
            raise
        except ConnectorError as error:
            self.rollback_to("fm_ledger")
            if error.code not in DUPLICATES:  # else another worker made it at the same moment
                raise ledger_refused(error) from error
        self._in_transaction("RELEASE SAVEPOINT fm_ledger")

    def _in_transaction(self, sql: str, values: "list[object] | None" = None) -> str:
        if not self.link.has_transaction():
            message = f"The connection to PostgreSQL at {self.link.place} was lost, and its transaction with it."
            raise Outage("lost", message, classification=Classification.INTERMITTENT)
        return self.link.execute(sql, values or ()).statusmessage or ""


def _ids(key: LedgerKey) -> list[object]:
    return [key.account, key.run, key.page, key.part, key.step]


def ledger_refused(error: ConnectorError) -> ConnectorError:
    ddl = " ".join(LEDGER.split())
    message = (
        f"Flowmend keeps a table {LEDGER_TABLE} in the target so that nothing is written twice, but may not create it "
        f"({error.message}). Create it there: {ddl}; or switch the step's ledger off."
    )
    return ConnectorError(error.code, message, classification=error.classification)
