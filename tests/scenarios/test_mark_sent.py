"""Errors in doubt that somebody marks as sent: resolved, counted, nothing sent, and back again."""

import pytest

from apps.errors.models import BulkItem, Error, RetryItem, StepState
from apps.errors.services import act_plan, mark_sent, reopen_errors
from apps.runs.models import StepRun
from tests.factories import make_member, step_of
from tests.fakes.running import World, books, make_world
from tests.scenarios.retry_world import flaky, mended, records, retry, run_once, work_retries

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(account) -> World:
    """Two errors in doubt, of the records 1 and 2, and one that the destination refused."""
    world = make_world(account)
    flaky(world, 1, 2, unknown=True)
    world.refuse(3)
    run_once(world, records(1, 2, 3))
    return world


@pytest.fixture
def member(account):
    return make_member(account)


def mark_all(world: World, member) -> dict[str, str]:
    """Marks all errors of the flow; trace key -> what came of it."""
    account = world.flow.account
    act = mark_sent(account=account, member=member, errors=Error.objects.of(account).filter(flow=world.flow))
    return dict(BulkItem.unscoped.filter(act=act).values_list("error__key", "result"))


def test_errors_in_doubt_are_resolved_as_sent_by_the_member_and_others_are_left(world, member):
    assert mark_all(world, member) == {"1": "marked as sent", "2": "marked as sent", "3": "is not in doubt"}

    one, two, refused = (Error.unscoped.get(key=key) for key in "123")
    assert {(e.state, e.reason, e.resolved_by_id, e.shown_state) for e in (one, two)} == {
        ("resolved", "sent", member.pk, "resolved")
    }
    assert refused.shown_state == "open"
    state = StepState.unscoped.get(step=step_of(world.flow))
    assert (state.open_errors, state.in_doubt) == (1, 0)
    assert StepRun.unscoped.get(step=step_of(world.flow)).user_resolved == 2
    assert books() == []


def test_nothing_is_sent_and_nothing_is_retried(world, member):
    mended(world)
    before = dict(world.database.rows.get("target", {}))
    mark_all(world, member)
    work_retries(world)
    assert world.database.rows.get("target", {}) == before
    assert not RetryItem.unscoped.exists()


def test_marking_twice_changes_nothing(world, member):
    mark_all(world, member)
    assert mark_all(world, member)["1"] == "was resolved"
    assert books() == []


def test_what_is_under_a_retry_is_not_marked(world, member):
    retry(world, [Error.unscoped.get(key="1")])
    assert mark_all(world, member)["1"] == "retrying"
    assert books() == []


def test_reopened_it_is_in_doubt_again(world, member, account):
    mark_all(world, member)
    reopen_errors(account=account, member=member, errors=Error.objects.of(account).filter(key="1"))
    assert Error.unscoped.get(key="1").shown_state == "in_doubt"
    assert StepState.unscoped.get(step=step_of(world.flow)).in_doubt == 1
    assert books() == []


def test_the_plan_says_the_same_before(world, account):
    plan = act_plan("sent", account=account, errors=Error.objects.of(account))
    assert (plan.eligible, plan.left_alone) == (2, [("is not in doubt", 1)])
