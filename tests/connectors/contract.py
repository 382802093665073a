"""What every connector must keep to, and what its harness tells the contract tests about it.

A harness sets up a real place (a folder, a database) for one kind of connector in one variant. The tests know nothing
of the kind: they put records there, export them, write some, and look at what is stored. A new connector gets its tests
by adding its variants to HARNESSES.
"""

import csv
import io
import json
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from email import message_from_bytes
from email.policy import default as email_policy
from pathlib import Path
from typing import Any

from openpyxl import Workbook

from apps.connectors.base import Connector, Limits, Options, Surroundings
from apps.connectors.email_messages.connector import EmailConnector
from apps.connectors.files.connector import FilesConnector
from apps.connectors.http.connector import HttpConnector
from apps.connectors.sql.connector import SqlConnector
from apps.connectors.webhook.connector import WebhookConnector
from apps.engine.ports import Batch, LedgerKey, Record, Repeats, Written
from tests.connectors.filing import Filing, batch_of
from tests.connectors.listening import MemoryArrivals
from tests.fakes.certificates import Authority
from tests.fakes.databases import SqlPlace, make_place
from tests.fakes.http_peer import LOOPBACK, Peer, Store
from tests.fakes.mail_server import MailServer

CANARY = "canary-5e1f-secret"
"""Stands in every secret of a connection; no sentence and no repr may show it."""

LIMITS = Limits(connect_s=1.0, read_s=1.0, statement_s=5.0)
IMPATIENT = replace(LIMITS, connect_s=0.3, read_s=0.3)
"""For who is sure to be waited for in vain."""


class Harness(ABC):
    """One place for one connector. Records have the fields id (a number) and name (a text)."""

    connector: type[Connector]
    limits = LIMITS

    @abstractmethod
    def config(self) -> Record:
        """The fields of a connection that works."""

    @abstractmethod
    def broken_config(self) -> Record:
        """The fields of a connection that cannot work, with the canary in every secret."""

    @abstractmethod
    def surroundings(self) -> Surroundings: ...

    @abstractmethod
    def export_options(self) -> Record: ...

    @abstractmethod
    def missing_export_options(self) -> Record:
        """An export of something that is not there."""

    @abstractmethod
    def put_source(self, records: Sequence[Record], *, spoiled_at: int | None = None) -> None:
        """Make the source hold these records; with `spoiled_at` the row there is one that is no record."""

    def import_options(self) -> Record:
        return {}

    def lookup_options(self) -> Record:
        """A lookup of the source's rows whose id is the record's."""
        return {}

    def bad_body(self, number: int) -> Record:
        """A record that the destination refuses."""
        return {}

    def stored(self) -> list[Record]:
        """What the destination holds, by id."""
        return []

    def hanging_config(self, port: int) -> Record:
        return {}

    # --- what the tests do with it -----------------------------------------------------------------------------------
    @contextmanager
    def opened(self, config: Record | None = None) -> Iterator[Connector]:
        model = self.connector.Config
        connector = self.connector(
            model.model_validate(self.config() if config is None else config), self.surroundings()
        )
        try:
            yield connector
        finally:
            connector.close()

    def options(self, kind: str, fields: Record) -> Options:
        model = {
            "export": self.connector.ExportOptions,
            "import": self.connector.ImportOptions,
            "lookup": self.connector.LookupOptions,
        }[kind]
        assert model is not None
        return model.model_validate(fields)

    def deliver(self, batch: Batch, *, end: bool = True) -> Written:
        """Write a page as the engine does: in the session's transaction and by its ledger where there is one."""
        with self.opened() as connector:
            target: Any = connector.open_import(self.options("import", self.import_options()))
            session = connector.session()
            written = deliver_in_session(target, session, batch) if session else target.write(batch)
            if end and hasattr(target, "finish"):
                target.finish(batch.scope)
            return written  # type: ignore[no-any-return]


def deliver_in_session(target: Any, session: Any, batch: Batch) -> Written:
    key = LedgerKey(1, 1, min(batch.ordinals), 0, "write")
    session.begin()
    try:
        if target.repeats is Repeats.LEDGER and session.read_ledger(key) is not None:
            session.rollback()
            return Written()
        written: Written = target.write(batch)
        if target.repeats is Repeats.LEDGER:
            session.write_ledger(key, b"[]")
        session.commit()
    except BaseException:
        session.rollback()
        raise
    return written


@contextmanager
def silent_server() -> Iterator[int]:
    """A port that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


# --- files -----------------------------------------------------------------------------------------------------------
class FormatHarness(Harness):
    """A file of any format, named for it, wherever it lies."""

    name: str

    @abstractmethod
    def put(self, name: str, content: bytes) -> None: ...

    def export_options(self) -> Record:
        return {"path": f"in/{self.name}"}

    def missing_export_options(self) -> Record:
        return {"path": f"elsewhere/{self.name}"}

    def import_options(self) -> Record:
        return {"path": f"out/{self.name}"}

    def bad_body(self, number: int) -> Record:
        return {"id": number, "name": "half \ud800"}

    def put_source(self, records: Sequence[Record], *, spoiled_at: int | None = None) -> None:
        self.put(f"in/{self.name}", content_of(self.name.removesuffix(".gz"), records, spoiled_at))


class FileHarness(FormatHarness):
    connector = FilesConnector

    def __init__(self, root: Path, name: str) -> None:
        self.filing = Filing(root / "files")
        self.name = name

    def config(self) -> Record:
        return {"folder": ""}

    def broken_config(self) -> Record:
        return {"folder": "no/such/folder"}

    def surroundings(self) -> Surroundings:
        return Surroundings(7, self.filing.root, self.filing.root, limits=self.limits)

    def put(self, name: str, content: bytes) -> None:
        self.filing.put(name, content)

    def stored(self) -> list[Record]:
        rows = self.filing.rows(f"out/{self.name}", format=self.name.split(".")[1])
        return sorted(({**row, "id": int(row["id"])} for row in rows), key=lambda row: row["id"])  # type: ignore[misc,index]


def content_of(name: str, records: Sequence[Record], spoiled_at: int | None) -> bytes:
    return {"csv": csv_content, "json": json_content, "jsonl": lines_content, "xlsx": sheet_content}[
        name.split(".")[1]
    ](records, spoiled_at)


def csv_content(records: Sequence[Record], spoiled_at: int | None) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["id", "name"])
    for at, record in enumerate(records):
        writer.writerow(["too", "many", "fields"] if at == spoiled_at else record.values())
    return text.getvalue().encode()


def json_texts(records: Sequence[Record], spoiled_at: int | None) -> list[str]:
    return ['{"id": NaN}' if at == spoiled_at else json.dumps(record) for at, record in enumerate(records)]


def json_content(records: Sequence[Record], spoiled_at: int | None) -> bytes:
    return f"[{', '.join(json_texts(records, spoiled_at))}]".encode()


def lines_content(records: Sequence[Record], spoiled_at: int | None) -> bytes:
    return "\n".join(json_texts(records, spoiled_at)).encode()


def sheet_content(records: Sequence[Record], spoiled_at: int | None) -> bytes:
    book = Workbook()
    book.active.append(["id", "name"])
    for at, record in enumerate(records):
        book.active.append(["too", "many", "cells"] if at == spoiled_at else list(record.values()))
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


# --- SQL -------------------------------------------------------------------------------------------------------------
class SqlHarness(Harness):
    connector = SqlConnector

    def __init__(self, place: SqlPlace, operation: str) -> None:
        self.place = place
        self.operation = operation
        kind = "text NOT NULL" if place.is_postgresql else "TEXT NOT NULL"
        for table in ("source", "target"):
            place.execute(f"CREATE TABLE {table} (id integer PRIMARY KEY, name {kind})")

    def config(self) -> Record:
        return self.place.config

    def broken_config(self) -> Record:
        is_file = self.place.kind == "sqlite"
        broken = {"file": "no/such/folder/a.sqlite3"} if is_file else {"host": "127.0.0.1", "port": 1}
        return {**self.config(), **broken, "password": CANARY}

    def hanging_config(self, port: int) -> Record:
        return {**self.config(), "port": port, "password": CANARY}

    def surroundings(self) -> Surroundings:
        given = self.place.surroundings
        return Surroundings(given.account, given.files_root, given.sqlite_root, given.allow_nets, limits=self.limits)

    def export_options(self) -> Record:
        return {"query": "SELECT id, name FROM source", "unique": ["id"]}

    def missing_export_options(self) -> Record:
        return {"query": "SELECT id FROM nowhere", "unique": ["id"]}

    def import_options(self) -> Record:
        keys = {"keys": ["id"]} if self.operation == "upsert" else {}
        return {"operation": self.operation, "table": "target", **keys}

    def lookup_options(self) -> Record:
        return {"table": "source", "match": {"id": "record.id"}}

    def bad_body(self, number: int) -> Record:
        return {"id": number, "name": None}

    def put_source(self, records: Sequence[Record], *, spoiled_at: int | None = None) -> None:
        sign = "?" if self.place.kind == "sqlite" else "%s"
        for at, record in enumerate(records):
            name = "CAST(x'ff' AS TEXT)" if at == spoiled_at else sign
            values = (record["id"],) if at == spoiled_at else (record["id"], record["name"])
            self.place.admin.execute(f"INSERT INTO source VALUES ({sign}, {name})", values)

    def stored(self) -> list[Record]:
        return [{"id": key, "name": name} for key, name in self.place.rows("SELECT id, name FROM target ORDER BY id")]


# --- e-mail ----------------------------------------------------------------------------------------------------------
class EmailHarness(Harness):
    """An outbox, where the contract of imports is kept; SMTP itself cannot recognise a repeat."""

    connector = EmailConnector

    def __init__(self, root: Path) -> None:
        self.root = root

    def config(self) -> Record:
        return {"delivery": "folder", "user": "orders", "password": "s3cret", **self._addresses()}

    def _addresses(self) -> Record:
        return {"sender": "Orders <orders@example.org>", "allowed_domains": ["example.org"]}

    def broken_config(self) -> Record:
        return {**self.config(), "password": CANARY, "allowed_domains": ["*"]}

    def surroundings(self) -> Surroundings:
        return Surroundings(7, self.root, self.root, LOOPBACK, limits=self.limits)

    def export_options(self) -> Record:
        return {}

    def missing_export_options(self) -> Record:
        return {}

    def put_source(self, records: Sequence[Record], *, spoiled_at: int | None = None) -> None:
        raise AssertionError("mails are only sent")

    def import_options(self) -> Record:
        return {"to": "all@example.org", "subject": "{{ record.id }}", "text": "{{ record.name }}"}

    def bad_body(self, number: int) -> Record:
        return {"id": number, "name": "half \ud800"}

    def stored(self) -> list[Record]:
        kept = [message_from_bytes(path.read_bytes(), policy=email_policy) for path in self.root.glob("7/outbox/*.eml")]
        rows = [{"id": int(str(mail["Subject"])), "name": mail.get_content().strip()} for mail in kept]
        return sorted(rows, key=lambda row: row["id"])


class SmtpHarness(EmailHarness):
    def __init__(self, root: Path, mail: MailServer, authority: str) -> None:
        super().__init__(root)
        self.mail = mail
        self.authority = authority

    def config(self) -> Record:
        place = {"host": self.mail.host, "port": self.mail.port, "ca": self.authority}
        return {"user": "orders", "password": "s3cret", **place, **self._addresses()}

    def broken_config(self) -> Record:
        return {**self.config(), "port": 1, "password": CANARY}

    def hanging_config(self, port: int) -> Record:
        return {**self.config(), "port": port, "password": CANARY}


# --- webhooks --------------------------------------------------------------------------------------------------------
class WebhookHarness(Harness):
    """`size`: how many records one request brings."""

    connector = WebhookConnector

    def __init__(self, size: int) -> None:
        self.size = size
        self.arrivals: MemoryArrivals | None = MemoryArrivals()

    def config(self) -> Record:
        return {"verification": "hmac", "secret": "a key that both know"}

    def broken_config(self) -> Record:
        return {"verification": "hmac", "secret": CANARY, "key_encoding": "base64"}

    def surroundings(self) -> Surroundings:
        return Surroundings(7, Path("/nowhere"), Path("/nowhere"), limits=self.limits, arrivals=self.arrivals)

    def export_options(self) -> Record:
        return {"record_path": "" if self.size == 1 else "data.rows"}

    def missing_export_options(self) -> Record:
        self.arrivals = None  # nothing was ever sent there: nobody listens
        return self.export_options()

    def put_source(self, records: Sequence[Record], *, spoiled_at: int | None = None) -> None:
        assert self.arrivals is not None
        rows = [("no record" if at == spoiled_at else record) for at, record in enumerate(records)]
        for at in range(0, len(rows), self.size):
            some = rows[at : at + self.size]
            self.arrivals.send(some if self.size == 1 else {"data": {"rows": some}})


# --- HTTP ------------------------------------------------------------------------------------------------------------
HTTP_EXPORTS: dict[str, Record] = {
    "none": {"path": "none", "record_path": "data.items"},
    "page": {"path": "page", "record_path": "items", "paging": "page", "size_param": "size"},
    "offset": {"path": "offset", "paging": "offset", "size_param": "limit"},
    "cursor": {"path": "cursor", "record_path": "items", "paging": "cursor", "cursor_path": "meta.next"},
    "next": {"path": "next", "record_path": "items", "paging": "next_url", "next_path": "next"},
    "link": {"path": "link", "paging": "link_header"},
    "search": {
        "method": "POST", "path": "search", "record_path": "items", "paging": "cursor", "cursor_path": "after",
        "paging_in": "body", "cursor_param": "paging.after", "more_path": "more", "body": {"paging": {"size": 5}},
    },
}  # fmt: skip
HTTP_LOOKUPS: dict[str, Record] = {
    "each": {"path": "one/{{ record.id }}"},
    "keys": {"path": "many", "key": "record.id", "keys_param": "ids", "match_field": "id", "record_path": "items"},
}
HTTP_IMPORTS: dict[str, Record] = {
    "put": {"method": "PUT", "path": "put/{{ record.id }}"},
    "keyed": {"path": "keyed", "idempotency_header": "Idempotency-Key"},
    "bulk": {
        "path": "bulk", "batch_size": 4, "records_field": "records", "key_field": "key", "results_path": "results",
        "status_path": "status", "match_sent": "id", "match_result": "id",
    },
}  # fmt: skip


class HttpHarness(Harness):
    connector = HttpConnector

    def __init__(self, peer: Peer, export: str, lookup: str, writing: str) -> None:
        self.peer = peer
        self.ways = (export, lookup, writing)
        self.store = Store()
        self.store.install(peer)

    def config(self) -> Record:
        return {"base_url": self.peer.url, "max_concurrency": 3}

    def broken_config(self) -> Record:
        secrets = dict.fromkeys(HttpConnector.Config.secret_fields(), CANARY)
        return {"base_url": "http://127.0.0.1:1", "auth": "api_key", "key_in": "query", "key_name": "key", **secrets}

    def hanging_config(self, port: int) -> Record:
        return {"base_url": f"http://127.0.0.1:{port}", "auth": "bearer", "bearer_token": CANARY}

    def surroundings(self) -> Surroundings:
        return Surroundings(7, Path("/nonexistent"), Path("/nonexistent"), LOOPBACK, limits=self.limits)

    def export_options(self) -> Record:
        return HTTP_EXPORTS[self.ways[0]]

    def missing_export_options(self) -> Record:
        return {"path": "nowhere"}

    def lookup_options(self) -> Record:
        return HTTP_LOOKUPS[self.ways[1]]

    def import_options(self) -> Record:
        return HTTP_IMPORTS[self.ways[2]]

    def bad_body(self, number: int) -> Record:
        return {"id": number, "name": None}

    def put_source(self, records: Sequence[Record], *, spoiled_at: int | None = None) -> None:
        self.store.records = ["no record" if at == spoiled_at else record for at, record in enumerate(records)]

    def stored(self) -> list[Record]:
        assert len(self.store.ledger) == len(self.store.taken) or self.ways[2] == "put"
        return [self.store.taken[key] for key in sorted(self.store.taken)]


# --- all of them -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Variant:
    """How the place of one variant is set up, and what its connector can do there.

    Traits: `export`, `import`, `lookup`; `spoiled`: the source can hold rows that are no records; `silent`: there is an
    application that could accept a connection and never answer.
    """

    opening: Callable[[Path], AbstractContextManager[Harness]]
    traits: frozenset[str]


def file_variant(name: str) -> Variant:
    @contextmanager
    def opening(root: Path) -> Iterator[Harness]:
        yield FileHarness(root, name)

    traits = {"export", "spoiled"} if name.endswith("xlsx") else {"export", "spoiled", "import"}
    return Variant(opening, frozenset(traits))


def sql_variant(database: str, operation: str) -> Variant:
    @contextmanager
    def opening(root: Path) -> Iterator[Harness]:
        for place in make_place(database, root):
            yield SqlHarness(place, operation)

    own = "spoiled" if database == "sqlite" else "silent"  # the others refuse bytes that are no text
    return Variant(opening, frozenset({"export", "import", "lookup", own}))


@contextmanager
def an_outbox(root: Path) -> Iterator[Harness]:
    yield EmailHarness(root)


@contextmanager
def a_mail_server(root: Path) -> Iterator[Harness]:
    authority, mail = Authority(root), MailServer(user=("orders", "s3cret"))
    with mail.running(starttls=authority.context()):
        yield SmtpHarness(root, mail, authority.pem)


def webhook_variant(size: int) -> Variant:
    @contextmanager
    def opening(root: Path) -> Iterator[Harness]:
        yield WebhookHarness(size)

    return Variant(opening, frozenset({"export", "spoiled"}))


def http_variant(export: str, lookup: str, writing: str) -> Variant:
    @contextmanager
    def opening(root: Path) -> Iterator[Harness]:
        with Peer().running() as peer:
            yield HttpHarness(peer, export, lookup, writing)

    return Variant(opening, frozenset({"export", "import", "lookup", "spoiled", "silent"}))


HARNESSES: dict[str, dict[str, Variant]] = {
    "file": {name: file_variant(name) for name in ("a.csv", "a.csv.gz", "a.json", "a.jsonl", "a.jsonl.gz", "a.xlsx")},
    "sql": {
        f"{database}-{operation}": sql_variant(database, operation)
        for database in ("postgresql", "sqlite", "mariadb")
        for operation in ("upsert", "insert")
    },
    "http": {
        "-".join(ways): http_variant(*ways)
        for ways in (
            ("none", "each", "put"),
            ("page", "keys", "keyed"),
            ("offset", "each", "bulk"),
            ("cursor", "keys", "put"),
            ("next", "each", "keyed"),
            ("link", "keys", "bulk"),
            ("search", "each", "put"),
        )
    },
    "email": {
        "outbox": Variant(an_outbox, frozenset({"import"})),
        "smtp": Variant(a_mail_server, frozenset({"silent"})),
    },
    "webhook": {f"{size}-a-request": webhook_variant(size) for size in (1, 3, 100)},
}
"""Kind of connector -> its variants."""


def known_records(count: int) -> list[Record]:
    return [{"id": number, "name": f"Name {number}, \"quoted\" and 'so', Ünï"} for number in range(1, count + 1)]


def page_of(bodies: Sequence[Record], first: int = 0) -> Batch:
    return batch_of(bodies, first=first)
