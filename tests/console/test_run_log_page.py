"""The log of a run: its lines by level and step, the errors that they belong to, live, and as text."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import Account, Role
from apps.console import log_topics
from apps.console.views import run_logs
from apps.flows.models import Flow
from apps.runs.models import LogLevel, Run
from tests.console.screens import html_of, keyed_error, log_line, signed_in, text_of
from tests.factories import make_member, make_run, step_of


def failed_line(run: Run, key: str = "A-17", **fields: Any) -> Any:
    error = keyed_error(run, step_of(run.flow), key, **fields)
    return log_line(
        run, f"{key} was refused", level=LogLevel.ERROR, step=step_of(run.flow), key=key, error_id=error.pk, page_seq=0
    )


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


def test_the_log_takes_eleven_queries_whatever_it_says(
    page: Client, orders: Flow, django_assert_max_num_queries: Any
) -> None:
    run = make_run(orders)
    for number in range(20):
        log_line(run, f"line {number}", step=step_of(orders))
        failed_line(run, f"A-{number}")
    with django_assert_max_num_queries(9):
        html_of(page, f"/runs/{run.pk}/log/")


def test_a_line_of_an_error_opens_it_and_retries_it_while_it_is_open(page: Client, orders: Flow) -> None:
    run, step = make_run(orders, status="completed"), step_of(orders)
    waiting, settled = failed_line(run), failed_line(run, "A-18", state="resolved", reason="manual")
    html = html_of(page, f"/runs/{run.pk}/log/")
    for line in (waiting, settled):
        assert f'href="/flows/{orders.pk}/steps/{step.pk}/errors/{line.error_id}/">Open error' in html
        assert f'href="/records/{line.key}/">{line.key}</a>' in html
    assert f'form="retry-line" name="error" value="{waiting.error_id}"' in html
    assert f'name="error" value="{settled.error_id}"' not in html
    assert "Resolved" in text_of(html)
    sent = page.post("/errors/retry", {"error": waiting.error_id, "next": f"/runs/{run.pk}/log/"})
    assert sent.headers["Location"] == f"/runs/{run.pk}/log/"


def test_new_lines_come_in_on_top_while_the_run_goes_on(page: Client, orders: Flow) -> None:
    run = make_run(orders, status="running")
    log_line(run, "Page 1 saved: 5 records")
    first = page.get(f"/runs/{run.pk}/log/?level=warning")
    assert "New lines come in on top" in first.content.decode()
    log_line(run, "too quiet")
    address: Any = first.context["live_url"]
    assert page.get(address).status_code == 204
    failed_line(run)
    html = html_of(page, address)
    assert '<tbody id="log-lines" hx-swap-oob="afterbegin">' in html
    assert ("A-17 was refused" in html, "too quiet" in html) == (True, False)


def test_a_line_comes_in_once_however_the_page_and_the_run_meet(
    page: Client, orders: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(orders, status="running")
    log_line(run, "before the page")
    shown = run_logs.log_page

    def page_while_the_run_goes_on(*args: Any) -> Any:
        found = shown(*args)
        log_line(run, "while the page is made")
        return found

    monkeypatch.setattr(run_logs, "log_page", page_while_the_run_goes_on)
    address: Any = page.get(f"/runs/{run.pk}/log/").context["live_url"]
    between = log_topics.lines_between

    def lines_while_the_run_goes_on(*args: Any) -> Any:
        log_line(run, "while the lines are read")
        return between(*args)

    monkeypatch.setattr(log_topics, "lines_between", lines_while_the_run_goes_on)
    first: Any = page.get(address)
    html = first.content.decode()
    assert ("while the page is made" in html, "while the lines are read" in html) == (True, False)
    version = first.headers["Live-Version"]
    second = html_of(page, address.partition("&v=")[0] + f"&v={version}")
    assert ("while the page is made" in second, "while the lines are read" in second) == (False, True)


def test_the_head_follows_the_end_of_the_run(page: Client, orders: Flow) -> None:
    run = make_run(orders, status="running")
    address: Any = page.get(f"/runs/{run.pk}/log/").context["live_url"]
    Run.unscoped.filter(pk=run.pk).update(status="completed", outcome="completed")
    assert '<span id="log-state" hx-swap-oob="true">' in html_of(page, address)
    assert "New lines come in on top" not in html_of(page, f"/runs/{run.pk}/log/")


def test_a_line_about_the_run_begins_with_what_happened(page: Client, orders: Flow) -> None:
    run = make_run(orders)
    log_line(run, "Worker replaced: w1 gave no sign of life, w2 goes on")
    assert '<b class="m">Worker replaced</b>: w1 gave no sign of life' in html_of(page, f"/runs/{run.pk}/log/")


def test_the_text_names_record_and_error_and_can_be_its_last_lines_alone(page: Client, orders: Flow) -> None:
    run = make_run(orders)
    log_line(run, "first")
    line = failed_line(run)
    answer: Any = page.get(f"/runs/{run.pk}/log/?format=text&tail=1")
    text = b"".join(answer.streaming_content).decode()
    assert text.endswith(f" ERROR   [Target] A-17 was refused (record A-17, e-{line.error_id})\n")
    assert "first" not in text


def test_who_may_not_retry_sees_the_button_disabled(account: Account, orders: Flow) -> None:
    run = make_run(orders)
    failed_line(run)
    monitor = signed_in(make_member(account, role=Role.MONITOR).user)
    may = "disabled" not in html_of(monitor, f"/runs/{run.pk}/log/").partition('form="retry-line"')[2][:80]
    assert may == (monitor.post("/errors/retry", {"error": run.pk}).status_code != 403)


def test_a_link_to_the_log_of_a_step_stands_at_each_step_of_a_run(page: Client, orders: Flow) -> None:
    run = make_run(orders, status="completed", outcome="completed")
    href = f'href="/flows/{orders.pk}/steps/{step_of(orders).pk}/log/?run={run.pk}"'
    assert href in html_of(page, f"/runs/{run.pk}/")
    assert href in html_of(page, f"/flows/{orders.pk}/history/?open={run.pk}")
