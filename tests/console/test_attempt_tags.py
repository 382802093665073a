"""What lists and drawers say about automatic attempts: which one is next, when, and which are over."""

from datetime import datetime, timedelta

import pytest
from django.test import Client

from apps.accounts.models import Account
from apps.console.templatetags.errors import attempt_plan
from apps.errors.models import Error
from apps.flows.models import Step
from tests.console.screens import html_of, keyed_error, orders_flow, text_of
from tests.factories import make_cause, make_run, step_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def error(account: Account, noon: datetime) -> Error:
    """The first of four automatic attempts failed; the next one is due in 48 seconds."""
    step: Step = step_of(orders_flow(account))
    cause = make_cause(step, classification="intermittent", code="503")
    due = noon + timedelta(seconds=48)
    past = noon - timedelta(seconds=42)
    return keyed_error(
        make_run(step.flow), step, "A-1", cause=cause, attempts=1, next_attempt_at=due, occurred_at=past
    )  # fmt: skip


def test_the_list_says_which_attempt_comes_next_and_counts_down(page: Client, error: Error) -> None:
    html = html_of(page, f"/flows/{error.flow_id}/steps/{error.step_id}/errors/open/")
    assert "Auto-retrying · Intermittent · 503 · attempt 2 of 4 at 12:00:48 ( 0:48 )" in text_of(html)
    assert "data-at>0:48</time>" in html


def test_the_drawer_shows_the_whole_plan(page: Client, error: Error) -> None:
    path = f"/flows/{error.flow_id}/steps/{error.step_id}/errors/{error.pk}/"
    text = text_of(html_of(page, path))
    assert "Attempt 1 failed" in text
    assert "Attempt 2 is next" in text
    assert "Tried again by itself: attempt 2 of 4 at 12:00:48" in text_of(html_of(page, path + "history/"))


def test_the_plan_takes_the_moment_that_the_answer_asked_for(error: Error) -> None:
    late = error.occurred_at + timedelta(minutes=5)
    error.next_attempt_at = late
    plan = attempt_plan(error)
    assert [attempt["is_over"] for attempt in plan] == [True, False, False, False]
    assert plan[1]["at"] == late


def test_an_error_without_a_plan_says_nothing_of_it(page: Client, error: Error) -> None:
    Error.unscoped.update(next_attempt_at=None)
    path = f"/flows/{error.flow_id}/steps/{error.step_id}/errors/{error.pk}/"
    assert "Automatic attempts" not in text_of(html_of(page, path))
