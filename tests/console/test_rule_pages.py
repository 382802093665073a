"""The pages of rules: made in a form, tried on the past, switched, and what they met."""

from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import Account, AuditEntry, Member, Role
from apps.core.clock import wall_now
from apps.errors.models import Error, Rule, RuleHit, Tag
from apps.errors.rules.definition import Acts, Conditions, Definition
from apps.errors.rules.looking import look_by_rule
from apps.errors.services.rules import save_rule, switch_rule
from apps.flows.models import Step
from apps.notifications.channels import add_channel
from tests.console.screens import html_of, keyed_error, signed_in, text_of
from tests.factories import make_account, make_member, make_retry_data, make_run

PAGE = "/settings/rules/"
FORM = {"name": "Known", "source": "application", "settle": "resolve", "acts_per_hour": "50", "most_retries": "3"}


@pytest.fixture
def rule(member: Member) -> Rule:
    definition = Definition(Conditions(source="application"), Acts(resolve=True))
    return save_rule(member=member, name="Known", definition=definition)


def failed(step: Step, key: str) -> Error:
    error = keyed_error(make_run(step.flow), step, key, message=f"No such airport {key}")
    make_retry_data(error)
    return error


def post(page: Client, path: str, **given: Any) -> str:
    return text_of(page.post(path, given, follow=True).content.decode())


def test_without_a_rule_the_page_says_what_one_does(page: Client) -> None:
    assert "There is no rule in production" in text_of(html_of(page, PAGE))
    assert f'href="{PAGE}new/"' in html_of(page, PAGE)


def test_a_rule_is_made_tried_and_switched_on(page: Client, step: Step, account: Account) -> None:
    error = failed(step, "A-1")
    answer = page.post(f"{PAGE}new/", FORM)
    rule = Rule.unscoped.get()
    assert answer["Location"] == f"{PAGE}{rule.pk}/?days=7"
    text = text_of(html_of(page, answer["Location"]))
    assert "When source application Then resolve" in text
    assert "It would have met 1 error of 1 root cause in 1 flow in the last 7 days. 1 of them is open now." in text
    assert f"/errors/{error.pk}/" in html_of(page, f"{PAGE}{rule.pk}/?days=30")
    assert "Rule Known is on." in post(page, f"{PAGE}{rule.pk}/switch", mode="on", open="1")
    look_by_rule(account.pk, rule.pk)
    shown = text_of(html_of(page, f"{PAGE}{rule.pk}/"))
    assert "Acted No such airport A-1 Resolved" in shown
    assert "50 errors per hour; 1 in the last hour" in shown
    html = html_of(page, PAGE)
    assert "Known On source application resolve 1 1" in text_of(html)
    for query, count in (("did=acted&amp;range=7d", 1), ("range=7d", 1), ("did=shadow", 0)):
        assert query == "did=shadow" or f'{PAGE}{rule.pk}/?{query}#hits"' in html
        assert len(page.get(f"{PAGE}{rule.pk}/?{query.replace('&amp;', '&')}").context["hits"]) == count


def test_the_form_says_what_is_wrong_and_keeps_what_was_typed(page: Client, step: Step) -> None:
    answer = page.post(f"{PAGE}new/", {**FORM, "source": ""})
    assert answer.status_code == 422
    assert "Say at least one thing that the rule looks for" in text_of(answer.content.decode())
    answer = page.post(f"{PAGE}new/", {**FORM, "changes": "airport KJFK"})
    text = text_of(answer.content.decode())
    assert "“airport KJFK” is no field with a value" in text
    assert "airport KJFK</textarea>" in answer.content.decode()
    for name, value in (
        ("acts_per_hour", "0"),
        ("most_retries", "x"),
        ("flow", "999999"),
        ("older_than_minutes", "-1"),
    ):
        assert page.post(f"{PAGE}new/", {**FORM, name: value}).status_code == 422
    assert not Rule.unscoped.exists()


def test_every_field_of_the_form_comes_back(page: Client, account: Account, member: Member, step: Step) -> None:
    tag = Tag.unscoped.create(account=account, name="known")
    ops, _ = add_channel(account=account, by=member, name="ops", kind="slack", address="http://127.0.0.1:9/hook")
    failed(step, "A")
    given = {
        "name": "All", "integration": step.flow.integration_id, "flow": step.flow_id, "classification": "value",
        "source": "lookup", "code": "404", "text": "airport", "field": "place.iata", "way": "holds", "value": "BA",
        "older_than_minutes": 5, "at_least": 3, "tags": [tag.pk], "assignee": member.pk, "settle": "retry",
        "changes": 'airport = KJFK\ncount = 5\ncode = "5"', "snooze_hours": 2, "disable_flow": "on",
        "acts_per_hour": 7, "most_retries": 2, "notify_members": [member.pk], "notify_channels": [ops.pk],
    }  # fmt: skip
    page.post(f"{PAGE}new/", given)
    rule = Rule.unscoped.get()
    assert rule.revision is not None
    changes = rule.revision.definition["acts"]["changes"]
    assert [change["value"] for change in changes] == ["KJFK", 5, "5"]
    form = page.get(f"{PAGE}{rule.pk}/edit/").context["form"]
    again = {name: value for name, value in form.initial.items() if value not in (None, False, [])}
    page.post(f"{PAGE}{rule.pk}/edit/", again | {"disable_flow": "on"})
    rule.refresh_from_db()
    assert rule.revision.number == 1, "nothing changed, so there is no other revision"
    text = text_of(html_of(page, f"{PAGE}{rule.pk}/"))
    assert "flow Orders, class Value, source lookup, code 404, text “airport”, place.iata holds BA" in text
    assert "set airport to KJFK, set count to 5, set code to &quot;5&quot;, retry" in text
    assert f"disable the flow, notify {member}, ops" in text


def test_the_back_test_says_how_often_a_rule_would_have_notified(page: Client, member: Member, step: Step) -> None:
    failed(step, "A")
    acts = Acts(notify_members=(member.pk,))
    rule = save_rule(member=member, name="Watch", definition=Definition(Conditions(source="application"), acts))
    text = text_of(html_of(page, f"{PAGE}{rule.pk}/?days=7"))
    assert "It would have notified about 1 time, each time 1 member or channel." in text


def test_a_rule_is_changed_and_removed(page: Client, rule: Rule) -> None:
    assert "Rule Renamed is saved." in post(page, f"{PAGE}{rule.pk}/edit/", **{**FORM, "name": "Renamed", "code": "7"})
    assert "Revision 2" in text_of(html_of(page, f"{PAGE}{rule.pk}/"))
    assert "Rule Renamed is removed." in post(page, f"{PAGE}{rule.pk}/remove")
    assert page.get(f"{PAGE}{rule.pk}/").status_code == 404
    entry = AuditEntry.unscoped.latest("pk")
    assert (entry.act, entry.object_id) == ("rule.remove", rule.pk)


def test_the_audit_log_names_the_rule_and_its_revision(
    account: Account, member: Member, rule: Rule, step: Step
) -> None:
    switch_rule(rule=rule, member=member, mode="on")
    failed(step, "A-1")
    look_by_rule(account.pk, rule.pk)
    client = signed_in(make_member(account, role=Role.ADMINISTRATOR).user)
    html = html_of(client, "/settings/audit/?who=rule")
    assert "Known@1" in text_of(html)
    assert f'href="{PAGE}{rule.pk}/' in html


def test_rules_are_made_by_managers_and_seen_by_everyone_in_the_account(account: Account, rule: Rule) -> None:
    monitor = signed_in(make_member(account, role=Role.MONITOR).user)
    assert "It takes the role manager" in html_of(monitor, PAGE)
    assert monitor.get(f"{PAGE}{rule.pk}/").status_code == 200
    assert monitor.get(f"{PAGE}new/").status_code == 403
    assert monitor.get(f"{PAGE}{rule.pk}/edit/").status_code == 403
    for act in ("switch", "remove"):
        assert monitor.post(f"{PAGE}{rule.pk}/{act}", {"mode": "on"}).status_code == 403


def test_rules_of_others_are_not_there(page: Client, rule: Rule, member: Member) -> None:
    stranger = signed_in(make_member(make_account()).user)
    for path in ("", "edit/"):
        assert stranger.get(f"{PAGE}{rule.pk}/{path}").status_code == 404
    for act in ("switch", "remove"):
        assert stranger.post(f"{PAGE}{rule.pk}/{act}", {"mode": "on"}).status_code == 404
    assert page.get(f"{PAGE}99999999999999999999/").status_code == 404
    outsider = make_member(member.account)
    Member.unscoped.filter(pk=outsider.pk).update(role="")
    assert signed_in(outsider.user).get(PAGE).status_code == 403


def test_the_pages_take_few_queries_whatever_they_show(
    page: Client, account: Account, member: Member, rule: Rule, step: Step, django_assert_max_num_queries: Any
) -> None:
    for number in range(12):
        error = failed(step, f"K-{number}")
        RuleHit.unscoped.create(
            account=account, rule=rule, revision=rule.revision, error=error, record=number, state="acted", at=wall_now()
        )
    for number in range(5):
        save_rule(member=member, name=f"R{number}", definition=Definition(Conditions(code="1"), Acts(retry=True)))
    with django_assert_max_num_queries(11):
        html_of(page, PAGE)
    with django_assert_max_num_queries(17):
        html_of(page, f"{PAGE}{rule.pk}/?days=7")
