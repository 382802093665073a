"""clicks: resolve, retry and reclassify 20,000 open errors: how long the click takes, and how long the worker.

A click freezes the ids and answers; a worker does the rest in chunks, with progress.
"""

from collections.abc import Callable
from statistics import median
from time import perf_counter

from apps.accounts.models import Member
from apps.accounts.services import create_account
from apps.errors.models import BulkAct, Cause, Error
from apps.errors.services import perform_act, resolve_errors, retry_errors
from apps.errors.services.causes import classify_cause
from apps.execution.check_books import differences
from apps.runs.models import Run
from apps.runs.services import cancel_run
from tests.bench.load import make_owner

GOAL_MS = 300
PAGE = 1_000

Click = Callable[[], BulkAct | None]


def measure(*, rounds: int, records: int) -> dict[str, object]:
    """`ours` is the slowest median of the three clicks in ms. Each round has `records` errors of its own."""
    clicks: dict[str, list[float]] = {}
    work: dict[str, list[float]] = {}
    for number in range(rounds):
        for name in ("resolve", "retry", "classify"):
            click_ms, work_s = act_once(name, records)
            clicks.setdefault(name, []).append(click_ms)
            work.setdefault(name, []).append(work_s)
            print(f"round {number + 1}: {name}: click {click_ms:,.0f} ms, worker {work_s:,.1f} s", flush=True)
    found = list(differences())
    assert not found, found
    slowest = max(median(times) for times in clicks.values())
    return {
        "name": "clicks",
        "ours": round(slowest),
        "anchor": GOAL_MS,
        "ratio": round(slowest / GOAL_MS, 3),
        "goal": f"<= {GOAL_MS} ms for {records:,} errors",
        "worker_s": {name: round(median(times), 1) for name, times in work.items()},
    }


def act_once(name: str, count: int) -> tuple[float, float]:
    """The click in milliseconds, and what the worker takes for its act in seconds."""
    member = failed_run(count)
    errors = Error.objects.of(member.account)
    cause = Cause.objects.of(member.account).select_related("flow__integration", "merged_into").get()
    click: Click = {
        "resolve": lambda: resolve_errors(account=member.account, member=member, errors=errors),
        "retry": lambda: retry_errors(account=member.account, member=member, errors=errors),
        "classify": lambda: classify_cause(cause=cause, member=member, classification="intermittent"),
    }[name]
    started = perf_counter()
    act = click()
    clicked = perf_counter()
    assert act is not None
    perform_act(act.account_id, act.pk)
    ended = perf_counter()
    act.refresh_from_db()
    assert (act.count, act.done) == (count, count)
    for run in Run.objects.of(member.account).retries():
        cancel_run(run=run, member=None)
    return (clicked - started) * 1000, ended - clicked


def failed_run(count: int) -> Member:
    """An account with a flow whose run left so many open errors; its owner."""
    from tests.fakes.running import make_world

    owner = make_owner()
    account = create_account(name="Clicks", owner=owner)
    world = make_world(account)
    world.database.fails = lambda table, body: "The amount is no number."
    running = world.begin()
    for first in range(0, count, PAGE):
        running.run_page([{"id": number, "amount": "x"} for number in range(first, first + PAGE)])
    running.finish()
    return Member.objects.of(account).get(user=owner)
