"""A run's own page."""

from datetime import datetime
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import Account
from apps.flows.models import Flow
from tests.console.screens import ended_run, html_of, log_line, text_of, with_steps
from tests.factories import make_account, make_flow, make_member, make_run, make_user, step_of


def test_a_run_shows_its_counts_as_they_were_at_its_end(page: Client, orders: Flow, noon: datetime) -> None:
    run = ended_run(orders, noon)
    with_steps(run, errors=7, auto_resolved=5)
    text = text_of(html_of(page, f"/runs/{run.pk}/"))
    assert "1,000 in = 953 success + 40 ignored + 7 failed" in text
    assert "Resolving errors later does not change these numbers" in text
    assert "Completed with errors" in text


def test_a_canceled_run_tells_who_canceled_it(page: Client, account: Account, orders: Flow, noon: datetime) -> None:
    tomasz = make_member(account, user=make_user("tomasz", first_name="Tomasz", last_name="Wrona"))
    run = ended_run(orders, noon, status="canceled", outcome="canceled", canceled_by=tomasz)
    assert "canceled by Tomasz Wrona" in html_of(page, f"/runs/{run.pk}/")


@pytest.mark.parametrize(
    ("trigger", "words"), [("schedule", "by schedule"), ("webhook", "by webhook"), ("command", "by command line")]
)
def test_a_run_tells_what_started_it(page: Client, orders: Flow, trigger: str, words: str) -> None:
    assert words in text_of(html_of(page, f"/runs/{make_run(orders, trigger=trigger).pk}/"))


def test_a_failed_window_stands_beside_the_balance(page: Client, orders: Flow, noon: datetime) -> None:
    run = ended_run(orders, noon, status="failed", outcome="failed", unit_errors=1)
    html = html_of(page, f"/runs/{run.pk}/")
    assert f'href="/errors/?run={run.pk}&amp;state=all&amp;unit=units">1 error of a page, window or the run' in html


def test_steps_that_no_record_reached_are_told_apart(page: Client, orders: Flow, noon: datetime) -> None:
    run = ended_run(orders, noon, status="failed", outcome="failed")
    assert "Not reached" in html_of(page, f"/runs/{run.pk}/")


def test_a_step_that_was_removed_since_keeps_its_row(page: Client, orders: Flow, noon: datetime) -> None:
    run = ended_run(orders, noon)
    with_steps(run)
    target = step_of(orders)
    target.removed_at = noon
    target.save()
    text = text_of(html_of(page, f"/runs/{run.pk}/"))
    assert "Target removed" in text


def test_a_queued_run_waits_for_its_turn(page: Client, orders: Flow) -> None:
    run = make_run(orders, wait_reason="run r-1 of this flow goes first")
    text = text_of(html_of(page, f"/runs/{run.pk}/"))
    assert "This run waits: run r-1 of this flow goes first." in text
    assert "No page is through yet" in text


def test_the_page_takes_twelve_queries(
    page: Client, orders: Flow, noon: datetime, django_assert_max_num_queries: Any
) -> None:
    run = ended_run(orders, noon)
    with_steps(run)
    for number in range(5):
        log_line(run, f"line {number}", step=step_of(orders))
    with django_assert_max_num_queries(12):
        html_of(page, f"/runs/{run.pk}/")


@pytest.mark.parametrize("tail", ["", "log/", "log/?format=text"])
def test_a_run_of_another_account_or_environment_is_not_there(page: Client, account: Account, tail: str) -> None:
    foreign = make_run(make_flow(make_account()))
    sandbox = make_flow(account)
    sandbox.integration.environment = "sandbox"
    sandbox.integration.save()
    for pk in (foreign.pk, make_run(sandbox).pk):
        html_of(page, f"/runs/{pk}/{tail}", status=404)
