"""The auto-resolve part of the case table: each test names its row."""

from datetime import timedelta

import pytest

from apps.core import clock
from apps.engine.plan import StepKind, Way
from apps.engine.ports import ConnectorError
from apps.errors.models import Cause, Comment, Error, ErrorTag, StepState, Tag
from apps.errors.services import reopen_errors, resolve_errors
from apps.execution.dispatcher import dispatch, start_retries
from apps.flows.models import Flow
from apps.runs.models import Bucket, Grain, StepRun
from tests.factories import make_member, make_step
from tests.fakes.running import books, make_world
from tests.fakes.world import chain, node, table_step
from tests.scenarios.retry_world import flaky, records, retry, run_once, two_steps, work_retries

pytestmark = pytest.mark.django_db

ROWS = (
    "The same key fails again in a later run",
    "The key succeeds at the step",
    "The key is ignored at the step, before it, or goes another way",
    "The same key fails twice in one run, same payload",
    "The same key twice in one run, other payloads",
    "The key is blank",
    "Auto-resolve is switched off",
    "Auto-resolve is switched on again",
    "An export error",
    "Counts",
    "Undo",
)


def states() -> list[tuple[str, str, str]]:
    return list(Error.unscoped.order_by("id").values_list("key", "state", "reason"))


def switch(*, is_on: bool) -> None:
    Flow.unscoped.update(auto_resolve=is_on)


def test_the_same_key_failing_again_supersedes_the_earlier_error(world):
    """The same key fails again in a later run."""
    world.refuse(1)
    run_once(world, records(1))
    run_once(world, records(1))

    assert states() == [("1", "resolved", "superseded"), ("1", "open", "")]
    older, newer = Error.unscoped.order_by("id")
    assert older.resolved_error_id == newer.pk
    assert books() == []


def test_the_key_succeeding_resolves_the_earlier_error_and_leaves_the_snapshot(world):
    """The key succeeds at the step."""
    world.refuse(1)
    first = run_once(world, records(1, 2))
    world.refuse()
    run_once(world, records(1, 2))

    assert states() == [("1", "resolved", "succeeded")]
    first.refresh_from_db()
    assert first.errors == 1
    step_run = StepRun.unscoped.get(run=first, errors=1)
    assert (step_run.open_errors, step_run.auto_resolved) == (0, 1)
    assert Cause.unscoped.get().open_errors == 0
    assert books() == []


def test_a_late_page_of_an_old_run_resolves_nothing_newer(account):
    """The key succeeds at the step."""
    world = make_world(account, overlap="allow")
    world.refuse(1)
    old = world.begin()
    newer = world.begin()
    newer.run_page(records(1))
    world.refuse()
    old.run_page(records(1))

    assert states() == [("1", "open", "")]
    assert books() == []


def test_an_old_runs_late_failure_is_born_superseded_when_a_newer_one_is_open(account):
    """The key succeeds at the step."""
    world = make_world(account, overlap="allow")
    world.refuse(1)
    old = world.begin()
    newer = world.begin()
    newer.run_page(records(1))
    old.run_page(records(1))

    assert states() == [("1", "open", ""), ("1", "resolved", "superseded")]
    assert books() == []


def test_the_same_key_twice_in_one_run_with_the_same_payload_leaves_only_the_later_open(world):
    """The same key fails twice in one run, same payload."""
    world.refuse(1)
    run_once(world, records(1), records(1))

    assert states() == [("1", "resolved", "superseded"), ("1", "open", "")]
    assert books() == []


def test_the_same_key_twice_in_one_run_with_other_payloads_is_a_collision_and_both_stay_open(world):
    """The same key twice in one run, other payloads."""
    world.refuse(1)
    run_once(world, [{"id": 1, "a": 1}, {"id": 1, "a": 2}], [{"id": 1, "a": 3}])

    assert [state for _, state, _ in states()] == ["open", "open", "open"]
    assert sorted(Error.unscoped.values_list("collision_no", flat=True)) == [0, 1, 2]
    assert books() == []


def test_a_blank_key_is_never_auto_resolved(world):
    """The key is blank."""
    world.database.fails = lambda table, body: "no"
    run_once(world, [{"name": "a"}])
    world.refuse()
    run_once(world, [{"name": "a"}])

    assert states() == [("", "open", "")]
    assert books() == []


def test_switched_off_nothing_is_auto_resolved(world):
    """Auto-resolve is switched off."""
    world.refuse(1)
    run_once(world, records(1))
    Flow.unscoped.filter(pk=world.flow.pk).update(auto_resolve=False)
    run_once(world, records(1))

    assert [state for _, state, _ in states()] == ["open", "open"]
    assert books() == []


def test_no_further_attempt_is_planned_once_auto_resolve_is_off(world, noon):
    """Auto-resolve is switched off."""
    flaky(world, 1)
    run_once(world, records(1))
    with clock.frozen(noon + timedelta(seconds=31)):
        start_retries()
        Flow.unscoped.update(auto_resolve=False)
        work_retries(world)

    assert Error.unscoped.get().next_attempt_at is None
    assert books() == []


def test_an_export_error_is_resolved_when_a_later_run_has_exported_the_window(world):
    """An export error."""
    running = world.begin()
    running.journal.fail_export(ConnectorError("gone", "There is no such file."))
    run_once(world, records(1))

    error = Error.unscoped.get()
    assert (error.state, error.reason) == ("resolved", "succeeded")
    assert books() == []


def test_reopen_undoes_a_resolve_unless_a_newer_error_of_the_key_is_open(world, account):
    """Undo."""
    world.refuse(1, 2)
    run_once(world, records(1, 2))
    run_once(world, records(1))
    resolve_errors(account=account, member=None, errors=Error.objects.of(account).filter(key="2"))

    reopen_errors(account=account, member=None, errors=Error.objects.of(account))

    assert [(k, s) for k, s, _ in states()] == [("1", "resolved"), ("2", "open"), ("1", "open")]
    assert books() == []


def test_tags_assignee_and_comments_move_to_the_newer_error(world, account):
    """The same key fails again in a later run."""
    member = make_member(account)
    world.refuse(1)
    run_once(world, records(1))
    old = Error.unscoped.get()
    Error.unscoped.update(has_notes=True, assignee=member)
    tag = Tag.unscoped.create(account=account, name="urgent")
    ErrorTag.unscoped.create(account_id=account.pk, error=old, tag=tag)
    Comment.unscoped.create(account=account, error=old, member=member, text="Asked them.")

    run_once(world, records(1))

    newer = Error.unscoped.get(state="open")
    assert (newer.has_notes, newer.assignee_id) == (True, member.pk)
    assert ErrorTag.unscoped.get().error_id == Comment.unscoped.get().error_id == newer.pk
    assert books() == []


def test_errors_of_other_steps_are_untouched(account):
    """The key succeeds at the step."""
    world = two_steps(account)
    world.database.fails = lambda table, body: "late" if table == "second" else None
    run_once(world, records(1))
    world.database.fails = lambda table, body: "no" if table == "target" else None

    run_once(world, records(1))

    assert list(Error.unscoped.order_by("id").values_list("step__key", "state")) == [
        ("second", "open"),
        ("target", "open"),
    ]
    assert books() == []


@pytest.mark.parametrize("where", ["by the step", "by a filter before it", "by another way of a branch"])
def test_a_key_that_is_ignored_resolves_its_error_as_ignored(account, where):
    """The key is ignored at the step, before it, or goes another way."""
    closed: list[bool] = []

    def is_open(record, scope) -> bool:
        return not closed

    world = make_world(account, plan=plan_that_ignores(where, is_open))
    for number, key in enumerate(("gate", "other"), 5):
        make_step(world.flow, key=key, position=number)
    world.refuse(1)
    run_once(world, records(1))
    closed.append(True)
    world.refuse()

    run_once(world, records(1))

    assert states() == [("1", "resolved", "ignored")]
    assert books() == []


def plan_that_ignores(where: str, is_open):
    if where == "by the step":
        return chain(table_step(1, "target", input_filter=is_open))
    if where == "by a filter before it":
        return chain(node(1, "gate", StepKind.FILTER, condition=is_open), table_step(2, "target"))
    ways = (Way("usual", is_open, 2), Way("else", None, 3))
    branch = node(1, "gate", StepKind.BRANCH, ways=ways, next=-1)
    return chain(branch, table_step(2, "target", next=-1), table_step(3, "other"))


def test_a_failure_stays_open_when_another_record_with_its_key_goes_through(world):
    """The same key twice in one run, other payloads."""
    world.database.fails = lambda table, body: "no" if body.get("bad") else None
    within_a_page = run_once(world, [{"id": 1, "bad": True}, {"id": 1}])
    across_pages = run_once(world, [{"id": 2, "bad": True}], [{"id": 2}])

    assert [(key, state) for key, state, _ in states()] == [("1", "open"), ("2", "open")]
    collisions = StepRun.unscoped.filter(collisions__gt=0).values_list("run", "collisions")
    assert set(collisions) == {(within_a_page.pk, 1), (across_pages.pk, 1)}
    assert books() == []


def test_a_failure_is_resolved_when_the_same_record_goes_through_later_in_the_run(world):
    """The same key twice in one run, other payloads."""
    tried: list[int] = []

    def fails(table, body):
        tried.append(body["id"])
        return "busy" if tried.count(body["id"]) == 1 else None

    world.database.fails = fails
    run_once(world, records(1, 1))
    run_once(world, records(2), records(2))

    assert states() == [("1", "resolved", "succeeded"), ("2", "resolved", "succeeded")]
    assert books() == []


def test_a_collision_is_told_on_the_step_of_the_run(world):
    """The same key twice in one run, other payloads."""
    world.database.fails = lambda table, body: "no"
    run = run_once(world, [{"id": 1, "a": 1}, {"id": 1, "a": 2}], [{"id": 1, "a": 3}])

    assert StepRun.unscoped.get(run=run, collisions__gt=0).collisions == 2


@pytest.mark.parametrize("works", [True, False])
def test_a_retry_of_one_of_two_records_with_one_key_leaves_the_other_alone(world, works):
    """The same key twice in one run, other payloads."""
    world.database.fails = lambda table, body: "no"
    run_once(world, [{"id": 1, "a": 1}, {"id": 1, "a": 2}])
    first, second = Error.unscoped.order_by("id")
    if works:
        world.refuse()

    retry(world, [second])
    work_retries(world)

    first.refresh_from_db()
    assert (first.state, first.reason) == ("open", ""), "its own record was neither sent nor superseded"
    assert Error.unscoped.filter(state="open").count() == (1 if works else 2)
    assert books() == []


def test_a_retry_of_a_blank_key_links_its_outcome_to_its_error(world):
    """The key is blank."""
    world.database.fails = lambda table, body: "no"
    run_once(world, [{"name": "a"}])

    retry(world)
    work_retries(world)

    old, new = Error.unscoped.order_by("id")
    assert (old.reason, old.resolved_error_id, new.previous_error_id) == ("retry_failed", new.pk, old.pk)
    assert books() == []


def test_a_long_key_is_matched_as_a_whole_through_retries(world):
    """The same key fails again in a later run."""
    key = "k" * 200
    world.database.fails = lambda table, body: "no"
    run_once(world, [{"id": key + "1"}, {"id": key + "2"}])
    retry(world)
    work_retries(world)
    run_once(world, [{"id": key + "1"}])

    assert [state for _, state, _ in states()] == ["resolved", "resolved", "resolved", "open", "open"]
    assert books() == []


def test_pending_automatic_attempts_are_canceled(world, noon):
    """Auto-resolve is switched off."""
    flaky(world, 1)
    run_once(world, records(1))
    switch(is_on=False)

    with clock.frozen(noon + timedelta(seconds=31)):
        assert start_retries() == 0
        dispatch()

    assert Error.unscoped.get().next_attempt_at is None
    assert books() == []


def test_manual_acts_are_unchanged_and_know_what_went_through(world, account):
    """Auto-resolve is switched off."""
    world.refuse(1, 2)
    run_once(world, records(1, 2))
    switch(is_on=False)
    world.refuse()
    run_once(world, records(1))
    assert [state for _, state, _ in states()] == ["open", "open"]

    retry(world)
    work_retries(world)

    assert states() == [("1", "resolved", "succeeded"), ("2", "resolved", "retried")]
    assert len(world.opened.targets["target"].sent) == 4, "what went through was not sent again"
    assert books() == []


def test_only_passes_from_then_on_resolve(world):
    """Auto-resolve is switched on again."""
    world.refuse(1)
    run_once(world, records(1))
    switch(is_on=False)
    world.refuse()
    run_once(world, records(1))
    switch(is_on=True)
    run_once(world, records(2))
    assert states() == [("1", "open", "")]

    run_once(world, records(1))

    assert states() == [("1", "resolved", "succeeded")]
    assert books() == []


def test_a_window_that_was_exported_since_is_counted_as_auto_resolved(world):
    """Counts."""
    running = world.begin()
    running.journal.fail_export(ConnectorError("gone", "There is no such file."))
    run_once(world, records(1))

    assert set(Bucket.unscoped.filter(auto_resolved=1).values_list("grain", flat=True)) == set(Grain)


def test_the_runs_own_counts_never_change_and_the_others_do(world):
    """Counts."""
    world.refuse(1)
    run = run_once(world, records(1, 2))
    before = {name: getattr(run, name) for name in ("records_in", "success", "failed", "errors", "outcome")}
    world.refuse()
    run_once(world, records(1))

    run.refresh_from_db()
    assert {name: getattr(run, name) for name in before} == before
    step_run = StepRun.unscoped.get(run=run, errors=1)
    assert (step_run.open_errors, step_run.auto_resolved) == (0, 1)
    assert StepState.unscoped.get(step=step_run.step_id).open_errors == 0
    assert {b.auto_resolved for b in Bucket.unscoped.filter(flow=world.flow)} == {1}


def test_an_auto_resolved_error_is_reopened_and_counted_again(world, account):
    """Undo."""
    world.refuse(1)
    run_once(world, records(1))
    world.refuse()
    run_once(world, records(1))

    reopen_errors(account=account, member=None, errors=Error.objects.of(account))

    error = Error.unscoped.get()
    assert (error.shown_state, StepState.unscoped.get(step=error.step_id).open_errors) == ("open", 1)
    assert books() == []
