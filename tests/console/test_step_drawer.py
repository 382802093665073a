"""A step in its drawer beside the run: what it is, its error handling, its mapping, its log."""

from datetime import datetime
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import Account
from apps.flows.models import Flow, Revision
from apps.runs.models import LogLevel, StepRun
from tests.console.screens import ended_run, html_of, keyed_error, log_line, text_of, with_steps
from tests.factories import make_account, make_flow, make_run, step_of

TEXT = """flow: orders
integration: shop
steps:
  - key: source
    export: {connection: Files, path: in.csv, password: letmein99}
    trace_key: "{{ record.number }}"
  - key: target
    description: Writes the order.
    input_filter: record.total > 0
    mapping: {number: record.number, size: record.size}
    required: [number]
    on_error: fail
    import: {connection: Warehouse, table: orders}
"""


@pytest.fixture
def flow(orders: Flow) -> Flow:
    Revision.unscoped.filter(pk=orders.revision_id).update(definition=TEXT)
    return orders


def address(flow: Flow, tab: str = "", key: str = "target") -> str:
    return f"/flows/{flow.pk}/steps/{step_of(flow, key).pk}/{tab}"


def test_a_click_on_a_step_of_the_pipeline_opens_it_beside_the_run(page: Client, flow: Flow, noon: datetime) -> None:
    run = ended_run(flow, noon)
    with_steps(run)
    assert f'href="{address(flow)}" title="Target"' in html_of(page, f"/flows/{flow.pk}/")
    html = html_of(page, address(flow))
    text = text_of(html)
    assert '<li class=" chosen" aria-current="true">' in html
    assert "Overview Error Handling Mapping Log" in text
    assert "Writes the order." in text
    assert "When it fails Fail run" in text
    assert "Takes a record if record.total &gt; 0" in text
    assert "Table orders" in text
    assert f"In run r-{run.pk} Snapshot 1,000 in = 953 success + 40 ignored + 7 errors" in text
    assert f"Run r-{run.pk} Completed with errors" in text


def test_an_export_shows_its_trace_key_and_no_secret(page: Client, flow: Flow) -> None:
    html = html_of(page, address(flow, key="source"))
    assert "{{ record.number }}" in text_of(html)
    assert "letmein99" not in html


def test_the_mapping_is_a_table_with_the_fields_that_came_out_empty(page: Client, flow: Flow, noon: datetime) -> None:
    run = ended_run(flow, noon)
    with_steps(run)
    StepRun.unscoped.filter(run=run, step=step_of(flow)).update(empty_fields={"size": 3})
    text = text_of(html_of(page, address(flow, "mapping/")))
    assert "number record.number required" in text
    assert f"size record.size empty in 3 records of r-{run.pk}" in text
    assert "An export hands its records on as it reads them" in html_of(page, address(flow, "mapping/", "source"))


def test_the_log_of_the_step_has_its_lines_of_the_run_and_no_others(page: Client, flow: Flow, noon: datetime) -> None:
    run, older = ended_run(flow, noon), ended_run(flow, noon)
    target = step_of(flow)
    error = keyed_error(run, target, "A-17")
    log_line(run, "refused", level=LogLevel.ERROR, step=target, key="A-17", error_id=error.pk)
    log_line(run, "all is well", step=target)
    log_line(run, "of the source", step=step_of(flow, "source"))
    log_line(older, "of the newest run", step=target)
    html = html_of(page, address(flow, f"log/?run=r-{run.pk}"))
    drawer = html.partition('<aside class="drawer')[2]
    assert ("refused" in drawer, "all is well" in drawer) == (True, True)
    assert ("of the source" in drawer, "of the newest run" in drawer) == (False, False)
    assert f'<a class="btn s" href="/flows/{flow.pk}/steps/{target.pk}/errors/{error.pk}/">Open error' in html
    assert f'form="retry-line" name="error" value="{error.pk}"' in html
    only_errors = html_of(page, address(flow, f"log/?run={run.pk}&level=error"))
    assert "all is well" not in only_errors.partition('<aside class="drawer')[2]
    assert "of the newest run" in html_of(page, address(flow, "log/"))


def test_new_lines_of_the_step_come_in_while_its_run_goes_on(page: Client, flow: Flow) -> None:
    run, target = make_run(flow, status="running"), step_of(flow)
    log_line(run, "before", step=target)
    first: Any = page.get(address(flow, f"log/?run={run.pk}&level=warning"))
    assert "New lines come in on top" in first.content.decode()
    live = first.context["live_url"]
    assert first.context["live_every"] == 10
    assert page.get(live).status_code == 204
    log_line(run, "too quiet", step=target)
    log_line(run, "of the source", level=LogLevel.ERROR, step=step_of(flow, "source"))
    assert page.get(live).status_code == 204
    error = keyed_error(run, target, "A-17")
    log_line(run, "refused", level=LogLevel.ERROR, step=target, key="A-17", error_id=error.pk)
    html = html_of(page, live).partition('<ol id="step-lines" hx-swap-oob="afterbegin">')[2].partition("</ol>")[0]
    assert html.startswith('<li id="l-')
    assert ("refused" in html, "of the source" in html, "before" in html) == (True, False, False)
    assert f'form="retry-line" name="error" value="{error.pk}"' in html


def test_the_log_of_a_run_that_has_ended_stands_still(page: Client, flow: Flow, noon: datetime) -> None:
    run = ended_run(flow, noon)
    first: Any = page.get(address(flow, f"log/?run={run.pk}"))
    assert "drawer-log" not in first.context["live_url"]
    assert "New lines come in on top" not in first.content.decode()


def test_the_error_handling_of_an_export_says_what_a_failure_does(page: Client, flow: Flow) -> None:
    html = html_of(page, address(flow, "handling/", "source"))
    assert "When the export itself fails, its run fails" in html
    assert f'href="/flows/{flow.pk}/settings/#workflow-retry">Configure Workflow retry</a>' in html


def test_a_step_that_never_ran_opens_too(page: Client, flow: Flow) -> None:
    assert "This flow has not run yet" in html_of(page, address(flow))
    assert "There is no log before the first run" in html_of(page, address(flow, "log/"))


@pytest.mark.parametrize("tab", ["", "handling/", "mapping/", "log/"])
def test_each_tab_takes_twelve_queries(
    page: Client, flow: Flow, noon: datetime, tab: str, django_assert_max_num_queries: Any
) -> None:
    run = ended_run(flow, noon)
    with_steps(run)
    for number in range(5):
        error = keyed_error(run, step_of(flow), f"A-{number}")
        log_line(run, "refused", step=step_of(flow), error_id=error.pk, key=f"A-{number}")
    with django_assert_max_num_queries(12):
        html_of(page, address(flow, tab))


@pytest.mark.parametrize("tab", ["", "mapping/", "log/"])
def test_steps_and_runs_of_others_are_not_there(page: Client, account: Account, flow: Flow, tab: str) -> None:
    foreign = make_flow(make_account())
    html_of(page, address(foreign, tab), status=404)
    html_of(page, f"/flows/{flow.pk}/steps/{step_of(foreign).pk}/{tab}", status=404)
    other = make_run(make_flow(integration=flow.integration))
    html_of(page, address(flow, f"{tab}?run={other.pk}"), status=404)
