"""A flow whose errors are retried through the real worker's parts: marked, read, delivered, committed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from apps.accounts.models import Account, Member
from apps.core import clock
from apps.core.clock import read_now
from apps.engine.plan import Policy, ScopeKind
from apps.engine.ports import Failure
from apps.errors.models import BulkAct, Error
from apps.errors.services import retry_errors
from apps.execution.dispatcher import start_retries
from apps.execution.journal import RunJournal
from apps.execution.retry_reader import RetryReader
from apps.execution.worker import retries_of
from apps.flows.models import Step
from apps.runs.models import Run
from tests.factories import make_step
from tests.fakes.running import Running, World, make_world
from tests.fakes.world import chain, table_step


def run_once(world: World, *pages: list[dict[str, Any]]) -> Run:
    """A run of the flow over these pages, to its end."""
    running = world.begin()
    for page in pages:
        running.run_page(page)
    return running.finish()


def retry(world: World, errors: Any = None, *, member: Member | None = None, **options: Any) -> BulkAct:
    """Begin a retry of errors (all of the flow if none are named)."""
    rows = Error.objects.of(world.flow.account_id)
    rows = rows.filter(flow=world.flow) if errors is None else rows.filter(pk__in=[e.pk for e in errors])
    return retry_errors(account=world.flow.account, member=member, errors=rows, **options)


def retry_runs(world: World) -> list[Run]:
    return list(Run.objects.of(world.flow.account_id).retries().filter(flow=world.flow).order_by("pk"))


def take_retry(world: World, run: Run) -> Running:
    """Claim a retry run as a worker does."""
    running = world.take(run)
    steps = {step.key: step for step in Step.unscoped.filter(flow=world.flow)}
    running.journal = RunJournal(running.claim, running.run, world.plan, steps, retries=retries_of(running.run))
    return running


def work_retry(world: World, run: Run) -> Run:
    """Work on a retry run to its end, as the engine's loop does."""
    running = take_retry(world, run)
    journal = running.journal
    if journal.cancel():
        return running.reloaded()
    reader = RetryReader(running.run, world.plan, first_ordinal=journal.next_ordinal, now=read_now())
    while True:
        page = journal.next_page()
        if page is None:
            fetched = reader.next()
            if fetched is None:
                return running.finish()
            page = journal.store(fetched, claim=True)
        if not journal.commit(page, running.deliver(page)):
            return running.reloaded()


def work_retries(world: World) -> list[Run]:
    """Work on all retry runs that have not ended."""
    return [work_retry(world, run) for run in retry_runs(world) if not run.is_ended]


# --- what tests arrange and look at ----------------------------------------------------------------------------------
def records(*ids: int) -> list[dict[str, Any]]:
    return [{"id": number} for number in ids]


def two_steps(
    account: Account, *, scope: ScopeKind = ScopeKind.NONE, first: Policy | None = None, second: Policy | None = None
) -> World:
    """A flow with two imports, "target" and "second"."""
    plan = chain(table_step(1, "target", first or Policy()), table_step(2, "second", second or Policy()), scope=scope)
    world = make_world(account, plan=plan)
    make_step(world.flow, key="second", name="Second", position=2)
    return world


def shown() -> list[tuple[str, str, str, bool]]:
    """Key, state, reason and *Retry failed* of all errors, oldest first."""
    rows = Error.unscoped.order_by("id").values_list("key", "state", "reason", "retry_failed")
    return list(rows)


def flaky(world: World, *ids: int, **facts: Any) -> None:
    """The destination refuses these records for a passing reason, or for another one: `facts` of a Failure."""
    said = {"code": "503", "message": "The server is busy.", "classification": "intermittent", **facts}
    target = world.opened.targets["target"]
    original = type(target).write

    def write(batch: Any) -> Any:
        written = original(target, batch)
        for index, body in enumerate(batch.bodies):
            if body.get("id") in ids:
                written.failures[index] = Failure("application", **said)
        return written

    target.write = write


def mended(world: World) -> None:
    """The destination takes everything again."""
    world.opened.targets["target"].__dict__.pop("write", None)


def attempt(world: World, noon: datetime, seconds: float) -> int:
    """So many seconds after noon: what is due is started and worked on. Returns how many runs were started."""
    with clock.frozen(noon + timedelta(seconds=seconds)):
        started = start_retries()
        work_retries(world)
    return started
