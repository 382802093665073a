"""A failed run is run again as its flow says: when, with what, how often, and what takes that back."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from apps.core.clock import frozen, read_now
from apps.errors.models import Error
from apps.execution.claims import claim_run, release_run
from apps.execution.dispatcher import dispatch, start_reruns
from apps.execution.worker import work_slice
from apps.flows.hooks import hook_of
from apps.flows.models import Flow
from apps.flows.services import disable_flow
from apps.runs.arrivals import send_test
from apps.runs.models import Arrival, FlowState, Page, Run
from apps.runs.services import RunRefused, cancel_rerun, cancel_run, start_run
from tests.factories import make_member
from tests.fakes.killing import Countdown, Killed, dying_at_statement
from tests.long_tests import SPREADS, moments
from tests.scenarios.scene import Scene
from tests.scenarios.test_webhook import listening

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ROWS = [{"id": n, "amount": -1 if n == 4 else n} for n in range(8)]
STOPS = "    on_error: fail\n"


def after(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def flow_with(scene: Scene, rule: str = "{attempts: 3, minutes: 10}", *, export: str = "", page_size: int = 2) -> Flow:
    """A flow that its fifth record stops, in the third of four pages."""
    scene.write("a.jsonl", b"\n".join(map(orjson.dumps, ROWS)))
    file = "{connection: files, path: a.jsonl}"
    flow = scene.flow_of(export or file, page_size=page_size, change=lambda text: f"workflow_retry: {rule}\n{text}")
    return scene.apply(flow.revision.definition + STOPS)


def mend(scene: Scene, flow: Flow) -> None:
    """Somebody corrects the mapping while the run waits."""
    text = Flow.unscoped.get(pk=flow.pk).revision.definition
    scene.apply(text.replace("amount: record.amount", "amount: record.amount if record.amount > 0 else 0"))


def fail(scene: Scene, flow: Flow, at: datetime = NOON) -> Run:
    with frozen(at):
        run = start_run(flow=flow)
    return scene.work(run, at)


def run_again(scene: Scene, run: Run, at: datetime) -> Run:
    """What the dispatcher starts at a moment, worked on to its end or next wait."""
    with frozen(at):
        assert start_reruns() == 1
    following = Run.unscoped.get(root_run=run.root_run_id, attempt=run.attempt + 1)
    while scene.work(following, at).not_before is None and not following.is_ended:
        continue
    run.refresh_from_db()
    return following


def letters(flow: Flow) -> str:
    return FlowState.unscoped.get(flow=flow).last_runs


def reasons(run: Run) -> dict[str, str]:
    """Unit of the run's errors -> why they are resolved, "" for open ones."""
    return {error.unit: error.reason for error in Error.unscoped.filter(run=run)}


# --- when ------------------------------------------------------------------------------------------------------------
def test_a_failed_run_waits_and_tells_for_which_attempt_and_until_when(sqlite_scene):
    flow = flow_with(sqlite_scene)
    run = fail(sqlite_scene, flow)

    assert (run.status, run.outcome, run.wait_reason) == ("retrying", "", "waits: attempt 2 of 4")
    assert (run.not_before, run.attempt, run.attempts) == (after(10), 1, 4)
    assert "Run again: attempt 2 of 4, in 10 minutes." in sqlite_scene.log(run)
    assert (letters(flow), FlowState.unscoped.get(flow=flow).last_status) == ("", "retrying")


def test_the_dispatcher_starts_the_next_attempt_when_it_is_due_and_not_a_second_earlier(sqlite_scene):
    run = fail(sqlite_scene, flow_with(sqlite_scene))
    with frozen(after(10) - timedelta(seconds=1)):
        assert dispatch() == 0
    with frozen(after(10)):
        assert start_reruns() == 1
        assert start_reruns() == 0

    run.refresh_from_db()
    following = Run.unscoped.get(attempt=2)
    assert (run.status, run.outcome, run.wait_reason) == ("failed", "failed", "")
    assert (following.status, following.root_run_id, following.attempts) == ("queued", run.pk, 4)


def test_attempts_end_and_only_the_last_one_has_failed_for_good(sqlite_scene):
    flow = flow_with(sqlite_scene, "{attempts: 2, minutes: 10, backoff: true}")
    first = fail(sqlite_scene, flow)
    second = run_again(sqlite_scene, first, after(10))
    assert (second.status, second.not_before, second.wait_reason) == ("retrying", after(30), "waits: attempt 3 of 3")
    third = run_again(sqlite_scene, second, after(30))

    assert (third.status, third.outcome, third.not_before) == ("failed", "failed", None)
    assert [(run.attempt, run.attempts) for run in (first, second, third)] == [(1, 3), (2, 3), (3, 3)]
    assert letters(flow) == "f"
    with frozen(after(1000)):
        assert start_reruns() == 0
    failed_for_good = Run.unscoped.filter(status="failed").last_attempts()
    assert list(failed_for_good) == [third]


def test_without_a_rule_a_failed_run_has_failed(sqlite_scene):
    run = fail(sqlite_scene, flow_with(sqlite_scene, "0"))
    assert (run.status, run.attempts, run.not_before) == ("failed", 1, None)
    assert not Page.unscoped.exclude(payload=None).exists()


def test_a_run_that_goes_through_keeps_no_pages(sqlite_scene):
    flow = flow_with(sqlite_scene)
    mend(sqlite_scene, flow)
    assert fail(sqlite_scene, flow).outcome == "completed"
    assert not Page.unscoped.exclude(payload=None).exists()


def test_a_canceled_run_is_not_run_again(sqlite_scene):
    flow = flow_with(sqlite_scene)
    with frozen(NOON):
        run = start_run(flow=flow)
        cancel_run(run=run, member=None)
        assert start_reruns() == 0
    run.refresh_from_db()
    assert run.status == "canceled"


# --- with what -------------------------------------------------------------------------------------------------------
def test_what_the_failed_attempt_left_is_resolved_when_the_next_one_goes_through(scene):
    flow = flow_with(scene)
    run = fail(scene, flow)
    assert reasons(run) == {"record": "", "window": ""}
    mend(scene, flow)
    run_again(scene, run, after(10))
    assert reasons(run) == {"record": "succeeded", "window": "succeeded"}


def test_what_fails_again_is_open_once(scene):
    flow = flow_with(scene)
    first = fail(scene, flow)
    second = run_again(scene, first, after(10))
    assert reasons(first) == {"record": "superseded", "window": "superseded"}
    assert reasons(second) == {"record": "", "window": ""}


def test_an_export_that_failed_is_tried_again(sqlite_scene):
    flow = flow_with(sqlite_scene)
    (sqlite_scene.folder / "a.jsonl").unlink()
    run = fail(sqlite_scene, flow)
    assert (run.status, run.records_in) == ("retrying", 0)
    sqlite_scene.write("a.jsonl", b'{"id": 1, "amount": 1}')

    following = run_again(sqlite_scene, run, after(10))

    assert (following.outcome, sqlite_scene.loaded()) == ("completed", [1])
    assert reasons(run) == {"window": "succeeded"}


def test_a_page_that_was_cut_into_parts_is_sent_again_as_a_whole(sqlite_scene):
    """Some of the page waited for another attempt of its step when the run failed."""
    flow = flow_with(sqlite_scene, page_size=8)
    text = flow.revision.definition.replace(
        STOPS, "    on_error: {policy: retry, seconds: 1, attempts: 1, exceptions: "
    )
    scene, flow = sqlite_scene, sqlite_scene.apply(text + "{value: retry}}\n")
    run = fail(scene, flow)
    run = scene.work(run, NOON + timedelta(seconds=2))
    assert (run.status, run.pages_done) == ("retrying", 1)
    scene.place.execute("DELETE FROM orders")
    mend(scene, flow)

    following = run_again(scene, run, after(11))

    assert (following.outcome, scene.loaded()) == ("completed", list(range(8)))


TABLE = "{connection: target, query: 'SELECT id, amount FROM incoming', unique: [id], watermark: id}"


def fill(scene: Scene, rows: list[dict[str, int]]) -> None:
    for row in rows:
        scene.place.execute(f"INSERT INTO incoming VALUES ({row['id']}, {row['amount']})")


@pytest.fixture
def source(scene: Scene) -> Scene:
    """A table that is exported by a watermark, whose checkpoint moves with every page."""
    scene.place.execute("CREATE TABLE incoming (id bigint PRIMARY KEY, amount integer)")
    fill(scene, ROWS)
    return scene


def test_the_next_attempt_has_the_same_records_whatever_became_of_them_in_the_source(source):
    flow = flow_with(source, export=TABLE)
    run = fail(source, flow)
    assert (run.records_in, source.loaded()) == (6, [0, 1, 2, 3, 5])
    source.place.execute("DELETE FROM orders")
    source.place.execute("UPDATE incoming SET amount = 70")
    mend(source, flow)

    following = run_again(source, run, after(10))

    assert (following.outcome, following.records_in, following.success) == ("completed", 8, 8)
    amounts = [row[0] for row in source.place.rows("SELECT amount FROM orders ORDER BY id")]
    assert amounts == [0, 1, 2, 3, 0, 5, 70, 70]
    assert letters(flow) == "o"
    assert not Page.unscoped.exclude(payload=None).exists()


def test_the_checkpoint_never_goes_back(source):
    flow = flow_with(source, export=TABLE)
    run = fail(source, flow)
    reached = source.checkpoint(flow)["watermark"]
    assert reached == 5
    second = run_again(source, run, after(10))
    assert second.status == "retrying"
    assert source.checkpoint(flow)["watermark"] == reached
    mend(source, flow)
    run_again(source, second, after(20))
    assert source.checkpoint(flow)["watermark"] == 7


def test_a_run_in_between_takes_the_rest_and_the_next_attempt_only_what_was_its_own(source):
    flow = flow_with(source, export=TABLE)
    run = fail(source, flow)
    mend(source, flow)
    fill(source, [{"id": 8, "amount": 8}])
    between = fail(source, flow, after(5))
    assert (between.outcome, between.records_in) == ("completed", 3)
    source.place.execute("DELETE FROM orders")

    following = run_again(source, run, after(10))

    assert (following.outcome, following.records_in) == ("completed", 6)
    assert source.loaded() == [0, 1, 2, 3, 4, 5]
    assert source.checkpoint(flow)["watermark"] == 8


def test_what_a_run_in_between_left_open_is_not_resolved_by_an_attempt_that_did_not_export_it(source):
    flow = flow_with(source, export=TABLE)
    run = fail(source, flow)
    fill(source, [{"id": 8, "amount": 8}, {"id": 9, "amount": -1}])
    between = fail(source, flow, after(5))
    cancel_rerun(run=between)
    mend(source, flow)

    following = run_again(source, run, after(10))

    assert following.outcome == "completed"
    assert reasons(run) == {"record": "succeeded", "window": "succeeded"}
    assert reasons(between)["window"] == ""


def send(flow: Flow, *ids: int, amount: int = 5) -> None:
    send_test(flow=flow, body=orjson.dumps([{"id": number, "amount": amount} for number in ids]))


def test_requests_to_a_webhook_stay_with_the_run_that_failed_with_them(scene):
    flow = listening(scene, head="workflow_retry: {attempts: 1, minutes: 10}\n", policy="fail", page_size=2)
    with frozen(NOON):
        send(flow, 1, 2)
        send(flow, 3, amount=-1)
        send(flow, 4, 5)
    run = scene.work(Run.unscoped.get(), after(1))
    assert run.status == "retrying"
    with frozen(after(2)):
        send(flow, 6)
    other = scene.work(Run.unscoped.latest("pk"), after(3))
    assert (other.outcome, other.records_in, scene.loaded()) == ("completed", 1, [1, 2, 4, 6])
    mend(scene, flow)

    following = run_again(scene, run, after(11))

    assert (following.outcome, following.records_in, scene.loaded()) == ("completed", 5, [1, 2, 3, 4, 5, 6])
    assert not Arrival.unscoped.exists()
    assert hook_of(flow).waiting == 0


def test_a_request_that_arrives_while_an_attempt_is_queued_gets_a_run_of_its_own(sqlite_scene):
    scene = sqlite_scene
    flow = listening(scene, head="workflow_retry: {attempts: 1, minutes: 10}\n", policy="fail")
    with frozen(NOON):
        send(flow, 3, amount=-1)
    run = scene.work(Run.unscoped.get(), after(1))
    mend(scene, flow)
    with frozen(after(11)):
        assert start_reruns() == 1
        send(flow, 6)
    again, own = Run.unscoped.exclude(pk=run.pk).order_by("pk")

    assert (scene.work(again, after(12)).records_in, scene.work(own, after(13)).records_in) == (1, 1)
    assert (scene.loaded(), Arrival.unscoped.count()) == ([3, 6], 0)


def test_requests_are_given_back_when_their_run_is_not_run_again(sqlite_scene):
    scene = sqlite_scene
    flow = listening(scene, head="workflow_retry: {attempts: 1, minutes: 10}\n", policy="fail", page_size=1)
    with frozen(NOON):
        send(flow, 3, amount=-1)
        send(flow, 4)
    run = scene.work(Run.unscoped.get(), after(1))
    cancel_rerun(run=run, reason="not needed")

    other = fail(scene, flow, after(2))

    assert (other.outcome, scene.loaded(), Arrival.unscoped.count()) == ("completed", [4], 0)


# --- what takes it back ----------------------------------------------------------------------------------------------
def test_a_member_takes_it_back_with_a_reason(sqlite_scene):
    flow = flow_with(sqlite_scene)
    run = fail(sqlite_scene, flow)
    member = make_member(sqlite_scene.account)
    member.user.first_name, member.user.last_name = "Mara", "Lindqvist"

    cancel_rerun(run=run, member=member, reason="fixed by hand ")

    run.refresh_from_db()
    assert (run.status, run.outcome) == ("failed", "failed")
    assert run.rerun_canceled == "by Mara Lindqvist: fixed by hand"
    assert "Not run again: by Mara Lindqvist: fixed by hand" in sqlite_scene.log(run)
    assert (letters(flow), FlowState.unscoped.get(flow=flow).last_status) == ("f", "failed")
    assert not Page.unscoped.exclude(payload=None).exists()
    assert reasons(run) == {"record": "", "window": ""}
    with frozen(after(10)):
        assert start_reruns() == 0
    with pytest.raises(RunRefused, match="does not wait to be run again"):
        cancel_rerun(run=run)


def test_canceling_a_run_that_waits_to_be_run_again_takes_that_back(sqlite_scene):
    run = fail(sqlite_scene, flow_with(sqlite_scene))
    assert cancel_run(run=run, member=None).status == "failed"
    with pytest.raises(RunRefused, match="has ended already: failed"):
        cancel_run(run=run, member=None)


def test_disabling_the_flow_takes_it_back(sqlite_scene):
    flow = flow_with(sqlite_scene)
    run = fail(sqlite_scene, flow)
    disable_flow(flow=flow)
    with frozen(after(1)):
        assert start_reruns() == 0
    run.refresh_from_db()
    assert (run.status, run.rerun_canceled) == ("failed", "the flow was disabled")


RULE = '{attempts: 1, minutes: 10, unique_id: "{{ record.id }}"}'


@pytest.mark.parametrize(("newer", "status"), [(0, "failed"), (50, "retrying")])
def test_a_newer_payload_with_the_same_unique_id_takes_it_back(sqlite_scene, newer, status):
    flow = flow_with(sqlite_scene, RULE)
    run = fail(sqlite_scene, flow)
    assert run.unique_id == "0"
    sqlite_scene.write("a.jsonl", orjson.dumps({"id": newer, "amount": 1}))

    other = fail(sqlite_scene, flow, after(5))

    run.refresh_from_db()
    assert (other.outcome, run.status) == ("completed", status)
    if status == "failed":
        assert run.rerun_canceled == f"run {other} brought a newer payload with the same unique id, 0"


def test_an_attempt_that_is_queued_gives_way_to_a_newer_payload_too(sqlite_scene):
    flow = flow_with(sqlite_scene, RULE)
    run = fail(sqlite_scene, flow)
    with frozen(after(9)):
        other = start_run(flow=flow)
    with frozen(after(10)):
        assert start_reruns() == 1
    following = Run.unscoped.get(attempt=2)

    sqlite_scene.work(other, after(11))

    following.refresh_from_db()
    assert (following.status, following.rerun_canceled[:7]) == ("canceled", f"run {other}"[:7])
    assert not Page.unscoped.filter(run__in=[run, following]).exclude(payload=None).exists()


def test_a_run_that_fails_after_a_newer_payload_is_not_run_again(sqlite_scene):
    flow = flow_with(sqlite_scene, RULE)
    sqlite_scene.apply("overlap: allow\n" + flow.revision.definition)
    with frozen(NOON):
        older, newer = start_run(flow=flow), start_run(flow=flow)
        release_run(claim_run(older.pk))
    sqlite_scene.work(newer, after(1))
    sqlite_scene.work(older, after(2))

    assert (newer.status, older.status) == ("retrying", "failed")
    assert older.rerun_canceled == f"run {newer} brought a newer payload with the same unique id, 0"


# --- deaths ----------------------------------------------------------------------------------------------------------
@SPREADS
def test_wherever_a_dispatcher_dies_one_attempt_follows(sqlite_scene, spread):
    scene, flow = sqlite_scene, flow_with(sqlite_scene, "{attempts: 10, minutes: 1}")
    run, counted = fail(scene, flow), Countdown()
    with frozen(after(60)), dying_at_statement(counted):
        assert start_reruns() == 1
    assert counted.calls > 5
    scene.work(Run.unscoped.latest("pk"), after(60))
    for at in moments(counted.calls, spread):
        for waiting in Run.unscoped.filter(status="retrying"):
            cancel_rerun(run=waiting)
        run = fail(scene, flow, after(60))
        with frozen(after(120)):
            with pytest.raises(Killed), dying_at_statement(Countdown(at)):
                start_reruns()
            start_reruns()
        (following,) = Run.unscoped.filter(root_run=run.root_run_id, attempt=2)
        scene.work(following, after(120))
        assert (following.records_in, following.status) == (6, "retrying"), f"death at statement {at}"


def test_a_worker_that_dies_in_a_further_attempt_is_followed_by_another(scene):
    flow = flow_with(scene)
    run = fail(scene, flow)
    scene.place.execute("DELETE FROM orders")
    mend(scene, flow)
    with frozen(after(10)):
        assert start_reruns() == 1
    following = Run.unscoped.get(attempt=2)
    for at in (15, 30, 45, 60):
        with suppress(Killed), dying_at_statement(Countdown(at)):
            work_slice(following.pk)
            raise AssertionError(f"it did not die at statement {at}")
        Run.unscoped.filter(pk=following.pk, status="running").update(lease_until=read_now() - timedelta(seconds=1))
    scene.work_to_the_end(following)

    following.refresh_from_db()
    assert (following.outcome, following.records_in, scene.loaded()) == ("completed", 8, list(range(8)))
    assert reasons(run) == {"record": "succeeded", "window": "succeeded"}
