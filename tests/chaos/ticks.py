"""P18: four dispatchers look at the same clock, some of them die: each tick has one run, and none is lost."""

import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import timedelta

from apps.core.clock import read_now
from apps.flows.models import Flow
from apps.flows.services import apply_definition
from apps.runs.models import Run
from apps.runs.statuses import Trigger
from tests.chaos.product import ROOT
from tests.chaos.servers import ask_to_end
from tests.chaos.story import Story, patiently
from tests.chaos.world import Wanted

FLOWS = 20
MORE_DISPATCHERS = 3
DEFINITION = """
flow: tick{number}
integration: {{key: chaos, name: Chaos}}
enabled: true
overlap: allow
schedule: {{cron: "0 0 1 1 *"}}
steps:
  - key: file
    export: {{connection: files, path: few.jsonl}}
  - key: few
    filter: record.id > 0
"""


class Ticks(Story):
    """The next tick of twenty flows is set to the same moment, again and again; a dispatcher dies beside it."""

    wanted = Wanted(flows=(), records=1)

    def keep_busy(self) -> None:
        """Nothing but ticks; the first time all is made ready for them."""
        if self.rounds:
            return
        self.rounds = 1
        self.ticks: Counter[tuple[int, object]] = Counter()
        for number in range(FLOWS):
            text = DEFINITION.format(number=number).replace("few.jsonl", "records.jsonl")
            apply_definition(account=self.world.account, member=None, text=text)
        self.others = [self.dispatcher() for _ in range(MORE_DISPATCHERS)]

    def dispatcher(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, str(ROOT / "manage.py"), "dispatch"]
        return subprocess.Popen(command, env=self.product.environment, cwd=ROOT, stderr=self.product.log)

    def torment(self) -> str:
        at = patiently(read_now) + timedelta(seconds=self.dice.uniform(0.5, 2.0))
        due = patiently(lambda: list(Flow.unscoped.filter(next_due_at__gt=at + timedelta(days=1))))
        for flow in due:
            self.ticks[flow.pk, at] += 1
        patiently(lambda: Flow.unscoped.filter(pk__in=[flow.pk for flow in due]).update(next_due_at=at))
        place = self.dice.randrange(MORE_DISPATCHERS)
        time.sleep(max(0.0, (at - patiently(read_now)).total_seconds()) + self.dice.uniform(0, 1.2))
        self.others[place].send_signal(signal.SIGKILL)
        self.others[place].wait()
        self.others[place] = self.dispatcher()
        end = time.monotonic() + 20
        while patiently(lambda: Flow.unscoped.filter(next_due_at__lte=at).exists()) and time.monotonic() < end:
            time.sleep(0.05)
        return f"{len(due)} flows ticked, dispatcher {place + 1} died"

    def afterwards(self, patience_s: float) -> None:
        for process in self.others:
            if not ask_to_end(process, 15):
                self.fault("a dispatcher did not end within 15 s")
        self.wait_for_ends(patience_s)

    def audit(self) -> None:
        runs = Run.unscoped.filter(trigger=Trigger.SCHEDULE)
        found = Counter(runs.values_list("flow_id", "scheduled_for"))
        if lost := self.ticks - found:
            self.fault(f"{len(lost)} ticks without a run")
        if more := found - self.ticks:
            self.fault(f"{len(more)} runs without a tick, or more than one: {more.most_common(3)}")
        self.audit_books()
        late = [(run.started_at - run.scheduled_for).total_seconds() for run in runs if run.started_at]
        self.verdict.measured["seconds from tick to first page"] = late or [0.0]
        self.verdict.summary = f"{sum(self.ticks.values()):,} ticks, {runs.count():,} runs"
