"""Retry data in the drawer: read, edited with versions and their differences, saved and retried in one go."""

import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts.models import Account, Member, Role
from apps.errors.models import BulkAct, Error, RetryData, RetryVersion
from apps.errors.services import resolve_errors, retry_errors
from apps.flows.models import Flow, Step
from tests.console.screens import html_of, signed_in, text_of
from tests.factories import make_account, make_member
from tests.fakes.running import World, books, make_world
from tests.scenarios.retry_world import run_once, work_retries

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(account: Account) -> World:
    world = make_world(account, name="Orders")
    world.refuse(1)
    run_once(world, [{"id": 1, "city": "Old", "price": 1.10}])
    world.refuse()
    return world


@pytest.fixture
def error(world: World) -> Error:
    found: Error = Error.unscoped.get()
    return found


@pytest.fixture
def page(account: Account) -> Client:
    return signed_in(make_member(account, role=Role.MANAGER).user)


def url(error: Error, tab: str = "data/") -> str:
    return f"/flows/{error.flow_id}/steps/{error.step_id}/errors/{error.pk}/{tab}"


def send(page: Client, error: Error, text: str, *, then: str = "save", version: int = 1, query: str = "") -> Any:
    return page.post(url(error, f"data/{then}{query}"), {"text": text, "version": version})


def shown_text(html: str) -> str:
    return re.search(r"<textarea[^>]*>\n(.*?)</textarea>", html, re.DOTALL)[1]  # type: ignore[index]


def buttons(html: str) -> dict[str, str]:
    """The words of each button in the drawer -> its title."""
    drawer = html[html.index('<aside class="drawer"') :].split("</aside>")[0]
    found = re.findall(r"<button([^>]*)>(.*?)</button>", drawer, re.DOTALL)
    words = [(re.sub(" [rx]$", "", text_of(inner).strip()), attributes) for attributes, inner in found]
    return {word: _title(attributes) for word, attributes in words if "menu" not in attributes}


def _title(attributes: str) -> str:
    found = re.search(r'disabled title="([^"]*)"', attributes)
    return found[1] if found else ""


# --- reading and saving ----------------------------------------------------------------------------------------------
def test_the_record_is_laid_out_in_a_field(page: Client, error: Error) -> None:
    html = html_of(page, url(error))
    assert shown_text(html).startswith("{\n  &quot;id&quot;: 1,\n")
    assert "version 1, 5 lines" in text_of(html)
    assert "Not edited yet: version 1, as it failed." in text_of(html)


def test_save_for_later_keeps_a_version_and_shows_what_changed(page: Client, error: Error) -> None:
    answer = send(page, error, '{"id": 1, "city": "New", "price": 1.1}')
    assert answer["Location"] == url(error)
    html = html_of(page, url(error))
    text = text_of(html)
    assert "Retry data saved as version 2." in text
    assert "Change against the failed record 1 line changed" in text
    assert '<span class="sg">+</span>  &quot;city&quot;: &quot;New&quot;,' in html
    assert Error.unscoped.get().shown_state == "open"
    assert set(RetryVersion.unscoped.values_list("version", flat=True)) == {1, 2}


def test_two_versions_of_choice_are_compared(page: Client, error: Error) -> None:
    send(page, error, '{"id": 1, "city": "B"}')
    send(page, error, '{"id": 1, "city": "C"}', version=2)
    html = html_of(page, url(error) + "?version_from=2&version_to=3")
    assert "Version 2 to 3" in text_of(html)
    assert "&quot;B&quot;" in html
    assert "Change against the failed record" in text_of(html_of(page, url(error) + "?version_from=7&version_to=9"))


def test_saving_what_is_stored_already_makes_no_version(page: Client, error: Error) -> None:
    text = html_of(page, url(error))
    stored = shown_text(text).replace("&quot;", '"')
    assert "Nothing was changed" in text_of(page.post(
        url(error, "data/save"), {"text": stored.replace("\n", "\r\n"), "version": 1}, follow=True
    ).content.decode())  # fmt: skip
    assert RetryData.unscoped.get().version == 1


def test_the_filters_of_the_list_stay(page: Client, error: Error) -> None:
    answer = send(page, error, '{"id": 1}', query="?key=1")
    assert answer["Location"] == url(error) + "?key=1"


# --- save and retry --------------------------------------------------------------------------------------------------
def test_save_and_retry_is_one_post(page: Client, error: Error, world: World) -> None:
    answer = send(page, error, '{"id": 1, "city": "New"}', then="retry")
    assert answer["Location"] == url(error, "")
    assert "1 error sent for retry. View Undo" in text_of(html_of(page, url(error, "")))
    work_retries(world)
    assert world.database.rows["target"][1] == {"id": 1, "city": "New"}
    assert Error.unscoped.get().reason == "retried"
    assert "Went through" in text_of(html_of(page, url(error, "history/")))
    assert books() == []


def test_save_and_retry_without_a_change_retries_the_stored_record(page: Client, error: Error, world: World) -> None:
    send(page, error, '{"id":1,"city":"Old","price":1.1}', then="retry")
    work_retries(world)
    assert RetryData.unscoped.get().version == 1
    assert Error.unscoped.get().reason == "retried"


def test_a_resolved_error_is_asked_about_before_it_is_retried(
    page: Client, error: Error, account: Account, world: World
) -> None:
    resolve_errors(account=account, member=None, errors=Error.objects.of(account))
    answer = page.post(url(error, "data/retry"), {"text": '{"id": 1, "city": "New"}', "version": 1}, follow=True)
    assert "Retry 1 error?" in text_of(answer.content.decode())
    assert RetryData.unscoped.get().version == 2
    assert work_retries(world) == []


def test_a_record_that_cannot_be_sent_now_is_saved_and_the_reason_is_told(page: Client, error: Error) -> None:
    Flow.unscoped.update(enabled=False)
    answer = page.post(url(error, "data/retry"), {"text": '{"id": 1, "city": "New"}', "version": 1}, follow=True)
    text = text_of(answer.content.decode())
    assert "Retry data saved as version 2." in text
    assert "Nothing was sent for retry: 1 its flow is disabled." in text


# --- refusals --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "why"),
    [("{oops", "This is not JSON (line 1, column 2)"), ("[1]", "must be a JSON object"), ("", "This is not JSON")],
)
@pytest.mark.parametrize("then", ["save", "retry"])
def test_a_text_that_is_no_record_comes_back_with_the_reason(
    page: Client, error: Error, text: str, why: str, then: str
) -> None:
    answer = send(page, error, text, then=then)
    html = answer.content.decode()
    assert answer.status_code == 422
    assert why in html
    assert shown_text(html) == text
    assert f'action="{url(error, "data/retry")}"' in html
    assert RetryData.unscoped.get().version == 1
    assert not BulkAct.unscoped.exists()


def test_an_edit_by_somebody_else_is_shown_against_mine(page: Client, account: Account, error: Error) -> None:
    other = signed_in(make_member(account).user)
    send(other, error, '{"id": 1, "city": "Theirs"}')
    answer = send(page, error, '{\n  "id": 1,\n  "city": "Mine"\n}', then="retry")
    html = answer.content.decode()
    assert answer.status_code == 409
    assert "Somebody else saved version 2 meanwhile." in text_of(html)
    assert "&quot;Mine&quot;" in shown_text(html)
    assert '<span class="sg">-</span>  &quot;city&quot;: &quot;Theirs&quot;' in html
    assert 'name="version" value="2"' in html
    assert send(page, error, '{"id": 1, "city": "Mine"}', version=2).status_code == 302
    assert RetryData.unscoped.get().version == 3


def test_a_monitor_may_not_edit_and_is_told_which_role_it_takes(account: Account, error: Error) -> None:
    monitor = signed_in(make_member(account, role=Role.MONITOR).user)
    html = html_of(monitor, url(error))
    words = "Needs the role manager, or the permission to edit retry data"
    assert buttons(html) == {"Save and retry": words, "Save for later": words}
    assert " readonly" in html
    assert send(monitor, error, "{}").status_code == 403
    Member.unscoped.filter(role=Role.MONITOR).update(may_edit_retry_data=True)
    assert send(monitor, error, "{}").status_code == 302


def test_while_a_retry_has_the_error_nothing_can_be_done_to_it(page: Client, account: Account, error: Error) -> None:
    retry_errors(account=account, member=None, errors=Error.objects.of(account))
    error.refresh_from_db()
    words = f"Retry r-{error.retry_run_id} has this error right now"
    assert buttons(html_of(page, url(error))) == {"Save and retry": words, "Save for later": words}
    found = buttons(html_of(page, url(error, "")))
    assert (found["Retry"], found["Resolve"]) == (words, words)
    assert send(page, error, "{}").status_code == 422


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda: Flow.unscoped.update(enabled=False), "The flow is disabled: start it first"),
        (
            lambda: Step.unscoped.filter(key="target").update(removed_at=timezone.now()),
            "Its step was removed from the flow",
        ),
    ],
)
def test_what_cannot_be_retried_can_still_be_saved_and_resolved(
    page: Client, error: Error, spoil: Any, words: str
) -> None:
    spoil()
    found = buttons(html_of(page, url(error)))
    assert (found["Save and retry"], found["Save for later"]) == (words, "")
    found = buttons(html_of(page, url(error, "")))
    assert (found["Retry"], found["Resolve"]) == (words, "")


def test_data_that_were_purged_cannot_be_edited(page: Client, error: Error) -> None:
    RetryData.unscoped.update(purged_at=timezone.now(), record=None)
    html = html_of(page, url(error))
    assert "was purged" in html
    assert "<textarea" not in html
    assert buttons(html)["Retry"] == "The retry data of this error were removed by the retention"
    assert send(page, error, "{}").status_code == 422


def test_a_record_that_was_no_json_is_edited_as_it_was(page: Client, error: Error) -> None:
    RetryData.unscoped.update(record=b'{"id": 1,\xff<b>')
    assert shown_text(html_of(page, url(error))) == "{&quot;id&quot;: 1,\\xff&lt;b&gt;"
    assert send(page, error, '{"id": 1}').status_code == 302


def test_a_record_too_large_for_a_page_is_not_put_into_a_field(page: Client, error: Error) -> None:
    RetryData.unscoped.update(record=b'{"a":"' + b"x" * 1_000_001 + b'"}')
    html = html_of(page, url(error))
    assert "<textarea" not in html
    assert buttons(html)["Save and retry"] == "This record is too large to be edited in a page"


def test_numbers_stand_in_the_field_as_they_were_written(page: Client, error: Error) -> None:
    RetryData.unscoped.update(record=b'{"price":1.10,"n":1e3,"mark":"\\u202e"}')
    text = shown_text(html_of(page, url(error)))
    assert "1.10" in text
    assert "1e3" in text
    assert "\\u202e" in text


# --- around it -------------------------------------------------------------------------------------------------------
def test_resolve_goes_on_with_the_next_error_of_the_list(page: Client, account: Account, world: World) -> None:
    world.refuse(2)
    run_once(world, [{"id": 2}])
    older, newer = Error.unscoped.order_by("pk")
    html = html_of(page, url(newer, ""))
    assert f'name="next" value="{url(older, "")}"' in html


def test_a_resolved_error_offers_reopen(page: Client, account: Account, error: Error) -> None:
    resolve_errors(account=account, member=None, errors=Error.objects.of(account))
    found = buttons(html_of(page, url(error, "")))
    assert found == {"Assign to me": "", "Keep it longer": "", "Reopen": "", "Retry again": ""}


def test_an_open_drawer_hears_that_its_error_has_changed(
    page: Client, account: Account, error: Error, world: World
) -> None:
    live = f"/live/?t=error:{error.pk}&v="
    version = page.get(live)["Live-Version"]
    assert page.get(live + version).status_code == 204
    retry_errors(account=account, member=None, errors=Error.objects.of(account))
    html = page.get(live + version).content.decode()
    assert "Retrying" in html
    assert "This error has changed. Show it" in html


def test_retry_data_of_another_account_are_not_there(error: Error) -> None:
    stranger = signed_in(make_member(make_account()).user)
    for then in ("save", "retry"):
        assert send(stranger, error, "{}", then=then).status_code == 404
    assert stranger.get(f"/live/?t=error:{error.pk}&v=").status_code == 404


def test_an_error_of_another_step_is_not_edited_under_this_address(page: Client, error: Error) -> None:
    path = f"/flows/{error.flow_id}/steps/{error.step_id + 1}/errors/{error.pk}/data/save"
    assert page.post(path, {"text": "{}", "version": 1}).status_code == 404


def test_the_data_tab_takes_fifteen_queries(page: Client, error: Error, django_assert_max_num_queries: Any) -> None:
    send(page, error, '{"id": 1, "city": "New"}')
    html_of(page, url(error))
    with django_assert_max_num_queries(15):
        html_of(page, url(error))
