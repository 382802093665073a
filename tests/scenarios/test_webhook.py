"""From a request to the target: runs started by what arrives, kills in between, steps that stop a run."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apps.execution.arrivals import StoredArrivals
from apps.execution.dispatcher import hint_due_runs
from apps.execution.journal import RunJournal
from apps.flows.hooks import hook_address, hook_of
from apps.flows.models import Flow
from apps.runs.models import Arrival, Run
from apps.runs.services import cancel_run, start_run
from tests.scenarios.scene import Scene


class Killed(BaseException):
    """The worker dies here: nothing that it would do next happens."""


def listening(scene: Scene, *, head: str = "", policy: str = "set_aside", page_size: int = 4, **facts: Any) -> Flow:
    scene.connect("sender", "webhook", verification="none")
    flow = scene.flow_of("{connection: sender}", page_size=page_size, change=lambda text: head + text, **facts)
    if policy == "set_aside":
        return flow
    return scene.apply(flow.revision.definition + f"    on_error: {policy}\n")


def send(flow: Flow, *ids: int, amount: int = 5) -> None:
    path = "/hooks/" + hook_address(hook_of(flow)).rsplit("/", 1)[1]
    body = json.dumps([{"id": number, "amount": amount} for number in ids])
    assert Client().post(path, body, content_type="application/json").status_code == 202


def dying(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, *, call: int, after: bool) -> Callable[[], None]:
    """From now on the worker dies at the n-th call of a method: before it is done, or right after."""
    original, calls = getattr(owner, name), []

    def method(self: Any, *arguments: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == call and not after:
            raise Killed
        result = original(self, *arguments, **named)
        if len(calls) == call:
            raise Killed
        return result

    monkeypatch.setattr(owner, name, method)
    return lambda: monkeypatch.setattr(owner, name, original)


def only_run() -> Run:
    return Run.unscoped.get()


def test_what_arrives_is_exported_by_a_run_that_it_started(scene: Scene) -> None:
    flow = listening(scene)
    send(flow, 1, 2, 3)
    send(flow, 4)
    send(flow, 5, 6)

    run = scene.work_to_the_end(only_run())

    assert scene.loaded() == [1, 2, 3, 4, 5, 6]
    assert (run.trigger, run.outcome, run.records_in, run.pages_done) == ("webhook", "completed", 6, 2)
    assert not Arrival.unscoped.exists()
    assert (hook_of(flow).waiting, hook_of(flow).waiting_bytes) == (0, 0)


def test_a_run_waits_for_its_window_and_then_the_dispatcher_hints_at_it(scene: Scene) -> None:
    flow = listening(scene)
    send(flow, 1)
    run = only_run()

    assert hint_due_runs() == 0
    scene.work(run)
    assert scene.loaded() == []
    Run.unscoped.update(not_before=run.created_at)
    assert hint_due_runs() == 1


def test_a_bad_record_is_an_error_and_the_others_go_through(scene: Scene) -> None:
    flow = listening(scene)
    send(flow, 1)
    send(flow, 2, amount=-1)
    send(flow, 3)

    run = scene.work_to_the_end(only_run())

    assert scene.loaded() == [1, 3]
    assert (run.outcome, run.failed) == ("completed_with_errors", 1)
    assert not Arrival.unscoped.exists()


@pytest.mark.parametrize(
    ("owner", "name"),
    [(RunJournal, "store"), (RunJournal, "commit"), (StoredArrivals, "take"), (StoredArrivals, "discard")],
)
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("call", [1, 2])
def test_a_kill_loses_nothing_and_doubles_nothing(
    sqlite_scene: Scene, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, after: bool, call: int
) -> None:
    scene = sqlite_scene
    load = "{connection: target, operation: insert, table: journal}"
    change = lambda text: text.replace(', note: "default(record.note, None)"', "")  # noqa: E731
    scene.connect("sender", "webhook", verification="none")
    flow = scene.flow_of("{connection: sender}", load=load, change=change)
    send(flow, 1, 2, 3)
    send(flow, 4, 5, 6)
    revive = dying(monkeypatch, owner, name, call=call, after=after)

    run, sent = only_run(), [1, 2, 3, 4, 5, 6]
    for _ in range(3):
        try:
            scene.work_to_the_end(run)
        except Killed:
            send(flow, 7)
            sent.append(7)
            revive()
    for each in Run.unscoped.order_by("pk"):
        scene.work_to_the_end(each)

    assert scene.loaded("journal") == sent
    assert not Arrival.unscoped.exists()
    assert hook_of(flow).waiting == 0


def test_a_request_that_arrives_during_a_run_goes_with_the_next_one(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = listening(scene, page_size=1)
    send(flow, 1, 2)
    store = RunJournal.store

    def sending(self: RunJournal, fetched: Any, *, claim: bool) -> Any:
        monkeypatch.setattr(RunJournal, "store", store)
        send(flow, 3)
        return self.store(fetched, claim=claim)

    monkeypatch.setattr(RunJournal, "store", sending)
    first = scene.work_to_the_end(only_run())
    assert (first.records_in, scene.loaded()) == (2, [1, 2])

    second = scene.work_to_the_end(Run.unscoped.latest("pk"))
    assert (second.records_in, scene.loaded()) == (1, [1, 2, 3])


def test_after_a_run_was_stopped_the_next_one_begins_behind_its_last_page(scene: Scene) -> None:
    flow = listening(scene, policy="fail", page_size=2)
    send(flow, 1, 2, 3)
    send(flow, 4, amount=-1)
    send(flow, 5, 6, 7, 8)

    failed = scene.work_to_the_end(only_run())
    assert (failed.outcome, scene.loaded()) == ("failed", [1, 2, 3])
    assert hook_of(flow).waiting == 8

    scene.place.execute("DELETE FROM orders")
    send(flow, 9)
    scene.work_to_the_end(Run.unscoped.latest("pk"))
    assert scene.loaded() == [5, 6, 7, 8, 9]
    assert not Arrival.unscoped.exists()


def test_a_canceled_run_gives_back_what_it_had_not_brought_through(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = listening(scene, page_size=2)
    send(flow, 1, 2, 3, 4, 5)
    store = RunJournal.store

    def canceling(self: RunJournal, fetched: Any, *, claim: bool) -> Any:
        page = store(self, fetched, claim=claim)
        if page.seq == 1:
            cancel_run(run=self.run, member=None)
        return page

    monkeypatch.setattr(RunJournal, "store", canceling)
    canceled = scene.work_to_the_end(only_run())
    monkeypatch.setattr(RunJournal, "store", store)
    assert (canceled.outcome, scene.loaded()) == ("canceled", [1, 2, 3, 4])

    scene.place.execute("DELETE FROM orders")
    scene.run(flow)
    assert scene.loaded() == [5]
    assert hook_of(flow).waiting == 0


def test_runs_side_by_side_share_what_waits(scene: Scene) -> None:
    flow = listening(scene, head="overlap: allow\n", page_size=1)
    send(flow, 1, 2)
    first, second = only_run(), start_run(flow=flow)

    scene.work_to_the_end(second)
    scene.work_to_the_end(first)

    assert scene.loaded() == [1, 2]
    assert sorted(Run.unscoped.values_list("records_in", flat=True)) == [0, 2]
