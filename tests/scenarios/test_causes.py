"""Root causes: their states, the class that a member sets, merging; and what it means for errors and counts."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.accounts.models import AuditEntry
from apps.core import clock
from apps.engine.plan import Policy
from apps.errors.models import BulkAct, BulkItem, Cause, Error, RetryItem
from apps.errors.services import reopen_errors, resolve_errors
from apps.errors.services.causes import (
    CauseRefused,
    assign_cause,
    classify_cause,
    errors_of,
    is_awake,
    merge_causes,
    snooze_cause,
    unclassify_cause,
    unmerge_cause,
    wake_cause,
)
from apps.errors.services.notes import NoteRefused
from apps.flows.models import Flow
from tests.factories import make_account, make_flow, make_member, make_step
from tests.fakes.running import World, books, make_world
from tests.fakes.world import chain, table_step
from tests.scenarios.retry_world import attempt, flaky, mended, records, retry, run_once, work_retries

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(account) -> World:
    return make_world(account)


@pytest.fixture
def member(account):
    return make_member(account)


def the_cause() -> Cause:
    return Cause.unscoped.select_related("flow__integration", "merged_into").get()


def state() -> str:
    return the_cause().state


def resolve_all(world: World) -> None:
    resolve_errors(account=world.flow.account, member=None, errors=Error.objects.of(world.flow.account))


# --- states ----------------------------------------------------------------------------------------------------------
def test_a_cause_is_new_through_its_first_run_and_ongoing_from_the_second(world):
    world.refuse(1, 2, 3)
    run_once(world, records(1), records(2))
    assert state() == "new"
    run_once(world, records(3))
    assert state() == "ongoing"
    assert books() == []


def test_a_cause_is_ongoing_after_a_day_even_within_one_run(world, noon):
    world.refuse(1, 2)
    running = world.begin()
    running.run_page(records(1))
    with clock.frozen(noon + timedelta(days=1, seconds=1)):
        running.run_page(records(2))
    assert state() == "ongoing"


def test_a_cause_that_opens_again_after_its_open_count_was_0_is_regressed(world):
    world.refuse(1)
    run_once(world, records(1))
    resolve_all(world)
    run_once(world, records(1))
    assert state() == "regressed"
    assert books() == []


def test_a_cause_whose_only_error_gives_way_to_a_newer_one_was_open_all_the_time(world):
    world.refuse(1)
    run_once(world, records(1))
    run_once(world, records(1))
    assert [e.reason for e in Error.unscoped.order_by("id")] == ["superseded", ""]
    assert state() == "ongoing"


def test_a_failed_retry_is_no_news_of_its_cause(world):
    world.refuse(1)
    run_once(world, records(1))
    retry(world)
    work_retries(world)
    assert the_cause().total_errors == 2
    assert state() == "new"
    assert books() == []


def test_automatic_attempts_do_not_make_a_cause_come_back(world, noon):
    flaky(world, 1)
    run_once(world, records(1))
    attempt(world, noon, 31)
    assert state() == "new"
    assert books() == []


def test_a_snoozed_cause_wakes_when_its_time_has_come(world, member, noon):
    world.refuse(1, 2, 3)
    run_once(world, records(1))
    snooze_cause(cause=the_cause(), member=member, until=noon + timedelta(hours=1))
    run_once(world, records(2))
    assert state() == "snoozed"
    assert not is_awake(the_cause(), noon)
    with clock.frozen(noon + timedelta(hours=2)):
        assert is_awake(the_cause(), clock.read_now()), "also before anything more fails"
        run_once(world, records(3))
    assert (state(), the_cause().snoozed_until) == ("ongoing", None)


def test_a_snoozed_cause_wakes_when_as_many_errors_have_come_as_were_allowed(world, member):
    world.refuse(*range(9))
    run_once(world, records(0))
    snooze_cause(cause=the_cause(), member=member, errors=3)
    run_once(world, records(1, 2))
    assert (state(), the_cause().snooze_until_count) == ("snoozed", 1)
    run_once(world, records(3))
    assert (state(), the_cause().snooze_until_count) == ("ongoing", None)


def test_a_snooze_can_be_ended_and_has_bounds(world, member, noon):
    world.refuse(1)
    run_once(world, records(1))
    cause = the_cause()
    for asked, words in [
        ({}, "until when"),
        ({"errors": 0}, "Between 1 and"),
        ({"until": noon}, "in the future"),
        ({"until": noon + timedelta(days=365)}, "within 180 days"),
    ]:
        with pytest.raises(CauseRefused, match=words):
            snooze_cause(cause=cause, member=member, **asked)
    snooze_cause(cause=cause, member=member, errors=5)
    wake_cause(cause=cause, member=member)
    assert state() == "ongoing"


def test_states_cost_a_page_no_query_per_cause(world, django_assert_max_num_queries):
    world.database.fails = lambda table, body: f"refused {'x' * body['id']}"
    run_once(world, records(*range(1, 3)))
    resolve_all(world)
    with django_assert_max_num_queries(1000) as few:
        run_once(world, records(*range(1, 3)))
    run_once(world, records(*range(1, 21)))
    resolve_all(world)
    with django_assert_max_num_queries(len(few)):
        run_once(world, records(*range(1, 21)))
    assert set(Cause.unscoped.values_list("state", flat=True)) == {"regressed"}
    assert Cause.unscoped.count() == 20


# --- class -----------------------------------------------------------------------------------------------------------
def test_a_class_set_by_a_member_is_one_row_and_holds_for_what_comes(world, member):
    world.refuse(1, 2)
    run_once(world, records(1))
    classify_cause(cause=the_cause(), member=member, classification="missing")
    run_once(world, records(2))
    cause = the_cause()
    assert (cause.classification, cause.classified_by, cause.total_errors) == ("missing", member, 2)
    assert BulkAct.unscoped.count() == 0, "there was nothing to steer"


def test_errors_of_a_cause_that_a_member_made_intermittent_are_tried_again(world, member, noon):
    flaky(world, 1, 2, classification="value")
    run_once(world, records(1))
    act = classify_cause(cause=the_cause(), member=member, classification="intermittent")
    assert act is not None
    assert BulkItem.unscoped.get(act=act).result == "attempts begin"
    run_once(world, records(2))
    assert [e.next_attempt_at for e in Error.unscoped.all()] == [noon + timedelta(seconds=30)] * 2

    assert attempt(world, noon, 31) == 1
    again = Error.unscoped.order_by("id")[0]
    assert (again.attempts, again.next_attempt_at) == (1, noon + timedelta(seconds=90)), (
        "the class holds in attempts too"
    )
    mended(world)
    attempt(world, noon, 91)
    assert {e.reason for e in Error.unscoped.all()} == {"retried"}
    assert books() == []


def test_a_class_that_is_not_tried_again_ends_the_pending_attempts(world, member, noon):
    flaky(world, 1, 2)
    run_once(world, records(1))
    act = classify_cause(cause=the_cause(), member=member, classification="value")
    run_once(world, records(2))
    assert act is not None
    assert BulkItem.unscoped.get(act=act).result == "attempts canceled"
    assert set(Error.unscoped.values_list("next_attempt_at", flat=True)) == {None}
    assert attempt(world, noon, 31) == 0
    assert RetryItem.unscoped.count() == 0


def test_nothing_is_tried_again_while_auto_resolve_is_off(world, member):
    world.refuse(1)
    run_once(world, records(1))
    Flow.unscoped.update(auto_resolve=False)
    assert classify_cause(cause=the_cause(), member=member, classification="intermittent") is None


def test_a_class_that_is_taken_back_is_that_of_the_rules_and_the_attempts_follow(world, member, noon):
    flaky(world, 1, classification="intermittent")
    run_once(world, records(1))
    for classification in ("value", "missing"):
        classify_cause(cause=the_cause(), member=member, classification=classification)
    assert Error.unscoped.get().next_attempt_at is None
    cause = the_cause()
    unclassify_cause(cause=cause, member=member)

    assert (cause.classification, cause.classified_by) == ("intermittent", None)
    assert the_cause().classification == "intermittent"
    assert Error.unscoped.get().next_attempt_at == noon + timedelta(seconds=30)
    assert AuditEntry.unscoped.get(act="cause.unclassify").before == {"classification": "missing"}
    with pytest.raises(CauseRefused, match="already"):
        unclassify_cause(cause=the_cause(), member=member)


def test_taken_back_each_cause_of_a_group_has_its_own_class_again(world, member):
    head, other = two_causes(world)
    Cause.unscoped.filter(pk=other.pk).update(classification="duplicate")
    merge_causes(into=head, causes=[other], member=member)
    before = dict(Cause.unscoped.values_list("pk", "classification"))
    classify_cause(cause=head, member=member, classification="intermittent")
    unclassify_cause(cause=head, member=member)
    assert dict(Cause.unscoped.values_list("pk", "classification")) == before


def test_a_word_that_is_no_class_is_refused(world, member):
    world.refuse(1)
    run_once(world, records(1))
    with pytest.raises(CauseRefused, match="no class"):
        classify_cause(cause=the_cause(), member=member, classification="weird")


# --- merge -----------------------------------------------------------------------------------------------------------
def two_causes(world: World) -> tuple[Cause, Cause]:
    world.database.fails = lambda table, body: "No airport." if body["id"] % 2 else "No such airport here."
    run_once(world, records(1, 2))
    rows = Cause.unscoped.select_related("flow__integration", "merged_into").order_by("pk")
    return rows[0], rows[1]


def test_merged_causes_are_one_for_acts_and_keep_their_own_counts(world, member):
    head, other = two_causes(world)
    merge_causes(into=head, causes=[other], member=member)
    run_once(world, records(3, 4))
    other.refresh_from_db()

    assert errors_of(other).count() == errors_of(head).count() == 4
    assert list(Cause.unscoped.order_by("pk").values_list("open_errors", "total_errors")) == [(2, 2), (2, 2)]
    assert list(Cause.unscoped.order_by("pk").values_list("state", flat=True)) == ["ongoing", "new"]
    resolve_errors(account=world.flow.account, member=member, errors=errors_of(head))
    assert Error.unscoped.filter(state="open").count() == 0
    assert books() == []


def test_a_group_comes_back_only_when_nothing_of_it_was_open(world, member):
    head, other = two_causes(world)
    merge_causes(into=head, causes=[other], member=member)
    resolve_errors(account=world.flow.account, member=None, errors=Error.objects.of(world.flow.account).filter(key="2"))
    run_once(world, records(4))
    head.refresh_from_db()
    assert head.state == "ongoing", "an error of the head was open all the time"
    resolve_all(world)
    run_once(world, records(4))
    head.refresh_from_db()
    assert head.state == "regressed"


def test_a_class_holds_for_the_whole_group_and_a_merge_takes_it_over(world, member):
    head, other = two_causes(world)
    classify_cause(cause=head, member=member, classification="intermittent")
    merge_causes(into=head, causes=[other], member=member)
    assert set(Cause.unscoped.values_list("classification", flat=True)) == {"intermittent"}
    assert Error.unscoped.filter(next_attempt_at__isnull=True).count() == 0
    classify_cause(cause=Cause.unscoped.get(pk=other.pk), member=member, classification="value")
    assert set(Cause.unscoped.values_list("classification", flat=True)) == {"value"}
    assert Error.unscoped.filter(next_attempt_at__isnull=False).count() == 0


def test_groups_join_and_a_merge_can_be_taken_back(account, member):
    plan = chain(table_step(1, "target", Policy(continue_on_error=True)), table_step(2, "second"))
    world = make_world(account, plan=plan)
    make_step(world.flow, key="second", name="Second", position=2)
    world.database.fails = lambda table, body: f"No {'abc'[body['id']]} in {table}"
    run_once(world, records(0, 1))
    rows = Cause.unscoped.select_related("flow__integration", "merged_into").order_by("pk")
    first, second, third, fourth = rows
    assert first.step != fourth.step, "over the steps of a flow"
    merge_causes(into=second, causes=[first], member=member)
    merge_causes(into=fourth, causes=[third], member=member)
    rows = rows.all()
    merge_causes(into=rows[0], causes=[rows[2]], member=member)
    assert [c.merged_into_id for c in rows.all()] == [second.pk, None, second.pk, second.pk]
    rows = list(rows.all())
    with pytest.raises(CauseRefused, match="one already"):
        merge_causes(into=rows[1], causes=[rows[0]], member=member)
    unmerge_cause(cause=rows[0], member=member)
    assert rows[0].merged_into_id is None
    with pytest.raises(CauseRefused, match="not merged"):
        unmerge_cause(cause=rows[0], member=member)
    assert books() == []


def test_causes_of_several_flows_are_one(account, member):
    one, two = make_world(account), make_world(account)
    for world in (one, two):
        world.refuse(1)
        run_once(world, records(1))
    rows = Cause.unscoped.select_related("flow__integration", "merged_into").order_by("pk")
    merge_causes(into=rows[0], causes=[rows[1]], member=member)
    act = resolve_errors(account=account, member=member, errors=errors_of(rows[1]))
    assert act.done == 2
    run_once(two, records(1))
    assert [c.state for c in rows.all()] == ["regressed", "new"], "the head has the state of the group"
    assert books() == []


def test_production_and_sandbox_are_kept_apart(account, member):
    one = make_world(account)
    two = make_world(account, integration=None)
    type(two.flow.integration).unscoped.filter(pk=two.flow.integration_id).update(environment="sandbox")
    for world in (one, two):
        world.refuse(1)
        run_once(world, records(1))
    rows = Cause.unscoped.select_related("flow__integration", "merged_into").order_by("pk")
    with pytest.raises(CauseRefused, match="kept apart"):
        merge_causes(into=rows[0], causes=[rows[1]], member=member)


def test_a_cause_is_assigned_to_active_members_only(world, member, account):
    world.refuse(1)
    run_once(world, records(1))
    assign_cause(cause=the_cause(), member=member, assignee=member)
    assert the_cause().assignee == member
    with pytest.raises(NoteRefused, match="active members"):
        assign_cause(cause=the_cause(), member=member, assignee=make_member(make_account()))
    assert make_flow(account).pk


# --- the books, whatever members do ----------------------------------------------------------------------------------
ACTS = st.sampled_from(["run", "resolve", "reopen", "merge", "unmerge", "value", "intermittent", "snooze", "retry"])


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(steps=st.lists(st.tuples(ACTS, st.integers(0, 3)), min_size=4, max_size=10))
def test_counters_equal_counts_whatever_members_do_with_causes(account, member, steps):
    world = make_world(account)
    world.database.fails = lambda table, body: f"No {'abcd'[body['id'] % 4]}." if body["id"] % 5 else None
    run_once(world, records(1, 2, 3, 4))
    for act, number in steps:
        one_step(world, member, act, number)
    assert books() == []
    causes = list(Cause.objects.of(account).filter(flow=world.flow))
    assert all(c.merged_into is None or c.merged_into.merged_into_id is None for c in causes), "groups are flat"


def one_step(world: World, member: Any, act: str, number: int) -> None:
    account = world.flow.account
    rows = list(
        Cause.objects.of(account)
        .filter(flow=world.flow)
        .select_related("flow__integration", "merged_into")
        .order_by("pk")
    )
    cause, other = rows[number % len(rows)], rows[(number + 1) % len(rows)]
    try:
        if act == "run":
            run_once(world, records(number, number + 4, number + 5))
        elif act in ("resolve", "reopen"):
            perform = resolve_errors if act == "resolve" else reopen_errors
            perform(account=account, member=member, errors=errors_of(cause))
        elif act == "merge":
            merge_causes(into=cause, causes=[other], member=member)
        elif act == "unmerge":
            unmerge_cause(cause=cause, member=member)
        elif act == "snooze":
            snooze_cause(cause=cause, member=member, errors=number + 1)
        elif act == "retry":
            retry(world, list(errors_of(cause)))
            work_retries(world)
        else:
            classify_cause(cause=cause, member=member, classification=act)
    except CauseRefused:
        return
