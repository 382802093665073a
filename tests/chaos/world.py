"""The flows under torment, their source and their targets, and what must be in the targets in the end.

Each flow reads one file in pages of 50 and writes in a way of its own: `kept` upserts (repeatable by key), `added`
inserts into a table without a key (only the ledger keeps it from doubling), `posted` posts with a key to a target that
loses answers, `put` does the same by PUT, `unkeyed` posts without a key. Each run writes under its own `round`, so that
every run can be audited alone.
"""

import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import psycopg
from django.conf import settings
from django.contrib.auth.models import User

from apps.accounts.models import Account, Member
from apps.accounts.services import create_account
from apps.flows.connections import surroundings_for
from apps.flows.models import Flow
from apps.flows.services import apply_definition, set_connection
from tests.chaos.http_target import HttpTarget
from tests.chaos.setups import Stage

RECORDS = 2_000
BAD_EVERY = 100
PAGE = 50
TABLES = [
    "CREATE TABLE kept (round integer NOT NULL, id integer NOT NULL, amount integer NOT NULL CHECK (amount >= 0),"
    " PRIMARY KEY (round, id))",
    "CREATE TABLE added (round integer NOT NULL, id integer NOT NULL, amount integer NOT NULL CHECK (amount >= 0))",
]
DEFINITION = """
flow: {key}
name: {key}
integration: {{key: chaos, name: Chaos}}
enabled: true
overlap: {overlap}
page_size: {page}
{pages}steps:
  - key: file
    export: {{connection: files, path: records.jsonl}}
    trace_key: "{{{{ record.id }}}}"
  - key: send
    import: {{connection: {sent}}}
    mapping: {{round: run.parameters.round, id: record.id, amount: record.amount}}
"""
WRITES = {
    "kept": "target, operation: upsert, table: kept, keys: [round, id]",
    "added": "target, operation: insert, table: added",
    "posted": "office, path: /posted, idempotency_header: Idempotency-Key, error_path: message",
    "put": 'office, method: PUT, path: "/put/{{ run.parameters.round }}/{{ record.id }}", error_path: message',
    "unkeyed": "office, path: /unkeyed, error_path: message",
}
OVER_HTTP = {"posted", "put", "unkeyed"}


@dataclass(frozen=True)
class Wanted:
    """Which flows there are, and how what they read and write is made."""

    flows: Sequence[str] = ("kept", "added", "posted")
    records: int = RECORDS
    page: int = PAGE
    parallel_pages: int = 1
    overlap: str = "queue"
    drops: float = 0.005
    delay_s: float = 0.0

    @property
    def pages(self) -> str:
        """In the words of a definition."""
        return f"page_order: free\nparallel_pages: {self.parallel_pages}\n" if self.parallel_pages > 1 else ""


@dataclass
class World:
    """What the flows work on."""

    stage: Stage
    wanted: Wanted
    account: Account
    flows: dict[str, Flow]
    office: HttpTarget

    @classmethod
    def build(cls, stage: Stage, wanted: Wanted, dice: random.Random) -> "World":
        owner = User.objects.create_user("chaos", "chaos@example.org")
        account = create_account(name="Chaos", owner=owner)
        office = HttpTarget(random.Random(dice.random()), drops=wanted.drops, delay_s=wanted.delay_s)
        world = cls(stage, wanted, account, {}, office)
        world._make_target()
        world._connect("target", "sql", **world._target_config())
        world._connect("files", "file")
        world._connect("office", "http", base_url=office.address, max_concurrency=8)
        world._write_source()
        for key in wanted.flows:
            facts = {"page": wanted.page, "pages": wanted.pages, "overlap": wanted.overlap}
            text = DEFINITION.format(key=key, sent=WRITES[key], **facts)
            apply_definition(account=account, member=None, text=text)
            world.flows[key] = Flow.objects.of(account).get(key=key)
        return world

    @property
    def owner(self) -> Member:
        return Member.objects.of(self.account).get(role="owner")

    @property
    def good(self) -> list[int]:
        return [number for number in range(self.wanted.records) if not is_bad(number)]

    @property
    def bad(self) -> list[int]:
        return [number for number in range(self.wanted.records) if is_bad(number)]

    def _connect(self, name: str, kind: str, /, **config: Any) -> None:
        set_connection(account=self.account, member=None, name=name, kind=kind, config=config)

    def _target_config(self) -> dict[str, Any]:
        if self.stage.target is None:
            return {"database": "sqlite", "file": "target.sqlite3"}
        parts = urlsplit(self.stage.target)
        place = {"host": parts.hostname, "port": parts.port or 5432, "name": parts.path[1:], "user": parts.username}
        return {"database": "postgresql", "sslmode": "disable", **place}

    def _make_target(self) -> None:
        self.sqlite_file.parent.mkdir(parents=True, exist_ok=True)
        with self.target() as connection:
            for table in TABLES:
                connection.execute(table)

    @contextmanager
    def target(self) -> Iterator[Any]:
        if self.stage.target is None:
            with closing(sqlite3.connect(self.sqlite_file, timeout=20)) as connection, connection:
                yield connection
        else:
            with psycopg.connect(self.stage.target) as connection:
                yield connection

    @property
    def sqlite_file(self) -> Path:
        return surroundings_for(self.account).sqlite_root / "target.sqlite3"

    def _write_source(self) -> None:
        path = Path(settings.FILES_ROOT) / str(self.account.pk) / "records.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [{"id": n, "amount": -1 if is_bad(n) else n} for n in range(self.wanted.records)]
        path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))

    def times(self, flow: str, round_no: int) -> dict[int, int]:
        """How often each id stands in the target for one run."""
        if flow in OVER_HTTP:
            return self.office.times(flow, round_no)
        mark = "?" if self.stage.target is None else "%s"
        with self.target() as connection:
            found = connection.execute(f"SELECT id, count(*) FROM {flow} WHERE round = {mark} GROUP BY id", [round_no])
            return dict(found.fetchall())


def is_bad(number: int) -> bool:
    return number % BAD_EVERY == 7
