"""The counts around every page, which one written statement reads, beside those that the models give."""

from datetime import timedelta
from typing import Any

import pytest

from apps.accounts.models import Account
from apps.accounts.reach import Reach
from apps.console.selectors.pulse import take_pulse
from apps.core.clock import wall_now
from apps.errors.models import StepState
from apps.flows.models import Flow, Step
from apps.runs.models import FlowState, Machine, Run
from tests.factories import make_account, make_connection, make_flow, make_integration, make_run


@pytest.fixture
def flows(account: Account) -> list[Flow]:
    """Two of one integration, one of another, one of the sandbox, and one of another account."""
    first, second = make_integration(account), make_integration(account)
    sandbox, foreign = make_integration(account, environment="sandbox"), make_integration(make_account())
    made = [make_flow(integration=one) for one in (first, first, second, sandbox, foreign)]
    for number, flow in enumerate(made, start=1):
        states = FlowState.objects.of(flow.account_id).filter(flow=flow)
        states.update(running=number, queued=10 * number, changed_at=wall_now() + timedelta(minutes=number))
        steps = StepState.objects.of(flow.account_id).filter(flow=flow, step__key="target")
        steps.update(open_errors=100 * number, last_error_at=wall_now() + timedelta(minutes=number))
        make_run(flow, status="running", change_no=1000 * number)
        make_run(flow)
        make_run(flow, status="completed", change_no=9)
        used = make_connection(flow.account, environment=flow.integration.environment, state="offline")
        Step.objects.of(flow.account_id).filter(flow=flow, key="target").update(connection=used)
    return made


def counts(reach: Reach) -> dict[str, Any]:
    pulse = take_pulse(reach)
    names = ("flows", "running", "queued", "open_errors", "changes", "offline")
    return {name: getattr(pulse, name) for name in names}


def test_the_pulse_of_an_account_is_that_of_its_environment(account: Account, flows: list[Flow]) -> None:
    expected = {"flows": 3, "running": 6, "queued": 60, "open_errors": 600, "changes": 6000, "offline": 3}
    assert counts(Reach(account.pk, "production", None)) == expected
    expected = {"flows": 1, "running": 4, "queued": 40, "open_errors": 400, "changes": 4000, "offline": 1}
    assert counts(Reach(account.pk, "sandbox", None)) == expected


def test_the_pulse_of_a_member_of_one_integration_is_only_of_that(account: Account, flows: list[Flow]) -> None:
    expected = {"flows": 1, "running": 3, "queued": 30, "open_errors": 300, "changes": 3000, "offline": 1}
    assert counts(Reach(account.pk, "production", frozenset([flows[2].integration_id]))) == expected
    assert not any(counts(Reach(account.pk, "production", frozenset())).values())
    assert not any(counts(Reach(account.pk, "production", frozenset([flows[4].integration_id]))).values())


def test_its_moments_are_the_newest_changes_and_the_oldest_run_in_the_queue(
    account: Account, flows: list[Flow]
) -> None:
    pulse = take_pulse(Reach(account.pk, "production", None))
    seen = [flow.pk for flow in flows[:3]]
    assert pulse.changed_at == max(FlowState.objects.of(account).filter(flow__in=seen).values_list("changed_at"))[0]
    queued = Run.objects.of(account).queued().filter(flow__in=seen).order_by("created_at")
    assert pulse.oldest_queued_at == queued[0].created_at
    assert pulse.newest_run == queued.order_by("-pk")[0].pk


def test_a_removed_flow_is_not_counted_but_its_open_errors_are(account: Account, flows: list[Flow]) -> None:
    Flow.objects.of(account).filter(pk=flows[0].pk).update(removed_at=wall_now())
    found = counts(Reach(account.pk, "production", None))
    assert found["flows"] == 2
    assert found["open_errors"] == 600


def test_a_machine_that_is_silent_is_known_but_not_up(account: Account) -> None:
    for name, age in (("here", 1), ("gone", 60)):
        Machine.objects.create(name=name, workers=2, seen_at=wall_now() - timedelta(seconds=age))
    pulse = take_pulse(Reach(account.pk, "production", None))
    assert (pulse.workers, pulse.workers_up) == (4, 2)
