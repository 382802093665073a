"""Workers that are killed (kill -9) in the middle of an act on many errors, on a database of their own.

`python -m tests.scenarios.killed_acts` with DATABASE_URL plays each act and prints what it found as JSON.
"""

import json
import time
from datetime import timedelta
from itertools import count
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import django

django.setup()

from django.core.management import call_command  # noqa: E402 (Django has to stand first)
from django.db import connections  # noqa: E402
from django_q.models import OrmQ  # noqa: E402

from apps.core import clock  # noqa: E402
from apps.errors.models import BulkAct, BulkItem, Cause, Error  # noqa: E402
from apps.errors.services import acts, perform_act, resolve_errors, retry_errors  # noqa: E402
from apps.errors.services.causes import classify_cause  # noqa: E402
from apps.execution.dispatcher import hint_unfinished_acts  # noqa: E402
from tests.factories import make_account, make_member  # noqa: E402
from tests.fakes.running import World, books, make_world  # noqa: E402
from tests.scenarios.killed_acts_counts import CHUNK, COUNT, KILLED_IN  # noqa: E402
from tests.scenarios.retry_world import run_once, work_retries  # noqa: E402

acts.CHUNK, acts.AT_ONCE = CHUNK, 0


def work(account: int, act: int, telling: Connection) -> None:
    """What a worker does; it stands inside the transaction of one chunk, so that a kill finds it there."""
    plain, begun = dict(acts.CHUNKS), count(1)

    def told(chunk: Any) -> Any:
        def do(*call: Any) -> Any:
            results = chunk(*call)
            telling.send("in a chunk")
            if next(begun) == KILLED_IN:
                time.sleep(60)
            return results

        return do

    acts.CHUNKS = {kind: told(chunk) for kind, chunk in plain.items()}
    perform_act(account, act)


def killed_worker(act: BulkAct) -> None:
    connections.close_all()  # each process has its own
    told, telling = get_context("fork").Pipe(duplex=False)
    worker = get_context("fork").Process(target=work, args=(act.account_id, act.pk, telling))
    worker.start()
    telling.close()
    for _ in range(KILLED_IN):
        told.recv()
    worker.kill()
    worker.join()


def begun(kind: str, world: World) -> BulkAct:
    account, member = world.flow.account, make_member(world.flow.account)
    if kind == "classify":
        act = classify_cause(cause=Cause.unscoped.get(flow=world.flow), member=member, classification="intermittent")
        assert act is not None
        return act
    begin = {"resolve": resolve_errors, "retry": retry_errors}[kind]
    return begin(account=account, member=member, errors=Error.objects.of(account))


def hinted() -> int:
    """What the dispatcher does about an act whose worker is gone."""
    OrmQ.objects.all().delete()
    with clock.frozen(clock.read_now() + timedelta(minutes=1)):
        return hint_unfinished_acts()


def play(kind: str) -> dict[str, Any]:
    world = make_world(make_account())
    world.refuse(*range(COUNT))
    run_once(world, [{"id": number} for number in range(COUNT)])
    world.refuse()
    act = begun(kind, world)
    killed_worker(act)
    found = {"done_when_killed": BulkItem.unscoped.filter(act=act).exclude(result="").count(), "books": books()}
    found["hints"] = hinted()
    perform_act(act.account_id, act.pk)
    act.refresh_from_db()
    found |= {"done": act.done, "is_ended": act.ended_at is not None, "books_after": books()}
    if kind == "retry":
        found["retried"] = sum(run.success for run in work_retries(world))
    states = Error.unscoped.filter(flow=world.flow)
    found["states"] = sorted({error.shown_state for error in states})
    return found | {"books_at_the_end": books()}


def main() -> None:
    call_command("migrate", verbosity=0)
    print(json.dumps({kind: play(kind) for kind in ("resolve", "retry", "classify")}))


if __name__ == "__main__":
    main()
