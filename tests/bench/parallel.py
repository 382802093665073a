"""V9: a flow whose work is the worker's own (mappings, no slow target), by two workers on two cores and by one.

Real worker processes, started before the clock runs: both flows read, map and write the same file; the pages of one go
one after the other, those of the other are at work at once.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from apps.accounts.models import Account
from apps.accounts.services import create_account
from apps.execution.check_books import differences
from apps.flows.models import Flow
from apps.flows.services import apply_definition, set_connection
from apps.runs.models import Run
from apps.runs.services import start_run
from apps.runs.statuses import RunOutcome
from tests.bench.load import make_owner
from tests.bench.orders import write_file

GOAL = 1.7
ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 300.0
DEFINITION = """
flow: {key}
integration: {{key: bench, name: Bench}}
enabled: true
{pages}
steps:
  - key: file
    export: {{connection: files, path: orders.jsonl}}
    trace_key: "{{{{ record.order.id }}}}"
{maps}
  - key: keep
    import: {{connection: files, path: "{key}.jsonl"}}
    mapping: {{id: record.order.id, name: record.name, note: record.note}}
"""
MAP = """  - key: map-{number}
    map:
      order: record.order
      customer: record.customer
      note: trim(record.note)
      name: "lower(record.customer.first) + ' ' + upper(record.customer.last)"
      email: replace(lower(record.customer.email), 'example', 'mail')
      city: "upper(record.customer.address.city) + ' ' + record.customer.address.zip"
      street: lower(record.customer.address.street)
      total: round(number(default(record.order.amount, 0)) * 1.19, 2)
"""
MAPS = 12


def measure(*, rounds: int, records: int) -> dict[str, object]:
    """Interleaved rounds after one warm-up of each; rates in records a second."""
    flows = make_flows(records)
    with workers(2):
        for flow in flows.values():
            seconds_of(flow)
        rates: dict[str, list[float]] = {"one": [], "two": []}
        for number in range(rounds):
            for name, flow in flows.items():
                rates[name].append(records / seconds_of(flow))
            one, two = rates["one"][-1], rates["two"][-1]
            print(f"round {number + 1}: two workers {two:,.0f}/s, one {one:,.0f}/s, {two / one:.2f}", flush=True)
    found = list(differences())
    assert not found, found
    ratio = median(two / one for one, two in zip(rates["one"], rates["two"], strict=True))
    return {
        "name": "V9",
        "ours": round(median(rates["two"])),
        "anchor": round(median(rates["one"])),
        "ratio": round(ratio, 3),
        "goal": GOAL,
    }


def make_flows(records: int) -> dict[str, Flow]:
    """The same flow twice: its pages one after the other, and two at once."""
    from django.conf import settings

    account: Account = create_account(name="Bench", owner=make_owner())
    set_connection(account=account, member=None, name="files", kind="file", config={})
    write_file(Path(settings.FILES_ROOT) / str(account.pk) / "orders.jsonl", records)
    maps = "".join(MAP.format(number=number) for number in range(MAPS))
    flows = {}
    for name, pages in {"one": "page_order: kept", "two": "page_order: free\nparallel_pages: 2"}.items():
        apply_definition(account=account, member=None, text=DEFINITION.format(key=name, pages=pages, maps=maps))
        flows[name] = Flow.objects.of(account).get(key=name)
    return flows


@contextmanager
def workers(count: int) -> Iterator[None]:
    """The product's worker processes."""
    from django.conf import settings

    environment = {**os.environ, "DATA_DIR": str(settings.DATA_DIR), "WORKERS": str(count), "LOG_LEVEL": "WARNING"}
    command = [sys.executable, str(ROOT / "manage.py"), "qcluster"]
    cluster = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        yield
    finally:
        cluster.terminate()
        cluster.wait(timeout=30)


def seconds_of(flow: Flow) -> float:
    """From the first claim of a run to its end."""
    run = start_run(flow=flow)
    end = time.monotonic() + PATIENCE_S
    while not is_over(run):
        assert time.monotonic() < end, f"{run} did not end within {PATIENCE_S:.0f} s"
        time.sleep(0.05)
    assert run.outcome == RunOutcome.COMPLETED, run.outcome
    began, ended = run.started_at, run.ended_at
    assert began is not None
    assert ended is not None
    return float((ended - began).total_seconds())


def is_over(run: Run) -> bool:
    run.refresh_from_db()
    return run.is_ended
