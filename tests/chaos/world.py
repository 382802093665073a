"""The flows under torment, their source and their targets, and what must be in the targets in the end.

Three flows read one file in pages of 50: one upserts (repeatable by key), one inserts into a table without a key (only
the ledger keeps it from doubling), one posts to an HTTP target that loses answers and knows repeats by their key. Each
run writes under its own `round`, so that every run can be audited alone.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import psycopg
from django.conf import settings
from django.contrib.auth.models import User

from apps.accounts.models import Account
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
page_size: {page}
steps:
  - key: file
    export: {{connection: files, path: records.jsonl}}
    trace_key: "{{{{ record.id }}}}"
  - key: {step}
    import: {{{sent}}}
    mapping: {{round: run.parameters.round, id: record.id, amount: record.amount}}
"""
WRITES = {
    "kept": ("load", "connection: target, operation: upsert, table: kept, keys: [round, id]"),
    "added": ("load", "connection: target, operation: insert, table: added"),
    "posted": (
        "post",
        "connection: office, path: /records, idempotency_header: Idempotency-Key, error_path: message",
    ),
}
FLOWS = {key: DEFINITION.format(key=key, page=PAGE, step=step, sent=sent) for key, (step, sent) in WRITES.items()}


@dataclass
class World:
    """What the flows work on."""

    stage: Stage
    account: Account
    flows: dict[str, Flow]
    office: HttpTarget

    @classmethod
    def build(cls, stage: Stage) -> "World":
        owner = User.objects.create_user("chaos", "chaos@example.org")
        account = create_account(name="Chaos", owner=owner)
        world = cls(stage, account, {}, HttpTarget())
        world._make_target()
        config = world._target_config()
        set_connection(account=account, member=None, name="target", kind="sql", config=config)
        set_connection(account=account, member=None, name="files", kind="file", config={})
        office = {"base_url": world.office.address, "max_concurrency": 8}
        set_connection(account=account, member=None, name="office", kind="http", config=office)
        world._write_source()
        for key, text in FLOWS.items():
            apply_definition(account=account, member=None, text=text)
            world.flows[key] = Flow.objects.of(account).get(key=key)
        return world

    def _target_config(self) -> dict[str, Any]:
        if self.stage.target is None:
            return {"database": "sqlite", "file": "target.sqlite3"}
        parts = urlsplit(self.stage.target)
        place = {"host": parts.hostname, "port": parts.port or 5432, "name": parts.path[1:], "user": parts.username}
        return {"database": "postgresql", "sslmode": "disable", **place}

    def _make_target(self) -> None:
        self._sqlite_file().parent.mkdir(parents=True, exist_ok=True)
        with self.target() as connection:
            for table in TABLES:
                connection.execute(table)

    @contextmanager
    def target(self) -> Iterator[Any]:
        if self.stage.target is None:
            with closing(sqlite3.connect(self._sqlite_file(), timeout=20)) as connection, connection:
                yield connection
        else:
            with psycopg.connect(self.stage.target) as connection:
                yield connection

    def _sqlite_file(self) -> Path:
        return surroundings_for(self.account).sqlite_root / "target.sqlite3"

    def _write_source(self) -> None:
        path = Path(settings.FILES_ROOT) / str(self.account.pk) / "records.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [{"id": n, "amount": -1 if is_bad(n) else n} for n in range(RECORDS)]
        path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))

    def rows(self, table: str, round_no: int) -> list[int]:
        """The ids that stand in the target for one run, sorted, repeats included."""
        if table == "posted":
            return self.office.ids(round_no)
        mark = "?" if self.stage.target is None else "%s"
        with self.target() as connection:
            found = connection.execute(f"SELECT id FROM {table} WHERE round = {mark} ORDER BY id", [round_no])
            return [row[0] for row in found.fetchall()]


def is_bad(number: int) -> bool:
    return number % BAD_EVERY == 7


GOOD = [number for number in range(RECORDS) if not is_bad(number)]
BAD = [number for number in range(RECORDS) if is_bad(number)]
