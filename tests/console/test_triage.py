"""Tags and assignees on the lists of errors, root causes and retries: as filters, and given to many at once."""

from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import Account, Member, MemberRole, Role
from apps.errors.models import BulkAct, Cause, Error, ErrorTag, RetryItem, Tag
from apps.errors.services import perform_act
from apps.flows.models import Step
from tests.console.screens import html_of, keyed_error, signed_in, text_of
from tests.factories import make_account, make_cause, make_flow, make_member, make_run, make_user

CAUSES = "/errors/?view=causes"


@pytest.fixture
def member(account: Account) -> Member:
    return make_member(account, user=make_user("mara", first_name="Mara"))


@pytest.fixture
def ana(account: Account) -> Member:
    return make_member(account, user=make_user("ana", first_name="Ana"), role=Role.MONITOR)


@pytest.fixture
def urgent(account: Account) -> Tag:
    tag: Tag = Tag.unscoped.create(account=account, name="urgent")
    return tag


def put_on(tag: Tag, *errors: Error) -> None:
    for error in errors:
        ErrorTag.unscoped.create(account_id=error.account_id, error=error, tag=tag)
        Error.unscoped.filter(pk=error.pk).update(has_notes=True)


def step_url(step: Step, tab: str = "open") -> str:
    return f"/flows/{step.flow_id}/steps/{step.pk}/errors/{tab}/"


def form_of(page: Client, path: str) -> dict[str, str]:
    """The hidden fields of the bulk form on a list, for all that match."""
    chosen = page.get(path).context["selection"]
    return {"all": "1", "query": chosen.query, "upto": chosen.upto, "next": path}


def post(page: Client, path: str, **given: Any) -> str:
    return text_of(page.post(path, given, follow=True).content.decode())


@pytest.fixture
def three(step: Step, member: Member, ana: Member, urgent: Tag) -> dict[str, Error]:
    """`mine` is Mara's and urgent, `hers` is Ana's, `free` is nobody's."""
    run = make_run(step.flow)
    mine = keyed_error(run, step, "mine", assignee=member)
    put_on(urgent, mine)
    return {"mine": mine, "hers": keyed_error(run, step, "hers", assignee=ana), "free": keyed_error(run, step, "free")}


def seen(html: str, errors: dict[str, Error]) -> set[str]:
    return {name for name, error in errors.items() if f"/errors/{error.pk}/" in html}


FILTERS = [
    ("assignee=me", {"mine"}),
    ("assignee=nobody", {"free"}),
    ("assignee={ana}", {"hers"}),
    ("tag={tag}", {"mine"}),
    ("tag={tag}&assignee={ana}", set()),
    ("assignee=me&class=none", {"mine"}),
    ("tag=999999", set()),
    ("tag=x", set()),
    ("assignee=x", set()),
    ("assignee=99999999999999999999", set()),
]


# --- filters ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("query", "expected"), FILTERS)
@pytest.mark.parametrize("tab", ["open", "resolved"])
def test_the_lists_of_a_step_are_narrowed_to_tag_and_assignee(
    page: Client,
    step: Step,
    three: dict[str, Error],
    ana: Member,
    urgent: Tag,
    tab: str,
    query: str,
    expected: set[str],
) -> None:
    if tab == "resolved":
        Error.unscoped.update(state="resolved", reason="manual", resolved_at="2026-03-02T12:00Z")
    html = html_of(page, f"{step_url(step, tab)}?{query.format(ana=ana.pk, tag=urgent.pk)}")
    assert seen(html, three) == expected


@pytest.mark.parametrize(("query", "expected"), FILTERS)
def test_the_inbox_of_the_account_is_narrowed_to_tag_and_assignee(
    page: Client, three: dict[str, Error], ana: Member, urgent: Tag, query: str, expected: set[str]
) -> None:
    html = html_of(page, f"/errors/?view=list&{query.format(ana=ana.pk, tag=urgent.pk)}")
    assert seen(html, three) == expected


def test_mine_is_whoever_reads_it(three: dict[str, Error], ana: Member) -> None:
    assert seen(html_of(signed_in(ana.user), "/errors/?view=list&assignee=me"), three) == {"hers"}


def test_the_menus_name_members_and_tags_and_say_what_is_chosen(
    page: Client, step: Step, three: dict[str, Error], ana: Member, urgent: Tag
) -> None:
    html = html_of(page, f"{step_url(step)}?tag={urgent.pk}&assignee={ana.pk}")
    text = text_of(html)
    assert "Tag: urgent" in text
    assert "Assigned: Ana" in text
    assert f'href="{step_url(step)}?tag={urgent.pk}&amp;assignee=nobody">nobody</a>' in html
    assert "The list is narrowed to one tag, assigned to one member." in text
    assert "Assigned: this one" in text_of(html_of(page, f"{step_url(step)}?assignee=999"))


def test_a_row_says_whose_it_is_and_its_tags(page: Client, step: Step, three: dict[str, Error]) -> None:
    text = text_of(html_of(page, step_url(step)))
    assert "· Mara · urgent mine" in text
    assert "· Ana hers" in text


def test_a_drawer_says_whose_it_is_and_gives_it_to_the_reader(
    page: Client, step: Step, three: dict[str, Error], member: Member
) -> None:
    url = f"/flows/{step.flow_id}/steps/{step.pk}/errors/{three['hers'].pk}/"
    assert "Assigned to Ana Assign to me" in text_of(html_of(page, url))
    text = post(page, "/errors/assign", error=three["hers"].pk, assignee=member.pk, next=url)
    assert "1 error assigned to Mara." in text
    assert "Assigned to Mara" in text
    tagged = f"/flows/{step.flow_id}/steps/{step.pk}/errors/{three['mine'].pk}/"
    assert "Tags urgent" in text_of(html_of(page, tagged))


def test_root_causes_are_narrowed_to_tag_and_assignee(page: Client, step: Step, ana: Member, urgent: Tag) -> None:
    run = make_run(step.flow)
    hers = make_cause(step, assignee=ana, pattern="one")
    tagged, merged, plain = (make_cause(step, pattern=text) for text in ("two", "three", "four"))
    errors = {cause: keyed_error(run, step, f"k{cause.pk}", cause=cause) for cause in (hers, tagged, merged, plain)}
    Cause.unscoped.filter(pk=merged.pk).update(merged_into=plain)
    put_on(urgent, errors[tagged], errors[merged])
    expected = {
        f"assignee={ana.pk}": {hers}, "assignee=nobody": {tagged, plain}, "assignee=me": set(),
        f"tag={urgent.pk}": {tagged, plain}, "tag=x": set(), "assignee=nonsense": set(),
    }  # fmt: skip
    for query, causes in expected.items():
        html = html_of(page, f"{CAUSES}&{query}")
        assert {cause for cause in (hers, tagged, plain) if f"/causes/{cause.pk}/" in html} == causes, query
    Error.unscoped.filter(cause=tagged).update(state="resolved")
    html = html_of(page, f"{CAUSES}&tag={urgent.pk}")
    assert f"/causes/{tagged.pk}/" not in html, "its tagged error is not open any more"


def test_retries_are_narrowed_to_those_that_had_such_errors(page: Client, step: Step, three: dict[str, Error]) -> None:
    runs = {}
    for name, error in three.items():
        runs[name] = make_run(step.flow, kind="retry", start_step=step)
        RetryItem.unscoped.create(account_id=error.account_id, run=runs[name], error=error, seq=error.pk)
    for address in (step_url(step, "retries"), f"/flows/{step.flow_id}/errors/retries/"):
        html = html_of(page, f"{address}?assignee=me")
        assert [f'id="retry-{runs[name].pk}"' in html for name in three] == [True, False, False]
        assert "Assigned: me" in text_of(html)
        assert "No retry has an error that matches" in text_of(html_of(page, f"{address}?tag=999"))


@pytest.mark.parametrize("query", ["", "?tag={tag}", "?assignee=me", "?tag={tag}&assignee=nobody"])
def test_a_list_takes_fifteen_queries_whatever_the_number_of_its_errors_tags_and_members(
    page: Client, step: Step, member: Member, urgent: Tag, query: str, django_assert_max_num_queries: Any
) -> None:
    run = make_run(step.flow)
    for number in range(20):
        other = make_member(member.account)
        error = keyed_error(run, step, f"k{number}", assignee=member if number % 2 else other)
        put_on(urgent, error)
        put_on(Tag.unscoped.create(account=member.account, name=f"t{number}"), error)
    given = query.format(tag=urgent.pk)
    for address in (step_url(step) + given, "/errors/?view=list&" + given[1:], f"{CAUSES}&{given[1:]}"):
        with django_assert_max_num_queries(10):
            html_of(page, address)


# --- many at once ----------------------------------------------------------------------------------------------------
def test_the_bulk_bar_offers_members_tags_and_the_bulk_edit(page: Client, step: Step, three: Any, urgent: Tag) -> None:
    html = html_of(page, step_url(step))
    assert html.count('formaction="/errors/assign"') == 4, "three members and nobody"
    assert f'name="add" value="{urgent.pk}" formaction="/errors/tag"' in html
    assert f'name="remove" value="{urgent.pk}" formaction="/errors/tag"' in html
    assert 'formaction="/errors/edit"' in html
    assert "me, Mara" in text_of(html)


def test_the_chosen_rows_are_assigned(page: Client, step: Step, three: dict[str, Error], ana: Member) -> None:
    given = {"error": [three["free"].pk, three["hers"].pk], "next": step_url(step)}
    text = post(page, "/errors/assign", **given, assignee=ana.pk)
    assert "1 error assigned to Ana. Left alone: 1 was so already." in text
    assert "2 errors assigned to nobody." in post(page, "/errors/assign", **given, assignee="")
    assert "Nothing was assigned to nobody: 2 was so already." in post(page, "/errors/assign", **given, assignee="")
    assert "There is no such member" in post(page, "/errors/assign", **given, assignee="999")


def test_all_that_match_are_tagged_and_untagged(page: Client, step: Step, three: dict[str, Error], urgent: Tag) -> None:
    form = form_of(page, f"{step_url(step)}?assignee=nobody")
    assert "1 error tagged urgent." in post(page, "/errors/tag", **form, add=urgent.pk)
    assert set(ErrorTag.unscoped.values_list("error_id", flat=True)) == {three["free"].pk, three["mine"].pk}
    form = form_of(page, step_url(step))
    assert "3 errors without the tag urgent." in post(page, "/errors/tag", **form, remove=urgent.pk)
    assert ErrorTag.unscoped.count() == 0


def test_what_is_assigned_by_its_filter_stays_chosen_while_it_is_done(
    page: Client, step: Step, three: dict[str, Error], ana: Member, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.errors.services.acts.AT_ONCE", 0)
    monkeypatch.setattr("apps.errors.services.acts.CHUNK", 1)
    answer = page.post("/errors/assign", {**form_of(page, f"{step_url(step)}?assignee=me"), "assignee": ana.pk})
    act = BulkAct.unscoped.get()
    assert answer["Location"] == f"/acts/{act.pk}/"
    assert (act.count, act.done, act.ended_at) == (1, 0, None)
    assert "Assign 1 error" in text_of(html_of(page, f"/acts/{act.pk}/"))
    perform_act(act.account_id, act.pk)
    three["mine"].refresh_from_db()
    assert three["mine"].assignee_id == ana.pk


@pytest.mark.parametrize(
    ("address", "field", "title", "effect"),
    [
        ("/errors/assign", "assignee", "Assign 3 errors?", "They are given to Ana, who is told once."),
        ("/errors/tag", "add", "Tag 3 errors?", "They get the tag urgent."),
        ("/errors/tag", "remove", "Untag 3 errors?", "The tag urgent is taken off them."),
    ],
)
def test_more_than_a_hundred_are_asked_about_with_their_number(
    page: Client, step: Step, three: dict[str, Error], ana: Member, urgent: Tag, monkeypatch: pytest.MonkeyPatch,
    address: str, field: str, title: str, effect: str,
) -> None:  # fmt: skip
    monkeypatch.setattr("apps.console.views.error_acts.ASKS_ABOVE", 2)
    value = ana.pk if field == "assignee" else urgent.pk
    form = {**form_of(page, step_url(step)), field: value}
    html = page.post(address, form).content.decode()
    text = text_of(html)
    assert title in text
    assert effect in text
    assert "Orders : 3 errors" in text or "Orders: 3 errors" in text
    assert f'name="{field}" value="{value}"' in html
    assert BulkAct.unscoped.count() == 0
    page.post(address, {**form, "confirmed": "1"})
    assert BulkAct.unscoped.get().count == 3


def test_a_new_tag_is_not_defined_before_the_act_is_confirmed(
    page: Client, step: Step, three: dict[str, Error], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.console.views.error_acts.ASKS_ABOVE", 2)
    form = {**form_of(page, step_url(step)), "new": "later"}
    assert 'name="new" value="later"' in page.post("/errors/tag", form).content.decode()
    assert not Tag.unscoped.filter(name="later").exists()
    assert "3 errors tagged later." in post(page, "/errors/tag", **form, confirmed="1")


def test_the_bulk_edit_opens_for_the_chosen_rows(page: Client, step: Step, three: dict[str, Error]) -> None:
    text = post(page, "/errors/edit", **form_of(page, step_url(step)))
    assert "One change in the retry data of 3 errors" in text


def test_a_monitor_assigns_and_tags_but_sees_the_bulk_edit_disabled(
    step: Step, three: dict[str, Error], ana: Member, urgent: Tag
) -> None:
    client = signed_in(ana.user)
    html = html_of(client, step_url(step))
    assert 'Needs the role manager, or the permission to edit retry data" disabled' in html
    assert "1 error assigned to Ana." in post(client, "/errors/assign", error=three["free"].pk, assignee=ana.pk)
    assert "1 error tagged urgent." in post(client, "/errors/tag", error=three["free"].pk, add=urgent.pk)


def test_errors_tags_and_members_of_others_are_out_of_reach(
    page: Client, account: Account, step: Step, three: dict[str, Error], urgent: Tag, ana: Member
) -> None:
    stranger = signed_in(make_member(make_account()).user)
    assert stranger.post("/errors/assign", {"error": three["free"].pk, "assignee": ""}).status_code == 404
    assert stranger.post("/errors/tag", {"error": three["free"].pk, "add": urgent.pk}).status_code == 404
    other = make_account()
    theirs, foreigner = Tag.unscoped.create(account=other, name="theirs"), make_member(other)
    assert "Choose a tag" in post(page, "/errors/tag", error=three["free"].pk, add=theirs.pk)
    assert "no such member" in post(page, "/errors/assign", error=three["free"].pk, assignee=foreigner.pk)
    narrow = make_member(account)
    Member.unscoped.filter(pk=narrow.pk).update(role="")
    MemberRole.unscoped.create(
        account=account, member=narrow, integration=make_flow(account).integration, role=Role.MANAGER
    )
    client = signed_in(narrow.user)
    assert client.post("/errors/tag", {"error": three["free"].pk, "add": urgent.pk}).status_code == 404


# --- the page of a root cause ----------------------------------------------------------------------------------------
def test_a_root_cause_tells_the_tags_of_its_open_errors_and_tags_them_all(
    page: Client, step: Step, three: dict[str, Error], urgent: Tag
) -> None:
    cause = three["mine"].cause
    Error.unscoped.update(cause=cause)
    Cause.unscoped.filter(pk=cause.pk).update(open_errors=3)
    html = html_of(page, f"/errors/causes/{cause.pk}/")
    assert "Tags of open errors urgent 1" in text_of(html)
    assert f'href="/errors/?view=list&amp;cause={cause.pk}&amp;tag={urgent.pk}"' in html
    form = {"all": "1", "query": f"cause={cause.pk}&state=open", "upto": three["free"].pk}
    assert "3 errors tagged urgent." in post(page, "/errors/tag", **form, add=urgent.pk)
    assert "urgent 3" in text_of(html_of(page, f"/errors/causes/{cause.pk}/"))
