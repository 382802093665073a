"""The lists of errors: of a step (open, resolved), of a flow, of the account."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import Account, Member, MemberRole, Role
from apps.console.selectors import errors as selectors
from apps.errors.models import Error
from apps.flows.models import Flow, Step
from tests.console.screens import html_of, keyed_error, signed_in, text_of
from tests.factories import (
    make_account,
    make_cause,
    make_error,
    make_flow,
    make_member,
    make_run,
    make_user,
    step_of,
)

SCRIPT = "<script>alert(1)</script>"


def open_path(step: Step, query: str = "") -> str:
    return f"/flows/{step.flow_id}/steps/{step.pk}/errors/open/{query}"


def resolved_path(step: Step, query: str = "") -> str:
    return f"/flows/{step.flow_id}/steps/{step.pk}/errors/resolved/{query}"


def shown(html: str, *errors: Error) -> list[bool]:
    return [f"/errors/{error.pk}/" in html for error in errors]


# --- open ------------------------------------------------------------------------------------------------------------
def test_an_open_error_is_a_row_with_its_message_class_code_key_and_time(
    page: Client, step: Step, noon: datetime
) -> None:
    cause = make_cause(step, classification="value", code="23514")
    keyed_error(make_run(step.flow), step, "A-17", message="Price is below zero", cause=cause)
    text = text_of(html_of(page, open_path(step)))
    assert "Price is below zero Open · Value · 23514 A-17 2 Mar 12:00:00" in text
    assert "1 on this page, 1 open in this step" in text


def test_a_step_without_errors_says_why_and_what_next(page: Client, step: Step) -> None:
    html = html_of(page, open_path(step))
    assert "Every record that failed at this step has been put right." in html
    assert "See what was resolved" in html


@pytest.mark.parametrize(
    "query",
    [
        "q=price",
        "q=PRICE+zero",
        "q=code:23514",
        "q=key:A-1",
        "q=run:r-{run}",
        "q=price+key:A-1+run:{run}",
        "class=value",
        "code=23514",
        "source=application",
        "key=A-1",
        "run={run}",
        "run=r-{run}",
        "cause={cause}",
        "range=1h",
        "unit=record",
        "from=2026-03-02T11:00&to=2026-03-02T12:30",
    ],
)
def test_each_filter_of_the_address_finds_its_errors_and_no_others(
    page: Client, step: Step, noon: datetime, query: str
) -> None:
    run = make_run(step.flow)
    cause = make_cause(step, classification="value", code="23514", source="application")
    wanted = keyed_error(run, step, "A-1", message="Price is below zero", cause=cause)
    other_cause = make_cause(step, classification="parse", code="22007", source="mapping")
    other = keyed_error(
        make_run(step.flow),
        step,
        "B-2",
        message="Not a date",
        cause=other_cause,
        occurred_at=noon - timedelta(days=3),
        unit="page",
    )
    html = html_of(page, open_path(step, "?" + query.format(run=run.pk, cause=cause.pk)))
    assert shown(html, wanted, other) == [True, False]
    assert "1 that match" in text_of(html)


def test_filters_offer_what_the_steps_root_causes_have_with_their_open_counts(page: Client, step: Step) -> None:
    cause = make_cause(step, classification="value", code="23514")
    for key in ("A", "B"):
        keyed_error(make_run(step.flow), step, key, cause=cause)
    html = html_of(page, open_path(step))
    assert 'href="' + open_path(step, "?class=value") + '">Value (2 open)' in html
    assert ">23514 (2 open)<" in html


def test_filters_that_match_nothing_are_named_and_can_be_widened(page: Client, step: Step) -> None:
    keyed_error(make_run(step.flow), step, "A")
    text = text_of(html_of(page, open_path(step, "?q=nowhere&class=value&range=24h")))
    assert "No open error matches these filters" in text
    assert "search “nowhere”, class value, occurred last 24 hours" in text
    assert "1 error is open without filters." in text
    assert "Clear filters" in text


@pytest.mark.parametrize("query", ["?run=r-x", "?cause=c-", "?run=99999999999999999999", "?class=nonsense", "?q=%00"])
def test_a_filter_that_names_nothing_finds_nothing(page: Client, step: Step, query: str) -> None:
    error = keyed_error(make_run(step.flow), step, "A")
    assert shown(html_of(page, open_path(step, query)), error) == [False]


def test_errors_under_a_retry_are_not_open(page: Client, step: Step) -> None:
    run = make_run(step.flow)
    error = keyed_error(run, step, "A", retry_run=run)
    assert shown(html_of(page, open_path(step)), error) == [False]


def test_lists_are_paged_by_place_and_keep_their_filters(
    page: Client, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selectors, "PAGE_SIZE", 2)
    run, cause = make_run(step.flow), make_cause(step, code="X")
    errors = [keyed_error(run, step, f"A-{number}", cause=cause) for number in range(3)]
    first = page.get(open_path(step, "?code=X"))
    second = page.get(first.context["older_url"])
    assert shown(first.content.decode(), *errors) == [False, True, True]
    assert shown(second.content.decode(), *errors) == [True, False, False]
    assert "code=X" in first.context["older_url"]
    assert shown(html_of(page, second.context["newer_url"]), *errors) == [False, True, True]


def test_matches_are_counted_only_up_to_a_bound(page: Client, step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selectors, "MOST_COUNTED", 2)
    monkeypatch.setattr(selectors, "PAGE_SIZE", 1)
    run, cause = make_run(step.flow), make_cause(step, code="X")
    for number in range(4):
        keyed_error(run, step, f"A-{number}", cause=cause)
    assert "more than 2 that match" in text_of(html_of(page, open_path(step, "?code=X&unit=record")))


@pytest.mark.parametrize("query", ["?code=X", "?class=value&source=application", "?cause={cause}", "?q=code:X"])
def test_what_root_causes_tell_is_counted_in_full_by_their_kept_counts(
    page: Client, step: Step, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    monkeypatch.setattr(selectors, "MOST_COUNTED", 2)
    monkeypatch.setattr(selectors, "PAGE_SIZE", 1)
    run, cause = make_run(step.flow), make_cause(step, code="X", classification="value", source="application")
    for number in range(4):
        keyed_error(run, step, f"A-{number}", cause=cause)
    keyed_error(run, step, "B", cause=make_cause(step, code="Y"))
    asked = query.format(cause=cause.pk)
    assert "4 that match" in text_of(html_of(page, open_path(step, asked)))
    elsewhere = f"/errors/?view=list&flow={step.flow_id}&step={step.pk}&{asked[1:]}"
    assert "4 that match" in text_of(html_of(page, elsewhere))


def test_what_words_match_is_counted_no_further_than_the_page(
    page: Client, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selectors, "PAGE_SIZE", 2)
    for number in range(3):
        keyed_error(make_run(step.flow), step, f"A-{number}", message="Price is below zero")
    assert "more than 2 that match" in text_of(html_of(page, open_path(step, "?q=price")))
    assert "1 that match" in text_of(html_of(page, open_path(step, "?q=a-1")))


def test_an_older_page_keeps_where_the_list_began(page: Client, step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selectors, "PAGE_SIZE", 1)
    errors = [keyed_error(make_run(step.flow), step, key) for key in "ABC"]
    older: Any = page.get(open_path(step)).context["older_url"]
    keyed_error(make_run(step.flow), step, "D")  # came later: an act on all that match does not mean it
    assert f'name="upto" value="{errors[2].pk}"' in html_of(page, older)
    assert "top=" not in page.get(older).context["filters"][0].choices[0].href  # type: ignore[attr-defined]


def test_a_damaged_place_in_the_list_says_where_to_go(page: Client, step: Step) -> None:
    assert "To the start of the list" in html_of(page, open_path(step, "?page=zzz"))


def test_the_steps_before_and_after_are_one_click_away_with_their_counts(
    page: Client, orders: Flow, step: Step
) -> None:
    keyed_error(make_run(orders), step, "A")
    source = step_of(orders, "source")
    html = html_of(page, open_path(source))
    assert f'data-key="]" href="{open_path(step)}"' in html
    assert "Target 1" in text_of(html)


def test_errors_of_a_removed_step_stay_readable(page: Client, step: Step, noon: datetime) -> None:
    error = keyed_error(make_run(step.flow), step, "A")
    step.removed_at = noon
    step.save()
    html = html_of(page, open_path(step))
    assert shown(html, error) == [True]
    assert "Removed step" in html


def test_the_page_takes_fourteen_queries_whatever_the_number_of_errors(
    page: Client, step: Step, django_assert_max_num_queries: Any
) -> None:
    run = make_run(step.flow)
    for number in range(20):
        keyed_error(run, step, f"A-{number}")
    with django_assert_max_num_queries(10):
        html_of(page, open_path(step, "?unit=record"))


def test_a_live_list_gets_its_count_and_a_bar_for_new_errors(page: Client, step: Step, noon: datetime) -> None:
    keyed_error(make_run(step.flow), step, "A", occurred_at=noon - timedelta(minutes=1))
    address: Any = page.get(open_path(step)).context["live_url"]
    assert page.get(address).status_code == 204
    newer = keyed_error(make_run(step.flow), step, "B")
    html = page.get(address).content.decode()
    assert 'id="open-count" hx-swap-oob="true">2<' in html
    assert "There are new errors. Show them" in html
    assert shown(html, newer) == [False]


# --- resolved --------------------------------------------------------------------------------------------------------
def test_a_resolved_error_tells_why_and_what_did_it(page: Client, step: Step, account: Account, noon: datetime) -> None:
    run, later = make_run(step.flow), make_run(step.flow)
    mara = Member.objects.of(account).first()
    facts: dict[str, Any] = {"state": "resolved", "resolved_at": noon}
    by_hand = keyed_error(run, step, "A", reason="manual", resolved_by=mara, **facts)
    keyed_error(run, step, "B", reason="succeeded", resolved_run=later, **facts)
    keyed_error(run, step, "C", reason="superseded", resolved_error=by_hand, **facts)
    text = text_of(html_of(page, resolved_path(step)))
    assert f"Resolved by hand, {mara.user.username}" in text
    assert f"The record went through, r-{later.pk}" in text
    assert f"Superseded by a newer error, e-{by_hand.pk}" in text


def test_resolved_errors_are_in_the_order_in_which_they_were_resolved(page: Client, step: Step, noon: datetime) -> None:
    run = make_run(step.flow)
    facts: dict[str, Any] = {"state": "resolved", "reason": "succeeded"}
    late = keyed_error(run, step, "A", resolved_at=noon, **facts)
    early = keyed_error(run, step, "B", resolved_at=noon - timedelta(hours=1), **facts)
    html = html_of(page, resolved_path(step))
    assert html.index(f"/errors/{late.pk}/") < html.index(f"/errors/{early.pk}/")


def test_resolved_errors_can_be_narrowed_to_why(page: Client, step: Step, noon: datetime) -> None:
    run = make_run(step.flow)
    facts: dict[str, Any] = {"state": "resolved", "resolved_at": noon}
    errors = [keyed_error(run, step, reason, reason=reason, **facts) for reason in ("manual", "succeeded", "handled")]
    assert shown(html_of(page, resolved_path(step, "?reason=auto")), *errors) == [False, True, False]
    assert shown(html_of(page, resolved_path(step, "?reason=user")), *errors) == [True, False, False]
    assert shown(html_of(page, resolved_path(step, "?reason=handled")), *errors) == [False, False, True]


def test_a_step_without_resolved_errors_says_when_there_will_be_some(page: Client, step: Step) -> None:
    assert "An error moves here when its record goes through" in html_of(page, resolved_path(step))


# --- of a flow -------------------------------------------------------------------------------------------------------
def test_a_flow_with_errors_at_one_step_goes_straight_there(page: Client, orders: Flow, step: Step) -> None:
    keyed_error(make_run(orders), step, "A")
    assert page.get(f"/flows/{orders.pk}/errors/").headers["Location"] == open_path(step)


def test_a_flow_with_errors_at_two_steps_lists_all_under_chips(page: Client, orders: Flow, step: Step) -> None:
    source = step_of(orders, "source")
    errors = [keyed_error(make_run(orders), at, "A") for at in (source, step)]
    html = html_of(page, f"/flows/{orders.pk}/errors/")
    assert shown(html, *errors) == [True, True]
    assert f'<a class="chip" href="{open_path(source)}">' in html


# --- of the account --------------------------------------------------------------------------------------------------
def test_the_account_list_has_the_errors_of_all_flows_within_reach(page: Client, account: Account, step: Step) -> None:
    here = keyed_error(make_run(step.flow), step, "A")
    there = make_error(step=step_of(make_flow(account)))
    sandbox = make_flow(account)
    sandbox.integration.environment = "sandbox"
    sandbox.integration.save()
    elsewhere = [make_error(step=step_of(sandbox)), make_error(step=step_of(make_flow(make_account())))]
    html = html_of(page, "/errors/?view=list")
    assert shown(html, here, there, *elsewhere) == [True, True, False, False]
    assert "2 open in 2 flows" in text_of(html)


@pytest.mark.parametrize(
    "query", ["integration=shop", "flow={flow}", "flow=f-{flow}", "step={step}", "flow={flow}&q=A"]
)
def test_the_account_list_can_be_narrowed_to_a_place(page: Client, account: Account, step: Step, query: str) -> None:
    here = keyed_error(make_run(step.flow), step, "A")
    there = make_error(step=step_of(make_flow(account)))
    html = html_of(page, "/errors/?" + query.format(flow=step.flow_id, step=step.pk))
    assert shown(html, here, there) == [True, False]


@pytest.mark.parametrize(
    ("query", "expected"),
    [("", [True, False]), ("state=resolved", [False, True]), ("state=all", [True, True]), ("state=x", [True, False])],
)
def test_the_state_is_a_filter_of_the_account_list(
    page: Client, step: Step, noon: datetime, query: str, expected: list[bool]
) -> None:
    run = make_run(step.flow)
    open_error = keyed_error(run, step, "A")
    resolved = keyed_error(run, step, "B", state="resolved", reason="succeeded", resolved_at=noon)
    assert shown(html_of(page, f"/errors/?view=list&{query}"), open_error, resolved) == expected


def test_the_count_of_a_run_leads_to_all_its_errors_open_or_not(page: Client, step: Step, noon: datetime) -> None:
    run = make_run(step.flow)
    mine = [
        keyed_error(run, step, "A"),
        keyed_error(run, step, "B", state="resolved", reason="succeeded", resolved_at=noon),
    ]
    other = keyed_error(make_run(step.flow), step, "C")
    html = html_of(page, f"/errors/?run={run.pk}&state=all&step={step.pk}&unit=record")
    assert shown(html, *mine, other) == [True, True, False]


@pytest.mark.parametrize("query", ["flow=f-x", "flow=999999999999", "integration=none", "step=x"])
def test_a_place_that_is_not_there_has_no_errors(page: Client, step: Step, query: str) -> None:
    error = keyed_error(make_run(step.flow), step, "A")
    html = html_of(page, f"/errors/?{query}")
    assert shown(html, error) == [False]
    assert "Clear filters" in html


def test_a_step_without_open_errors_can_still_be_seen_and_taken_away_as_a_filter(page: Client, step: Step) -> None:
    html = html_of(page, f"/errors/?step={step.pk}&state=all")
    assert "Step: this one" in text_of(html)
    assert 'href="/errors/?state=all&amp;view=list">any</a>' in html


def test_a_member_of_one_integration_sees_only_its_errors(account: Account, step: Step) -> None:
    member = make_member(account, role=Role.MONITOR)
    Member.unscoped.filter(pk=member.pk).update(role="")
    MemberRole.unscoped.create(account=account, member=member, integration=step.flow.integration, role=Role.MONITOR)
    here = keyed_error(make_run(step.flow), step, "A")
    there = make_error(step=step_of(make_flow(account)))
    client = signed_in(member.user)
    assert shown(html_of(client, "/errors/?view=list"), here, there) == [True, False]
    html_of(client, f"/flows/{there.flow_id}/steps/{there.step_id}/errors/{there.pk}/", status=404)


def test_an_account_without_errors_says_so(page: Client) -> None:
    assert "Every record that failed has been put right, or none has failed yet." in html_of(page, "/errors/?view=list")


def test_the_account_list_takes_fourteen_queries_whatever_the_number_of_errors(
    page: Client, account: Account, django_assert_max_num_queries: Any
) -> None:
    for flow in [make_flow(account) for _ in range(3)]:
        for number in range(5):
            keyed_error(make_run(flow), step_of(flow), f"A-{number}")
    with django_assert_max_num_queries(10):
        html_of(page, "/errors/?state=all")


def test_the_people_of_a_list_are_named_by_one_query_however_many_they_are(
    page: Client, account: Account, step: Step, django_assert_max_num_queries: Any
) -> None:
    run, names = make_run(step.flow), ("Ada Holder", "Ben Keeper", "Cleo Former")
    people = [
        make_member(account, user=make_user(first_name=name.split()[0], last_name=name.split()[1])) for name in names
    ]
    for member in people:
        keyed_error(run, step, f"A-{member.pk}", assignee=member)
    Member.objects.of(account).filter(pk=people[2].pk).update(disabled_at=run.created_at)
    with django_assert_max_num_queries(11):
        html = html_of(page, "/errors/?view=list")
    assert all(name in html for name in names)


def test_what_comes_from_outside_is_never_markup(page: Client, step: Step, noon: datetime) -> None:
    cause = make_cause(step, code=SCRIPT, source=SCRIPT[:32])
    run = make_run(step.flow)
    keyed_error(run, step, SCRIPT, message=SCRIPT, cause=cause)
    author = make_member(step.flow.account, user=make_user("x", first_name=SCRIPT))
    resolved: dict[str, Any] = {"state": "resolved", "reason": "manual", "resolved_at": noon, "resolved_by": author}
    keyed_error(run, step, "B", message=SCRIPT, cause=cause, **resolved)
    for path in (
        open_path(step),
        resolved_path(step),
        "/errors/?view=list",
        f"/errors/?q={SCRIPT}&key={SCRIPT}&code={SCRIPT}",
    ):
        html = html_of(page, path)
        assert "<script>alert" not in html
        assert "&lt;script&gt;alert(1)" in html


@pytest.mark.parametrize("tail", ["open/", "resolved/", "{error}/", "{error}/data/", "{error}/history/"])
def test_errors_of_another_account_are_not_there(page: Client, tail: str) -> None:
    foreign = make_error(step=step_of(make_flow(make_account())))
    path = f"/flows/{foreign.flow_id}/steps/{foreign.step_id}/errors/" + tail.format(error=foreign.pk)
    html_of(page, path, status=404)
