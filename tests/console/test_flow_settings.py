"""The settings of a flow as forms: each changes its own fields of the definition's text, and says what will happen."""

from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import Account, Role
from apps.errors.models import StepState
from apps.flows.models import Checkpoint, Connection, Flow, Revision, Step
from apps.flows.services import apply_definition, disable_flow
from tests.console.screens import html_of, keyed_error, signed_in, text_of, warehouse_flow
from tests.factories import make_member, make_run

TEXT = """\
# Orders, every morning
flow: orders
integration: {key: shop, name: Shop}
enabled: true
schedule: "30 6 * * 1-5"   # before the shop opens
page_size: 500   # small pages

# what happens to each
steps:
  - key: source
    export: {connection: Warehouse, query: SELECT 1 AS id}
  - key: load
    name: Load orders
    # the table is locked at night
    on_error: {policy: retry, attempts: 2}
    import: {connection: Warehouse, table: orders, operation: insert}
  - key: note
    log: "{{ record.id }}"
"""
SCHEDULE = {"schedule-cron": "0 7 * * *", "schedule-time_zone": "Europe/Berlin", "schedule-overlap": "skip"}
RETRY = {"workflow-retry-attempts": "3", "workflow-retry-minutes": "5", "workflow-retry-backoff": "on"}
HANDLING = {
    "handling-policy": "retry",
    "handling-seconds": "10",
    "handling-attempts": "3",
    "handling-then": "set_aside",
    "handling-handling": "rollback",
    "handling-ends": "error_end",
    "handling-handler_log": "on",
}


@pytest.fixture
def flow(account: Account) -> Flow:
    return warehouse_flow(account, TEXT)


@pytest.fixture
def page(account: Account) -> Client:
    return signed_in(make_member(account, role=Role.MANAGER).user)


def address(flow: Flow, rest: str = "") -> str:
    return f"/flows/{flow.pk}/settings/{rest}"


def handling(flow: Flow, key: str = "load", act: str = "") -> str:
    return f"/flows/{flow.pk}/steps/{Step.unscoped.get(flow=flow, key=key).pk}/handling/{act}"


def save(page: Client, flow: Flow, section: str, values: dict[str, Any], revision: int = 1) -> Any:
    return page.post(address(flow, f"{section}/save"), {**values, "revision": revision}, follow=True)


def definition(flow: Flow) -> str:
    flow.refresh_from_db()
    return flow.revision.definition


def changed_lines(flow: Flow) -> tuple[list[str], list[str]]:
    before, after = TEXT.splitlines(), definition(flow).splitlines()
    return [line for line in before if line not in after], [line for line in after if line not in before]


# --- the schedule ----------------------------------------------------------------------------------------------------
def test_a_schedule_is_saved_as_a_revision_that_changes_nothing_else(page: Client, flow: Flow) -> None:
    answer = save(page, flow, "schedule", SCHEDULE)
    text = text_of(answer.content.decode())
    assert "Revision 2 of Orders is saved" in text
    assert "Daily at 07:00, Europe/Berlin. The next 5 times:" in text
    assert changed_lines(flow) == (
        ['schedule: "30 6 * * 1-5"   # before the shop opens'],
        ["schedule: {cron: 0 7 * * *, time_zone: Europe/Berlin}   # before the shop opens", "overlap: skip"],
    )
    assert (flow.cron, flow.time_zone, flow.overlap) == ("0 7 * * *", "Europe/Berlin", "skip")


def test_an_empty_schedule_takes_it_out(page: Client, flow: Flow) -> None:
    values = SCHEDULE | {"schedule-cron": "", "schedule-overlap": "queue"}
    assert "Orders has no schedule" in text_of(save(page, flow, "schedule", values).content.decode())
    assert "schedule:" not in definition(flow)
    assert flow.cron == ""


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("schedule-cron", "every day", "is no cron expression"),
        ("schedule-cron", "0 0 31 2 *", "is no cron expression"),
        ("schedule-time_zone", "Europe", "is no time zone"),
        ("schedule-time_zone", "../../etc", "is no time zone"),
        ("schedule-time_zone", "Europe/Berlln", "is no time zone: did you mean Europe/Berlin?"),
    ],
)
def test_a_schedule_that_is_none_is_told_at_its_field(
    page: Client, flow: Flow, field: str, value: str, words: str
) -> None:
    answer = page.post(address(flow, "schedule/save"), SCHEDULE | {field: value, "revision": 1})
    html = answer.content.decode()
    assert answer.status_code == 422
    assert words in text_of(html).replace("&quot;", '"')
    assert f'id="id_{field}_error"' in html
    assert Revision.unscoped.filter(flow=flow).count() == 1


def test_what_will_happen_is_told_before_it_is_saved(page: Client, flow: Flow) -> None:
    answer = page.post(address(flow, "schedule/preview"), {**SCHEDULE, "revision": 1}, headers={"HX-Request": "true"})
    html = answer.content.decode()
    assert html.lstrip().startswith('<div class="hintbox act" id="story-schedule"')
    assert "If a run takes longer than the 1 d to the next one, the next one is left out." in text_of(html)
    assert Revision.unscoped.filter(flow=flow).count() == 1


@pytest.mark.parametrize("zone", ["Europe", "../../etc", "Mars/Olympus", "\U0001f600"])
def test_a_preview_of_what_is_no_time_zone_says_nothing(page: Client, flow: Flow, zone: str) -> None:
    values = {**SCHEDULE, "schedule-time_zone": zone, "revision": 1}
    answer = page.post(address(flow, "schedule/preview"), values, headers={"HX-Request": "true"})
    assert "once the values are right" in text_of(answer.content.decode())


# --- the others ------------------------------------------------------------------------------------------------------
def test_workflow_retry_tells_when_a_run_would_be_run_again(page: Client, flow: Flow) -> None:
    text = text_of(save(page, flow, "workflow-retry", RETRY).content.decode())
    assert "fails at once, Orders is run again at 06:35, 06:45 and 07:05, until one attempt does not fail." in text
    assert "workflow_retry: {attempts: 3, backoff: true}" in definition(flow)


def test_no_attempts_are_not_written_where_nothing_stands(page: Client, flow: Flow) -> None:
    values = {"workflow-retry-attempts": "0", "workflow-retry-minutes": "5"}
    assert "Nothing was changed" in text_of(save(page, flow, "workflow-retry", values).content.decode())
    assert definition(flow) == TEXT


def test_switching_auto_resolve_off_says_what_stays(page: Client, flow: Flow) -> None:
    text = text_of(save(page, flow, "auto-resolve", {}).content.decode())
    assert "Nothing is resolved by itself" in text
    assert "auto_resolve: false" in definition(flow)
    assert not flow.auto_resolve


def test_auto_retry_is_switched_off_by_itself(page: Client, flow: Flow) -> None:
    text = text_of(save(page, flow, "auto-retry", {}).content.decode())
    assert "An intermittent error stays open like any other" in text
    assert changed_lines(flow) == ([], ["auto_retry: false"])
    assert (flow.auto_retry, flow.auto_resolve) == (False, True)


def test_auto_retry_tells_when_and_that_it_needs_auto_resolve(page: Client, flow: Flow) -> None:
    text = text_of(html_of(page, address(flow)))
    assert "is tried again 0:30, 1:30, 3:30 and 7:30 minutes after it occurred" in text
    save(page, flow, "auto-resolve", {})
    assert "Nothing is tried again while auto-resolve of this flow is off." in text_of(html_of(page, address(flow)))


def test_what_may_happen_at_the_same_time_stands_together(page: Client, flow: Flow) -> None:
    Connection.unscoped.update(max_concurrency=8, max_rate=2.5)
    html = html_of(page, address(flow))
    text = text_of(html.partition('id="concurrency"')[2])
    assert "If one is still under way: queue the new run. Change" in text
    assert "One after the other, each of up to 500 records." in text
    assert "Warehouse Up to 8 requests of each worker at once, and 2.5 a second of all together." in text


def test_the_checkpoint_and_who_moved_it_are_seen_at_once(page: Client, flow: Flow) -> None:
    assert "None: the next run exports from the beginning." in text_of(html_of(page, address(flow)))
    run = make_run(flow, status="completed")
    source = Step.unscoped.get(flow=flow, key="source")
    Checkpoint.unscoped.create(
        account_id=flow.account_id, flow=flow, step=source, value=17, moved_by_run=run, moved_at=run.created_at
    )
    html = html_of(page, address(flow)).partition('id="checkpoint"')[2]
    assert "<code>17</code>" in html
    assert f'href="/runs/{run.pk}/">r-{run.pk}</a>' in html


def test_a_trace_key_is_written_at_the_export(page: Client, flow: Flow) -> None:
    load = Step.unscoped.get(flow=flow, key="load")
    keyed_error(make_run(flow, status="completed"), load, "A-17")
    StepState.unscoped.create(
        account_id=flow.account_id, step=load, flow=flow, integration_id=flow.integration_id, open_errors=1
    )
    assert "An open error of this flow has the key A-17." in text_of(html_of(page, address(flow)))
    save(page, flow, "trace-key", {"trace-key-trace_key": "{{ record.id }}"})
    assert changed_lines(flow) == ([], ["    trace_key: '{{ record.id }}'"])


def test_a_template_with_a_mistake_comes_back(page: Client, flow: Flow) -> None:
    answer = page.post(address(flow, "trace-key/save"), {"trace-key-trace_key": "{{ record.", "revision": 1})
    assert answer.status_code == 422
    assert 'id="id_trace-key-trace_key_error"' in answer.content.decode()


def test_scope_and_page_size_are_saved_together(page: Client, flow: Flow) -> None:
    values = {
        "transactions-scope": "page", "transactions-page_size": "50", "transactions-parallel_pages": "1",
        "transactions-rethrow_keeps_changes": "on",
    }  # fmt: skip
    text = text_of(save(page, flow, "transactions", values).content.decode())
    assert "If one record of a page fails, nothing of its page stays" in text
    assert (flow.pk, definition(flow).count("page_size: 50   # small pages"), flow.scope) == (flow.pk, 1, "page")


def test_pages_at_work_at_once_are_saved_with_their_order_and_go_with_it(page: Client, flow: Flow) -> None:
    values = {"transactions-page_size": "500", "transactions-parallel_pages": "4"}
    text = text_of(save(page, flow, "transactions", values).content.decode())
    assert "Up to 4 pages of a run are at work at once" in text
    assert ("page_order: free" in definition(flow), flow.parallel_pages) == (True, 4)
    save(page, flow, "transactions", values | {"transactions-parallel_pages": "1"}, revision=2)
    text = definition(flow)
    assert ("page_order" in text, "parallel_pages" in text, flow.parallel_pages) == (False, False, 1)


def test_the_bound_of_a_run_is_saved_with_its_scope_and_goes_with_it(page: Client, flow: Flow) -> None:
    values = {"transactions-scope": "run", "transactions-max_records": "500", "transactions-page_size": "50"}
    values |= {"transactions-parallel_pages": "1"}
    text = text_of(save(page, flow, "transactions", values).content.decode())
    assert "nothing of the whole run stays" in text
    assert "max_records: 500" in definition(flow)
    save(page, flow, "transactions", values | {"transactions-scope": "record"}, revision=2)
    assert ("max_records" in definition(flow), flow.scope) == (False, "record")


def test_a_form_never_switches_a_flow_on_again(page: Client, flow: Flow) -> None:
    disable_flow(flow=flow)
    save(page, flow, "auto-resolve", {})
    assert "enabled: false" in definition(flow)
    assert not flow.enabled


def test_the_second_of_two_who_save_gets_a_conflict_and_keeps_his_values(
    account: Account, page: Client, flow: Flow
) -> None:
    other = make_member(account, role=Role.MANAGER)
    apply_definition(account=account, text=TEXT.replace("500", "100"), member=other)
    answer = save(page, flow, "schedule", SCHEDULE)
    assert answer.status_code == 409
    html = answer.content.decode()
    assert f"{other.user.username} saved revision 2 while you were writing from revision 1." in text_of(html)
    assert 'value="0 7 * * *"' in html
    assert "page_size: 100" in definition(flow)
    assert "Revision 3" in text_of(save(page, flow, "schedule", SCHEDULE, revision=2).content.decode())
    assert "page_size: 100" in definition(flow)


# --- error handling of a step ----------------------------------------------------------------------------------------
def test_the_error_handling_of_a_step_tells_what_becomes_of_a_record(page: Client, flow: Flow) -> None:
    text = text_of(html_of(page, handling(flow)))
    assert "A record that fails at Load orders is tried again 2 times, after 10 s and 10 s." in text
    assert "If it still fails, the run stops, its status is failed" in text


def test_the_error_handling_of_a_step_is_saved_in_place(page: Client, flow: Flow) -> None:
    answer = page.post(handling(flow, act="save"), {**HANDLING, "revision": 1}, follow=True)
    assert "Revision 2 of Orders is saved" in text_of(answer.content.decode())
    assert changed_lines(flow) == (
        ["    on_error: {policy: retry, attempts: 2}"],
        ["    on_error: {policy: retry, attempts: 3, then: set_aside}"],
    )


def test_another_policy_needs_no_fields_of_the_retry(page: Client, flow: Flow) -> None:
    page.post(handling(flow, act="save"), {**HANDLING, "handling-policy": "ignore", "revision": 1})
    assert "    on_error: {policy: ignore}" in definition(flow)


def test_a_class_may_be_handled_otherwise(page: Client, flow: Flow) -> None:
    values = {**HANDLING, "handling-policy": "set_aside", "handling-class_connection": "fail", "revision": 1}
    text = text_of(page.post(handling(flow, act="save"), values, follow=True).content.decode())
    assert "One of the class connection: the run stops" in text
    assert "on_error: {policy: set_aside, exceptions: {connection: fail}}" in definition(flow)


def test_a_handling_with_a_handler_gets_its_end_and_loses_it_again(page: Client, flow: Flow) -> None:
    custom = {**HANDLING, "handling-handling": "custom_with_rollback", "handling-ends": "end", "revision": 1}
    page.post(handling(flow, act="save"), custom)
    assert "    handling: custom_with_rollback\n    ends: end\n" in definition(flow)
    page.post(handling(flow, act="save"), {**HANDLING, "revision": 2})
    assert "    handling: rollback\n" in definition(flow)
    assert "ends:" not in definition(flow)


def test_what_does_not_fit_together_is_told(page: Client, flow: Flow) -> None:
    values = {**HANDLING, "handling-policy": "ignore", "handling-handling": "custom_with_rollback", "revision": 1}
    answer = page.post(handling(flow, act="save"), values)
    assert answer.status_code == 422
    assert "ignore lets the record go on, the handling custom_with_rollback does not." in text_of(
        answer.content.decode()
    )


def test_values_out_of_bounds_are_told_at_their_field(page: Client, flow: Flow) -> None:
    answer = page.post(handling(flow, act="save"), {**HANDLING, "handling-attempts": "11", "revision": 1})
    assert answer.status_code == 422
    assert 'id="id_handling-attempts_error"' in answer.content.decode()


def test_an_export_has_no_error_handling_of_its_own(page: Client, flow: Flow) -> None:
    drawer = html_of(page, handling(flow, "source")).partition('aria-label="Step ')[2]
    assert "<form" not in drawer.partition("</aside")[0]
    assert page.post(handling(flow, "source", "save"), {"revision": 1}).status_code == 404


# --- who may ---------------------------------------------------------------------------------------------------------
def test_a_monitor_sees_the_settings_and_cannot_change_them(account: Account, flow: Flow) -> None:
    monitor = signed_in(make_member(account, role=Role.MONITOR).user)
    html = html_of(monitor, address(flow))
    assert 'value="30 6 * * 1-5"' in html
    assert 'title="Needs the role manager"' in html
    html_of(monitor, handling(flow))
    assert monitor.post(address(flow, "schedule/save"), {**SCHEDULE, "revision": 1}).status_code == 403
    assert monitor.post(address(flow, "schedule/preview"), {**SCHEDULE, "revision": 1}).status_code == 403
    assert monitor.post(handling(flow, act="save"), {**HANDLING, "revision": 1}).status_code == 403
    assert definition(flow) == TEXT


def test_settings_of_another_account_are_not_there(flow: Flow) -> None:
    stranger = signed_in(make_member().user)
    assert stranger.get(address(flow)).status_code == 404
    assert stranger.get(handling(flow)).status_code == 404
    assert stranger.post(address(flow, "schedule/save"), {**SCHEDULE, "revision": 1}).status_code == 404
    assert stranger.post(handling(flow, act="save"), {**HANDLING, "revision": 1}).status_code == 404


def test_a_section_that_is_none_is_not_there(page: Client, flow: Flow) -> None:
    assert page.post(address(flow, "nothing/save"), {"revision": 1}).status_code == 404


def test_the_pages_take_ten_and_nine_queries(page: Client, flow: Flow, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(10):
        html_of(page, address(flow))
    with django_assert_max_num_queries(9):
        html_of(page, handling(flow))
