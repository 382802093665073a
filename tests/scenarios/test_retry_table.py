"""The retry part of the case table: what a retry does, and what it may not. Each test names its row."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.accounts.models import AuditEntry
from apps.engine.plan import Policy, ScopeKind
from apps.errors.models import BulkAct, BulkItem, Error, RetryData, RetryItem, StepState
from apps.errors.services import edit_retry_data, resolve_errors
from apps.errors.services.acts import perform_act
from apps.flows.models import Checkpoint, Flow, Revision, Step
from tests.factories import make_account, make_member
from tests.fakes.running import books, make_world
from tests.scenarios.retry_world import records, retry, retry_runs, run_once, shown, two_steps, work_retries

pytestmark = pytest.mark.django_db

ROWS = (
    "What runs",
    "It works",
    "It fails",
    "While in flight",
    "The step had continue_on_error",
    "A resolved error",
    "Older than the retention, or data purged",
    "An unknown key, or one of somebody else",
    "The flow is disabled",
    "The step was removed",
    "All that match",
)


def test_in_scope_record_a_retry_starts_at_the_first_write_that_was_undone(account):
    """What runs."""
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


def test_a_retry_that_works_resolves_the_error_by_the_user_and_leaves_the_runs_snapshot(world, account):
    """It works."""
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


def test_a_retry_starts_at_the_failed_step_and_the_steps_after_it_run_once(account):
    """It works."""
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
    """It works."""
    world = two_steps(account)
    world.database.fails = lambda table, body: "no" if table == "target" and body["id"] == 2 else None
    run_once(world, records(1, 2))
    world.database.fails = lambda table, body: "late" if table == "second" and body["id"] == 2 else None

    retry(world)
    work_retries(world)

    old, new = Error.unscoped.order_by("id")
    assert (old.reason, new.step.key, new.state) == ("retried", "second", "open")
    assert books() == []


def test_a_retry_that_fails_is_a_new_error_marked_for_good_and_linked(world):
    """It fails."""
    world.refuse(2)
    run_once(world, records(1, 2))

    retry(world)
    work_retries(world)

    assert shown() == [("2", "resolved", "retry_failed", False), ("2", "open", "", True)]
    old, new = Error.unscoped.order_by("id")
    assert (old.resolved_error_id, new.previous_error_id) == (new.pk, old.pk)
    assert books() == []


def test_while_in_flight_an_error_is_retrying_and_not_counted_open(world):
    """While in flight."""
    world.refuse(2)
    run_once(world, records(1, 2))

    retry(world)

    error = Error.unscoped.get()
    assert error.shown_state == "retrying"
    assert StepState.unscoped.get(step=error.step_id).open_errors == 0
    assert books() == []


def test_a_second_retry_of_the_same_error_is_not_queued_again(world):
    """While in flight."""
    world.refuse(2)
    run_once(world, records(1, 2))
    retry(world)
    (run,) = retry_runs(world)

    act = retry(world)

    assert BulkItem.unscoped.get(act=act).result == f"retried already by {run}"
    assert RetryItem.unscoped.count() == 1
    assert retry_runs(world) == [run]
    assert books() == []


def test_a_step_that_continued_on_error_is_retried_alone(account):
    """The step had continue_on_error."""
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
    """A resolved error."""
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
    """A resolved error."""
    world.refuse(2)
    run_once(world, records(2))
    resolve_errors(account=account, member=None, errors=Error.objects.of(account))

    retry(world, includes_resolved=True)
    work_retries(world)

    assert shown() == [("2", "resolved", "manual", False), ("2", "open", "", True)]
    assert books() == []


def test_a_resolved_error_whose_record_went_through_since_is_skipped(world, account):
    """A resolved error."""
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
    """Older than the retention, or data purged."""
    world.refuse(2)
    run_once(world, records(2))
    spoil(world)

    act = retry(world)

    assert BulkItem.unscoped.get(act=act).result == reason
    assert retry_runs(world) == []
    assert Error.unscoped.get().state == "open"


def test_a_retry_uses_the_current_revision_and_each_its_own_on_request(world):
    """What runs."""
    world.refuse(1, 2)
    old = world.flow.revision_id
    run_once(world, records(1))
    world.flow.revision = Revision.unscoped.create(
        account=world.flow.account, flow=world.flow, number=2, definition="x", sha256="x"
    )
    world.flow.save()
    run_once(world, records(2))

    retry(world, Error.unscoped.filter(key="1"))
    assert [run.revision_id for run in retry_runs(world)] == [world.flow.revision_id]
    work_retries(world)
    retry(world, Error.unscoped.filter(key__in=["1", "2"]), uses_original_revision=True, includes_resolved=True)

    assert {run.revision_id for run in retry_runs(world)[1:]} == {old, world.flow.revision_id}


def test_a_retry_leaves_the_checkpoint_alone(world):
    """What runs."""
    world.refuse(1)
    running = world.begin()
    running.run_page(records(1, 2), checkpoint="row 2")
    running.finish()

    retry(world)
    work_retries(world)

    assert Checkpoint.unscoped.get().value == {"at": "row 2"}


def test_a_write_that_was_rolled_back_resolves_no_error(account):
    """What runs."""
    world = two_steps(account, scope=ScopeKind.RECORD)
    world.database.fails = lambda table, body: "no" if table == "target" else None
    run_once(world, records(1))
    world.database.fails = lambda table, body: "late" if table == "second" else None

    retry(world)
    (run,) = work_retries(world)

    old, new = Error.unscoped.order_by("id")
    assert (old.state, old.reason) == ("resolved", "retry_failed")
    assert (new.step.key, new.state, new.retry_failed) == ("second", "open", True)
    assert run.step_runs.get(step__key="target").rolled_back == 1
    assert books() == []


def test_attempts_are_counted_through_retries(world):
    """It fails."""
    world.refuse(1)
    run_once(world, records(1))
    for _ in range(2):
        retry(world)
        work_retries(world)

    assert [e.tries for e in Error.unscoped.order_by("id")] == [1, 2, 3]


def test_the_rest_is_done_again_on_request(account):
    """The step had continue_on_error."""
    world = two_steps(account, first=Policy(continue_on_error=True))
    world.database.fails = lambda table, body: "no" if table == "target" and body["id"] == 2 else None
    run_once(world, records(1, 2))
    world.database.fails = lambda table, body: None

    retry(world, includes_rest=True)
    work_retries(world)

    assert sorted(world.opened.targets["second"].sent) == [0, 0, 1]
    assert books() == []


def test_a_forced_retry_sends_what_went_through_since_and_is_recorded(world, account):
    """A resolved error."""
    world.refuse(1)
    run_once(world, records(1))
    world.refuse()
    run_once(world, records(1))
    sent = len(world.opened.targets["target"].sent)

    retry(world, includes_resolved=True, is_forced=True)
    work_retries(world)

    assert len(world.opened.targets["target"].sent) == sent + 1
    assert shown() == [("1", "resolved", "succeeded", False)]
    assert AuditEntry.unscoped.get(act="error.retry").after["is_forced"] is True
    assert books() == []


def test_data_purged_after_the_click_are_skipped_with_the_reason_and_the_rest_runs(world):
    """Older than the retention, or data purged."""
    world.refuse(1, 2)
    run_once(world, records(1, 2))
    retry(world)
    world.refuse()
    RetryData.unscoped.filter(error__key="1").update(record=None, purged_at=timezone.now())

    work_retries(world)

    assert shown() == [("1", "open", "", False), ("2", "resolved", "retried", False)]
    item = RetryItem.unscoped.get(error__key="1")
    assert (item.state, item.message) == ("skipped", "Its retry data are gone.")
    assert books() == []


def test_errors_of_another_account_and_unknown_ones_are_not_retried(world):
    """An unknown key, or one of somebody else."""
    world.refuse(1)
    run_once(world, records(1))
    stranger = make_world(make_account())

    act = retry(stranger, Error.unscoped.all())

    assert (act.count, BulkItem.unscoped.count()) == (0, 0)
    assert Error.unscoped.get().state == "open"


def test_resolve_and_edit_still_work(world, account):
    """The flow is disabled."""
    world.refuse(1)
    run_once(world, records(1))
    Flow.unscoped.update(enabled=False)

    edit_retry_data(error=Error.unscoped.get(), member=make_member(account), text="{}", expected_version=1)
    resolve_errors(account=account, member=None, errors=Error.objects.of(account))

    assert Error.unscoped.get().reason == "manual"


def test_a_flow_that_is_disabled_says_so_and_nothing_runs(world):
    """The flow is disabled."""
    world.refuse(1)
    run_once(world, records(1))
    Flow.unscoped.update(enabled=False)

    assert BulkItem.unscoped.get(act=retry(world)).result == "its flow is disabled"
    assert retry_runs(world) == []


def test_an_error_of_a_removed_step_is_refused_even_where_its_start_still_stands(account):
    """The step was removed."""
    world = two_steps(account, scope=ScopeKind.RECORD)
    world.database.fails = lambda table, body: "late" if table == "second" else None
    run_once(world, records(1))
    Step.unscoped.filter(key="second").update(removed_at=timezone.now())

    act = retry(world)

    assert RetryData.unscoped.get().from_step.key == "target"
    assert BulkItem.unscoped.get(act=act).result == "its step was removed"
    assert Error.unscoped.select_related("step").get().step.name == "Second"


def test_all_that_match_are_frozen_at_the_click_and_sent_in_pages_oldest_first(account, monkeypatch):
    """All that match."""
    monkeypatch.setattr("apps.errors.services.acts.AT_ONCE", 0)
    monkeypatch.setattr("apps.errors.services.acts.CHUNK", 3)
    world = two_steps(account)
    world.plan = replace(world.plan, page_size=2)
    world.database.fails = lambda table, body: "no" if (table == "target") == (body["id"] < 5) else None
    run_once(world, records(*range(8)))
    act = retry(world)
    run_once(world, records(20))  # comes after the click
    world.database.fails = lambda table, body: None
    perform_act(account.pk, act.pk)

    sent = {key: len(world.opened.targets[key].sent) for key in ("target", "second")}
    runs = work_retries(world)

    assert BulkAct.unscoped.get(pk=act.pk).count == 8
    shapes = [(run.start_step.key, run.records_in, run.pages_done) for run in runs]
    assert shapes == [("target", 5, 3), ("second", 3, 2)]
    assert len(world.opened.targets["target"].sent) - sent["target"] == 5
    assert [item.error.key for item in RetryItem.unscoped.filter(run=runs[0]).order_by("seq")] == list("01234")
    assert set(BulkItem.unscoped.values_list("result", flat=True)) == {"retrying"}
    assert list(Error.unscoped.filter(state="open").values_list("key", flat=True)) == ["20"]
    assert books() == []
