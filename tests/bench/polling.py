"""polling: 200 open tabs of one busy account ask whether anything has changed: how much of a core the server takes.

Tabs of ten members show what people leave open: dashboards, runs under way, flows at work, lists of errors; each asks
as often as its page and the last answer say, in real time. In every second runs move on, a run ends and errors come,
so that most answers have news. A minute is gone through second by second: the work of this process and of its
connection to PostgreSQL is added up, without the network and without the server around Django. Ours is that work in
percent of the minute; how often each page asked is printed beside it.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from time import monotonic, process_time, sleep
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.db import connection
from django.test import Client
from django.urls import reverse

from apps.accounts.models import Role
from apps.accounts.services import add_member
from apps.runs.models import Run
from tests.bench.error_rows import World
from tests.bench.load import make_owner
from tests.bench.pages import fill_with_work, size_of

GOAL_PERCENT = 15
MEMBERS, TABS, SECONDS = 10, 200, 60
MIX = {"completed": 80, "running": 40, "flow": 40, "run": 20, "errors": 20}
SMALLEST, ERRORS_A_FLOW = 100, 2_000
LIVE = re.compile(r'data-live="([^"]+)" data-live-every="(\d+)"')

BUSY = """
UPDATE run SET change_no = change_no + 1, pages_done = pages_done + 1 WHERE status = 'running';
UPDATE flow_state SET changed_at = now() WHERE flow_id IN (SELECT flow_id FROM run WHERE status = 'running' LIMIT 1);
UPDATE step_state SET open_errors = open_errors + 3, last_error_at = now()
  WHERE flow_id IN (SELECT flow_id FROM run WHERE status = 'running' LIMIT 3)
"""
"""What one second of work does to the rows that the tabs look at."""


@dataclass
class Tab:
    """What a browser keeps of a page: the address that it asks, with the version that it has."""

    kind: str
    client: Client
    topics: str
    version: str
    every: int
    due: float = 0.0

    def ask(self) -> int:
        """How many bytes of news there are."""
        answer = self.client.get(reverse("console:live"), {"t": self.topics, "v": self.version})
        assert answer.status_code in (200, 204), (self.topics, answer.status_code)
        self.version = answer.headers.get("Live-Version", self.version)
        self.due += max(self.every, float(answer.headers["Live-Wait"]))
        return len(answer.content)


def measure(*, rounds: int, records: int) -> dict[str, object]:
    """`records` is the number of errors; a round is a minute."""
    settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
    tabs = list(opened(fill_with_work(size_of(records, max(SMALLEST, records // ERRORS_A_FLOW)))))
    return report([minute(tabs) for _ in range(rounds)])


def opened(world: World) -> Iterator[Tab]:
    users = [world.user]
    for _ in range(MEMBERS - 1):
        users.append(make_owner())
        add_member(account=world.account, user=users[-1], role=Role.MANAGER)  # type: ignore[arg-type]
    clients = [Client(headers={"host": "localhost"}) for _ in users]
    for client, user in zip(clients, users, strict=True):
        client.force_login(user)
    runs = list(Run.objects.of(world.account).running().order_by("pk"))
    kinds = [kind for kind, number in MIX.items() for _ in range(number)]
    for number, kind in enumerate(kinds):
        run = runs[number % len(runs)]
        address = {
            "completed": reverse("console:dashboard"),
            "running": reverse("console:dashboard-running"),
            "flow": reverse("console:flow", args=[run.flow_id]),
            "run": reverse("console:run", args=[run.pk]),
            "errors": reverse("console:error-list"),
        }[kind]
        client = clients[number % MEMBERS]
        found = LIVE.search(client.get(address).content.decode())
        assert found is not None, f"{address} is not live"
        asked = parse_qs(urlsplit(unescape(found[1])).query)
        yield Tab(kind, client, asked["t"][0], asked["v"][0], int(found[2]))


def minute(tabs: list[Tab]) -> dict[str, list[float]]:
    """Seconds of work for each asking, by the kind of its page."""
    work: dict[str, list[float]] = defaultdict(list)
    begin = monotonic()
    for number, tab in enumerate(tabs):
        tab.due = tab.every * number / len(tabs)
    for second in range(SECONDS):
        sleep(max(0, begin + second - monotonic()))
        with connection.cursor() as cursor:
            cursor.execute(BUSY)
        for tab in sorted(tabs, key=lambda tab: tab.due):
            if tab.due < second + 1:
                sleep(max(0, begin + tab.due - monotonic()))
                before = work_so_far()
                tab.ask()
                work[tab.kind].append(work_so_far() - before)
    return work


def work_so_far() -> float:
    """Seconds of this process, and of the server's process that answers it where both are on one machine."""
    statistics = Path(f"/proc/{connection.connection.info.backend_pid}/schedstat")
    return process_time() + (int(statistics.read_text().split()[0]) / 1e9 if statistics.exists() else 0)


def report(minutes: list[dict[str, list[float]]]) -> dict[str, object]:
    best = min(minutes, key=lambda work: sum(map(sum, work.values())))
    print(f"{'page':<12}{'asked':>7}{'every s':>9}{'ms each':>9}{'% of a core':>13}")
    for kind, taken in best.items():
        every, each = SECONDS * MIX[kind] / len(taken), 1000 * sum(taken) / len(taken)
        print(f"{kind:<12}{len(taken):>7}{every:>9.1f}{each:>9.2f}{100 * sum(taken) / SECONDS:>13.1f}")
    percent = 100 * sum(map(sum, best.values())) / SECONDS
    return {
        "name": "polling",
        "ours": round(percent, 1),
        "anchor": GOAL_PERCENT,
        "ratio": round(percent / GOAL_PERCENT, 3),
        "goal": f"<= {GOAL_PERCENT} % of a core for {TABS} tabs",
        "asked_a_second": round(sum(map(len, best.values())) / SECONDS, 1),
    }
