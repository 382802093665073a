"""The retry part of the case table: what a retry does to errors, counts and downstream steps."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.accounts.models import Role
from apps.core import clock
from apps.engine.plan import OnError, Policy, ScopeKind, StepKind
from apps.engine.ports import BadRecord, ConnectorError, Failure, Repeats
from apps.errors.models import BulkItem, Error, RetryData, RetryItem, RetryVersion, StepState
from apps.errors.services import (
    EditConflict,
    EditRefused,
    edit_retry_data,
    perform_act,
    reopen_errors,
    resolve_errors,
)
from apps.errors.services.acts import _perform_chunk
from apps.execution.dispatcher import start_retries
from apps.execution.retry_reader import RetryReader
from apps.flows.models import Flow, Step
from apps.runs.models import FlowState, Run
from apps.runs.services import cancel_run
from tests.factories import make_member, make_step
from tests.fakes.running import World, books, make_world
from tests.fakes.world import FakeDatabase, FakeTable, chain, node, table_step
from tests.scenarios.retry_world import retry, retry_runs, run_once, take_retry, work_retries, work_retry

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(account) -> World:
    return make_world(account)


def records(*ids):
    return [{"id": number} for number in ids]


def two_steps(account, *, scope=ScopeKind.NONE, first=None, second=None) -> World:
    plan = chain(table_step(1, "target", first or Policy()), table_step(2, "second", second or Policy()), scope=scope)
    world = make_world(account, plan=plan)
    make_step(world.flow, key="second", name="Second", position=2)
    return world


def shown() -> list[tuple[str, str, str, bool]]:
    rows = Error.unscoped.order_by("id").values_list("key", "state", "reason", "retry_failed")
    return list(rows)


def test_a_retry_that_works_resolves_the_error_by_the_user_and_leaves_the_runs_snapshot(world, account):
    member = make_member(account)
    world.refuse(2)
    run = run_once(world, records(1, 2, 3))
    world.refuse()

    act = retry(world, member=member)
    (ended,) = work_retries(world)

    assert (act.count, act.done) == (1, 1)
    error = Error.unscoped.get()
    assert (error.state, error.reason, error.resolved_by_id) == ("resolved", "retried", member.pk)
    assert (ended.kind, ended.outcome, ended.success) == ("retry", "completed", 1)
    run.refresh_from_db()
    assert (run.errors, run.failed) == (1, 1)
    assert 2 in world.database.rows["target"]
    assert RetryItem.unscoped.get().outcome == "retried"
    assert books() == []


def test_a_retry_that_fails_is_a_new_error_marked_for_good_and_linked(world):
    world.refuse(2)
    run_once(world, records(1, 2))

    retry(world)
    work_retries(world)

    assert shown() == [("2", "resolved", "retry_failed", False), ("2", "open", "", True)]
    old, new = Error.unscoped.order_by("id")
    assert (old.resolved_error_id, new.previous_error_id) == (new.pk, old.pk)
    assert books() == []


def test_while_in_flight_an_error_is_retrying_and_not_counted_open(world):
    world.refuse(2)
    run_once(world, records(1, 2))

    retry(world)

    error = Error.unscoped.get()
    assert error.shown_state == "retrying"
    assert StepState.unscoped.get(step=error.step_id).open_errors == 0
    assert books() == []


def test_a_second_retry_of_the_same_error_is_not_queued_again(world):
    world.refuse(2)
    run_once(world, records(1, 2))
    retry(world)
    (run,) = retry_runs(world)

    act = retry(world)

    assert BulkItem.unscoped.get(act=act).result == f"retried already by {run}"
    assert RetryItem.unscoped.count() == 1
    assert retry_runs(world) == [run]
    assert books() == []


def test_a_retry_starts_at_the_failed_step_and_the_steps_after_it_run_once(account):
    world = two_steps(account)
    world.database.fails = lambda table, body: "no" if table == "target" and body["id"] == 2 else None
    run_once(world, records(1, 2))
    world.database.fails = lambda table, body: None

    retry(world)
    work_retries(world)

    assert sorted(world.database.rows["second"]) == [1, 2]
    assert len(world.opened.targets["second"].sent) == 2
    assert books() == []


def test_a_downstream_failure_of_a_retry_is_a_new_error_of_that_step(account):
    world = two_steps(account)
    world.database.fails = lambda table, body: "no" if table == "target" and body["id"] == 2 else None
    run_once(world, records(1, 2))
    world.database.fails = lambda table, body: "late" if table == "second" and body["id"] == 2 else None

    retry(world)
    work_retries(world)

    old, new = Error.unscoped.order_by("id")
    assert (old.reason, new.step.key, new.state) == ("retried", "second", "open")
    assert books() == []


def test_in_scope_record_a_retry_starts_at_the_first_write_that_was_undone(account):
    world = two_steps(account, scope=ScopeKind.RECORD)
    world.database.fails = lambda table, body: "late" if table == "second" and body["id"] == 2 else None
    run_once(world, records(1, 2))
    assert sorted(world.database.rows["target"]) == [1]
    world.database.fails = lambda table, body: None

    retry(world)
    work_retries(world)

    assert sorted(world.database.rows["target"]) == sorted(world.database.rows["second"]) == [1, 2]
    assert shown() == [("2", "resolved", "retried", False)]
    assert books() == []


def test_a_step_that_continued_on_error_is_retried_alone(account):
    world = two_steps(account, first=Policy(continue_on_error=True))
    world.database.fails = lambda table, body: "no" if table == "target" and body["id"] == 2 else None
    run_once(world, records(1, 2))
    world.database.fails = lambda table, body: None

    retry(world)
    work_retries(world)

    assert sorted(world.opened.targets["second"].sent) == [0, 1]
    assert 2 in world.database.rows["target"]
    assert shown() == [("2", "resolved", "retried", False)]
    assert books() == []


def test_a_resolved_error_is_retried_only_on_request_and_stays_resolved_when_it_works(world, account):
    world.refuse(2)
    run_once(world, records(2))
    resolve_errors(account=account, member=None, errors=Error.objects.of(account))

    retry(world)
    assert retry_runs(world) == []
    world.refuse()
    retry(world, includes_resolved=True)
    work_retries(world)

    assert shown() == [("2", "resolved", "manual", False)]
    assert books() == []


def test_a_resolved_error_whose_retry_fails_becomes_a_new_open_error(world, account):
    world.refuse(2)
    run_once(world, records(2))
    resolve_errors(account=account, member=None, errors=Error.objects.of(account))

    retry(world, includes_resolved=True)
    work_retries(world)

    assert shown() == [("2", "resolved", "manual", False), ("2", "open", "", True)]
    assert books() == []


def test_a_resolved_error_whose_record_went_through_since_is_skipped(world, account):
    world.refuse(1, 2)
    run_once(world, records(1, 2))
    resolve_errors(account=account, member=None, errors=Error.objects.of(account))
    world.refuse()
    run_once(world, records(1))

    retry(world, includes_resolved=True)
    work_retries(world)

    assert shown() == [("1", "resolved", "manual", False), ("2", "resolved", "manual", False)]
    assert sorted(RetryItem.unscoped.values_list("error__key", "state")) == [("1", "skipped"), ("2", "done")]
    assert books() == []


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda w: RetryData.unscoped.update(purged_at=timezone.now()), "its retry data are gone"),
        (lambda w: Flow.unscoped.update(enabled=False), "its flow is disabled"),
        (lambda w: Step.unscoped.filter(key="target").update(removed_at=timezone.now()), "its step was removed"),
        (
            lambda w: Error.unscoped.update(occurred_at=timezone.now() - timedelta(days=31)),
            "is older than the retention",
        ),
    ],
)
def test_what_cannot_be_retried_says_why_and_nothing_runs(world, spoil, reason):
    world.refuse(2)
    run_once(world, records(2))
    spoil(world)

    act = retry(world)

    assert BulkItem.unscoped.get(act=act).result == reason
    assert retry_runs(world) == []
    assert Error.unscoped.get().state == "open"


def test_an_error_whose_key_went_through_meanwhile_is_skipped_and_resolved(world):
    world.refuse(2)
    run_once(world, records(2))
    retry(world)
    world.refuse()
    run_once(world, records(2))
    sent = len(world.opened.targets["target"].sent)

    work_retries(world)

    assert len(world.opened.targets["target"].sent) == sent
    assert shown() == [("2", "resolved", "succeeded", False)]
    assert RetryItem.unscoped.get().state == "skipped"
    assert books() == []


def test_a_retry_of_old_data_never_hides_a_newer_failure(world):
    world.refuse(2)
    run_once(world, records(2))
    retry(world)
    run_once(world, records(2))

    work_retries(world)

    states = [(state, reason) for _, state, reason, _ in shown()]
    assert states[1] == ("open", ""), "the newer error stays"
    assert states[0][0] == "resolved"
    assert [s for s in states if s == ("open", "")] == [("open", "")]
    assert books() == []


def test_canceling_a_retry_returns_what_was_not_sent_to_the_state_it_had(world):
    world.refuse(1, 2, 3)
    run_once(world, records(1, 2, 3))
    retry(world)
    (run,) = retry_runs(world)

    cancel_run(run=run, member=None)
    ended = work_retry(world, run)

    assert ended.status == "canceled"
    assert [state for _, state, _, _ in shown()] == ["open"] * 3
    assert set(RetryItem.unscoped.values_list("state", flat=True)) == {"canceled"}
    assert FlowState.unscoped.get(flow=world.flow).queued == 0
    assert books() == []


def test_a_worker_killed_during_a_retry_does_nothing_twice_in_the_books(world, noon):
    world.refuse(1, 2, 3)
    run_once(world, records(1, 2, 3))
    world.refuse(3)
    retry(world)
    (run,) = retry_runs(world)
    taken = take_retry(world, run)
    reader = RetryReader(taken.run, world.plan, first_ordinal=0, now=noon)
    page = taken.journal.store(reader.next(), claim=True)
    taken.deliver(page)  # killed before the page commit
    with clock.frozen(noon + timedelta(minutes=5)):
        ended = work_retry(world, run)

    assert (ended.success, ended.failed) == (2, 1)
    assert [(k, s, r) for k, s, r, _ in shown()] == [
        ("1", "resolved", "retried"),
        ("2", "resolved", "retried"),
        ("3", "resolved", "retry_failed"),
        ("3", "open", ""),
    ]
    assert books() == []


def test_an_export_error_is_retried_as_its_window_from_where_it_had_got(world):
    running = world.begin()
    running.run_page(records(1), checkpoint="row 1")
    running.journal.fail_export(ConnectorError("cut", "The file ends in the middle."))

    retry(world)
    (run,) = retry_runs(world)

    assert run.position["source"] == {"row": 1}
    taken = take_retry(world, run)
    taken.run_page(records(2), checkpoint="row 2")
    ended = taken.finish()
    error = Error.unscoped.get()
    assert (ended.outcome, error.state, error.reason) == ("completed", "resolved", "retried")
    assert books() == []


def test_a_window_that_fails_again_is_a_new_error_that_says_retry_failed(world):
    running = world.begin()
    running.run_page(records(1))
    running.journal.fail_export(ConnectorError("gone", "The file is gone."))
    retry(world)
    (run,) = retry_runs(world)

    take_retry(world, run).journal.fail_export(ConnectorError("gone", "The file is still gone."))

    old, new = Error.unscoped.order_by("id")
    assert (old.reason, old.resolved_error_id) == ("retry_failed", new.pk)
    assert (new.retry_failed, new.previous_error_id, new.unit) == (True, old.pk, "window")
    assert books() == []


def test_an_export_error_is_resolved_when_a_later_run_has_exported_the_window(world):
    running = world.begin()
    running.journal.fail_export(ConnectorError("gone", "There is no such file."))
    run_once(world, records(1))

    error = Error.unscoped.get()
    assert (error.state, error.reason) == ("resolved", "succeeded")
    assert books() == []


def test_a_row_that_was_no_record_can_be_mended_and_retried(world, account):
    member = make_member(account)
    bad = BadRecord(b'{"id": 7,', "line 1", Failure("application", "not_json", "This is not JSON.", "parse"))
    run_once(world, [bad])
    error = Error.unscoped.get()
    edit_retry_data(error=error, member=member, text='{"id": 7}', expected_version=1)

    retry(world)
    work_retries(world)

    assert 7 in world.database.rows["target"]
    assert [(s, r) for _, s, r, _ in shown()] == [("resolved", "retried")]
    assert books() == []


def test_a_row_that_is_still_no_record_fails_again(world):
    bad = BadRecord(b"{oops", "line 1", Failure("application", "not_json", "This is not JSON.", "parse"))
    run_once(world, [bad])

    retry(world)
    work_retries(world)

    assert [(s, r, f) for _, s, r, f in shown()] == [("resolved", "retry_failed", False), ("open", "", True)]
    assert books() == []


# --- edits -----------------------------------------------------------------------------------------------------------
def test_an_edit_is_a_new_version_the_original_is_kept_and_the_retry_sends_it(world, account):
    member = make_member(account)
    world.refuse(2)
    run_once(world, [{"id": 2, "city": "old"}])
    error = Error.unscoped.get()

    data = edit_retry_data(error=error, member=member, text='{"id": 2, "city": "new"}', expected_version=1)
    world.refuse()
    retry(world)
    work_retries(world)

    assert data.version == 2
    versions = RetryVersion.unscoped.order_by("version")
    assert [bytes(v.record) for v in versions] == [b'{"id":2,"city":"old"}', b'{"id":2,"city":"new"}']
    assert world.database.rows["target"][2]["city"] == "new"


def test_an_error_that_a_retry_took_meanwhile_is_not_edited(world, account):
    world.refuse(2)
    run_once(world, records(2))
    seen_before = Error.unscoped.get()
    retry(world)

    with pytest.raises(EditRefused, match="has this error right now"):
        edit_retry_data(error=seen_before, member=make_member(account), text='{"id": 2}', expected_version=1)


def test_two_editors_cannot_overwrite_each_other(world, account):
    member = make_member(account)
    world.refuse(2)
    run_once(world, records(2))
    error = Error.unscoped.get()
    edit_retry_data(error=error, member=member, text='{"id": 2}', expected_version=1)

    with pytest.raises(EditConflict, match="version 2"):
        edit_retry_data(error=error, member=member, text='{"id": 3}', expected_version=1)


@pytest.mark.parametrize(("text", "words"), [("{oops", "line 1, column 2"), ("[1]", "JSON object")])
def test_retry_data_must_be_a_json_object(world, account, text, words):
    world.refuse(2)
    run_once(world, records(2))

    with pytest.raises(EditRefused, match=words):
        edit_retry_data(error=Error.unscoped.get(), member=make_member(account), text=text, expected_version=1)


def test_a_monitor_may_edit_only_with_the_permission(world, account):
    world.refuse(2)
    run_once(world, records(2))
    monitor = make_member(account, role=Role.MONITOR)

    with pytest.raises(EditRefused, match="manager"):
        edit_retry_data(error=Error.unscoped.get(), member=monitor, text="{}", expected_version=1)
    monitor.may_edit_retry_data = True
    assert edit_retry_data(error=Error.unscoped.get(), member=monitor, text="{}", expected_version=1).version == 2


# --- resolve and reopen ----------------------------------------------------------------------------------------------
def test_resolve_is_idempotent_and_counts_at_once(world, account):
    world.refuse(1, 2)
    run_once(world, records(1, 2))

    resolve_errors(account=account, member=None, errors=Error.objects.of(account))
    resolve_errors(account=account, member=None, errors=Error.objects.of(account))

    assert {(s, r) for _, s, r, _ in shown()} == {("resolved", "manual")}
    assert StepState.unscoped.get(open_errors=0, watched_keys=2)
    assert books() == []


def test_reopen_undoes_a_resolve_unless_a_newer_error_of_the_key_is_open(world, account):
    world.refuse(1, 2)
    run_once(world, records(1, 2))
    run_once(world, records(1))
    resolve_errors(account=account, member=None, errors=Error.objects.of(account).filter(key="2"))

    reopen_errors(account=account, member=None, errors=Error.objects.of(account))

    assert [(k, s) for k, s, _, _ in shown()] == [("1", "resolved"), ("2", "open"), ("1", "open")]
    assert books() == []


def test_an_act_on_many_is_done_by_a_worker_and_can_be_cut_anywhere(world, account, monkeypatch):
    monkeypatch.setattr("apps.errors.services.acts.AT_ONCE", 0)
    monkeypatch.setattr("apps.errors.services.acts.CHUNK", 3)
    world.refuse(*range(10))
    run_once(world, records(*range(10)))

    act = resolve_errors(account=account, member=None, errors=Error.objects.of(account))
    assert (act.count, act.done, act.ended_at) == (10, 0, None)
    _perform_chunk(account.pk, act.pk)  # then the worker is killed
    assert Error.unscoped.filter(state="resolved").count() == 3
    assert books() == []
    perform_act(account.pk, act.pk)
    perform_act(account.pk, act.pk)

    act.refresh_from_db()
    assert (act.done, Error.unscoped.filter(state="resolved").count()) == (10, 10)
    assert act.ended_at is not None
    assert books() == []


def test_a_send_that_failed_after_the_commit_is_retried_alone(account):
    """It was held back until what comes after it stood in the table: that is not written a second time."""
    mail = node(1, "mail", StepKind.IMPORT, connection="smtp")
    plan = chain(mail, table_step(2, "target"), scope=ScopeKind.RECORD)
    world = make_world(account, plan=plan)
    make_step(world.flow, key="mail", name="Mail", position=1)
    outbox = FakeDatabase(fails=lambda table, body: "refused")
    world.opened.targets["mail"] = FakeTable(outbox, "mail", transactional=False)
    world.opened.targets["target"].repeats = Repeats.LEDGER
    run_once(world, records(1))
    outbox.fails = lambda table, body: None

    retry(world)
    work_retries(world)

    assert len(world.database.rows["target"]) == 1
    assert list(outbox.rows["mail"]) == [1]
    assert Error.unscoped.get().reason == "retried"
    assert books() == []


# --- auto-retry ------------------------------------------------------------------------------------------------------
def flaky(world: World, *ids, text="The server is busy.", classification="intermittent", unknown=False):
    """The destination refuses these records for a passing reason."""
    target = world.opened.targets["target"]
    original = type(target).write

    def write(batch):
        written = original(target, batch)
        for index, body in enumerate(batch.bodies):
            if body.get("id") in ids:
                written.failures[index] = Failure("application", "503", text, classification, unknown=unknown)
        return written

    target.write = write


def mended(world: World):
    world.opened.targets["target"].__dict__.pop("write", None)


def attempt(world: World, noon, seconds: float) -> int:
    with clock.frozen(noon + timedelta(seconds=seconds)):
        started = start_retries()
        work_retries(world)
    return started


def test_an_intermittent_error_is_tried_again_by_the_schedule_and_at_most_four_times(world, noon):
    flaky(world, 1)
    run_once(world, records(1))
    started = [attempt(world, noon, s) for s in (29, 31, 89, 91, 209, 211, 449, 451, 5000)]

    assert started == [0, 1, 0, 1, 0, 1, 0, 1, 0]
    error = Error.unscoped.get()
    assert (error.state, error.attempts, error.next_attempt_at) == ("open", 4, None)
    assert RetryItem.unscoped.count() == 4
    assert books() == []


def test_an_attempt_that_works_resolves_the_error_by_auto(world, noon):
    flaky(world, 1)
    run_once(world, records(1))
    mended(world)
    attempt(world, noon, 31)

    error = Error.unscoped.get()
    assert (error.state, error.reason, error.resolved_by_id) == ("resolved", "retried", None)
    assert retry_runs(world)[0].kind == "auto_retry"
    assert books() == []


def test_between_attempts_an_error_is_open_and_counted(world, noon):
    flaky(world, 1)
    run_once(world, records(1))
    attempt(world, noon, 31)

    error = Error.unscoped.get()
    assert error.shown_state == "auto_retrying"
    assert error.next_attempt_at == noon + timedelta(seconds=90)
    assert StepState.unscoped.get(step=error.step_id).open_errors == 1
    assert books() == []


def test_an_attempt_that_fails_with_another_class_ends_the_schedule_and_changes_the_error(world, noon):
    flaky(world, 1)
    run_once(world, records(1))
    flaky(world, 1, text="The amount is negative.", classification="value")
    attempt(world, noon, 31)

    error = Error.unscoped.select_related("cause").get()
    assert (error.message, error.cause.classification) == ("The amount is negative.", "value")
    assert error.next_attempt_at is None
    assert books() == []


def test_resolving_by_hand_cancels_the_pending_attempts(world, account, noon):
    flaky(world, 1)
    run_once(world, records(1))
    resolve_errors(account=account, member=None, errors=Error.objects.of(account))

    assert attempt(world, noon, 31) == 0


def test_a_run_that_puts_the_key_through_cancels_the_pending_attempts(world, noon):
    flaky(world, 1)
    run_once(world, records(1))
    mended(world)
    run_once(world, records(1))

    assert attempt(world, noon, 31) == 0
    assert books() == []


def test_many_intermittent_errors_make_one_retry_run_per_step(world, noon):
    flaky(world, *range(50))
    run_once(world, records(*range(50)))
    mended(world)

    assert attempt(world, noon, 31) == 1
    assert Error.unscoped.filter(reason="retried").count() == 50
    assert books() == []


def test_auto_retries_wait_while_the_flow_is_disabled(world, noon):
    flaky(world, 1)
    run_once(world, records(1))
    Flow.unscoped.update(enabled=False)
    assert attempt(world, noon, 31) == 0
    Flow.unscoped.update(enabled=True)
    assert attempt(world, noon, 61) == 1


def test_an_automatic_attempt_that_may_have_arrived_is_in_doubt_and_not_tried_again_by_itself(world, noon):
    flaky(world, 1)
    run_once(world, records(1))
    flaky(world, 1, unknown=True)

    started = [attempt(world, noon, seconds) for seconds in (31, 91, 5000)]

    assert started == [1, 0, 0]
    old, new = Error.unscoped.order_by("id")
    assert (old.state, old.reason) == ("resolved", "retry_failed")
    assert (new.state, new.in_doubt, new.next_attempt_at) == ("open", True, None)
    assert books() == []


def test_each_automatic_attempt_after_a_definite_failure_carries_a_key_of_its_own(world, noon):
    flaky(world, 1)
    run_once(world, records(1))
    generations = [RetryData.unscoped.get().generation]
    for seconds in (31, 91):
        attempt(world, noon, seconds)
        generations.append(RetryData.unscoped.get().generation)

    assert generations == [1, 2, 3]


def test_no_further_attempt_is_planned_once_auto_resolve_is_off(world, noon):
    flaky(world, 1)
    run_once(world, records(1))
    with clock.frozen(noon + timedelta(seconds=31)):
        start_retries()
        Flow.unscoped.update(auto_resolve=False)
        work_retries(world)

    assert Error.unscoped.get().next_attempt_at is None
    assert books() == []


def test_value_errors_are_never_tried_again_by_themselves(world, noon):
    flaky(world, 1, classification="value")
    run_once(world, records(1))

    assert attempt(world, noon, 31) == 0


def test_a_policy_that_stops_the_run_stops_a_retry_and_returns_the_rest(account):
    world = make_world(account, plan=chain(table_step(1, "target", Policy(OnError.FAIL))))
    world.refuse(1)
    run_once_failing = world.begin()
    run_once_failing.run_page(records(1))
    errors = Error.unscoped.filter(unit="record")

    retry(world, errors)
    (ended,) = work_retries(world)

    assert ended.status == "failed"
    assert Run.unscoped.filter(kind="retry").count() == 1
    assert books() == []
