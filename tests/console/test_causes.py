"""The pages of root causes: the list, one cause, what members do to it, bulk edit, and notes on errors."""

from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest
from django.test import Client

from apps.accounts.models import Account, Member, MemberRole, Role
from apps.core import clock
from apps.errors.models import BulkAct, Cause, CauseBucket, Comment, Error, ErrorTag, RetryData, Tag
from apps.flows.models import Step
from tests.console.screens import html_of, keyed_error, signed_in, text_of
from tests.factories import make_cause, make_error, make_flow, make_member, make_retry_data, make_run, step_of

CAUSES = "/errors/?view=causes"


def failing(step: Step, count: int = 3, record: dict[str, Any] | None = None, **fields: Any) -> Cause:
    """A cause with so many open errors, each with retry data."""
    cause = make_cause(step, **{"pattern": "No airport … in table …", **fields})
    run = make_run(step.flow)
    for number in range(count):
        error = keyed_error(run, step, f"{cause.pk}-{number}", message="No airport BAD in table airport", cause=cause)
        make_retry_data(error, orjson.dumps({"id": number, **(record or {"airport": "BAD"})}))
    cause.refresh_from_db()
    return cause


def post(page: Client, path: str, **given: Any) -> str:
    """The text of the page after an act."""
    return text_of(page.post(path, given, follow=True).content.decode())


# --- the list --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", ["/errors/", CAUSES])
def test_errors_begin_with_their_root_causes(page: Client, step: Step, path: str) -> None:
    cause = failing(step, classification="missing")
    html = html_of(page, path)
    text = text_of(html)
    assert "Errors by root cause" in text
    assert "No airport … a part that varies in table … a part that varies" in text
    assert f'href="/errors/?view=list&amp;cause={cause.pk}" aria-label="3 open errors">3</a>' in html
    assert "Target Orders" in text
    assert "Retry 3" in text


def test_a_line_leads_to_the_data_of_its_open_errors_only(page: Client, step: Step) -> None:
    cause = failing(step)
    newest = Error.unscoped.filter(cause=cause).latest("pk").pk
    asked = f"all=1&amp;upto={newest}&amp;query=cause%3D{cause.pk}%26state%3Dopen"
    assert f'<a href="/errors/edit?{asked}">' in html_of(page, CAUSES)


@pytest.mark.parametrize("query", ["view=list", "state=all", "q=x", "integration=shop", "run=1", "class=value"])
def test_addresses_that_ask_for_something_of_the_list_show_the_list(page: Client, step: Step, query: str) -> None:
    assert "<h1>Errors</h1>" in html_of(page, f"/errors/?{query}")


def test_the_line_says_what_most_of_its_records_share(page: Client, step: Step) -> None:
    failing(step, 4, {"airport": None, "size": 1})
    failing(step, 4, {"airport": "KDEN", "size": 1}, pattern="Too large")
    assert "airport = None in all 4" in text_of(html_of(page, CAUSES))


def test_the_most_open_errors_come_first_and_pages_follow_by_cursor(page: Client, step: Step, monkeypatch: Any) -> None:
    monkeypatch.setattr("apps.console.selectors.causes.PAGE_SIZE", 1)
    few, many = failing(step, 1), failing(step, 2)
    first = html_of(page, CAUSES)
    assert [f"/causes/{many.pk}/" in first, f"/causes/{few.pk}/" in first] == [True, False]
    address = first.split('rel="next"')[0].rsplit('href="', 1)[1].split('"')[0].replace("&amp;", "&")
    assert f"/causes/{few.pk}/" in html_of(page, address)
    assert "is damaged" in html_of(page, CAUSES + "&page=zz")


def test_tabs_hold_open_auto_retrying_snoozed_and_resolved_causes(page: Client, step: Step) -> None:
    opened = failing(step, 1)
    retrying = failing(step, 1)
    Error.unscoped.filter(cause=retrying).update(next_attempt_at=clock.wall_now() + timedelta(minutes=1))
    asleep = failing(step, 1, state="snoozed", snoozed_until=clock.wall_now() + timedelta(hours=1))
    overslept = failing(step, 1, state="snoozed", snoozed_until=clock.wall_now() - timedelta(hours=1))
    resolved = make_cause(step)
    expected = {
        "open": [opened, retrying, overslept], "retrying": [retrying], "snoozed": [asleep], "resolved": [resolved],
    }  # fmt: skip
    for tab, causes in expected.items():
        html = html_of(page, f"{CAUSES}&tab={tab}")
        shown = [c for c in (opened, retrying, asleep, overslept, resolved) if f"/causes/{c.pk}/" in html]
        assert shown == causes, tab
    assert "Open 3 Auto-retrying 1 Snoozed 1 Resolved, last 30 days 1" in text_of(html_of(page, CAUSES))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("q=airport+table", [True, False]),
        ("q=23514", [False, True]),
        ("class=value", [False, True]),
        ("integration=shop", [True, True]),
        ("integration=else", [False, False]),
        ("assignee=me", [True, False]),
        ("assignee=nobody", [False, True]),
        ("class=nonsense&tab=nonsense", [True, True]),
    ],
)
def test_filters_narrow_the_list(page: Client, step: Step, member: Member, query: str, expected: list[bool]) -> None:
    one = failing(step, 1, assignee=member)
    other = failing(step, 1, pattern="Too large", code="23514", classification="value")
    html = html_of(page, f"{CAUSES}&{query}")
    assert [f"/causes/{cause.pk}/" in html for cause in (one, other)] == expected


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"state": "new"}, "New today"),
        ({"state": "new", "first_seen_at": clock.wall_now() - timedelta(days=2)}, "Ongoing"),
        ({"state": "regressed"}, "Came back"),
    ],
)
def test_the_state_is_told_in_words(page: Client, step: Step, fields: dict[str, Any], words: str) -> None:
    failing(step, 1, **fields)
    assert words in text_of(html_of(page, CAUSES))


def test_a_cause_of_an_integration_out_of_reach_is_not_there(account: Account, step: Step) -> None:
    member = make_member(account)
    Member.unscoped.filter(pk=member.pk).update(role="")
    here, there = failing(step, 1), failing(step_of(make_flow(account)), 1)
    MemberRole.unscoped.create(account=account, member=member, integration=step.flow.integration, role=Role.MONITOR)
    client = signed_in(member.user)
    html = html_of(client, CAUSES)
    assert [f"/causes/{cause.pk}/" in html for cause in (here, there)] == [True, False]
    html_of(client, f"/errors/causes/{there.pk}/", status=404)


def test_an_empty_list_says_why(page: Client, step: Step) -> None:
    assert "Every record that failed has been put right, or none has failed yet." in html_of(page, CAUSES)
    assert "No root cause matches these filters" in html_of(page, CAUSES + "&q=nothing")
    for tab, words in (("snoozed", "Nothing is snoozed"), ("retrying", "Nothing waits"), ("resolved", "was resolved")):
        assert words in html_of(page, f"{CAUSES}&tab={tab}")


def test_the_list_takes_ten_queries_whatever_there_is(
    page: Client, step: Step, django_assert_max_num_queries: Any
) -> None:
    heads = [failing(step, 2) for _ in range(6)]
    Cause.unscoped.filter(pk=heads[0].pk).update(merged_into=heads[1])
    html_of(page, CAUSES)
    with django_assert_max_num_queries(10):
        html_of(page, CAUSES)


# --- one cause -------------------------------------------------------------------------------------------------------
def test_a_cause_is_told_in_full(page: Client, step: Step, noon: datetime) -> None:
    cause = failing(step, 5, classification="missing", source="application", code="404")
    slot = int(noon.timestamp()) // 1800
    CauseBucket.unscoped.create(account_id=cause.account_id, cause=cause, slot=slot, errors=5)
    text = text_of(html_of(page, f"/errors/causes/{cause.pk}/"))
    assert "airport = BAD in all 5 failed records" in text
    assert "Open 5 of 5 in all" in text
    assert "Class Missing (set by rule)" in text
    assert "Source, code application, 404" in text
    assert "Orders : Target" in text
    assert f"{cause.pk}-4" in text, "its newest errors"
    assert "Retry 5" in text
    html_of(page, f"/errors/causes/c-{cause.pk}/")
    html_of(page, "/errors/causes/999999/", status=404)


def test_a_merged_cause_is_shown_where_its_group_is(page: Client, step: Step) -> None:
    head, member = failing(step, 2), failing(step, 3, pattern="Airport unknown")
    post(page, f"/errors/causes/{head.pk}/merge", cause=[member.pk])
    assert page.get(f"/errors/causes/{member.pk}/")["Location"] == f"/errors/causes/{head.pk}/"
    html = html_of(page, CAUSES)
    assert f"/causes/{head.pk}/" in html
    assert f"/causes/{member.pk}/" not in html
    assert "merged from 2" in html
    assert "Open 5 of 5 in all" in text_of(html_of(page, f"/errors/causes/{head.pk}/"))
    for error in Error.unscoped.all():
        assert f"/errors/{error.pk}/" in html_of(page, f"/errors/?view=list&cause={head.pk}")
    post(page, f"/errors/causes/{member.pk}/unmerge")
    assert f"/causes/{member.pk}/" in html_of(page, CAUSES)


def test_a_class_is_corrected_and_says_who_did(page: Client, step: Step, member: Member) -> None:
    cause = failing(step)
    text = post(page, f"/errors/causes/{cause.pk}/classify", **{"class": "value"})
    assert "The class is Value now" in text
    assert f"Class Value (set by {member.user.get_full_name() or member.user.get_username()})" in text
    assert "There is no class" in post(page, f"/errors/causes/{cause.pk}/classify", **{"class": "odd"})


def test_a_cause_is_snoozed_and_woken(page: Client, step: Step) -> None:
    cause = failing(step)
    assert "Snoozed" in post(page, f"/errors/causes/{cause.pk}/snooze", **{"for": "1d"})
    assert "until 10 more errors" in post(page, f"/errors/causes/{cause.pk}/snooze", **{"for": "n10"})
    assert "until when" in post(page, f"/errors/causes/{cause.pk}/snooze", **{"for": "odd"})
    assert "among the open root causes again" in post(page, f"/errors/causes/{cause.pk}/wake")
    assert Cause.unscoped.get(pk=cause.pk).state == "ongoing"


def test_a_cause_is_assigned_and_commented(page: Client, step: Step, member: Member) -> None:
    cause = failing(step)
    assert "Assigned to" in post(page, f"/errors/causes/{cause.pk}/assign", assignee=member.pk)
    assert "no such member" in post(page, f"/errors/causes/{cause.pk}/assign", assignee="999999")
    assert "Assigned to nobody" in post(page, f"/errors/causes/{cause.pk}/assign", assignee="")
    assert "They mend it <b>tonight</b>" in html_unescaped(
        post(page, f"/errors/causes/{cause.pk}/comment", text="They mend it <b>tonight</b>")
    )
    assert "1 to 10,000" in post(page, f"/errors/causes/{cause.pk}/comment", text=" ")
    assert Comment.unscoped.get().cause_id == cause.pk


def html_unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">")


def test_others_are_found_and_merged(page: Client, step: Step) -> None:
    cause, other = failing(step), failing(step, pattern="Airport unknown")
    html = html_of(page, f"/errors/causes/{cause.pk}/merge/")
    assert f'value="{other.pk}"' in html
    assert f'value="{cause.pk}"' not in html
    assert "There is no other root cause with these words" in html_of(page, f"/errors/causes/{cause.pk}/merge/?q=zzz")
    assert "Tick the root causes" in post(page, f"/errors/causes/{cause.pk}/merge")
    assert "2 root causes are shown as one" in post(page, f"/errors/causes/{cause.pk}/merge", cause=[other.pk])
    assert "one already" in post(page, f"/errors/causes/{cause.pk}/merge", cause=[other.pk])


def test_all_errors_of_a_cause_are_resolved_from_its_page(page: Client, step: Step) -> None:
    cause = failing(step, 3)
    failing(step, 1, pattern="Another")
    newest = Error.unscoped.filter(cause=cause).latest("pk").pk
    given = {"all": "1", "query": f"cause={cause.pk}&state=open", "upto": newest}
    assert f'value="{newest}"' in html_of(page, f"/errors/causes/{cause.pk}/")
    assert "3 errors resolved" in post(page, "/errors/resolve", **given, next=f"/errors/causes/{cause.pk}/")
    assert "Resolved" in text_of(html_of(page, f"/errors/causes/{cause.pk}/"))
    assert Error.unscoped.filter(state="open").count() == 1


def test_the_page_takes_fifteen_queries(page: Client, step: Step, django_assert_max_num_queries: Any) -> None:
    cause, other = failing(step, 5), failing(step, 5)
    Cause.unscoped.filter(pk=other.pk).update(merged_into=cause)
    html_of(page, f"/errors/causes/{cause.pk}/")
    with django_assert_max_num_queries(15):
        html_of(page, f"/errors/causes/{cause.pk}/")


def test_acts_need_a_post_and_a_role(account: Account, step: Step) -> None:
    cause = failing(step)
    member = make_member(account, role=Role.MONITOR)
    client = signed_in(member.user)
    assert client.get(f"/errors/causes/{cause.pk}/classify").status_code == 405
    assert "The class is Value" in post(client, f"/errors/causes/{cause.pk}/classify", **{"class": "value"})
    Member.unscoped.filter(pk=member.pk).update(role="")
    assert client.post(f"/errors/causes/{cause.pk}/classify", {"class": "none"}).status_code == 404


# --- bulk edit -------------------------------------------------------------------------------------------------------
def selection(cause: Cause) -> dict[str, Any]:
    newest = Error.unscoped.filter(cause=cause).latest("pk").pk
    return {"all": "1", "query": f"cause={cause.pk}&state=open", "upto": newest}


def test_a_change_is_seen_before_it_is_made(page: Client, step: Step) -> None:
    cause = failing(step, 3)
    change = {"kind": "expression", "field": "airport", "expression": "lower(record.airport)"}
    text = post(page, "/errors/edit", **selection(cause), **change, step="preview")
    assert "3 changed, 0 unchanged, 0 that cannot take it" in text
    assert 'airport "BAD" "bad"' in html_quoted(text)
    assert BulkAct.unscoped.count() == 0

    post(page, "/errors/edit", **selection(cause), **change, step="change")
    assert {orjson.loads(bytes(d.record))["airport"] for d in RetryData.unscoped.all()} == {"bad"}
    assert BulkAct.unscoped.get().act == "edit"


def html_quoted(text: str) -> str:
    return text.replace("&quot;", '"')


def test_the_form_keeps_what_was_typed_and_says_what_is_wrong(page: Client, step: Step) -> None:
    cause = failing(step, 1)
    change = {"kind": "expression", "field": "airport", "expression": "record.("}
    text = post(page, "/errors/edit", **selection(cause), **change, step="preview")
    assert "The expression cannot be used" in text
    assert "Nothing was changed." in text
    assert "is no field" in post(page, "/errors/edit", **selection(cause), kind="set", field="", step="change")


def test_a_link_from_the_cause_names_its_errors_and_the_field(page: Client, step: Step) -> None:
    cause = failing(step, 3)
    html = html_of(page, f"/errors/causes/{cause.pk}/")
    address = html.split('">Change it in all</a>')[0].rsplit('href="', 1)[1].replace("&amp;", "&")
    form = html_of(page, address)
    assert "One change in the retry data of 3 errors" in text_of(form)
    assert 'name="field" value="airport"' in form


@pytest.mark.parametrize(
    ("value", "expected"), [("12", 12), ('"12"', "12"), ("null", None), ("KDEN", "KDEN"), ("", "")]
)
def test_a_value_is_json_or_else_text(page: Client, step: Step, value: str, expected: Any) -> None:
    cause = failing(step, 1)
    post(page, "/errors/edit", **selection(cause), kind="set", field="airport", value=value, step="change")
    assert orjson.loads(bytes(RetryData.unscoped.get().record))["airport"] == expected


def test_only_those_with_a_value_are_changed(page: Client, step: Step) -> None:
    cause = failing(step, 2)
    RetryData.unscoped.filter(pk=Error.unscoped.latest("pk").pk).update(record=b'{"airport":null}')
    given = {"kind": "set", "field": "airport", "value": "KDEN", "only": "null"}
    text = post(page, "/errors/edit", **selection(cause), **given, step="preview")
    assert "1 changed, 1 unchanged" in text


def test_a_monitor_without_the_permission_may_not_edit(account: Account, step: Step) -> None:
    cause = failing(step, 1)
    client = signed_in(make_member(account, role=Role.MONITOR).user)
    assert client.post("/errors/edit", selection(cause)).status_code == 403


# --- notes -----------------------------------------------------------------------------------------------------------
def notes(error: Error) -> str:
    return f"/flows/{error.flow_id}/steps/{error.step_id}/errors/{error.pk}/notes/"


def test_an_error_is_tagged_assigned_and_commented_in_its_drawer(page: Client, step: Step, member: Member) -> None:
    failing(step, 1)
    error = Error.unscoped.get()
    here = {"error": error.pk, "next": notes(error)}
    assert "1 error tagged urgent" in post(page, "/errors/tag", **here, new="urgent")
    assert "1 error assigned to" in post(page, "/errors/assign", **here, assignee=member.pk)
    text = post(page, "/errors/comment", **here, text="Asked the airport.")
    assert "urgent" in text
    assert "Asked the airport." in text
    tag = Tag.unscoped.get()
    assert "without the tag urgent" in post(page, "/errors/tag", **here, remove=tag.pk)
    assert ErrorTag.unscoped.count() == 0
    assert "Choose a tag" in post(page, "/errors/tag", **here)


def test_a_monitor_applies_tags_but_does_not_define_them(account: Account, step: Step) -> None:
    failing(step, 1)
    error = Error.unscoped.get()
    client = signed_in(make_member(account, role=Role.MONITOR).user)
    assert "defined by managers" in post(client, "/errors/tag", error=error.pk, new="mine")
    assert 'name="new"' not in html_of(client, notes(error))


def test_many_are_tagged_at_once(page: Client, account: Account, step: Step) -> None:
    failing(step, 3)
    tag = Tag.unscoped.create(account=account, name="later")
    ids = list(Error.unscoped.values_list("pk", flat=True))
    assert "3 errors tagged later" in post(page, "/errors/tag", error=ids, add=tag.pk)
    assert make_error(step=step).has_notes is False
