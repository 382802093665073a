"""analytics: a year of eight streams by day, from the buckets of a full year, on PostgreSQL and on SQLite.

The page is asked through Django's test client: time of the server without the network, the median of the rounds. Beside
it: what reading the series alone takes, and the page of an integration and seven of its flows. The reader is in
several time zones in turn, for days are added up anew for every zone.
"""

import json
import os
import subprocess
import sys
import tempfile
from datetime import timedelta
from statistics import median
from time import perf_counter, process_time
from typing import Any
from zoneinfo import ZoneInfo

GOAL_MS = 50
FLOWS, STREAMS = 20, 8
HALF_HOURS = 365 * 48
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC")


def measure(*, rounds: int, records: int) -> dict[str, object]:
    """`records`: half hours of each flow. Ours is the slower database's median over all zones, in ms."""
    found = {"postgresql": measure_here(rounds, records), "sqlite": measure_on_sqlite(rounds, records)}
    slowest = max(times["page_ms"] for times in found.values())
    return {
        "name": "analytics",
        "ours": slowest,
        "anchor": GOAL_MS,
        "ratio": round(slowest / GOAL_MS, 3),
        "goal": f"<= {GOAL_MS} ms for a year of {STREAMS} streams",
        **found,
    }


def measure_on_sqlite(rounds: int, records: int) -> dict[str, float]:
    """In a process of its own: a process keeps to one database."""
    with tempfile.TemporaryDirectory(prefix="flowmend-bench-") as folder:
        environment = os.environ | {"DATABASE_URL": f"sqlite:///{folder}/bench.sqlite3"}
        command = [sys.executable, "-m", "tests.bench.analytics", str(rounds), str(records)]
        run = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    print(run.stdout, end="", flush=True)
    times: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return times


def measure_here(rounds: int, records: int) -> dict[str, float]:
    from django.conf import settings
    from django.db import connection
    from django.test import Client

    from apps.accounts.models import Profile
    from apps.accounts.reach import Reach
    from apps.analytics.axis import axis_of
    from apps.analytics.series import read_series
    from apps.analytics.streams import Stream, StreamKind
    from apps.core.clock import wall_now

    settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
    member, flows = fill(records)
    client = Client(headers={"host": "localhost"})
    client.force_login(member.user)
    streams = [Stream(StreamKind.FLOW, flow.pk, flow.name, flow.integration_id) for flow in flows[:STREAMS]]
    whole = Stream(StreamKind.INTEGRATION, flows[0].integration_id, "", flows[0].integration_id)
    reach = Reach(member.account_id, "production", None)
    times: dict[str, list[float]] = {"page_ms": [], "series_ms": [], "integration_ms": []}
    at_work: list[float] = []  # of this process for a page: says on a busy machine what a quiet one would take
    for number in range(rounds + 1):  # the first warms up
        for zone in ZONES:
            Profile.objects.update_or_create(user=member.user, defaults={"time_zone": zone})
            now = wall_now()
            axis = axis_of(now - timedelta(days=365), now, ZoneInfo(zone), now)
            worked = process_time()
            taken = {"page_ms": took(lambda: ask(client, streams))}
            at_work.append((process_time() - worked) * 1000)
            taken |= {
                "series_ms": took(lambda axis=axis: read_series(reach, streams, axis)),
                "integration_ms": took(lambda: ask(client, [whole, *streams[:-1]])),
            }
            for name in times:
                times[name] += [taken[name]] if number else []
            print(f"{connection.vendor}, {zone}: " + ", ".join(f"{name} {ms:,.1f}" for name, ms in taken.items()))
    return {name: round(median(taken), 1) for name, taken in times.items()} | {"cpu_ms": round(median(at_work), 1)}


def took(act: Any) -> float:
    """Milliseconds."""
    started = perf_counter()
    act()
    return (perf_counter() - started) * 1000


def ask(client: Any, streams: list[Any]) -> None:
    query = "&".join(f"stream={stream.key}" for stream in streams)
    answer = client.get(f"/analytics/?range=1y&{query}")
    assert answer.status_code == 200, answer.status_code
    assert b'id="values-success"' in answer.content


def fill(records: int) -> tuple[Any, list[Any]]:
    """An account with flows that did something in each half hour; two of three are of one integration."""
    from django.db import connection

    from apps.accounts.models import Member
    from apps.accounts.services import create_account
    from apps.core.clock import wall_now
    from tests.bench.load import make_owner
    from tests.factories import make_flow, make_integration

    owner = make_owner()
    account = create_account(name="Analytics", owner=owner)
    groups = [make_integration(account) for _ in range(2)]
    flows = [make_flow(integration=groups[number % 3 == 2]) for number in range(FLOWS)]
    last = int(wall_now().timestamp()) // 1800
    with connection.cursor() as cursor:
        for grain, first, end in ((30, last - records, last), (1, (last - 240) * 30, last * 30)):
            cursor.execute(BUCKETS, [first, end, grain, account.pk])
        cursor.execute(QUARTERS)
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")
    return Member.objects.of(account).select_related("user").get(user=owner), flows


BUCKETS = """
INSERT INTO bucket (account_id, flow_id, grain, slot, success, ignored, errors, rolled_back, resolved, auto_resolved,
  busy_ms, runs, run_ms, run_success, run_ignored, run_errors)
WITH RECURSIVE slots(slot) AS (SELECT %s UNION ALL SELECT slot + 1 FROM slots WHERE slot < %s)
SELECT f.account_id, f.id, %s, slot, 100 + slot %% 37, 3, slot %% 5, 0, slot %% 4, 0, 3000 + slot %% 700, 1, 0, 0, 0, 0
FROM slots CROSS JOIN flow f WHERE f.account_id = %s
"""
SUMS = (
    "success, ignored, errors, rolled_back, resolved, auto_resolved, busy_ms, runs, run_ms, run_success, run_ignored, "
    "run_errors"
)
QUARTERS = (
    f"INSERT INTO bucket (account_id, flow_id, grain, slot, {SUMS}) SELECT account_id, flow_id, 360, slot / 12, "
    + ", ".join(f"sum({name})" for name in SUMS.split(", "))
    + " FROM bucket WHERE grain = 30 GROUP BY account_id, flow_id, slot / 12"
)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from tests.bench.prepared import prepare

    prepare()
    print(json.dumps(measure_here(int(sys.argv[1]), int(sys.argv[2]))))
