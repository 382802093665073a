"""P8 and P9: the queue loses all that it holds, the database goes away in the middle of everything."""

import time

from apps.runs.models import Run
from apps.runs.statuses import RunStatus
from tests.chaos.servers import OwnPostgresql, OwnRedis
from tests.chaos.story import Story, patiently

RESUMED_WITHIN_S = 30.0
NAME = "seconds until it went on"


class Cuts(Story):
    """How long nothing is booked after each cut is measured; nobody lends a hand."""

    def go_on(self) -> None:
        self.verdict.measure(NAME, self.seconds_until_progress())

    def audit(self) -> None:
        super().audit()
        self.limit(NAME, RESUMED_WITHIN_S)


class LostQueue(Cuts):
    """P8: every second time nothing is under way, and all hints are lost before anybody has heard them."""

    def torment(self) -> str:
        redis: OwnRedis = self.stage.server
        if is_idle := self.dice.random() < 0.5:
            self.wait_for_ends(60)
        act = self.dice.choice(["wiped", "stopped", "restarted"])
        if act == "wiped" and is_idle:  # who is under way may hold what a new run waits for
            with self.product.workers_frozen():
                self.keep_busy()
                redis.wipe()
        elif act == "wiped":
            redis.wipe()
        else:
            redis.stop()
            self.keep_busy()
            self.pause(self.dice.uniform(1, 4) if act == "stopped" else 0)
            redis.start()
        self.go_on()
        return f"{act} the queue{' with all that there was to do in it' if is_idle else ''}; {self.verdict.figures()}"

    def wait_for_ends(self, patience_s: float) -> None:
        super().wait_for_ends(patience_s)
        waiting = Run.unscoped.filter(status=RunStatus.QUEUED)
        if waiting.exists():
            self.fault(f"{waiting.count()} runs wait for a hint that is lost")


class LostDatabase(Cuts):
    """P9: product and target lose it at once."""

    def torment(self) -> str:
        server: OwnPostgresql = self.stage.server
        if self.dice.random() < 0.5:
            began = time.monotonic()
            server.restart()
            act = f"restarted within {time.monotonic() - began:.1f} s"
        else:
            act = f"cut {server.cut_connections()} connections"
        patiently(lambda: Run.unscoped.exists())
        self.go_on()
        return f"{act}; {self.verdict.figures()}"
