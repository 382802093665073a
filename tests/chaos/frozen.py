"""P6 and P7: workers that are frozen beyond their lease and wake up again, and how soon a dead one is noticed."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.db import DatabaseError, connection

from apps.runs.models import Run
from apps.runs.services import hint
from apps.runs.statuses import RunStatus
from tests.chaos.story import Story, is_there, owner_of, patiently
from tests.chaos.world import Wanted

HINTS = 20
NOTICED_P50_S = 45.0
NOTICED_MAX_S = 90.0
GIVEN_UP_S = 180.0


@contextmanager
def hurried() -> Iterator[None]:
    """Who finds SQLite's file locked does not wait long."""
    if connection.vendor != "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout = 500")
        try:
            yield
        finally:
            cursor.execute("PRAGMA busy_timeout = 20000")


def owned_runs() -> list[Run]:
    """Runs whose worker is there."""
    runs = Run.unscoped.filter(status=RunStatus.RUNNING).exclude(lease_owner="").order_by("pk")
    return [run for run in runs if is_there(owner_of(run) or 0)]


class Frozen(Story):
    """P6: the owner of a run is stopped until another has it, while 20 hints come; then it wakes up and goes on."""

    wanted = Wanted(flows=("kept", "added", "posted"), delay_s=0.02)
    pause_s = (0.1, 0.8)

    def torment(self) -> str:
        run = self.owned_run()
        if run is None:
            return "nobody to freeze"
        pid, seconds = owner_of(run), self.stage.lease_s * self.dice.uniform(1.3, 2.5)
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            end = time.monotonic() + seconds
            hints = self.send_hints(run, end)
            self.pause(end - time.monotonic())
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        fence = patiently(lambda: Run.unscoped.values_list("fence", flat=True).get(pk=run.pk))
        self.verdict.measure("taken over while frozen", fence > run.fence)
        told = f"{hints} hints" if hints else "it holds the database's only lock"
        return f"froze {pid}, which had {run}, for {seconds:.1f} s, {told}; fence {run.fence} -> {fence}"

    def send_hints(self, run: Run, end: float) -> int:
        """As many as there may be; on SQLite none while the frozen one is in the middle of a transaction."""
        sent = 0
        with hurried():
            while sent < HINTS and time.monotonic() < end:
                with suppress(DatabaseError):
                    hint(run.pk)
                    sent += 1
        return sent

    def owned_run(self) -> Run | None:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            self.keep_busy()
            if found := patiently(owned_runs):
                return self.dice.choice(found)
            time.sleep(0.02)
        return None

    def audit(self) -> None:
        super().audit()
        taken = self.verdict.measured.get("taken over while frozen", [])
        refused = self.stage.log.read_text(errors="replace").count("was taken over by another worker")
        self.verdict.measured["taken over while frozen"] = [sum(taken)]
        self.verdict.measure("old owners that were refused", refused)
        if not sum(taken):
            self.fault("no run was taken over: nothing was tried")


class Noticed(Story):
    """P7: with the lease as it is set out of the box. All owners are killed; how long until others have their runs?"""

    wanted = Wanted(flows=("posted",), overlap="allow", delay_s=0.2)
    NAME = "seconds until another worker had the run"

    def keep_busy(self) -> None:
        """Four runs under way at a time."""
        while patiently(lambda: self.active("posted")) < 4:
            self.start("posted")

    def torment(self) -> str:
        self.pause(self.dice.uniform(2, 10))
        killed = {run.pk: run.fence for run in patiently(owned_runs)}
        for pid in {owner_of(run) for run in owned_runs()}:
            with suppress(ProcessLookupError):
                os.kill(pid or 0, signal.SIGKILL)
        began = time.monotonic()
        while killed and time.monotonic() - began < GIVEN_UP_S:
            time.sleep(0.1)
            for run in patiently(lambda: list(Run.unscoped.filter(pk__in=killed))):
                if run.fence > killed[run.pk] or run.is_ended:
                    self.verdict.measure(self.NAME, time.monotonic() - began)
                    del killed[run.pk]
        if killed:
            self.fault(f"not noticed within {GIVEN_UP_S:.0f} s: {sorted(killed)}")
        return f"killed the owners of all runs; {self.verdict.figures()}"

    def audit(self) -> None:
        super().audit()
        found = sorted(self.verdict.measured.get(self.NAME, []))
        if not found:
            self.fault("nobody was killed: nothing was tried")
        elif found[len(found) // 2] > NOTICED_P50_S:
            self.fault(f"half of them took longer than {found[len(found) // 2]:.1f} s")
        self.limit(self.NAME, NOTICED_MAX_S)
