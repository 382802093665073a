"""The flow page: head, pipeline and run console."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import Account, Role
from apps.console.selectors.step_facts import policy_words
from apps.flows.models import Flow
from apps.runs.models import StepRun
from tests.console.screens import (
    ended_run,
    html_of,
    keyed_error,
    log_line,
    orders_flow,
    runs_under_way,
    signed_in,
    text_of,
    with_steps,
)
from tests.factories import (
    make_account,
    make_cause,
    make_connection,
    make_flow,
    make_member,
    make_page,
    make_run,
    make_step,
    step_of,
)

SCRIPT = "<script>alert(1)</script>"


def test_a_flow_that_never_ran_says_so_and_what_next(page: Client, orders: Flow) -> None:
    html = html_of(page, f"/flows/{orders.pk}/")
    assert "This flow has not run yet" in html
    assert "Run now starts it" in html


def test_a_disabled_flow_that_never_ran_says_to_enable_it(page: Client, account: Account) -> None:
    html = html_of(page, f"/flows/{orders_flow(account, enabled=False).pk}/")
    assert "This flow is disabled. Enable it first." in html
    assert "Disabled" in html


def test_the_pipeline_shows_each_step_with_its_policy_and_open_errors(page: Client, orders: Flow) -> None:
    keyed_error(make_run(orders), step_of(orders), "A-1")
    text = text_of(html_of(page, f"/flows/{orders.pk}/"))
    assert "On error: fail run" in text
    assert "On error: retry 4\N{MULTIPLICATION SIGN}, then set aside 1 open error" in text


RETRY_BUT = {"policy": "retry", "exceptions": {"value": "fail", "parse": "fail"}}
ASIDE_BUT = {"policy": "set_aside", "exceptions": {"rate_limit": "retry"}}


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"on_error": ASIDE_BUT}, "set aside, but rate limit: retry"),
        ({"on_error": RETRY_BUT}, "retry 3\N{MULTIPLICATION SIGN}, then fail run, 2 exceptions"),
        ({"continue_on_error": True}, "set aside, go on"),
        ({"handling": "rollback"}, "set aside"),
        ({"handling": "continue"}, "go on"),
        (
            {"handling": "custom_with_rollback", "on_error": RETRY_BUT},
            "retry 3\N{MULTIPLICATION SIGN}, then fail run, handler, 2 exceptions",
        ),
    ],
)
def test_a_policy_is_told_in_a_few_words(step: dict[str, Any], words: str) -> None:
    assert policy_words(step) == words


def test_steps_of_a_branch_are_in_the_pipeline_with_their_way(page: Client, orders: Flow) -> None:
    orders.revision.definition = """steps:
  - key: source
    export: {}
  - key: split
    branch: {ways: [{name: Large, steps: [{key: target, on_error: ignore, import: {}}]}]}
"""
    orders.revision.save()
    text = text_of(html_of(page, f"/flows/{orders.pk}/"))
    assert "Target Large: Import On error: ignore" in text


HANDLED = """description: Brings the orders in.
steps:
  - {key: source, export: {}}
  - key: target
    import: {}
    description: Refuses what is out of stock.
    handling: custom_without_rollback
    ends: end
    handler: [{key: waiting, import: {}}]
"""


def test_a_handler_stands_below_its_step_with_what_is_undone_and_how_it_ends(page: Client, orders: Flow) -> None:
    make_step(orders, key="waiting", name="Waiting list")
    orders.revision.definition = HANDLED
    orders.revision.save()
    Flow.unscoped.filter(pk=orders.pk).update(scope="record")
    html = html_of(page, f"/flows/{orders.pk}/")
    assert "On error: handler" in text_of(html)
    assert "If it fails, undo this step, then Waiting list Import" in text_of(html)
    assert "Then this flow is done with the record" in text_of(html)
    assert html.index('aria-label="Handler of Target"') < html.index("Waiting list")


def test_when_a_step_sends_what_cannot_be_undone_is_told_inside_a_scope(page: Client, orders: Flow) -> None:
    shop = make_connection(orders.account, kind="http", name="Shop")
    make_step(orders, key="tell", name="Tell", connection=shop)
    make_step(orders, key="ask", name="Ask", connection=shop)
    orders.revision.definition = (
        "steps:\n- {key: tell, import: {}}\n- {key: ask, import: {}, response_mapping: {a: b}}\n"
    )
    orders.revision.save()
    assert "sends" not in text_of(html_of(page, f"/flows/{orders.pk}/"))
    Flow.unscoped.filter(pk=orders.pk).update(scope="run")
    text = text_of(html_of(page, f"/flows/{orders.pk}/"))
    assert "HTTP import, sends after the commit" in text
    assert "HTTP import, sends now" in text


def test_what_is_written_about_a_flow_and_its_steps_is_there_to_read(page: Client, orders: Flow) -> None:
    assert "What happens here" not in html_of(page, f"/flows/{orders.pk}/")
    orders.revision.definition = HANDLED
    orders.revision.save()
    Flow.unscoped.filter(pk=orders.pk).update(description=f"Brings the orders in. {SCRIPT}")
    html = html_of(page, f"/flows/{orders.pk}/")
    assert "Target Refuses what is out of stock." in text_of(html)
    assert "Brings the orders in." in html
    assert SCRIPT not in html


def test_a_call_shows_the_steps_of_the_flow_that_it_calls_in_one_more_query(page: Client, orders: Flow) -> None:
    called = make_flow(integration=orders.integration, key="stock", name="Stock")
    make_step(called, key="take", name="Take from stock")
    make_step(called, key="note", name="Tell purchasing", path="take/on error")
    before = queries_of(page, orders)
    orders.revision.definition = "steps: [{key: source, export: {}}, {key: target, call: stock}]"
    orders.revision.callees = {"stock": called.revision_id}
    orders.revision.save()
    text = text_of(html_of(page, f"/flows/{orders.pk}/"))
    assert "Stock Source" not in text
    assert "Take from stock" in text
    assert "Tell purchasing" not in text
    assert queries_of(page, orders) == before + 1


def queries_of(page: Client, flow: Flow) -> int:
    with CaptureQueriesContext(connection) as queries:
        html_of(page, f"/flows/{flow.pk}/")
    return len(queries)


def test_a_definition_that_cannot_be_read_leaves_the_page_usable(page: Client, orders: Flow) -> None:
    orders.revision.definition = "steps: [: {"
    orders.revision.save()
    assert "Source" in html_of(page, f"/flows/{orders.pk}/")


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("*/15 * * * *", "Every 15 minutes"),
        ("0 * * * *", "Every hour"),
        ("30 6 * * *", "Daily at 06:30"),
        ("30 6 * * 1-5", "Monday to Friday at 06:30"),
        ("0 7 * * 0", "Every Sunday at 07:00"),
        ("5 4 1 * *", "Schedule 5 4 1 * *"),
    ],
)
def test_the_schedule_is_told_in_words(page: Client, account: Account, cron: str, words: str) -> None:
    assert words in html_of(page, f"/flows/{orders_flow(account, cron=cron).pk}/")


def test_the_console_shows_the_balance_of_the_latest_run(page: Client, orders: Flow, noon: datetime) -> None:
    run = ended_run(orders, noon - timedelta(minutes=5))
    with_steps(run)
    text = text_of(html_of(page, f"/flows/{orders.pk}/"))
    assert "1,000 in = 953 success + 40 ignored + 7 failed records." in text
    assert f"Run r-{run.pk}" in text
    assert "took 1 min 20 s" in text


def test_a_balance_that_does_not_add_up_is_said(page: Client, orders: Flow, noon: datetime) -> None:
    ended_run(orders, noon, failed=6)
    assert "this does not add up" in html_of(page, f"/flows/{orders.pk}/")


def test_rolled_back_records_have_a_column_only_if_there_are_some(page: Client, orders: Flow, noon: datetime) -> None:
    run = ended_run(orders, noon)
    with_steps(run)
    assert "Rolled back" not in html_of(page, f"/flows/{orders.pk}/")
    StepRun.unscoped.filter(run=run, step=step_of(orders)).update(success=950, rolled_back=3)
    assert "Rolled back" in html_of(page, f"/flows/{orders.pk}/")


def test_the_run_that_is_under_way_is_shown_before_a_queued_one(page: Client, orders: Flow, noon: datetime) -> None:
    running = make_run(orders, status="running", started_at=noon)
    runs_under_way(orders, running)
    make_run(orders)
    assert f"Run r-{running.pk}" in text_of(html_of(page, f"/flows/{orders.pk}/"))


def test_why_a_run_waits_is_plain_to_see(page: Client, orders: Flow, noon: datetime) -> None:
    run = make_run(
        orders, status="running", started_at=noon, wait_reason="waiting: connection Shop: refused", not_before=noon
    )
    runs_under_way(orders, run)
    assert "This run waits: waiting: connection Shop: refused." in html_of(page, f"/flows/{orders.pk}/")


def test_pages_are_squares_done_in_work_and_waiting(page: Client, orders: Flow, noon: datetime) -> None:
    run = make_run(orders, status="running", started_at=noon, pages_fetched=4, pages_done=2)
    runs_under_way(orders, run)
    make_page(run, seq=0, state="done", error_rows=3)
    make_page(run, seq=1, state="done")
    make_page(run, seq=2, state="delivering")
    make_page(run, seq=3)
    html = html_of(page, f"/flows/{orders.pk}/")
    assert "Pages: 2 done, 1 of them with errors, 1 in work, 1 waiting" in html
    assert "at least" in html


def test_errors_of_the_run_link_to_exactly_these(page: Client, orders: Flow, noon: datetime) -> None:
    run = ended_run(orders, noon)
    with_steps(run)
    step = step_of(orders)
    html = html_of(page, f"/flows/{orders.pk}/")
    assert f'href="/errors/?run={run.pk}&amp;state=all&amp;step={step.pk}&amp;unit=record"' in html
    assert f'href="/errors/?run={run.pk}&amp;state=all">Open all 7' in html


def test_empty_mapped_fields_are_named(page: Client, orders: Flow, noon: datetime) -> None:
    with_steps(ended_run(orders, noon), empty_fields={"price": 12, "city": 1})
    text = text_of(html_of(page, f"/flows/{orders.pk}/"))
    assert "Target gave empty mapped fields: price in 12 records, city in 1 record." in text


def test_trace_keys_that_collide_are_told(page: Client, orders: Flow, noon: datetime) -> None:
    with_steps(ended_run(orders, noon), collisions=2)
    text = text_of(html_of(page, f"/flows/{orders.pk}/"))
    assert "Target: trace key collision. 2 records had the trace key of another record" in text


def test_newest_errors_and_lines_of_the_run_are_below(page: Client, orders: Flow, noon: datetime) -> None:
    run = ended_run(orders, noon)
    keyed_error(run, step_of(orders), "A-17", message="Price is missing")
    log_line(run, "Page 1 saved: 500 records")
    text = text_of(html_of(page, f"/flows/{orders.pk}/"))
    assert "Price is missing" in text
    assert "Page 1 saved 500 records" in text


def test_the_page_takes_twelve_queries_whatever_there_is_to_show(
    page: Client, orders: Flow, noon: datetime, django_assert_max_num_queries: Any
) -> None:
    run = make_run(orders, status="running", started_at=noon, pages_fetched=2, pages_done=1)
    runs_under_way(orders, run)
    with_steps(run)
    cause = make_cause(step_of(orders))
    for number in range(8):
        keyed_error(run, step_of(orders), f"A-{number}", cause=cause)
        log_line(run, f"line {number}", step=step_of(orders))
    with django_assert_max_num_queries(12):
        html_of(page, f"/flows/{orders.pk}/")


def test_what_comes_from_outside_is_never_markup(page: Client, account: Account, noon: datetime) -> None:
    flow = orders_flow(account, description=SCRIPT)
    flow.name = flow.integration.name = SCRIPT
    flow.save()
    flow.integration.save()
    run = ended_run(flow, noon, status="running", outcome="", wait_reason=SCRIPT, lease_owner=SCRIPT)
    runs_under_way(flow, run)
    with_steps(run, empty_fields={SCRIPT: 1})
    keyed_error(run, step_of(flow), SCRIPT, message=SCRIPT)
    log_line(run, SCRIPT)
    for path in (f"/flows/{flow.pk}/", f"/runs/{run.pk}/", f"/runs/{run.pk}/log/"):
        html = html_of(page, path)
        assert SCRIPT not in html
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


@pytest.mark.parametrize("tail", ["", "history/", "definition/", "errors/"])
def test_a_flow_of_another_account_or_environment_or_none_is_not_there(
    page: Client, account: Account, tail: str
) -> None:
    foreign = make_flow(make_account())
    sandbox = make_flow(account)
    sandbox.integration.environment = "sandbox"
    sandbox.integration.save()
    for pk in (foreign.pk, sandbox.pk, 10**15):
        html_of(page, f"/flows/{pk}/{tail}", status=404)


def test_the_short_form_of_an_id_is_understood(page: Client, orders: Flow, noon: datetime) -> None:
    run = ended_run(orders, noon)
    html_of(page, f"/flows/f-{orders.pk}/")
    html_of(page, f"/runs/r-{run.pk}/")
    html_of(page, f"/runs/e-{run.pk}/", status=404)


def test_whoever_is_signed_out_goes_to_the_sign_in(orders: Flow) -> None:
    assert Client().get(f"/flows/{orders.pk}/").headers["Location"].startswith("/login/")


def test_a_monitor_may_run_and_cancel_by_plain_forms(account: Account, orders: Flow, noon: datetime) -> None:
    run = make_run(orders, status="running", started_at=noon)
    runs_under_way(orders, run)
    html = html_of(signed_in(make_member(account, role=Role.MONITOR).user), f"/flows/{orders.pk}/")
    assert f'<form method="post" action="/runs/{run.pk}/cancel">' in html
    assert f'<form method="post" action="/flows/{orders.pk}/run">' in html


def test_a_live_page_gets_only_fragments_once_something_has_changed(page: Client, orders: Flow, noon: datetime) -> None:
    run = ended_run(orders, noon)
    with_steps(run)
    address: Any = page.get(f"/flows/{orders.pk}/").context["live_url"]
    assert page.get(address).status_code == 204
    keyed_error(run, step_of(orders), "A-1")
    answer = page.get(address)
    html = answer.content.decode()
    assert answer.headers["Live-Version"] not in address
    assert f'id="node-{step_of(orders).pk}" hx-swap-oob="true"' in html
    assert f'<tr id="step-{step_of(orders).pk}" hx-swap-oob="true">' in html
    assert "<table" not in html.split('id="run-lines"')[0]


def test_a_live_page_tells_that_a_newer_run_has_begun(page: Client, orders: Flow, noon: datetime) -> None:
    ended_run(orders, noon)
    address: Any = page.get(f"/flows/{orders.pk}/").context["live_url"]
    newer = make_run(orders, status="running", started_at=noon)
    runs_under_way(orders, newer)
    assert f"Run r-{newer.pk} has begun" in page.get(address).content.decode()


def test_live_topics_of_another_account_are_not_there(page: Client, noon: datetime) -> None:
    foreign = make_flow(make_account())
    run = make_run(foreign)
    for topic in (f"flow:{foreign.pk}", f"run:{run.pk}", f"step:{foreign.pk}.{step_of(foreign).pk}", "run:x"):
        assert page.get("/live/", {"t": topic, "v": ""}).status_code == 404
