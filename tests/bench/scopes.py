"""scopes: what it costs that a record's two writes hold together: scope record and page against none, in one run.

Each record is written into two tables of PostgreSQL; a bad one is refused by the second, so its first write has to be
undone. The same flow runs in the scope none, which leaves the first write standing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from urllib.parse import urlsplit

import orjson
import psycopg

from apps.accounts.services import create_account
from apps.errors.models import Error
from apps.execution.check_books import differences
from apps.execution.worker import work_slice
from apps.flows.models import Flow
from apps.flows.services import apply_definition, set_connection
from apps.runs.services import start_run
from tests.bench.database import own_database
from tests.bench.load import is_over, make_owner

GOALS = {"record, clean": 1.5, "record, 1 % bad": 6.0}
"""At most so many times as long as the scope none over the same records."""
BAD_EVERY = 100
TABLES = ("first", "second")
FLOW = """
flow: {key}
integration: {{key: scopes, name: Scopes}}
enabled: true
scope: {scope}
steps:
  - key: file
    export: {{connection: files, path: {file}}}
    trace_key: "{{{{ record.id }}}}"
  - key: first
    import: {{connection: target, operation: upsert, table: first, keys: [id]}}
  - key: second
    import: {{connection: target, operation: upsert, table: second, keys: [id]}}
{handling}"""
HANDLED = """    handling: custom_with_rollback
    ends: end
    handler:
      - key: note
        import: {connection: target, operation: upsert, table: noted, keys: [id]}
        mapping: {id: record.id, amount: "0"}
"""
CASES = {
    "none, clean": ("none", "clean", ""),
    "record, clean": ("record", "clean", ""),
    "page, clean": ("page", "clean", ""),
    "none, 1 % bad": ("none", "bad", ""),
    "record, 1 % bad": ("record", "bad", ""),
    "record with handlers, 1 % bad": ("record", "bad", HANDLED),
}


@dataclass
class World:
    flows: dict[str, Flow]
    address: str
    records: int

    def run(self, case: str) -> float:
        """Seconds of one run, its outcome checked."""
        with psycopg.connect(self.address, autocommit=True) as connection:
            for table in (*TABLES, "noted"):
                connection.execute(f"TRUNCATE {table}".encode())
        started = perf_counter()
        run = start_run(flow=self.flows[case])
        while not is_over(run):
            work_slice(run.pk)
        elapsed = perf_counter() - started
        self.check(case, run.pk)
        return elapsed

    def check(self, case: str, run: int) -> None:
        scope, file, handling = CASES[case]
        bad = len(range(BAD_EVERY // 2, self.records, BAD_EVERY)) if file == "bad" else 0
        good = self.records - bad
        expected = [self.records if scope == "none" else good, good, bad if handling else 0]
        with psycopg.connect(self.address) as connection:
            tables = (*TABLES, "noted")
            rows = [connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()[0] for table in tables]
        assert rows == expected, (case, rows, expected)
        assert Error.unscoped.filter(run_id=run).count() == bad


def write_records(path: Path, count: int, *, is_bad: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for number in range(count):
            amount = -1 if is_bad and number % BAD_EVERY == BAD_EVERY // 2 else number % 1000
            file.write(orjson.dumps({"id": number, "amount": amount}) + b"\n")


@contextmanager
def world(records: int) -> Iterator[World]:
    from django.conf import settings

    with own_database("bench_scopes") as address:
        with psycopg.connect(address, autocommit=True) as connection:
            for table, check in (("first", ""), ("second", "CHECK (amount >= 0)"), ("noted", "")):
                connection.execute(f"CREATE TABLE {table} (id bigint PRIMARY KEY, amount integer {check})".encode())
        account = create_account(name="Scopes", owner=make_owner())
        parts = urlsplit(address)
        config = {"database": "postgresql", "host": parts.hostname, "port": parts.port or 5432, "sslmode": "disable"}
        config |= {"name": parts.path[1:], "user": parts.username}
        set_connection(account=account, member=None, name="target", kind="sql", config=config)
        set_connection(account=account, member=None, name="files", kind="file", config={})
        flows = {}
        for number, (case, (scope, file, handling)) in enumerate(CASES.items()):
            path = Path(settings.FILES_ROOT) / str(account.pk) / f"{file}.jsonl"
            if not path.exists():
                write_records(path, records, is_bad=file == "bad")
            text = FLOW.format(key=f"case-{number}", scope=scope, file=path.name, handling=handling)
            flows[case] = apply_definition(account=account, member=None, text=text).flow
        yield World(flows, address, records)


def measure(*, rounds: int, records: int) -> dict[str, object]:
    """Interleaved rounds; each case as a multiple of the scope none over the same records."""
    seconds: dict[str, list[float]] = {case: [] for case in CASES}
    with world(records) as made:
        for case in CASES:
            made.run(case)
        for number in range(rounds):
            for case in CASES:
                seconds[case].append(made.run(case))
            print(f"round {number + 1}: " + ", ".join(f"{c} {s[-1]:.2f} s" for c, s in seconds.items()), flush=True)
        found = list(differences())
        assert not found, found
    times = {
        case: median(a / b for a, b in zip(taken, seconds[base_of(case)], strict=True))
        for case, taken in seconds.items()
    }
    return {
        "name": "scopes",
        "ours": {case: round(records / median(taken)) for case, taken in seconds.items()},
        "anchor": "scope none",
        "ratio": {case: round(ratio, 2) for case, ratio in times.items()},
        "goal": GOALS,
    }


def base_of(case: str) -> str:
    return f"none, {case.split(', ')[1]}"
