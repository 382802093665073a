"""V1: JSON Lines -> mapping of 8 fields -> PostgreSQL upsert with 1 % bad records, through a real flow.

Ours does everything the product does: stored pages, page commits, errors with retry data and search text, causes,
counters, buckets, auto-resolve. The anchor is the fastest exact script we know (`tests.bench.script`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from urllib.parse import urlsplit

import psycopg

from apps.accounts.models import Account
from apps.accounts.services import create_account
from apps.errors.models import Error
from apps.execution.check_books import differences
from apps.execution.worker import work_slice
from apps.flows.models import Flow
from apps.flows.services import apply_definition, set_connection
from apps.runs.models import Run
from apps.runs.services import start_run
from tests.bench.database import own_database
from tests.bench.orders import MAPPING, TABLE, bad_numbers, write_file
from tests.bench.script import load

GOAL = 0.7

DEFINITION = """
flow: orders
name: Orders
integration: {key: bench, name: Bench}
enabled: true
steps:
  - key: file
    export: {connection: files, path: orders.jsonl}
    trace_key: "{{ record.order.id }}"
  - key: load
    import: {connection: target, operation: upsert, table: ours, keys: [id]}
    mapping:
"""


@dataclass
class Bench:
    account: Account
    flow: Flow
    path: Path
    address: str
    records: int

    def reset(self, table: str) -> None:
        with psycopg.connect(self.address, autocommit=True) as connection:
            connection.execute(f"DROP TABLE IF EXISTS {table}".encode())
            connection.execute(TABLE.format(table=table).encode())

    def run_ours(self) -> float:
        self.reset("ours")
        started = perf_counter()
        run = start_run(flow=self.flow)
        while not is_over(run):
            work_slice(run.pk)
        elapsed = perf_counter() - started
        self.check_ours(run)
        return elapsed

    def run_script(self) -> float:
        self.reset("theirs")
        started = perf_counter()
        bad = load(self.path, self.address, "theirs")
        elapsed = perf_counter() - started
        assert sorted(number for number, _, _ in bad) == bad_numbers(self.records)
        self.check_rows("theirs")
        return elapsed

    def check_ours(self, run: Run) -> None:
        keys = Error.objects.of(self.account).filter(run=run).values_list("key", flat=True)
        assert sorted(int(key) for key in keys) == bad_numbers(self.records)
        self.check_rows("ours")

    def check_rows(self, table: str) -> None:
        with psycopg.connect(self.address) as connection:
            row = connection.execute(f"SELECT count(*), count(DISTINCT id) FROM {table}".encode()).fetchone()
        assert row == (self.records - len(bad_numbers(self.records)),) * 2


def is_over(run: Run) -> bool:
    run.refresh_from_db()
    return run.is_ended


@contextmanager
def bench(records: int) -> Iterator[Bench]:
    from django.conf import settings

    with own_database("bench_target") as address:
        account = create_account(name="Bench", owner=make_owner())
        parts = urlsplit(address)
        config = {"database": "postgresql", "host": parts.hostname, "port": parts.port or 5432}
        config |= {"name": parts.path[1:], "user": parts.username, "sslmode": "disable"}
        set_connection(account=account, member=None, name="target", kind="sql", config=config)
        set_connection(account=account, member=None, name="files", kind="file", config={})
        path = Path(settings.FILES_ROOT) / str(account.pk) / "orders.jsonl"
        write_file(path, records)
        text = DEFINITION + "".join(f'      {name}: "{source}"\n' for name, source in MAPPING.items())
        apply_definition(account=account, member=None, text=text)
        yield Bench(account, Flow.objects.of(account).get(), path, address, records)


def make_owner() -> object:
    from django.contrib.auth.models import User

    return User.objects.create_user(f"bench{User.objects.count()}", "bench@example.org")


def measure(*, rounds: int, records: int) -> dict[str, object]:
    """Interleaved rounds after one warm-up of each; rates in records a second."""
    with bench(records) as world:
        world.run_ours(), world.run_script()
        ours, anchor = [], []
        for number in range(rounds):
            ours.append(records / world.run_ours())
            anchor.append(records / world.run_script())
            print(
                f"round {number + 1}: ours {ours[-1]:,.0f}/s, script {anchor[-1]:,.0f}/s, {ours[-1] / anchor[-1]:.2f}",
                flush=True,
            )
        found = list(differences())
        assert not found, found
    ratio = median(a / b for a, b in zip(ours, anchor, strict=True))
    return {
        "name": "V1",
        "ours": round(median(ours)),
        "anchor": round(median(anchor)),
        "ratio": round(ratio, 3),
        "goal": GOAL,
    }
