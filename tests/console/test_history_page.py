"""The run history of a flow."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import Account, Member
from apps.console.selectors import history
from apps.flows.models import Flow
from apps.runs.models import Run
from tests.console.screens import ended_run, html_of, text_of, with_steps
from tests.factories import make_member, make_run, make_step_run, make_user, step_of


def empty_run(flow: Flow, at: datetime) -> Run:
    return ended_run(flow, at, outcome="empty", records_in=0, success=0, ignored=0, failed=0, errors=0)


def listed(html: str, run: Run) -> bool:
    return f'<tr id="r-{run.pk}"' in html


def test_each_run_is_a_row_with_status_times_and_counts(page: Client, orders: Flow, noon: datetime) -> None:
    with_steps(ended_run(orders, noon - timedelta(hours=2), trigger="schedule"))
    text = text_of(html_of(page, f"/flows/{orders.pk}/history/"))
    assert "Completed with errors 2 Mar 10:00:00 1 min 20 s schedule 953 40 7 43" in text


def test_who_canceled_a_run_is_read_without_pointing(
    page: Client, account: Account, orders: Flow, noon: datetime
) -> None:
    tomasz = make_member(account, user=make_user("tomasz", first_name="Tomasz", last_name="Wrona"))
    ended_run(orders, noon, status="canceled", outcome="canceled", canceled_by=tomasz)
    assert "Canceled by Tomasz Wrona" in text_of(html_of(page, f"/flows/{orders.pk}/history/"))


def test_the_list_can_be_narrowed_to_what_oneself_or_somebody_canceled(
    page: Client, account: Account, member: Member, orders: Flow, noon: datetime
) -> None:
    tomasz = make_member(account, user=make_user("tomasz", first_name="Tomasz", last_name="Wrona"))
    mine, his = (
        ended_run(orders, noon, status="canceled", outcome="canceled", canceled_by=who) for who in (member, tomasz)
    )
    own = html_of(page, f"/flows/{orders.pk}/history/?canceled_by=me")
    other = html_of(page, f"/flows/{orders.pk}/history/?canceled_by={tomasz.pk}")
    assert (listed(own, mine), listed(own, his)) == (True, False)
    assert (listed(other, mine), listed(other, his)) == (False, True)
    assert "Canceled by: you" in text_of(own)
    assert "Canceled by: Tomasz Wrona" in text_of(other)
    nobody = html_of(page, f"/flows/{orders.pk}/history/?canceled_by=me&range=1h&status=completed")
    assert "status completed, canceled by you." in text_of(nobody)


def test_who_canceled_is_only_asked_where_somebody_has(page: Client, orders: Flow, noon: datetime) -> None:
    run = ended_run(orders, noon)
    html = html_of(page, f"/flows/{orders.pk}/history/?canceled_by=7")
    assert "Canceled by" not in html
    assert listed(html, run)


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ("completed", {"completed", "empty"}),
        ("with_errors", {"completed_with_errors"}),
        ("failed", {"failed"}),
        ("canceled", {"canceled"}),
        ("nonsense", {"completed", "empty", "completed_with_errors", "failed", "canceled"}),
    ],
)
def test_the_list_can_be_narrowed_to_a_status(
    page: Client, orders: Flow, noon: datetime, status: str, shown: set[str]
) -> None:
    runs = {
        outcome: ended_run(
            orders, noon, status=outcome if outcome in ("failed", "canceled") else "completed", outcome=outcome
        )
        for outcome in ("completed", "empty", "completed_with_errors", "failed", "canceled")
    }
    html = html_of(page, f"/flows/{orders.pk}/history/?status={status}")
    assert {outcome for outcome, run in runs.items() if listed(html, run)} == shown


def test_running_and_retry_runs_have_a_choice_of_their_own(page: Client, orders: Flow, noon: datetime) -> None:
    queued, retry = make_run(orders), ended_run(orders, noon, kind="retry")
    active = html_of(page, f"/flows/{orders.pk}/history/?status=active")
    retries = html_of(page, f"/flows/{orders.pk}/history/?status=retries")
    assert (listed(active, queued), listed(active, retry)) == (True, False)
    assert (listed(retries, queued), listed(retries, retry)) == (False, True)


def test_ranges_are_by_start_time(page: Client, orders: Flow, noon: datetime) -> None:
    old, new = ended_run(orders, noon - timedelta(hours=3)), ended_run(orders, noon - timedelta(minutes=30))
    last_hour = html_of(page, f"/flows/{orders.pk}/history/?range=1h")
    before = html_of(page, f"/flows/{orders.pk}/history/?from=2026-03-02T08:00&to=2026-03-02T10:00")
    assert (listed(last_hour, old), listed(last_hour, new)) == (False, True)
    assert (listed(before, old), listed(before, new)) == (True, False)


def test_a_time_that_cannot_be_read_is_said_and_left_out(page: Client, orders: Flow, noon: datetime) -> None:
    run = ended_run(orders, noon)
    html = html_of(page, f"/flows/{orders.pk}/history/?from=yesterday")
    assert "“yesterday” is no time" in html
    assert listed(html, run)


def test_empty_runs_are_shown_until_they_are_hidden_and_then_counted(
    page: Client, orders: Flow, noon: datetime
) -> None:
    full, empty = ended_run(orders, noon), empty_run(orders, noon)
    shown = html_of(page, f"/flows/{orders.pk}/history/")
    hidden = html_of(page, f"/flows/{orders.pk}/history/?empty=hide")
    assert (listed(shown, full), listed(shown, empty)) == (True, True)
    assert (listed(hidden, full), listed(hidden, empty)) == (True, False)
    assert "1 hidden" in text_of(hidden)


def test_a_canceled_run_without_counts_is_empty_too_and_a_running_one_is_not(
    page: Client, orders: Flow, noon: datetime
) -> None:
    canceled = make_run(orders, status="canceled", outcome="canceled")
    running = make_run(orders, status="running", started_at=noon)
    html = html_of(page, f"/flows/{orders.pk}/history/?empty=hide")
    assert (listed(html, canceled), listed(html, running)) == (False, True)


def test_a_list_that_filters_made_empty_names_them_and_offers_all(page: Client, orders: Flow, noon: datetime) -> None:
    empty_run(orders, noon - timedelta(minutes=5))
    text = text_of(html_of(page, f"/flows/{orders.pk}/history/?empty=hide&range=1h&status=completed"))
    assert "No run matches these filters" in text
    assert "started last hour, status completed, without empty runs. 1 empty run is hidden." in text
    assert "Show all runs" in text


def test_a_flow_that_never_ran_has_an_empty_history_that_says_so(page: Client, orders: Flow) -> None:
    assert "This flow has not run yet" in html_of(page, f"/flows/{orders.pk}/history/")


def test_a_row_unfolds_by_a_plain_link_into_its_steps(page: Client, orders: Flow, noon: datetime) -> None:
    run = ended_run(orders, noon)
    with_steps(run, open_errors=3, auto_resolved=2, user_resolved=1)
    folded = html_of(page, f"/flows/{orders.pk}/history/?range=any")
    unfolded = html_of(page, f"/flows/{orders.pk}/history/?open=r-{run.pk}")
    assert f'href="?range=any&amp;open={run.pk}#r-{run.pk}"' in folded
    assert 'class="inner"' not in folded
    assert "3 open 2 auto-resolved 1 by people 1 by policy" in text_of(unfolded)


def test_what_became_of_the_errors_links_to_exactly_these(page: Client, orders: Flow, noon: datetime) -> None:
    run, step = ended_run(orders, noon), step_of(orders)
    make_step_run(run, step, came_in=9, success=2, errors=7, open_errors=3, auto_resolved=4)
    html = html_of(page, f"/flows/{orders.pk}/history/?open={run.pk}")
    assert f'/errors/?run={run.pk}&amp;state=open&amp;step={step.pk}">3 open' in html
    assert f'/errors/?run={run.pk}&amp;state=resolved&amp;step={step.pk}&amp;reason=auto">4 auto-resolved' in html


def test_older_and_newer_runs_are_on_their_own_pages(page: Client, orders: Flow, noon: datetime) -> None:
    runs = [ended_run(orders, noon) for _ in range(26)]
    first = page.get(f"/flows/{orders.pk}/history/?range=any")
    second = page.get(first.context["older_url"])
    assert not listed(first.content.decode(), runs[0])
    assert listed(second.content.decode(), runs[0])
    assert listed(html_of(page, second.context["newer_url"]), runs[-1])


def test_only_the_last_runs_are_listed(
    page: Client, orders: Flow, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "LAST_RUNS", 3)
    runs = [ended_run(orders, noon) for _ in range(5)]
    html = html_of(page, f"/flows/{orders.pk}/history/")
    assert [listed(html, run) for run in runs] == [False, False, True, True, True]


def test_a_damaged_place_in_the_list_says_where_to_go(page: Client, orders: Flow) -> None:
    assert "To the start of the list" in html_of(page, f"/flows/{orders.pk}/history/?page=zzz")


def test_the_page_takes_thirteen_queries_whatever_the_number_of_runs(
    page: Client, orders: Flow, noon: datetime, django_assert_max_num_queries: Any
) -> None:
    runs = [ended_run(orders, noon) for _ in range(20)]
    for run in runs:
        with_steps(run)
    with django_assert_max_num_queries(13):
        html_of(page, f"/flows/{orders.pk}/history/?empty=hide&open={runs[0].pk}&open={runs[1].pk}")
