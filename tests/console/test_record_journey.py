"""The journey of one record: all that happened to its trace key, in the order of time."""

from datetime import datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client

from apps.accounts.models import Account, Member, MemberRole, Role
from apps.engine.records import key_hash
from apps.errors import journey as records
from apps.errors.models import Comment, Error, RetryItem, RetryVersion
from apps.errors.rules.definition import Acts, Conditions, Definition
from apps.errors.rules.looking import look_by_rule
from apps.errors.services.rules import save_rule, switch_rule
from apps.flows.models import Flow, Step
from apps.runs.models import Run
from tests.console.screens import html_of, keyed_error, signed_in, text_of
from tests.factories import make_account, make_error, make_flow, make_member, make_run, make_user, step_of


@pytest.fixture
def page(account: Account) -> Client:
    return signed_in(make_member(account, user=make_user("mara", first_name="Mara")).user)


def run_at(flow: Flow, at: datetime, **fields: Any) -> Run:
    run: Run = make_run(flow, started_at=at, **fields)
    return run


def happened(page: Client, path: str = "/records/A-17/") -> list[str]:
    """The kinds of events on the page, the newest first."""
    answer: Any = page.get(path)
    assert answer.status_code == 200
    return [event.kind for event in answer.context["journey"].events]


def test_each_failure_is_told_with_step_run_state_and_message(page: Client, step: Step, noon: datetime) -> None:
    run = run_at(step.flow, noon)
    error = keyed_error(run, step, "A-17", message="Price is below zero", page_seq=13)
    text = text_of(html_of(page, "/records/A-17/"))
    assert "Record A-17" in text
    assert "Stuck at Target" in text
    assert f"Target failed Open Price is below zero e-{error.pk} in run r-{run.pk} , page 14" in text
    assert "Failed in 1 run, 1 error Errors now 1 open, 0 auto-resolved" in text


def test_everything_that_happened_is_on_one_time_line(
    page: Client, account: Account, step: Step, noon: datetime
) -> None:
    first, second, retry, third = (
        run_at(step.flow, noon + timedelta(hours=hour), kind=kind)
        for hour, kind in ((0, "flow"), (1, "flow"), (3, "retry"), (5, "flow"))
    )
    mara = make_member(account, user=make_user("ole", first_name="Ole"))
    old = keyed_error(
        first, step, "A-17", occurred_at=noon, state="resolved", reason="superseded",
        resolved_at=noon + timedelta(hours=1), passed_run=third, passed_outcome="success",
    )  # fmt: skip
    new = keyed_error(
        second, step, "A-17", occurred_at=noon + timedelta(hours=1), state="resolved", reason="manual",
        resolved_at=noon + timedelta(hours=4), resolved_by=mara,
    )  # fmt: skip
    Error.unscoped.filter(pk=old.pk).update(resolved_error=new)
    at = noon + timedelta(hours=2)
    for number in (1, 2):
        RetryVersion.unscoped.create(account=account, error=new, version=number, member=mara, at=at)
    RetryItem.unscoped.create(
        account=account, run=retry, error=new, seq=0, state="done", outcome="retry_failed", at=noon + timedelta(hours=3)
    )
    Comment.unscoped.create(
        account=account, error=new, member=mara, text="Asked the shop", at=noon + timedelta(hours=6)
    )
    assert happened(page) == ["noted", "passed", "resolved", "retried", "edited", "failed", "failed"]
    text = text_of(html_of(page, "/records/A-17/"))
    assert "Comment Ole, on" in text
    assert "Asked the shop" in text
    assert f"Target: went through in run r-{third.pk}" in text
    assert f"Resolved by hand Target: e-{new.pk} is resolved, by Ole" in text
    assert f"Failed again e-{new.pk} in retry r-{retry.pk} , by auto" in text
    assert f"Retry data edited version 2 of e-{new.pk} , by Ole" in text
    assert f"Superseded by a newer error, e-{new.pk}" in text
    assert "No open error" in text


def test_what_resolved_an_error_by_itself_is_told_with_its_run(page: Client, step: Step, noon: datetime) -> None:
    later = run_at(step.flow, noon)
    keyed_error(
        make_run(step.flow), step, "A-17", occurred_at=noon - timedelta(hours=1), state="resolved", reason="succeeded",
        resolved_at=noon, resolved_run=later, passed_run=later, passed_outcome="success",
    )  # fmt: skip
    assert happened(page) == ["resolved", "failed"]
    assert f"The record went through Target: e-{Error.unscoped.get().pk} is resolved, by run r-{later.pk}" in text_of(
        html_of(page, "/records/A-17/")
    )


def test_a_rule_that_acted_is_named_with_its_revision(page: Client, account: Account, step: Step) -> None:
    member = make_member(account)
    rule = save_rule(member=member, name="Known", definition=Definition(Conditions(text="price"), Acts(resolve=True)))
    switch_rule(rule=rule, member=member, mode="on", includes_open=True)
    error = keyed_error(make_run(step.flow), step, "A-17", message="Price is below zero")
    look_by_rule(error.account_id, rule.pk)
    assert happened(page) == ["resolved", "ruled", "failed"]
    html = html_of(page, "/records/A-17/")
    assert f"Rule Known@1 Acted on e-{error.pk}" in text_of(html)
    assert f'href="/settings/rules/{rule.pk}/"' in html
    drawer = f"/flows/{step.flow_id}/steps/{step.pk}/errors/{error.pk}/"
    assert "Known@1 Acted" in text_of(html_of(page, f"{drawer}history/"))
    assert "Resolved by a rule, Known@1" in text_of(html_of(page, f"{drawer}history/"))
    assert "Resolved by a rule, Known@1" in text_of(html_of(page, drawer))
    assert "Known@1" in text_of(html_of(page, f"/flows/{step.flow_id}/steps/{step.pk}/errors/resolved/"))


def test_all_flows_are_told_and_one_of_them_can_be_chosen(
    page: Client, account: Account, step: Step, noon: datetime
) -> None:
    other = make_flow(integration=step.flow.integration, name="Invoices")
    keyed_error(make_run(step.flow), step, "A-17")
    keyed_error(make_run(other), step_of(other), "A-17", message="No such customer")
    keyed_error(make_run(other), step_of(other), "B-1")
    assert happened(page) == ["failed", "failed"]
    assert happened(page, f"/records/A-17/?flow={other.pk}") == ["failed"]
    assert "one of 2 flows" in html_of(page, f"/records/A-17/?flow=f-{other.pk}")
    html_of(page, "/records/A-17/?flow=x", 404)
    html_of(page, f"/records/A-17/?flow={make_flow(account).pk}", 404)


def test_the_open_errors_are_retried_from_the_head(page: Client, step: Step) -> None:
    errors = [keyed_error(make_run(step.flow), step_of(step.flow, key), "A-17") for key in ("source", "target")]
    answer: Any = page.get("/records/A-17/")
    assert {error.pk for error in answer.context["record"].open} == {error.pk for error in errors}
    html = answer.content.decode()
    assert all(f'<input type="hidden" name="error" value="{error.pk}">' in html for error in errors)
    assert "Retry from the failed steps" in html


def test_a_disabled_flow_says_why_there_is_no_retry(page: Client, step: Step) -> None:
    keyed_error(make_run(step.flow), step, "A-17")
    Flow.unscoped.update(enabled=False)
    assert 'disabled title="The flow is disabled: start it first"' in html_of(page, "/records/A-17/")


# --- who sees what ---------------------------------------------------------------------------------------------------
def test_a_record_of_another_account_is_not_there(page: Client, step: Step) -> None:
    other = step_of(make_flow(make_account()))
    error = keyed_error(make_run(other.flow), other, "A-17")
    for path in ("/records/A-17/", "/records/?key=A-17", f"/records/?error={error.pk}"):
        html_of(page, path, 404)


def test_only_what_is_within_reach_is_told(account: Account, step: Step) -> None:
    hidden = make_flow(account)
    keyed_error(make_run(step.flow), step, "A-17")
    keyed_error(make_run(hidden), step_of(hidden), "A-17")
    keyed_error(make_run(hidden), step_of(hidden), "B-1")
    member = make_member(account, role=Role.MONITOR)
    Member.unscoped.filter(pk=member.pk).update(role="")
    MemberRole.unscoped.create(account=account, member=member, integration=step.flow.integration, role=Role.MONITOR)
    client = signed_in(member.user)
    assert happened(client) == ["failed"]
    html_of(client, "/records/B-1/", 404)


def test_whoever_is_not_signed_in_is_asked_to(client: Client) -> None:
    assert client.get("/records/A-17/").headers["Location"].startswith("/login/")


# --- addresses -------------------------------------------------------------------------------------------------------
KEYS = ["A-17", "a b", "50% off?#&", "köln/bonn", "x\\y", "..", "line\nbreak", " edge ", "'\"<script>", "k" * 127, "雪"]


def test_every_key_has_a_journey_linked_from_list_and_drawer(page: Client, step: Step) -> None:
    run = make_run(step.flow)
    errors = {key: keyed_error(run, step, key) for key in KEYS}
    links = set(journeys(html_of(page, "/errors/?view=list")))
    assert len(links) == len(KEYS)
    for key, error in errors.items():
        link = journeys(html_of(page, f"/flows/{step.flow_id}/steps/{step.pk}/errors/{error.pk}/"))[0]
        assert link in links
        assert happened(page, link) == ["failed"]
        assert happened(page, f"/records/?key={quote(key, safe='')}") == ["failed"]


def journeys(html: str) -> list[str]:
    """The addresses of records to which a page leads."""
    links = [unescape(part.split('"')[0]) for part in html.split('href="')[1:]]
    return [link for link in links if link.startswith("/records/") and len(link) > len("/records/")]


def test_a_key_that_is_longer_than_what_is_shown_is_found_by_its_error(page: Client, step: Step) -> None:
    long = "K" * 500
    error = make_error(make_run(step.flow), step=step, key=long[:127] + "…", key_hash=key_hash(long))
    assert f'href="/records/?error={error.pk}"' in html_of(page, "/errors/?view=list")
    assert happened(page, f"/records/?error={error.pk}") == ["failed"]
    assert happened(page, f"/records/{long}/") == ["failed"]


def test_an_error_without_a_key_has_no_journey(page: Client, step: Step) -> None:
    error = keyed_error(make_run(step.flow), step, "")
    html_of(page, f"/records/?error={error.pk}", 404)
    assert 'href="/records/?error' not in html_of(page, "/errors/?view=list")


@pytest.mark.parametrize("path", ["/records/nothing/", "/records/%00/", "/records/?error=x", "/records/?error=e-9"])
def test_what_nothing_is_known_of_is_not_there(page: Client, step: Step, path: str) -> None:
    html_of(page, path, 404)


# --- pages -----------------------------------------------------------------------------------------------------------
def test_the_journey_is_read_a_page_at_a_time_without_gap_or_repeat(
    page: Client, account: Account, step: Step, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "PAGE_SIZE", 3)
    for number in range(5):  # all at one moment: the place in the journey is told by kind and number
        error = keyed_error(make_run(step.flow), step, "A-17", collision_no=number)
        Comment.unscoped.create(account=account, error=error, text=f"note {number}", at=noon)
    seen, path = list[Any](), "/records/A-17/"
    while path:
        answer: Any = page.get(path)
        seen += [(event.kind, event.number) for event in answer.context["journey"].events]
        path = answer.context["older_url"]
    assert len(seen) == len(set(seen)) == 10
    assert [kind for kind, _ in seen] == ["noted"] * 5 + ["failed"] * 5
    back: Any = page.get(answer.context["newer_url"])
    assert [(event.kind, event.number) for event in back.context["journey"].events] == seen[6:9]


@pytest.mark.parametrize("cursor", ["x", "WzAsMSwyLDNd", "WzAsIngiLCJ5IiwieiJd", "%00"])
def test_a_damaged_place_is_told(page: Client, step: Step, cursor: str) -> None:
    keyed_error(make_run(step.flow), step, "A-17")
    assert "This place in the journey is not there" in html_of(page, f"/records/A-17/?page={cursor}")


def test_the_journey_takes_ten_queries_whatever_happened(
    page: Client, account: Account, step: Step, noon: datetime, django_assert_max_num_queries: Any
) -> None:
    member = make_member(account)
    for number in range(30):
        error = keyed_error(make_run(step.flow), step, "A-17", collision_no=number)
        Comment.unscoped.create(account=account, error=error, member=member, text="x", at=noon)
    with django_assert_max_num_queries(10):
        html_of(page, "/records/A-17/")
