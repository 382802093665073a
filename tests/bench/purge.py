"""purge: old errors with their runs are purged while a flow runs and people look at lists.

Ours is the rate of a flow's runs (V1's, in another account of the same database) while another process purges; the
anchor is the same without a purge. Lists are those of the account that is purged, asked through Django's test client:
medians with and without. Meant for 5,000,000 errors; `python -m tests.bench.purge PURGE` is the process that purges.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from statistics import median
from time import perf_counter

import django

if __name__ == "__main__":
    django.setup()

from django.conf import settings
from django.db import connection

from apps.core.clock import read_now
from apps.errors.models import Error
from apps.execution.check_books import differences
from apps.execution.purging import purge_slice
from apps.retention.ahead import going_before
from apps.retention.models import NOT_ENDED, Purge
from tests.bench.error_rows import Size, World, fill
from tests.bench.errors import signed_in
from tests.bench.load import Bench, bench

GOAL = 0.8
RUN = 20_000  # records of a run of the flow
OLDER = timedelta(days=60)
KEPT_EVERY = 10  # one error in ten is younger than the retention
LISTS = 20


def measure(*, rounds: int, records: int) -> dict[str, object]:
    """`ours` and `anchor` in records a second; `records` is the number of errors."""
    settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
    world = fill(Size(errors=records))
    make_old(world)
    errors = Error.objects.of(world.account)
    old = going_before(world.account, read_now() - timedelta(days=30)).errors
    young = errors.count() - old  # and those that a retry has
    with bench(RUN) as flow:
        flow.run_ours()
        anchor = [RUN / flow.run_ours() for _ in range(rounds)]
        quiet_ms = list_ms(world)
        began = perf_counter()
        with purging(world) as worker:
            ours, busy_ms = while_purged(worker, flow, world)
        took_s = perf_counter() - began
    assert errors.count() == young
    found = list(differences())
    assert not found, found
    ratio = median(ours) / median(anchor)
    print(f"{old:,} errors in {took_s:,.0f} s, list {busy_ms:.1f} ms, without a purge {quiet_ms:.1f} ms", flush=True)
    return {
        "name": "purge",
        "ours": round(median(ours)),
        "anchor": round(median(anchor)),
        "ratio": round(ratio, 3),
        "goal": f">= {GOAL}",
        "errors": old,
        "errors_a_second": round(old / took_s),
        "list_ms": round(busy_ms, 1),
        "list_ms_without": round(quiet_ms, 1),
    }


def make_old(world: World) -> None:
    """All but the newest errors and runs are older than the retention. The buckets stay where they are."""
    newest = "(SELECT max(id) - max(id) / %s FROM run)"
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE run SET created_at = created_at - %s WHERE id < {newest}",
            [OLDER, KEPT_EVERY],
        )
        cursor.execute(
            f"UPDATE error SET occurred_at = occurred_at - %s WHERE run_id < {newest}",
            [OLDER, KEPT_EVERY],
        )
        cursor.execute("VACUUM ANALYZE error, run")


@contextmanager
def purging(world: World) -> Iterator["subprocess.Popen[bytes]"]:
    purge = Purge(account=world.account, before=read_now() - timedelta(days=30), days=30)
    purge.save(force_insert=True)
    with subprocess.Popen([sys.executable, "-m", "tests.bench.purge", str(purge.pk)]) as worker:
        yield worker
    assert worker.returncode == 0


def while_purged(worker: "subprocess.Popen[bytes]", flow: Bench, world: World) -> tuple[list[float], float]:
    """Rates and the median of the lists for as long as the purge goes on; at least one of each."""
    rates, lists = [], []
    while worker.poll() is None or not rates:
        rates.append(RUN / flow.run_ours())
        lists.append(list_ms(world))
    return rates, median(lists)


def list_ms(world: World) -> float:
    client, times = signed_in(world), []
    for _ in range(LISTS):
        began = perf_counter()
        answer = client.get(f"/flows/{world.flow.pk}/steps/{world.step.pk}/errors/open/")
        times.append((perf_counter() - began) * 1000)
        assert answer.status_code == 200, answer.status_code
    return median(times)


if __name__ == "__main__":
    while Purge.unscoped.filter(NOT_ENDED, pk=int(sys.argv[1])).exists():
        purge_slice(int(sys.argv[1]))
