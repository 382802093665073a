"""Workers, people and the dispatcher act on one flow at the same time, on a PostgreSQL of their own.

`python -m tests.execution.rivals SECONDS [STORY …]` with DATABASE_URL plays stories by several threads and prints what
it found as JSON: exceptions, deadlocks that the server saw, counters that are wrong, how much was done.
"""

import json
import random
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import django

django.setup()

from django.core.management import call_command  # noqa: E402 (Django has to stand first)
from django.db import connection  # noqa: E402

from apps.core.clock import database_now  # noqa: E402
from apps.engine.expressions import compile_template  # noqa: E402
from apps.engine.plan import WorkflowRetry  # noqa: E402
from apps.engine.ports import ConnectorError  # noqa: E402
from apps.errors.models import Error  # noqa: E402
from apps.errors.services import reopen_errors, resolve_errors, retry_errors  # noqa: E402
from apps.execution.claims import Heartbeat  # noqa: E402
from apps.execution.dispatcher import start_reruns, start_retries  # noqa: E402
from apps.execution.owned_run import Fenced  # noqa: E402
from apps.runs.models import Run  # noqa: E402
from apps.runs.services import RunRefused, cancel_run  # noqa: E402
from tests.factories import make_account  # noqa: E402
from tests.fakes.running import Running, World, books, make_world  # noqa: E402
from tests.fakes.world import FakeDatabase, FakeOpened, FakeTable  # noqa: E402
from tests.scenarios.retry_world import retry_runs, work_retry  # noqa: E402

KEYS = 12
MESSAGES = ["refused", "This is not a number.", "The server is busy (503)."]


class Stage:
    """Threads that each repeat one act until the time is over."""

    def __init__(self, seconds: float) -> None:
        self.ends_at = time.monotonic() + seconds
        self.done: Counter[str] = Counter()
        self.faults: list[str] = []
        self.threads: list[threading.Thread] = []

    def act(self, name: str, work: Callable[[random.Random], Any]) -> None:
        self.threads.append(threading.Thread(target=self._repeat, args=[name, work, len(self.threads)]))

    def _repeat(self, name: str, work: Callable[[random.Random], Any], seed: int) -> None:
        chance = random.Random(seed)
        try:
            while time.monotonic() < self.ends_at and not self.faults:
                work(chance)
                self.done[name] += 1
        except Exception:
            self.faults.append(f"{name}: {traceback.format_exc()}")
        finally:
            connection.close()

    def play(self) -> None:
        for thread in self.threads:
            thread.start()
        for thread in self.threads:
            thread.join()


def own_world(world: World, chance: random.Random) -> World:
    """The same flow on a target of its own: the fake target has one transaction at a time."""
    database = FakeDatabase()
    database.fails = lambda table, body: chance.choice(MESSAGES) if chance.random() < 0.4 else None
    targets = {n.key: FakeTable(database, n.key) for n in world.plan.nodes if n.is_transactional}
    return World(world.flow, world.plan, database, FakeOpened(targets=targets, sessions={"db": database}))


def records(chance: random.Random) -> list[dict[str, Any]]:
    return [{"id": chance.randrange(KEYS), "n": chance.randrange(3)} for _ in range(8)]


def work_run(world: World, chance: random.Random) -> None:
    running = own_world(world, chance).begin()
    for _ in range(chance.randrange(1, 4)):
        running.run_page(records(chance))
    if chance.random() < 0.2:
        cancel_run(run=running.run, member=None)
    running.finish()


def work_retries(world: World, chance: random.Random) -> None:
    for run in retry_runs(world):
        if run.is_ended:
            continue
        try:
            work_retry(own_world(world, chance), run)
        except (Fenced, AssertionError):
            continue  # not due, or another thread has it
    time.sleep(0.02)


def some_errors(world: World, chance: random.Random) -> Any:
    rows = list(Error.objects.of(world.flow.account_id).order_by("-pk").values_list("pk", flat=True)[:60])
    return Error.objects.of(world.flow.account_id).filter(pk__in=chance.sample(rows, min(len(rows), 10)))


def people_act(world: World, chance: random.Random) -> None:
    act = chance.choice([resolve_errors, retry_errors, reopen_errors])
    act(account=world.flow.account, member=None, errors=some_errors(world, chance))
    time.sleep(0.01)


def cancel_some_retry(world: World, chance: random.Random) -> None:
    waiting = [run for run in retry_runs(world) if not run.is_ended]
    if waiting:
        with suppress(RunRefused):  # it ended meanwhile
            cancel_run(run=chance.choice(waiting), member=None)
    time.sleep(0.1)


def dispatch(world: World, chance: random.Random) -> None:
    Error.unscoped.filter(next_attempt_at__isnull=False).update(next_attempt_at=database_now())
    start_retries()
    time.sleep(0.02)


def everybody(stage: Stage) -> None:
    """Two runs side by side, retries by hand and by itself, people, cancels."""
    world = make_world(make_account(), overlap="allow")
    for number in range(2):
        stage.act(f"run {number}", lambda chance: work_run(world, chance))
    stage.act("retries", lambda chance: work_retries(world, chance))
    for number in range(2):
        stage.act(f"people {number}", lambda chance: people_act(world, chance))
    stage.act("cancels", lambda chance: cancel_some_retry(world, chance))
    stage.act("dispatcher", lambda chance: dispatch(world, chance))
    stage.play()
    while [run for run in retry_runs(world) if not run.is_ended]:
        work_retries(world, random.Random(1))


def beating(stage: Stage) -> None:
    """A run whose lease is renewed all the time while its pages are committed."""
    world = make_world(make_account())
    running: Running = world.begin()
    beat = Heartbeat(running.claim)
    stage.act("pages", lambda chance: running.run_page(records(chance)))
    for number in range(2):
        stage.act(f"heartbeat {number}", lambda chance: beat._renew())
    stage.play()
    running.finish()


def first_errors(stage: Stage) -> None:
    """The first errors that flows ever have, by two runs at once."""
    account = make_account()

    def both_begin(chance: random.Random) -> None:
        world = make_world(account, overlap="allow")
        ready = threading.Barrier(2)
        pair = [threading.Thread(target=begin, args=[world, ready]) for _ in range(2)]
        for thread in pair:
            thread.start()
        for thread in pair:
            thread.join()

    def begin(world: World, ready: threading.Barrier) -> None:
        try:
            own = own_world(world, random.Random(1))
            own.refuse(*range(KEYS))
            running = own.begin()
            page = running.store([{"id": n} for n in range(KEYS)])
            result = running.deliver(page)
            ready.wait()
            running.journal.commit(page, result)
        except Exception:
            stage.faults.append(traceback.format_exc())
        finally:
            connection.close()

    stage.act("pairs", both_begin)
    stage.play()


def fail_run(world: World, chance: random.Random) -> None:
    running = own_world(world, chance).begin()
    for _ in range(chance.randrange(1, 3)):
        running.run_page(records(chance))
    running.journal.fail_export(ConnectorError("gone", "The source is gone."))


def work_attempt(world: World, chance: random.Random) -> None:
    """Any attempt that is queued: it delivers the pages that it took over, and fails or goes through."""
    time.sleep(0.01)
    queued = list(Run.unscoped.filter(flow=world.flow, attempt__gt=1, status="queued"))
    try:
        running = own_world(world, chance).take(chance.choice(queued))
        while page := running.journal.next_page():
            running.journal.commit(page, running.deliver(page))
    except (Fenced, AssertionError, IndexError):
        return  # another thread has it, or it gave way to a newer payload
    if chance.random() < 0.5:
        running.journal.fail_export(ConnectorError("gone", "The source is gone."))
    else:
        running.finish()


def cancel_some_attempt(world: World, chance: random.Random) -> None:
    waiting = list(Run.unscoped.filter(flow=world.flow, status="retrying"))
    if waiting:
        with suppress(RunRefused):  # it was run again meanwhile
            cancel_run(run=chance.choice(waiting), member=None, reason="not needed")
    time.sleep(0.1)


def attempts(stage: Stage) -> None:
    """Runs fail and are run again while newer payloads come, two dispatchers look, and people cancel."""
    world = make_world(make_account(), overlap="allow")
    rule = WorkflowRetry(attempts=3, minutes=0.001, unique_id=compile_template("{{ record.id }}"))
    world.plan = replace(world.plan, workflow_retry=rule)
    stage.act("runs", lambda chance: fail_run(world, chance))
    for number in range(2):
        stage.act(f"attempts {number}", lambda chance: work_attempt(world, chance))
        stage.act(f"dispatcher {number}", lambda chance: start_reruns())
    stage.act("cancels", lambda chance: cancel_some_attempt(world, chance))
    stage.play()


STORIES = {"everybody": everybody, "beating": beating, "first errors": first_errors, "attempts": attempts}


def deadlocks() -> int:
    time.sleep(1.5)  # the server's statistics are a second late
    with connection.cursor() as cursor:
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


def stuck_errors() -> int:
    """Errors that a retry has which is over."""
    ended = Run.unscoped.exclude(status__in=["queued", "running"])
    return Error.unscoped.filter(retry_run__in=ended).count()


def main(seconds: str, *names: str) -> None:
    call_command("migrate", verbosity=0)
    found: dict[str, Any] = {}
    for name in names or STORIES:
        stage = Stage(float(seconds))
        STORIES[name](stage)
        found[name] = {"faults": stage.faults, "books": books(), "stuck": stuck_errors(), "done": stage.done}
    print(json.dumps({"deadlocks": deadlocks(), "stories": found}))


if __name__ == "__main__":
    main(*sys.argv[1:])
