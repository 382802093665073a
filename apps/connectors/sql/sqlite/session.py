"""The transaction of a SQLite target, and the ledger that stands in it."""

from datetime import UTC, datetime

from apps.connectors.base import LedgerRows
from apps.connectors.sql.face import LEDGER_TABLE
from apps.connectors.sql.sqlite.link import Link
from apps.connectors.sql.statements import quote_name
from apps.engine.ports import Classification, ConnectorError, LedgerKey, Outage

LEDGER = f"""
CREATE TABLE IF NOT EXISTS {LEDGER_TABLE} (
    account INTEGER NOT NULL,
    run INTEGER NOT NULL,
    page INTEGER NOT NULL,
    part INTEGER NOT NULL,
    step TEXT NOT NULL,
    outcomes BLOB NOT NULL,
    committed_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    PRIMARY KEY (account, run, page, part, step)
)"""
READ = f"SELECT outcomes FROM {LEDGER_TABLE} WHERE (account, run, page, part, step) = (?, ?, ?, ?, ?)"  # noqa: S608
WRITE = f"INSERT INTO {LEDGER_TABLE} (account, run, page, part, step, outcomes) VALUES (?, ?, ?, ?, ?, ?)"  # noqa: S608
TRIM = f"DELETE FROM {LEDGER_TABLE} WHERE account = ? AND run < ? AND committed_at < ?"  # noqa: S608
COUNT = f"SELECT count(*), min(committed_at) FROM {LEDGER_TABLE} WHERE account = ?"  # noqa: S608
EXISTS = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"


class SqliteSession:
    """One transaction at a time; it takes the write lock when it begins, so that it never fails half-way for it."""

    def __init__(self, link: Link) -> None:
        self.link = link

    def begin(self) -> None:
        assert not self.link.has_transaction(), "a transaction is already open"
        self.link.execute("BEGIN IMMEDIATE")

    def savepoint(self, name: str) -> None:
        self._in_transaction(f"SAVEPOINT {quote_name(name)}")

    def rollback_to(self, name: str) -> None:
        self._in_transaction(f"ROLLBACK TO SAVEPOINT {quote_name(name)}")

    def commit(self) -> None:
        self._in_transaction("COMMIT")

    def rollback(self) -> None:
        if self.link.has_transaction():
            self.link.execute("ROLLBACK")

    def read_ledger(self, key: LedgerKey) -> bytes | None:
        if not self._has_ledger():
            return None
        row = self.link.execute(READ, _ids(key)).fetchone()
        return None if row is None else bytes(row[0])

    def write_ledger(self, key: LedgerKey, outcomes: bytes) -> None:
        self._in_transaction(LEDGER)
        try:
            self._in_transaction(WRITE, [*_ids(key), outcomes])
        except ConnectorError as error:
            if error.classification != Classification.DUPLICATE:
                raise
            message = "The target's ledger says that this part of the page was delivered already."
            raise ConnectorError(error.code, message, classification=Classification.DUPLICATE) from error

    def trim_ledger(self, account: int, before_run: int, older_than: datetime) -> LedgerRows | None:
        if not self._has_ledger():
            return None  # also spares a read-only file the write lock
        self.begin()
        try:
            cut = older_than.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
            removed = self.link.execute(TRIM, [account, before_run, cut]).rowcount
            kept, oldest = self.link.execute(COUNT, [account]).fetchone()
            self.commit()
        finally:
            self.rollback()
        return LedgerRows(removed, kept, datetime.fromisoformat(oldest) if oldest else None)

    def _has_ledger(self) -> bool:
        return self.link.execute(EXISTS, [LEDGER_TABLE]).fetchone() is not None

    def _in_transaction(self, sql: str, values: "list[object] | None" = None) -> None:
        if not self.link.has_transaction():
            raise rolled_back(self.link)
        self.link.execute(sql, values or ())


def rolled_back(link: Link, why: str = "") -> Outage:
    message = (
        f"SQLite rolled the transaction in {link.config.file} back{': ' + why if why else ''}; nothing of it stands."
    )
    return Outage("SQLITE_ABORT", message, classification=Classification.INTERMITTENT)


def _ids(key: LedgerKey) -> list[object]:
    return [key.account, key.run, key.page, key.part, key.step]
