"""Test runs in the console: started from a draft or a root cause, watched, read, published."""

import re
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import Account, Role
from apps.errors.models import Error
from apps.execution.testing import work_on_test
from apps.flows.models import Flow, Revision
from apps.runs.models import TestRun
from tests.console.screens import html_of, signed_in, text_of
from tests.factories import make_account, make_flow, make_integration, make_member, make_user
from tests.scenarios.conftest import make_scene
from tests.scenarios.scene import Scene

pytestmark = pytest.mark.django_db

ROWS = "\n".join(f'{{"id": {n}, "amount": {-n if n == 2 else n}}}' for n in range(1, 5))


@pytest.fixture
def scene(account: Account, tmp_path: Any, settings: Any) -> Any:
    for made in make_scene("sqlite", account, tmp_path, settings):
        made.write("orders.jsonl", ROWS)
        yield made


@pytest.fixture
def flow(scene: Scene) -> Flow:
    return scene.flow_of_file("orders.jsonl")


@pytest.fixture
def page(account: Account) -> Client:
    return signed_in(make_member(account, role=Role.MANAGER).user)


def address(flow: Flow, act: str = "") -> str:
    return f"/flows/{flow.pk}/definition/test/{act}"


def fixed(flow: Flow) -> str:
    """A draft that brings the failing record through."""
    text: str = flow.revision.definition.replace("record.amount,", "abs(record.amount),")
    return text


def begin(page: Client, flow: Flow, text: str = "", **fields: Any) -> Any:
    sent = {"text": (text or flow.revision.definition).replace("\n", "\r\n"), "revision": 1, **fields}
    return page.post(address(flow, "start"), sent)


def done(page: Client, flow: Flow, text: str = "", **fields: Any) -> TestRun:
    answer = begin(page, flow, text, **fields)
    assert answer.status_code == 302, text_of(answer.content.decode())
    test = TestRun.unscoped.latest("pk")
    work_on_test(test.pk)
    test.refresh_from_db()
    return test


def page_of(test: TestRun, query: str = "") -> str:
    return f"/flows/{test.flow_id}/tests/{test.pk}/{query}"


# --- starting --------------------------------------------------------------------------------------------------------
def test_the_editor_leads_to_a_test_of_what_was_typed(page: Client, flow: Flow) -> None:
    assert f'formaction="{address(flow)}"' in html_of(page, f"/flows/{flow.pk}/definition/")
    answer = page.post(address(flow), {"text": fixed(flow), "revision": 1})
    html = answer.content.decode()
    assert "A draft: 1 line added, 1 removed against revision 1" in html
    assert "abs(record.amount)" in html
    assert TestRun.unscoped.count() == 0


def test_a_text_with_mistakes_goes_back_to_the_editor(page: Client, flow: Flow) -> None:
    for act in ("", "start"):
        answer = page.post(address(flow, act), {"text": "flow: orders\nsteps: 5\n", "revision": 1})
        assert answer.status_code == 422
        assert "cannot be tested" in text_of(answer.content.decode())
    assert TestRun.unscoped.count() == 0


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"on": "pasted", "records": "{nonsense"}, "not valid JSON"),
        ({"on": "pasted", "records": "[1]"}, "Record 1 is no JSON object"),
        ({"on": "cause"}, "Choose the root cause"),
    ],
)
def test_what_cannot_be_tested_is_said_and_what_was_typed_stays(
    page: Client, flow: Flow, fields: dict[str, str], sentence: str
) -> None:
    answer = begin(page, flow, **fields)
    assert answer.status_code == 422
    html = answer.content.decode()
    assert sentence in text_of(html)
    assert flow.revision.definition.strip().splitlines()[-1].strip().replace('"', "&quot;") in html
    assert TestRun.unscoped.count() == 0


def test_a_flow_that_receives_requests_needs_pasted_records(page: Client, scene: Scene) -> None:
    scene.connect("sender", "webhook", verification="none")
    flow = scene.flow_of("{connection: sender}")
    assert re.search(r'value="pasted" checked', html_of(page, address(flow)))
    assert "receives its records by requests" in text_of(begin(page, flow).content.decode())
    test = done(page, flow, on="pasted", records='{"id": 9, "amount": 1}')
    assert test.status == "completed"
    assert scene.loaded() == []


def test_who_may_not_edit_starts_no_test(account: Account, flow: Flow) -> None:
    monitor = signed_in(make_member(account, role=Role.MONITOR).user)
    assert monitor.get(address(flow)).status_code == 403
    assert begin(monitor, flow).status_code == 403


def test_a_foreign_flow_and_its_tests_are_not_there(page: Client, flow: Flow) -> None:
    test = done(page, flow)
    stranger = signed_in(make_member(make_account(), role=Role.OWNER).user)
    for path in (address(flow), page_of(test)):
        assert stranger.get(path).status_code == 404
    assert begin(stranger, flow).status_code == 404
    assert stranger.post(page_of(test, "publish")).status_code == 404
    assert stranger.get(f"/live/?t=test:{flow.pk}-{test.pk}&v=0").status_code == 404


def test_a_test_is_found_only_under_its_own_flow(page: Client, account: Account, flow: Flow) -> None:
    test = done(page, flow)
    other = make_flow(account)
    assert page.get(f"/flows/{other.pk}/tests/{test.pk}/").status_code == 404
    assert page.get(f"/flows/{flow.pk}/tests/{test.pk + 1}/").status_code == 404
    assert page.get(f"/flows/{flow.pk}/tests/{10**30}/").status_code == 404


def test_who_is_signed_out_is_asked_to_sign_in(client: Client, flow: Flow) -> None:
    assert client.get(address(flow)).status_code == 302


def test_starting_takes_a_post(page: Client, flow: Flow) -> None:
    assert page.get(address(flow, "start")).status_code == 405


# --- watching and reading --------------------------------------------------------------------------------------------
def test_a_test_that_waits_tells_what_it_does_and_the_live_topic_brings_the_result(page: Client, flow: Flow) -> None:
    begin(page, flow)
    test = TestRun.unscoped.get()
    html = html_of(page, page_of(test))
    assert f"t=shell,test:{flow.pk}-{test.pk}" in html
    assert "Queued" in text_of(html)
    live = f"/live/?t=test:{flow.pk}-{test.pk}&v={test.change_no}"
    assert page.get(live).status_code == 204
    work_on_test(test.pk)
    told = page.get(live).content.decode()
    assert 'id="test-body" hx-swap-oob="true"' in told
    assert "Nothing was kept, sent or booked." in told


def test_the_report_shows_the_steps_and_first_the_one_that_failed(page: Client, flow: Flow) -> None:
    html = html_of(page, page_of(done(page, flow)))
    text = text_of(html)
    assert "4 records: 3 success, 0 ignored, 1 failed" in text
    assert "Records at Load" in text
    assert "&quot;amount&quot;: -2" in html
    assert "Written, then rolled back" in text


def test_the_records_of_every_step_can_be_read(page: Client, flow: Flow) -> None:
    test = done(page, flow)
    assert "Records at Source" in text_of(html_of(page, page_of(test, "?stage=0")))
    assert "Records at Load" in text_of(html_of(page, page_of(test, "?stage=99")))


def test_a_test_that_failed_says_why(page: Client, scene: Scene) -> None:
    test = done(page, scene.flow_of_file("gone.jsonl"))
    assert "There is no file gone.jsonl" in text_of(html_of(page, page_of(test)))


def test_the_pages_ask_the_database_little(page: Client, flow: Flow, django_assert_max_num_queries: Any) -> None:
    test = done(page, flow)
    html_of(page, page_of(test))
    with django_assert_max_num_queries(12):
        html_of(page, page_of(test))
    with django_assert_max_num_queries(14):
        html_of(page, address(flow))


def test_the_number_of_records_changes_nothing_in_that(
    page: Client, flow: Flow, django_assert_max_num_queries: Any
) -> None:
    many = "\n".join(f'{{"id": {n}, "amount": -1}}' for n in range(100))
    test = done(page, flow, on="pasted", records=many)
    with django_assert_max_num_queries(12):
        html = html_of(page, page_of(test))
    assert "20 of 100" in text_of(html)


# --- publishing ------------------------------------------------------------------------------------------------------
def test_what_was_tried_is_published_by_one_button(page: Client, flow: Flow) -> None:
    test = done(page, flow, fixed(flow))
    assert "Save as revision 2" in text_of(html_of(page, page_of(test)))
    answer = page.post(page_of(test, "publish"), follow=True)
    assert "Revision 2 of Orders is saved" in text_of(answer.content.decode())
    assert Revision.unscoped.filter(flow=flow).count() == 2
    assert "Save as revision" not in text_of(html_of(page, page_of(test)))


def test_publishing_over_somebody_elses_revision_is_a_conflict(page: Client, scene: Scene, flow: Flow) -> None:
    test = done(page, flow, fixed(flow))
    scene.apply(flow.revision.definition.replace("page_size: 4", "page_size: 5"))
    answer = page.post(page_of(test, "publish"))
    assert answer.status_code == 409
    assert "abs(record.amount)" in answer.content.decode()
    assert Revision.unscoped.filter(flow=flow).count() == 2


def test_a_test_can_be_begun_again_with_the_same_text(page: Client, flow: Flow) -> None:
    test = done(page, flow, fixed(flow))
    assert "abs(record.amount)" in html_of(page, address(flow, f"?again={test.pk}"))


# --- a root cause ----------------------------------------------------------------------------------------------------
@pytest.fixture
def error(scene: Scene, flow: Flow) -> Error:
    scene.run(flow)
    found: Error = Error.objects.of(scene.account).open().get()
    return found


def test_the_page_of_a_root_cause_leads_to_a_test_of_its_errors(
    page: Client, account: Account, flow: Flow, error: Error
) -> None:
    link = f"{address(flow)}?cause={error.cause_id}"
    assert link in html_of(page, f"/errors/causes/{error.cause_id}/")
    html = html_of(page, link)
    assert f'<option value="{error.cause_id}" selected>' in html
    monitor = signed_in(make_member(account, role=Role.MONITOR).user)
    assert link not in html_of(monitor, f"/errors/causes/{error.cause_id}/")


def test_the_verdicts_lead_to_the_errors(page: Client, flow: Flow, error: Error) -> None:
    test = done(page, flow, on="cause", cause=error.cause_id, most=100)
    html = html_of(page, page_of(test))
    assert "1 still failing, 0 newly broken, 0 not tested, 0 fixed." in text_of(html)
    assert f"/flows/{flow.pk}/steps/{error.step_id}/errors/{error.pk}/" in html


def test_a_draft_that_fixes_a_cause_is_published_and_all_of_it_is_offered_for_retry(
    page: Client, scene: Scene, flow: Flow, error: Error
) -> None:
    test = done(page, flow, fixed(flow), on="cause", cause=error.cause_id)
    text = text_of(html_of(page, page_of(test)))
    assert "1 fixed." in text
    assert "Retry 1" not in text
    page.post(page_of(test, "publish"))
    html = html_of(page, page_of(test))
    assert "Retry 1" in text_of(html)
    answer = page.post(
        "/errors/retry",
        {
            "all": "1",
            "query": f"cause={error.cause_id}&state=open",
            "upto": error.pk,
            "next": "/errors/",
            "confirmed": "1",
        },
    )
    assert answer.status_code == 302
    error.refresh_from_db()
    assert error.retry_run_id is not None


def test_a_cause_of_another_flow_is_not_there(page: Client, scene: Scene, flow: Flow, error: Error) -> None:
    other = scene.flow_of_file("orders.jsonl", key="others")
    assert begin(page, other, on="cause", cause=error.cause_id).status_code == 404


def test_a_foreign_cause_is_not_there(page: Client, flow: Flow) -> None:
    assert begin(page, flow, on="cause", cause=987654).status_code == 404


def test_a_member_of_one_integration_only_tests_nothing_of_another(account: Account, flow: Flow) -> None:
    from apps.accounts.models import MemberRole

    member = make_member(account, role=Role.MANAGER, user=make_user())
    MemberRole.unscoped.create(account=account, member=member, integration=make_integration(account), role=Role.MANAGER)
    type(member).unscoped.filter(pk=member.pk).update(role="")
    assert signed_in(member.user).get(address(flow)).status_code == 404
