"""The plan of one torment: start runs, kill processes, wait, audit."""

import random
import time
from collections import Counter
from dataclasses import dataclass, field

from django.db import OperationalError, connection

from apps.errors.models import Error
from apps.execution.check_books import differences
from apps.runs.models import Page, Run
from apps.runs.services import start_run
from apps.runs.statuses import PageState, RunStatus
from tests.chaos.product import Product
from tests.chaos.setups import Stage
from tests.chaos.world import BAD, GOOD, RECORDS, World

ACTIVE = [RunStatus.QUEUED, RunStatus.RUNNING]


@dataclass
class Verdict:
    kills: int = 0
    faults: list[str] = field(default_factory=list)
    longest_pause_s: float = 0.0
    summary: str = ""


class Story:
    def __init__(self, stage: Stage, dice: random.Random) -> None:
        self.stage = stage
        self.dice = dice
        self.product = Product(stage.environment, stage.folder / "product.log")
        self.verdict = Verdict()
        self.rounds = 0
        self.last_progress = (0, time.monotonic())

    def play(self, kills: int, patience_s: float) -> Verdict:
        self.product.start()
        try:
            self.product.wait_until_up()
            self.world = World.build(self.stage)
            for number in range(kills):
                self.keep_busy()
                self.pause(self.dice.uniform(0.2, 1.5))
                print(f"kill {number + 1}: {self.product.kill_one(self.dice)}", flush=True)
                self.verdict.kills += 1
            self.wait_for_ends(patience_s)
        finally:
            self.product.stop()
        self.audit()
        if self.verdict.faults:
            print((self.stage.folder / "product.log").read_text(errors="replace")[-6000:])
        return self.verdict

    def keep_busy(self) -> None:
        """There is always a run of each flow under way or queued."""
        for flow in self.world.flows.values():
            if Run.unscoped.filter(flow=flow, status__in=ACTIVE).count() < 2:
                self.rounds += 1
                start_run(flow=flow, parameters={"round": self.rounds})

    def pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.note_progress()
            time.sleep(0.1)

    def note_progress(self) -> None:
        try:
            done = Page.unscoped.filter(state=PageState.DONE).count()
        except OperationalError:
            connection.close()
            return
        before, since = self.last_progress
        if done != before:
            self.verdict.longest_pause_s = max(self.verdict.longest_pause_s, time.monotonic() - since)
            self.last_progress = (done, time.monotonic())

    def wait_for_ends(self, patience_s: float) -> None:
        end = time.monotonic() + patience_s
        while Run.unscoped.filter(status__in=ACTIVE).exists():
            if time.monotonic() > end:
                left = Run.unscoped.filter(status__in=ACTIVE)
                self.fault(f"{left.count()} runs did not end: {[(str(r), r.status, r.wait_reason) for r in left[:5]]}")
                return
            self.pause(0.3)

    def fault(self, text: str) -> None:
        self.verdict.faults.append(text)

    # --- audit ---------------------------------------------------------------------------------------------------
    def audit(self) -> None:
        runs = list(Run.unscoped.order_by("pk"))
        for run in runs:
            self.audit_run(run)
        for difference in differences():
            self.fault(f"check_books: {difference}")
        for orphan in self.product.orphans:
            self.fault(f"orphan: {orphan}")
        records = sum(run.records_in for run in runs)
        self.verdict.summary = f"{len(runs)} runs, {records:,} records, each exactly once"

    def audit_run(self, run: Run) -> None:
        if run.status != RunStatus.COMPLETED:
            messages = list(Error.unscoped.filter(run=run).exclude(unit="record").values_list("message", flat=True)[:2])
            self.fault(f"{run} of {run.flow.key} is {run.status}: {messages}")
            return
        if (run.records_in, run.success, run.failed) != (RECORDS, len(GOOD), len(BAD)):
            self.fault(f"{run}: {run.records_in} in, {run.success} success, {run.failed} failed")
        found = self.world.rows(run.flow.key, run.parameters["round"])
        if found != GOOD:
            doubled = [number for number, count in Counter(found).items() if count > 1]
            lost = sorted(set(GOOD) - set(found))
            self.fault(f"{run} of {run.flow.key}: lost {lost[:10]}, doubled {doubled[:10]}, {len(found)} rows")
        keys = Error.unscoped.filter(run=run).values_list("ordinal", flat=True)
        if sorted(keys) != BAD:
            self.fault(f"{run} of {run.flow.key}: errors of {sorted(keys)[:30]} instead of {BAD}")
