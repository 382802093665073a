"""The plan: start runs, hurt the product, wait, audit. Each promise is a story with a `torment` of its own."""

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from django.db import DatabaseError, connection

from apps.errors.models import Error
from apps.execution.check_books import differences
from apps.runs.models import Page, Run
from apps.runs.services import start_run
from apps.runs.statuses import PageState, RunStatus
from tests.chaos.product import Product
from tests.chaos.setups import Stage
from tests.chaos.world import Wanted, World

T = TypeVar("T")
ACTIVE = [RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.RETRYING]
AT_LEAST_ACTIVE = 2


@dataclass
class Verdict:
    """`measured` are figures by name, in seconds or as counts; `faults` what does not hold."""

    times: int = 0
    faults: list[str] = field(default_factory=list)
    measured: dict[str, list[float]] = field(default_factory=dict)
    summary: str = ""

    def measure(self, name: str, value: float) -> None:
        self.measured.setdefault(name, []).append(value)

    def figures(self) -> str:
        return "; ".join(f"{name}: {spread(values)}" for name, values in self.measured.items())


def spread(values: list[float]) -> str:
    ranked = sorted(values)
    if len(ranked) == 1:
        return f"{ranked[0]:,.1f}"
    return f"p50 {ranked[len(ranked) // 2]:,.1f}, max {ranked[-1]:,.1f} ({len(ranked)} times)"


def patiently(ask: Callable[[], T], patience_s: float = 60) -> T:
    """Ask a database that may be away or full just now."""
    end = time.monotonic() + patience_s
    while True:
        try:
            return ask()
        except DatabaseError:
            if time.monotonic() > end:
                raise
            connection.close()
            time.sleep(0.2)


class Story:
    """Kept simple: one torment after the other while runs are under way, then all runs end, then the audit."""

    wanted: ClassVar[Wanted] = Wanted()
    pause_s: ClassVar[tuple[float, float]] = (0.2, 1.5)
    holds: ClassVar[str] = "each exactly once"

    def __init__(self, stage: Stage, dice: random.Random) -> None:
        self.stage = stage
        self.dice = dice
        self.product = Product(stage.environment, stage.log)
        self.verdict = Verdict()
        self.rounds = 0
        self.done_pages, self.progress_at = 0, time.monotonic()

    def play(self, times: int, patience_s: float) -> Verdict:
        with self.product_up():
            for number in range(1, times + 1):
                self.keep_busy()
                self.pause(self.dice.uniform(*self.pause_s))
                print(f"{number}: {self.torment()}", flush=True)
                self.verdict.times += 1
            self.wait_for_ends(patience_s)
            self.afterwards(patience_s)
        self.audit()
        return self.verdict

    @contextmanager
    def product_up(self) -> Any:
        self.product.start()
        try:
            self.product.wait_until_up()
            self.world = World.build(self.stage, self.wanted, self.dice)
            self.progress_at = time.monotonic()
            yield
        finally:
            self.product.stop()

    def torment(self) -> str:
        """Hurt it once; says what was done."""
        raise NotImplementedError

    def afterwards(self, patience_s: float) -> None:
        """What is left to do when all runs have ended."""

    # --- keeping it busy ---------------------------------------------------------------------------------------------
    def keep_busy(self) -> None:
        """There is always a run of each flow under way or queued."""
        for key in self.world.flows:
            if patiently(lambda key=key: self.active(key)) < AT_LEAST_ACTIVE:
                self.start(key)

    def active(self, key: str) -> int:
        return Run.unscoped.filter(flow=self.world.flows[key], status__in=ACTIVE).count()

    def start(self, key: str) -> Run:
        self.rounds += 1
        return patiently(lambda: start_run(flow=self.world.flows[key], parameters={"round": self.rounds}))

    def pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.note_progress()
            time.sleep(0.1)

    def note_progress(self) -> bool:
        """Whether another page was booked since it was asked last."""
        try:
            done = Page.unscoped.filter(state=PageState.DONE).count()
        except DatabaseError:
            connection.close()
            return False
        is_new = done != self.done_pages
        if is_new:
            self.done_pages, self.progress_at = done, time.monotonic()
        return is_new

    def seconds_until_progress(self, patience_s: float = 60) -> float:
        """How long nothing is booked from now on."""
        self.note_progress()
        began = time.monotonic()
        while not self.note_progress() and time.monotonic() - began < patience_s:
            time.sleep(0.05)
        return time.monotonic() - began

    def wait_for_ends(self, patience_s: float) -> None:
        end = time.monotonic() + patience_s
        while left := patiently(lambda: list(Run.unscoped.filter(status__in=ACTIVE).order_by("pk")[:5])):
            if time.monotonic() > end:
                self.fault(f"runs did not end: {[(str(r), r.status, r.wait_reason) for r in left]}")
                return
            self.pause(0.3)

    def fault(self, text: str) -> None:
        self.verdict.faults.append(text)

    def limit(self, name: str, most: float) -> None:
        """None of these figures may be above this."""
        worst = max(self.verdict.measured.get(name, [0.0]))
        if worst > most:
            self.fault(f"{name}: {worst:.1f} is more than {most:g}")

    # --- audit ---------------------------------------------------------------------------------------------------
    def audit(self) -> None:
        runs = list(Run.unscoped.order_by("pk"))
        for run in runs:
            self.audit_run(run)
        self.audit_books()
        for orphan in self.product.orphans:
            self.fault(f"orphan: {orphan}")
        self.verdict.summary = f"{len(runs)} runs, {sum(run.records_in for run in runs):,} records, {self.holds}"

    def audit_books(self) -> None:
        for difference in differences():
            self.fault(f"check_books: {difference}")

    def audit_run(self, run: Run) -> None:
        if run.status != RunStatus.COMPLETED:
            messages = list(Error.unscoped.filter(run=run).exclude(unit="record").values_list("message", flat=True)[:2])
            self.fault(f"{run} of {run.flow.key} is {run.status}: {messages}")
            return
        world = self.world
        if (run.records_in, run.success, run.failed) != (world.wanted.records, len(world.good), len(world.bad)):
            self.fault(f"{run}: {run.records_in} in, {run.success} success, {run.failed} failed")
        found = world.times(run.flow.key, run.parameters["round"])
        if found != dict.fromkeys(world.good, 1):
            doubled = [number for number, times in found.items() if times > 1]
            lost = sorted(set(world.good) - set(found))
            self.fault(f"{run} of {run.flow.key}: lost {lost[:10]}, doubled {doubled[:10]}, {len(found)} ids")
        ordinals = Error.unscoped.filter(run=run).values_list("ordinal", flat=True)
        if Counter(ordinals) != Counter(world.bad):
            self.fault(f"{run} of {run.flow.key}: errors of {sorted(ordinals, key=str)[:30]} instead of {world.bad}")


def owner_of(run: Run) -> int | None:
    """The process that holds the run's lease, if any does."""
    parts = run.lease_owner.split(":")
    return int(parts[1]) if len(parts) == 3 else None


def is_there(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")
