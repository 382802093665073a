"""P1, P2, P3, P20: kill -9 anything, with answers that get lost, with and without a key; and restarts in order."""

import time
from collections import Counter

from apps.errors.models import Error
from apps.errors.services import retry_errors
from apps.errors.states import ErrorState
from apps.runs.models import Run
from apps.runs.statuses import RunKind, RunStatus
from tests.chaos.story import Story
from tests.chaos.world import Wanted

LOST = 0.02
RESTART_EVERY_S = 5.0
STOP_WITHIN_S = 10.0


class Kills(Story):
    """P1: random processes of the product die."""

    def torment(self) -> str:
        return f"killed {self.product.kill_one(self.dice)}"

    def audit(self) -> None:
        super().audit()
        office = self.world.office
        self.verdict.measure("requests", office.requests)
        self.verdict.measure("answers lost", office.dropped)
        self.verdict.measure("repeats that the target recognised", office.recognised)


class LostAnswers(Kills):
    """P2: and the target drops two of a hundred answers after it has stored."""

    wanted = Wanted(flows=("posted", "put"), drops=LOST)


class WithoutKey(Kills):
    """P3: the same where no repeat can be recognised. What is in doubt is sent again only where somebody says so."""

    wanted = Wanted(flows=("unkeyed",), drops=LOST)
    holds = "each once, or in doubt until somebody said so"

    def afterwards(self, patience_s: float) -> None:
        """Half of what is in doubt is sent again by a member."""
        self.before = {run.pk: self.world.times("unkeyed", run.parameters["round"]) for run in self.flow_runs()}
        doubtful = list(Error.unscoped.filter(in_doubt=True, state=ErrorState.OPEN).order_by("pk"))
        chosen = self.dice.sample(doubtful, len(doubtful) // 2)
        self.retried = {(error.run_id, error.ordinal) for error in chosen}
        errors = Error.objects.of(self.world.account).filter(pk__in=[error.pk for error in chosen])
        retry_errors(account=self.world.account, member=self.world.owner, errors=errors)
        time.sleep(1)
        self.wait_for_ends(patience_s)
        self.verdict.measure("in doubt", len(doubtful))
        self.verdict.measure("explicit retries", len(chosen))

    def flow_runs(self) -> list[Run]:
        return list(Run.unscoped.filter(kind=RunKind.FLOW).order_by("pk"))

    def audit_run(self, run: Run) -> None:
        if run.status != RunStatus.COMPLETED:
            self.fault(f"{run} ({run.kind}) is {run.status}: {run.wait_reason}")
        elif run.kind == RunKind.FLOW:
            self.audit_first_sends(run)
            self.audit_repeats(run)
        elif run.kind == RunKind.AUTO_RETRY:
            self.fault(f"{run}: something was sent again by itself")

    def audit_first_sends(self, run: Run) -> None:
        """Before anybody said so: nothing twice, and what is not known to stand there is an error."""
        world, before = self.world, self.before[run.pk]
        failed = Counter(Error.unscoped.filter(run=run).values_list("ordinal", flat=True))
        if twice := [number for number, times in before.items() if times > 1]:
            self.fault(f"{run}: sent twice without being asked: {twice[:10]}")
        if lost := [number for number in world.good if number not in before and number not in failed]:
            self.fault(f"{run}: lost {lost[:10]}")
        if missing := [number for number in world.bad if failed[number] != 1]:
            self.fault(f"{run}: refused, and not one error each: {missing[:10]}")
        if (run.records_in, run.success) != (world.wanted.records, world.wanted.records - len(failed)):
            self.fault(f"{run}: {run.records_in} in, {run.success} success, {len(failed)} with an error")

    def audit_repeats(self, run: Run) -> None:
        """A record stands there at most once more for each time that a member sent it again."""
        for number, times in self.world.times("unkeyed", run.parameters["round"]).items():
            allowed = self.before[run.pk].get(number, 0) + ((run.pk, number) in self.retried)
            if times > max(1, allowed):
                self.fault(f"{run}: record {number} stands there {times} times, {allowed} were asked for")


class RollingRestarts(Story):
    """P20: SIGTERM as an operator would, and up again, under load."""

    wanted = Wanted(flows=("kept", "added", "posted", "put"))
    pause_s = (RESTART_EVERY_S, RESTART_EVERY_S)

    def torment(self) -> str:
        seconds = self.product.restart()
        self.verdict.measure("seconds until it had stopped", seconds)
        return f"restarted, stopped within {seconds:.1f} s"

    def audit(self) -> None:
        super().audit()
        self.limit("seconds until it had stopped", STOP_WITHIN_S)
