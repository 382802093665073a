"""A flow whose errors are retried through the real worker's parts: marked, read, delivered, committed."""

from __future__ import annotations

from typing import Any

from apps.accounts.models import Member
from apps.core.clock import read_now
from apps.errors.models import BulkAct, Error
from apps.errors.services import retry_errors
from apps.execution.journal import RunJournal
from apps.execution.retry_reader import RetryReader
from apps.execution.worker import retries_of
from apps.flows.models import Step
from apps.runs.models import Run
from tests.fakes.running import Running, World


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
