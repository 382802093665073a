"""The plan before an act says what the act then does: both ask the same conditions."""

from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.errors.models import BulkItem, Error, RetryData
from apps.errors.services import (
    EditRefused,
    act_plan,
    edit_retry_data,
    perform_act,
    reopen_errors,
    resolve_errors,
    retry_plan,
)
from apps.errors.services.acts import _perform_chunk
from apps.flows.models import Flow, Step
from apps.runs.services import cancel_run
from tests.factories import make_member
from tests.fakes.running import World, books, make_world
from tests.scenarios.retry_world import retry, retry_runs, run_once, work_retry

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(account) -> World:
    world = make_world(account, name="Orders")
    world.refuse(1, 2, 3)
    run_once(world, [{"id": number} for number in (1, 2, 3)])
    return world


def errors(account):
    return Error.objects.of(account)


def results(act) -> dict[str, int]:
    return dict(Counter(BulkItem.unscoped.filter(act=act).values_list("result", flat=True)))


def test_a_plan_counts_what_goes_by_flow_and_what_is_left_by_reason(world, account, django_assert_num_queries):
    resolve_errors(account=account, member=None, errors=errors(account).filter(key="1"))
    RetryData.unscoped.filter(error__key="2").update(purged_at=timezone.now())

    with django_assert_num_queries(2):  # the clock, the counts
        plan = retry_plan(account=account, errors=errors(account))

    assert (plan.total, plan.eligible, plan.flows) == (3, 1, [("Orders", 1)])
    assert sorted(plan.left_alone) == [("is resolved", 1), ("its retry data are gone", 1)]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda: RetryData.unscoped.filter(error__key="2").update(purged_at=timezone.now()),
        lambda: Error.unscoped.filter(key="2").update(occurred_at=timezone.now() - timedelta(days=31)),
        lambda: Flow.unscoped.update(enabled=False),
        lambda: Step.unscoped.filter(key="target").update(removed_at=timezone.now()),
    ],
)
@pytest.mark.parametrize("includes_resolved", [False, True])
def test_a_retry_does_what_its_plan_says(world, account, spoil, includes_resolved):
    resolve_errors(account=account, member=None, errors=errors(account).filter(key="1"))
    spoil()
    plan = retry_plan(account=account, errors=errors(account), includes_resolved=includes_resolved)

    act = retry(world, includes_resolved=includes_resolved)

    said = dict(plan.left_alone) | ({"retrying": plan.eligible} if plan.eligible else {})
    assert results(act) == said
    assert books() == []


def test_a_plan_of_retrying_errors_says_so(world, account):
    retry(world)
    plan = retry_plan(account=account, errors=errors(account))
    assert (plan.eligible, plan.left_alone) == (0, [("retried already", 3)])


def test_a_plan_tells_how_many_records_went_through_since(world, account):
    world.refuse()
    run_once(world, [{"id": 1}, {"id": 2}])
    plan = retry_plan(account=account, errors=errors(account), includes_resolved=True)
    assert (plan.eligible, plan.went_through) == (3, 2)


@pytest.mark.parametrize("kind", ["resolve", "reopen"])
def test_a_resolve_and_a_reopen_do_what_their_plan_says(world, account, kind):
    resolve_errors(account=account, member=None, errors=errors(account).filter(key__in=["1", "2"]))
    world.refuse(1)
    run_once(world, [{"id": 1}])
    plan = act_plan(kind, account=account, errors=errors(account))

    act = (resolve_errors if kind == "resolve" else reopen_errors)(account=account, member=None, errors=errors(account))

    done = {"resolve": "resolved", "reopen": "reopened"}[kind]
    assert results(act) == dict(plan.left_alone) | {done: plan.eligible}
    assert plan.eligible > 0
    assert books() == []


def test_of_two_resolved_errors_of_one_record_a_reopen_opens_the_newer(world, account):
    run_once(world, [{"id": 1}])
    resolve_errors(account=account, member=None, errors=errors(account))

    reopen_errors(account=account, member=None, errors=errors(account).filter(key="1"))

    older, newer = errors(account).filter(key="1").order_by("id")
    assert (older.state, newer.state) == ("resolved", "open")
    assert books() == []


@pytest.mark.parametrize("text", ['{"id": 1, "id": 2}', '{"id": 123456789012345678901234567890}'])
def test_an_edit_that_saving_would_change_is_refused(world, account, text):
    with pytest.raises(EditRefused, match="Saving would change the record"):
        edit_retry_data(error=errors(account).first(), member=make_member(account), text=text, expected_version=1)


def test_a_retry_that_is_canceled_while_its_errors_are_collected_takes_no_more(world, account, monkeypatch):
    monkeypatch.setattr("apps.errors.services.acts.AT_ONCE", 1)
    monkeypatch.setattr("apps.errors.services.acts.CHUNK", 2)
    act = retry(world)
    _perform_chunk(account.pk, act.pk)
    (run,) = retry_runs(world)
    cancel_run(run=run, member=None)
    assert work_retry(world, run).status == "canceled"

    perform_act(account.pk, act.pk)

    assert results(act) == {"retrying": 2, "its retry was canceled": 1}
    assert {e.shown_state for e in errors(account)} == {"open"}
    assert books() == []
