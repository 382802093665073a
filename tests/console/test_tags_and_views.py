"""The page of tags, and saved views of the lists of errors."""

from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import Account, Member, Role
from apps.errors.models import Error, ErrorTag, SavedView, Tag
from apps.flows.models import Step
from tests.console.screens import html_of, keyed_error, signed_in, text_of
from tests.factories import make_account, make_flow, make_integration, make_member, make_run, make_user, step_of


@pytest.fixture
def member(account: Account) -> Member:
    return make_member(account, user=make_user("mara", first_name="Mara"))


@pytest.fixture
def monitor(account: Account) -> Client:
    return signed_in(make_member(account, user=make_user("ana", first_name="Ana"), role=Role.MONITOR).user)


def tagged(step: Step, tag: Tag, key: str, **fields: Any) -> Error:
    error = keyed_error(make_run(step.flow), step, key, has_notes=True, **fields)
    ErrorTag.unscoped.create(account_id=error.account_id, error=error, tag=tag)
    return error


def post(page: Client, path: str, **given: Any) -> str:
    return text_of(page.post(path, given, follow=True).content.decode())


# --- tags ------------------------------------------------------------------------------------------------------------
def test_a_manager_defines_renames_and_deletes_tags(page: Client, account: Account) -> None:
    assert "There is no tag yet" in text_of(html_of(page, "/errors/tags/"))
    assert "Tag known is defined." in post(page, "/errors/tags/define", name=" known ")
    tag = Tag.unscoped.get()
    assert "Tag known is harmless now." in post(page, f"/errors/tags/{tag.pk}/rename", name="harmless")
    Tag.unscoped.create(account=account, name="other")
    assert "There is a tag Other already" in post(page, f"/errors/tags/{tag.pk}/rename", name="Other")
    assert "1 to 64 characters" in post(page, "/errors/tags/define", name=" ")
    assert "It is on no error." in text_of(html_of(page, f"/errors/tags/{tag.pk}/delete"))
    assert "Tag harmless is deleted, and taken off 0 errors." in post(page, f"/errors/tags/{tag.pk}/delete")
    assert list(Tag.unscoped.values_list("name", flat=True)) == ["other"]


def test_each_count_of_a_tag_leads_to_the_errors_that_it_counts(page: Client, account: Account, step: Step) -> None:
    tag = Tag.unscoped.create(account=account, name="known")
    opened = tagged(step, tag, "A")
    resolved = tagged(step, tag, "B", state="resolved", reason="manual")
    html = html_of(page, "/errors/tags/")
    assert "known 1 2" in text_of(html)
    for address, errors in (
        (f"/errors/?view=list&tag={tag.pk}", [opened]),
        (f"/errors/?view=list&state=all&tag={tag.pk}", [opened, resolved]),
    ):
        assert address.replace("&", "&amp;") in html
        shown = html_of(page, address)
        assert [f"/errors/{error.pk}/" in shown for error in (opened, resolved)] == [
            error in errors for error in (opened, resolved)
        ]


def test_before_a_tag_is_deleted_the_number_of_its_errors_is_named(page: Client, account: Account, step: Step) -> None:
    tag = Tag.unscoped.create(account=account, name="known")
    sandbox = make_flow(integration=make_integration(account, environment="sandbox"))
    for key, place in (("A", step), ("B", step), ("C", step_of(sandbox))):
        tagged(place, tag, key)
    text = text_of(html_of(page, f"/errors/tags/{tag.pk}/delete"))
    assert "It is on 3 errors of the account, in production and sandbox together." in text
    assert ErrorTag.unscoped.count() == 3
    assert "Tag known is deleted, and taken off 3 errors." in post(page, f"/errors/tags/{tag.pk}/delete")
    assert ErrorTag.unscoped.count() == 0
    assert not Error.unscoped.filter(has_notes=True).exists()


def test_a_monitor_sees_the_tags_but_may_not_change_them(monitor: Client, account: Account) -> None:
    tag = Tag.unscoped.create(account=account, name="known")
    html = html_of(monitor, "/errors/tags/")
    assert html.count('disabled title="Needs the role manager"') == 3
    for address in ("define", f"{tag.pk}/rename", f"{tag.pk}/delete"):
        assert monitor.post(f"/errors/tags/{address}", {"name": "x"}).status_code == 403
    assert monitor.get(f"/errors/tags/{tag.pk}/delete").status_code == 403
    assert Tag.unscoped.get().name == "known"


def test_tags_of_another_account_are_not_there(page: Client) -> None:
    tag = Tag.unscoped.create(account=make_account(), name="theirs")
    assert "theirs" not in html_of(page, "/errors/tags/")
    for address in (f"{tag.pk}/rename", f"{tag.pk}/delete", "99999999999999999999/delete"):
        assert page.post(f"/errors/tags/{address}", {"name": "x"}).status_code == 404


def test_the_page_of_tags_takes_nine_queries_whatever_their_number(
    page: Client, account: Account, step: Step, django_assert_max_num_queries: Any
) -> None:
    for number in range(10):
        tagged(step, Tag.unscoped.create(account=account, name=f"t{number}"), f"k{number}")
    with django_assert_max_num_queries(9):
        html_of(page, "/errors/tags/")


# --- saved views -----------------------------------------------------------------------------------------------------
def query_on(page: Client, path: str) -> str:
    query: str = page.get(path).context["views"].query
    return query


def save(page: Client, path: str, name: str = "Mine", **given: Any) -> Any:
    return page.post("/errors/views/save", {"query": query_on(page, path), "name": name, "next": path, **given})


def lists_of(step: Step) -> list[str]:
    flow = f"/flows/{step.flow_id}"
    return [
        f"{flow}/steps/{step.pk}/errors/open/?class=value&assignee=me",
        f"{flow}/steps/{step.pk}/errors/resolved/?reason=auto",
        f"{flow}/steps/{step.pk}/errors/retries/?assignee=nobody",
        f"{flow}/steps/{step.pk}/errors/open/",
        f"{flow}/errors/retries/?tag=3",
        "/errors/?view=list&integration=shop&range=24h",
        "/errors/?view=list&state=all&q=refused",
        "/errors/?view=causes&tab=snoozed&assignee=me",
        "/errors/?view=causes",
    ]


@pytest.mark.parametrize("number", range(9))
def test_a_view_leads_back_to_the_list_that_it_was_saved_from(page: Client, step: Step, number: int) -> None:
    path = lists_of(step)[number]
    answer = save(page, path)
    context = page.get(answer["Location"]).context
    assert context["request"].path == path.partition("?")[0]
    assert query_on(page, answer["Location"]) == query_on(page, path)
    html = html_of(page, path)
    assert "View: Mine" in text_of(html), "the list says which view it is"
    assert f'href="{answer["Location"].replace("&", "&amp;")}" aria-current="true">Mine</a>' in html


def test_a_list_of_a_flow_is_saved_as_the_accounts_list_of_that_flow(page: Client, step: Step) -> None:
    path = f"/flows/{step.flow_id}/errors/?class=value"
    assert save(page, path)["Location"] == f"/errors/?view=list&flow={step.flow_id}&class=value"
    assert "View: Mine" in text_of(html_of(page, path))


def test_the_place_in_the_list_is_not_saved(page: Client, step: Step) -> None:
    assert "page" not in query_on(page, "/errors/?view=list&page=abc&q=x&foo=bar")
    assert query_on(page, "/errors/?view=list&page=abc&q=x&foo=bar") == "q=x"


def test_a_view_is_personal_or_shared(page: Client, monitor: Client, step: Step) -> None:
    save(page, "/errors/?view=list&q=one", "For me")
    save(page, "/errors/?view=list&q=two", "For all", shared="1")
    html = html_of(monitor, "/errors/?view=list")
    assert "For me" not in html
    assert 'title="Saved by Mara">For all</a>' in html
    listed = text_of(html_of(monitor, "/errors/views/"))
    assert "For all q=two Everyone in the account saved by Mara" in listed
    assert "For me" not in listed


def test_a_view_that_cannot_be_saved_says_why(page: Client, step: Step) -> None:
    save(page, "/errors/?view=list&q=one")
    text = post(page, "/errors/views/save", query="q=two", name="MINE", next="/errors/?view=list&q=two")
    assert "There is a view MINE already" in text
    assert SavedView.unscoped.count() == 1


def test_a_view_is_renamed_and_deleted_by_whoever_saved_it(page: Client, monitor: Client, step: Step) -> None:
    save(page, "/errors/?view=list&q=one", shared="1")
    view = SavedView.unscoped.get()
    for act in ("rename", "delete"):
        assert monitor.post(f"/errors/views/{view.pk}/{act}", {"name": "x"}).status_code == 403
    assert html_of(monitor, "/errors/views/").count("disabled title=") == 2
    assert "The view is called Ours now." in post(page, f"/errors/views/{view.pk}/rename", name="Ours")
    assert "1 to 64" in post(page, f"/errors/views/{view.pk}/rename", name="")
    assert "View Ours is deleted." in post(page, f"/errors/views/{view.pk}/delete")
    assert "No view is saved yet" in text_of(html_of(page, "/errors/views/"))


def test_views_that_a_member_does_not_see_are_not_there(page: Client, monitor: Client, step: Step) -> None:
    save(page, "/errors/?view=list&q=one")
    view = SavedView.unscoped.get()
    stranger = signed_in(make_member(make_account()).user)
    for client in (monitor, stranger):
        assert client.post(f"/errors/views/{view.pk}/delete").status_code == 404
    assert page.post("/errors/views/99999999999999999999/delete").status_code == 404


@pytest.mark.parametrize("query", ["flow=x&step=y", "flow=1&step=-1", "state=nonsense", "%00=%ff", "tag=%00"])
def test_a_form_with_any_query_leads_to_a_list(page: Client, step: Step, query: str) -> None:
    answer = page.post("/errors/views/save", {"query": query, "name": "Odd"}, follow=True)
    assert answer.status_code in (200, 404)
    assert html_of(page, "/errors/?view=list")
