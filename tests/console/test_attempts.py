"""A run that failed and is run again: one run in lists and sums, its attempts told apart where one looks closer."""

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import Account, Role
from apps.console.access import Reach
from apps.console.ranges import Range
from apps.console.selectors.completed import range_sums
from apps.flows.models import Environment, Flow
from apps.runs.buckets import count_in_buckets
from apps.runs.models import FlowState, Run
from tests.console.screens import ended_run, html_of, signed_in, text_of, with_steps
from tests.factories import make_member


def attempts_of(flow: Flow, noon: datetime, *outcomes: str) -> list[Run]:
    """The attempts of one run, ten minutes apart; the last one waits for another if its outcome is blank."""
    runs: list[Run] = []
    for number, outcome in enumerate(outcomes):
        status = outcome if outcome in ("failed", "canceled") else "completed" if outcome else "retrying"
        facts = {"attempt": number + 1, "attempts": 4, "root_run": runs[0] if runs else None, "unit_errors": 1}
        if not outcome:
            facts |= {"not_before": noon + timedelta(hours=1), "wait_reason": f"waits: attempt {number + 2} of 4"}
        run = ended_run(flow, noon + timedelta(minutes=10 * number), status=status, outcome=outcome, **facts)
        if not runs:
            Run.unscoped.filter(pk=run.pk).update(root_run=run)
        runs.append(with_steps(run) or run)
    FlowState.unscoped.filter(flow=flow).update(last_run=runs[-1], last_status=outcomes[-1] or "retrying")
    return runs


def test_the_history_has_one_row_for_all_attempts(page: Client, orders: Flow, noon: datetime) -> None:
    first, second, third = attempts_of(orders, noon, "failed", "failed", "completed")
    html = html_of(page, f"/flows/{orders.pk}/history/")
    rows = [run for run in (first, second, third) if f'<tr id="r-{run.pk}"' in html]
    assert rows == [third]
    assert "Completed attempt 3 of 4" in text_of(html)


def test_an_unfolded_row_leads_to_each_attempt(page: Client, orders: Flow, noon: datetime) -> None:
    first, second = attempts_of(orders, noon, "failed", "completed")
    html = html_of(page, f"/flows/{orders.pk}/history/?open={second.pk}")
    assert f'href="/runs/{first.pk}/">Attempt 1</a>' in html
    assert "Attempt 1 Failed 2 Mar 12:00:00" in text_of(html)
    assert f"/errors/?run={first.pk}&amp;state=all" in html


def test_the_status_filter_looks_at_the_last_attempt(page: Client, orders: Flow, noon: datetime) -> None:
    first = attempts_of(orders, noon, "failed", "completed")[0]
    assert f'<tr id="r-{first.pk}"' not in html_of(page, f"/flows/{orders.pk}/history/?status=failed")
    waiting = attempts_of(orders, noon, "failed", "")[1]
    assert f'<tr id="r-{waiting.pk}"' in html_of(page, f"/flows/{orders.pk}/history/?status=active")


def test_history_run_page_and_running_tab_say_until_when_it_waits(page: Client, orders: Flow, noon: datetime) -> None:
    waiting = attempts_of(orders, noon, "failed", "")[1]
    words = "waits: attempt 3 of 4 at 13:00:00"
    assert f"Retrying {words}" in text_of(html_of(page, f"/flows/{orders.pk}/history/"))
    for address in (f"/runs/{waiting.pk}/", f"/flows/{orders.pk}/"):
        text = text_of(html_of(page, address))
        assert f"This run failed and {words} ( 1:00:00 ) . It starts again at its first step" in text
        assert "took 1 min 20 s" in text
    running = text_of(html_of(page, "/dashboard/running/"))
    assert words in running
    assert "0 running, 0 queued, 1 waiting to be run again" in running


def test_the_page_of_an_attempt_leads_to_the_others(page: Client, orders: Flow, noon: datetime) -> None:
    first, second = attempts_of(orders, noon, "failed", "completed")
    html = html_of(page, f"/runs/{first.pk}/")
    assert f'href="/runs/{second.pk}/">Attempt 2</a>' in html
    assert "Failed attempt 1 of 4" in text_of(html)


def test_a_run_without_attempts_asks_for_none(page: Client, orders: Flow, noon: datetime) -> None:
    run = with_steps(ended_run(orders, noon)) or Run.unscoped.get()
    with CaptureQueriesContext(connection) as plain:
        html_of(page, f"/runs/{run.pk}/")
    again = attempts_of(orders, noon, "failed", "completed")[1]
    with CaptureQueriesContext(connection) as several:
        html_of(page, f"/runs/{again.pk}/")
    assert len(several) == len(plain) + 1


def test_sums_count_the_attempts_as_one_run_and_all_their_records(orders: Flow, noon: datetime) -> None:
    for run in attempts_of(orders, noon, "failed", "failed", "completed"):
        count_in_buckets(run)
    reach = Reach(orders.account_id, Environment.PRODUCTION, None)
    sums = range_sums(reach, Range("", "", noon - timedelta(days=400), None), [orders.pk])[orders.pk]
    assert (sums.runs, sums.success, sums.average) == (1, 3 * 953, pytest.approx(240))


# --- taking it back --------------------------------------------------------------------------------------------------
def test_the_next_attempt_is_canceled_with_a_reason(page: Client, orders: Flow, noon: datetime) -> None:
    waiting = attempts_of(orders, noon, "failed", "")[1]
    html = html_of(page, f"/runs/{waiting.pk}/")
    assert f'action="/runs/{waiting.pk}/cancel"' in html
    assert "Cancel run" not in html

    answer = page.post(f"/runs/{waiting.pk}/cancel", {"reason": "the shop is closed"}, follow=True)

    text = text_of(answer.content.decode())
    assert f"Run {waiting} of {orders.name} is not run again." in text
    assert "Not run again: canceled, by " in text
    assert "the shop is closed" in text
    waiting.refresh_from_db()
    assert waiting.status == "failed"


def test_a_member_without_the_right_cannot_cancel_it(account: Account, orders: Flow, noon: datetime) -> None:
    waiting = attempts_of(orders, noon, "failed", "")[1]
    stranger = signed_in(make_member().user)
    assert stranger.post(f"/runs/{waiting.pk}/cancel").status_code == 404
    monitor = signed_in(make_member(account, role=Role.MONITOR).user)
    assert monitor.post(f"/runs/{waiting.pk}/cancel").status_code == 302
