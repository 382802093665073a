"""V2: HTTP -> mapping -> HTTP, one record a request, 32 at once, 1 % refused with 422 and 0.2 % put off with 503.

Ours is a whole run with all books, errors with request and answer, and a key with every request. The anchor is a bare
script on the same library (`tests.bench.http_script`), against the same peer in a process of its own.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from time import perf_counter, sleep
from typing import Any
from urllib.request import urlopen

import orjson

from apps.accounts.models import Account
from apps.accounts.services import create_account
from apps.errors.models import Error
from apps.execution.check_books import differences
from apps.execution.worker import work_slice
from apps.flows.models import Flow
from apps.flows.services import apply_definition, set_connection
from apps.runs.models import Run
from apps.runs.services import start_run
from tests.bench.http_peer import PAGE, is_put_off, is_refused
from tests.bench.http_script import AT_ONCE, move
from tests.bench.load import is_over, make_owner

GOAL = 0.6
LOOK_AGAIN_S = 0.02

DEFINITION = """
flow: transfer
name: Transfer
integration: {{key: bench, name: Bench}}
enabled: true
page_size: {page}
steps:
  - key: shop
    export:
      connection: shop
      path: /orders
      paging: page
      query: {{total: "{records}"}}
    trace_key: "{{{{ record.id }}}}"
  - key: office
    import: {{connection: office, path: /orders, idempotency_header: Idempotency-Key, error_path: error.message}}
    mapping: {{id: record.id, name: record.customer.name, email: record.customer.email, amount: record.amount}}
"""


@dataclass
class Bench:
    account: Account
    flow: Flow
    address: str
    records: int

    def run_ours(self) -> float:
        started = perf_counter()
        run = start_run(flow=self.flow)
        while not is_over(run):
            if not work_slice(run.pk):
                sleep(LOOK_AGAIN_S)
        elapsed = perf_counter() - started
        self.check_ours(run)
        return elapsed

    def run_script(self) -> float:
        started = perf_counter()
        outcome = asyncio.run(move(self.address, self.records))
        elapsed = perf_counter() - started
        assert sorted(outcome.refused) == self.refused
        self.check_ledger()
        return elapsed

    @property
    def refused(self) -> list[int]:
        return [number for number in range(self.records) if is_refused(number)]

    def check_ours(self, run: Run) -> None:
        errors = Error.objects.of(self.account).filter(run=run)
        assert sorted(int(key) for key in errors.values_list("key", flat=True)) == self.refused, run.outcome
        assert not errors.filter(capture=None).exists()
        assert run.success == self.records - len(self.refused)
        self.check_ledger()

    def check_ledger(self) -> None:
        with urlopen(f"{self.address}/ledger") as answer:
            ledger = orjson.loads(answer.read())
        put_off = sum(is_put_off(number) for number in range(self.records))
        assert ledger == {"taken": self.records - len(self.refused), "repeated": 0, "put_off": put_off}, ledger


@contextmanager
def peer() -> Iterator[str]:
    """The address of the peer, which lives as long as this."""
    process = subprocess.Popen([sys.executable, "-m", "tests.bench.http_peer"], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()


@contextmanager
def bench(records: int) -> Iterator[Bench]:
    with peer() as address:
        account = create_account(name="Transfer", owner=make_owner())
        config: dict[str, Any] = {"base_url": address, "max_concurrency": AT_ONCE}
        for name in ("shop", "office"):
            set_connection(account=account, name=name, kind="http", config=config)
        apply_definition(account=account, text=DEFINITION.format(records=records, page=PAGE))
        yield Bench(account, Flow.objects.of(account).get(), address, records)


def measure(*, rounds: int, records: int) -> dict[str, object]:
    """Interleaved rounds after one warm-up of each; rates in records a second."""
    with bench(records) as world:
        world.run_ours(), world.run_script()
        ours, anchor = [], []
        for number in range(rounds):
            ours.append(records / world.run_ours())
            anchor.append(records / world.run_script())
            ratio = ours[-1] / anchor[-1]
            print(f"round {number + 1}: ours {ours[-1]:,.0f}/s, script {anchor[-1]:,.0f}/s, {ratio:.2f}", flush=True)
        found = list(differences())
        assert not found, found
    ratio = median(a / b for a, b in zip(ours, anchor, strict=True))
    figures = {"ours": round(median(ours)), "anchor": round(median(anchor)), "ratio": round(ratio, 3)}
    return {"name": "V2", **figures, "goal": GOAL}
