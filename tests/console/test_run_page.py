"""A run's own page, and its log."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import Account
from apps.flows.models import Flow
from apps.runs.models import LogLevel
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


# --- the log ---------------------------------------------------------------------------------------------------------
def test_the_log_can_be_narrowed_to_a_level_and_a_step(page: Client, orders: Flow) -> None:
    run = make_run(orders)
    log_line(run, "all is well")
    log_line(run, "the airport is slow", level=LogLevel.WARNING, step=step_of(orders))
    html = html_of(page, f"/runs/{run.pk}/log/?level=warning")
    assert "the airport is slow" in html
    assert "all is well" not in html
    assert "all is well" not in html_of(page, f"/runs/{run.pk}/log/?step={step_of(orders).pk}")
    assert "No line matches these filters" in html_of(page, f"/runs/{run.pk}/log/?level=error")


def test_an_empty_log_says_what_to_expect(page: Client, orders: Flow) -> None:
    assert "Lines show up here with every page" in html_of(page, f"/runs/{make_run(orders).pk}/log/")


def test_a_long_log_is_read_page_by_page_newest_first(page: Client, orders: Flow) -> None:
    run = make_run(orders)
    for number in range(201):
        log_line(run, f"line number {number}.")
    first = page.get(f"/runs/{run.pk}/log/")
    assert "line number 200." in first.content.decode()
    assert "line number 0." not in first.content.decode()
    assert "line number 0." in html_of(page, first.context["older_url"])


def test_a_damaged_place_in_the_log_says_where_to_go(page: Client, orders: Flow) -> None:
    run = make_run(orders)
    assert "To the start of the list" in html_of(page, f"/runs/{run.pk}/log/?page=%00")


def test_the_log_is_downloaded_as_plain_text_oldest_first(page: Client, orders: Flow, noon: datetime) -> None:
    run = make_run(orders)
    log_line(run, "first", at=noon)
    log_line(run, "second\nwith a trace", at=noon + timedelta(seconds=1), level=LogLevel.ERROR, step=step_of(orders))
    answer: Any = page.get(f"/runs/{run.pk}/log/?format=text")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="r-{run.pk}.log.txt"'
    assert b"".join(answer.streaming_content).decode() == (
        "2026-03-02T12:00:00.000+00:00 INFO    first\n"
        "2026-03-02T12:00:01.000+00:00 ERROR   [Target] second\n    with a trace\n"
    )


def test_the_log_takes_eleven_queries(page: Client, orders: Flow, django_assert_max_num_queries: Any) -> None:
    run = make_run(orders)
    for number in range(20):
        log_line(run, f"line {number}", step=step_of(orders))
    with django_assert_max_num_queries(11):
        html_of(page, f"/runs/{run.pk}/log/")


@pytest.mark.parametrize("tail", ["", "log/", "log/?format=text"])
def test_a_run_of_another_account_or_environment_is_not_there(page: Client, account: Account, tail: str) -> None:
    foreign = make_run(make_flow(make_account()))
    sandbox = make_flow(account)
    sandbox.integration.environment = "sandbox"
    sandbox.integration.save()
    for pk in (foreign.pk, make_run(sandbox).pk):
        html_of(page, f"/runs/{pk}/{tail}", status=404)
