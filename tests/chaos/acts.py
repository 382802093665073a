"""P12: acts on 10,000 errors, of whose workers one is killed: in the end they are whole, and done once."""

import time
from collections.abc import Callable

from apps.errors.models import BulkAct, Error
from apps.errors.services import reopen_errors, resolve_errors, retry_errors
from apps.errors.states import ErrorState
from tests.chaos.product import WORKERS
from tests.chaos.story import Story, patiently
from tests.chaos.world import Wanted

ERRORS = 10_000
PATIENCE_S = 120.0
LONGEST_WAIT_S = 2.0


class Acts(Story):
    """They are resolved and reopened in turn, each act with a kill; in the end they are retried, with three."""

    wanted = Wanted(flows=("posted",), records=ERRORS, page=1000, drops=0.0)

    def keep_busy(self) -> None:
        """One run, of which every record is refused."""
        if not self.rounds:
            self.world.office.refuses_all = True
            self.run = self.start("posted")
            self.wait_for_ends(PATIENCE_S)
            self.world.office.refuses_all = False
            self.count(ErrorState.OPEN, ERRORS, "the run")

    def torment(self) -> str:
        is_resolve = patiently(lambda: self.errors().filter(state=ErrorState.OPEN).exists())
        if is_resolve:
            return self.act("resolve", resolve_errors, ErrorState.RESOLVED)
        return self.act("reopen", reopen_errors, ErrorState.OPEN)

    def act(self, name: str, begin: Callable[..., BulkAct], state: str) -> str:
        """One act and one kill; then the same again, which changes nothing."""
        began = self.begin(begin)
        wait_s = self.dice.uniform(0, LONGEST_WAIT_S)
        time.sleep(wait_s)
        done = patiently(lambda: BulkAct.unscoped.values_list("done", flat=True).get(pk=began.pk))
        victim = self.product.kill_one(self.dice, WORKERS)
        self.end(began)
        self.count(state, ERRORS, name)
        changed = self.changed()
        self.end(self.begin(begin))
        if self.changed() != changed:
            self.fault(f"the same {name} again changed something")
        return f"{name}: killed {victim} after {wait_s:.2f} s, when {done:,} were done"

    def begin(self, begin: Callable[..., BulkAct]) -> BulkAct:
        return patiently(lambda: begin(account=self.world.account, member=self.world.owner, errors=self.errors()))

    def end(self, act: BulkAct) -> None:
        end, began = time.monotonic() + PATIENCE_S, time.monotonic()
        while time.monotonic() < end:
            patiently(act.refresh_from_db)
            if act.ended_at is not None:
                self.verdict.measure("seconds of an act", time.monotonic() - began)
                if act.done != act.count:
                    self.fault(f"{act.act}: {act.done:,} of {act.count:,} done")
                return
            time.sleep(0.1)
        self.fault(f"{act.act} did not end: {act.done:,} of {act.count:,}")

    def errors(self):  # type: ignore[no-untyped-def]
        return Error.objects.of(self.world.account)

    def changed(self) -> list[tuple[int, object]]:
        return patiently(lambda: list(self.errors().order_by("pk").values_list("pk", "state", "resolved_at")))

    def count(self, state: str, wanted: int, after: str) -> None:
        found = patiently(lambda: self.errors().filter(state=state).count())
        if found != wanted:
            self.fault(f"after {after} {found:,} of {wanted:,} are {state}")

    def afterwards(self, patience_s: float) -> None:
        """A retry with kills: every good record arrives once, the bad ones are open errors again."""
        if self.errors().filter(state=ErrorState.RESOLVED).exists():
            self.end(self.begin(reopen_errors))
        act = self.begin(retry_errors)
        for _ in range(3):
            time.sleep(self.dice.uniform(0.1, 1.5))
            print(f"retry: killed {self.product.kill_one(self.dice, WORKERS)}", flush=True)
        self.end(act)
        self.wait_for_ends(patience_s)
        sent = self.world.times("posted", self.run.parameters["round"])
        if sent != dict.fromkeys(self.world.good, 1):
            self.fault(f"the retry brought {len(sent):,} of {len(self.world.good):,}, {sum(sent.values()):,} in all")
        self.count(ErrorState.OPEN, len(self.world.bad), "the retry")
        requests = self.world.office.requests
        self.end(self.begin(lambda **what: retry_errors(**{**what, "errors": self.sent()})))
        self.wait_for_ends(patience_s)
        if self.world.office.requests != requests:
            self.fault("the same retry again sent something")

    def sent(self):  # type: ignore[no-untyped-def]
        return self.errors().filter(state=ErrorState.RESOLVED)

    def audit(self) -> None:
        self.audit_books()
        for orphan in self.product.orphans:
            self.fault(f"orphan: {orphan}")
        self.verdict.summary = f"{BulkAct.unscoped.count()} acts on {ERRORS:,} errors, each whole"
