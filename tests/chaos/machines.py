"""Two machines on one PostgreSQL and one Redis: the second one, all of it, is cut off beyond its leases and comes back.

The flows have pages at work at once, so both machines hold pages of the same run when one of them falls silent.
"""

import random
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db.models import Count

from apps.runs.models import Machine, Page
from apps.runs.statuses import PageState
from tests.chaos.kills import Kills
from tests.chaos.product import ROOT, Product
from tests.chaos.setups import Stage
from tests.chaos.story import Story, patiently
from tests.chaos.world import Wanted


class WorkerMachine(Product):
    """`manage.py work` with an environment of its own: workers and a dispatcher; only the files are shared."""

    def command(self) -> list[str]:
        return [sys.executable, str(ROOT / "manage.py"), "work"]

    def wait_until_up(self, patience_s: float = 60) -> None:
        deadline = time.monotonic() + patience_s
        while patiently(lambda: Machine.objects.filter(workers__gt=0).count()) < 2:
            assert time.monotonic() < deadline, "The second machine did not come up."
            time.sleep(0.2)

    def pids(self) -> set[int]:
        return {process.pid for process in self._tree()}

    @contextmanager
    def cut_off(self) -> Iterator[None]:
        """Every process of it stands still: nobody hears of it, and it hears of nothing."""
        frozen = self._tree()
        for process in frozen:
            process.suspend()
        try:
            yield
        finally:
            for process in frozen:
                process.resume()


class KilledAtOnce(Kills):
    """P1 with pages at work at once: owners and helpers die."""

    wanted = Wanted(parallel_pages=3)


class Machines(Story):
    """P6 with two machines."""

    wanted = Wanted(flows=("kept", "added", "posted"), delay_s=0.1, parallel_pages=4)
    pause_s = (0.5, 2.0)

    def __init__(self, stage: Stage, dice: random.Random) -> None:
        super().__init__(stage, dice)
        (stage.folder / "second").mkdir()
        files = {"FILES_ROOT": str(stage.folder / "files"), "SQLITE_ROOT": str(stage.folder / "databases")}
        self.second_log = stage.folder / "second.log"
        own = {**stage.environment, **files, "DATA_DIR": str(stage.folder / "second")}
        self.second = WorkerMachine(own, self.second_log)
        self.old: dict[int, int] = {}

    @contextmanager
    def product_up(self) -> Iterator[None]:
        with super().product_up():
            self.second.start()
            try:
                self.second.wait_until_up()
                yield
            finally:
                self.second.stop()

    def torment(self) -> str:
        self.wait_until_it_works()
        seconds = self.stage.lease_s * self.dice.uniform(2.0, 3.5)
        with self.second.cut_off():
            held = self.held_pages()  # what it took until it stood still
            self.pause(seconds)
            taken = {page.pk: held[page.pk] for page in patiently(lambda: list(Page.unscoped.filter(pk__in=held)))
                     if page.fence > held[page.pk]}  # fmt: skip
        self.old |= taken
        self.verdict.measure("pages that it held", len(held))
        self.verdict.measure("of those taken over", len(taken))
        return f"cut off for {seconds:.1f} s with {len(held)} pages in work; {len(taken)} of them were taken over"

    def wait_until_it_works(self) -> None:
        end = time.monotonic() + 20
        while not self.held_pages() and time.monotonic() < end:
            self.keep_busy()
            time.sleep(0.02)

    def held_pages(self) -> dict[int, int]:
        """Pages in the hands of the second machine, and the fence that it has."""
        own = {f"{socket.gethostname()[:40]}:{pid}" for pid in self.second.pids()}
        pages = patiently(lambda: list(Page.unscoped.filter(state=PageState.DELIVERING)))
        return {page.pk: page.fence for page in pages if page.lease_owner.rpartition(":")[0] in own}

    def audit(self) -> None:
        super().audit()
        written = [
            page.pk for page in Page.unscoped.filter(pk__in=self.old, state=PageState.DONE)
            if page.fence <= self.old[page.pk]
        ]  # fmt: skip
        self.verdict.measure("pages booked by an old fence", len(written))
        if written:
            self.fault(f"pages booked by an old fence: {written}")
        if not self.old:
            self.fault("no page was taken over: nothing was tried")
        self.verdict.measure("runs of several workers", self.shared_runs())
        if not self.shared_runs():
            self.fault("no run was worked on by several workers: nothing was shared")
        for orphan in self.second.orphans:
            self.fault(f"orphan of the second machine: {orphan}")

    def shared_runs(self) -> int:
        """Of how many runs more than one worker has booked pages."""
        workers = (
            Page.unscoped.filter(state=PageState.DONE).values("run").annotate(n=Count("lease_owner", distinct=True))
        )
        return int(workers.filter(n__gt=1).count())
