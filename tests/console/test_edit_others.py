"""An edit of one error's retry data, made in the others of its root cause: ticked, or from the list of versions."""

from typing import Any

import orjson
import pytest
from django.test import Client

from apps.accounts.models import Account, Role
from apps.errors.models import BulkAct, Cause, Error, RetryData, RetryVersion
from apps.errors.services import edit_retry_data
from tests.console.screens import html_of, signed_in, text_of
from tests.factories import make_account, make_cause, make_member
from tests.fakes.running import World, books, make_world
from tests.scenarios.retry_world import run_once, work_retries

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(account: Account) -> World:
    """Three errors of one cause whose city is Old, one whose city is not."""
    world = make_world(account, name="Orders")
    world.refuse(1, 2, 3, 4)
    cities = ((1, "Old"), (2, "Old"), (3, "Old"), (4, "Other"))
    run_once(world, [{"id": number, "city": city} for number, city in cities])
    world.refuse()
    return world


@pytest.fixture
def page(account: Account) -> Client:
    return signed_in(make_member(account, role=Role.MANAGER).user)


def error(key: str = "1") -> Error:
    found: Error = Error.unscoped.get(key=key)
    return found


def url(tab: str = "data/") -> str:
    return f"/flows/{error().flow_id}/steps/{error().step_id}/errors/{error().pk}/{tab}"


def send(page: Client, *, then: str = "save", others: str = "3", city: str = "New") -> Any:
    given = {"text": orjson.dumps({"id": 1, "city": city}).decode(), "version": 1, "others": others}
    return page.post(url(f"data/{then}"), given)


def cities() -> list[str]:
    rows = RetryData.unscoped.order_by("error__key").values_list("record", flat=True)
    return [orjson.loads(bytes(row))["city"] for row in rows]


def test_the_editor_offers_it_with_the_number_of_the_others(page: Client, world: World) -> None:
    assert "Same change in the other 3 open errors of this root cause" in text_of(html_of(page, url()))


def test_an_error_that_is_alone_has_no_others(page: Client, world: World) -> None:
    Error.unscoped.exclude(key="1").delete()
    Cause.unscoped.update(open_errors=1)
    assert "Same change" not in text_of(html_of(page, url()))


def test_what_the_tick_named_is_done_at_once_and_each_has_its_version(page: Client, world: World) -> None:
    Error.unscoped.filter(key="4").delete()
    answer = send(page, others="2")
    assert answer["Location"] == url()
    assert "The same change is made in 2 more errors." in text_of(html_of(page, url()))
    assert cities()[:3] == ["New"] * 3
    assert set(RetryVersion.unscoped.filter(version=2).values_list("error__key", flat=True)) == {"1", "2", "3"}


def test_save_and_retry_with_the_tick_sends_them_all(page: Client, world: World) -> None:
    Error.unscoped.filter(key="4").update(cause=make_cause(error().step))
    send(page, then="retry", others="2")
    work_retries(world)
    rows = world.database.rows["target"]
    assert {rows[key]["city"] for key in (1, 2, 3)} == {"New"}


def test_where_fewer_have_the_same_old_value_the_number_is_told_first(page: Client, world: World) -> None:
    answer = send(page, then="retry")
    text = text_of(page.get(answer["Location"]).content.decode())
    assert "The same change in 2 other errors?" in text
    assert "2 changed, 1 unchanged" in text
    assert cities() == ["New", "Old", "Old", "Other"]
    assert error("1").shown_state == "retrying"


def test_the_page_changes_and_retries_those_that_it_named(page: Client, world: World) -> None:
    html = page.get(send(page, then="retry")["Location"]).content.decode()
    assert '<option value="all" selected>' in html
    form = {"error": error().pk, "version": 2, "upto": error("3").pk, "then": "all"}
    answer = page.post("/errors/edit-others", form)
    assert answer["Location"] == f"/acts/{BulkAct.unscoped.filter(act='retry').latest('pk').pk}/"
    work_retries(world)
    assert Error.unscoped.filter(reason="retried").count() == 3
    assert books() == []


def test_errors_that_came_after_the_page_are_not_swept_in(page: Client, world: World) -> None:
    send(page)
    newest = Error.unscoped.order_by("-pk")[0]
    page.post("/errors/edit-others", {"error": error().pk, "version": 2, "upto": newest.pk - 1})
    assert newest.key not in BulkAct.unscoped.get().options
    assert BulkAct.unscoped.get().count == 2


def test_an_earlier_edit_is_made_elsewhere_from_the_list_of_versions(page: Client, world: World) -> None:
    send(page, others="")
    html = html_of(page, url())
    link = f"/errors/edit-others?error={error().pk}&amp;version=2"
    assert link in html
    assert "2 changed" in text_of(html_of(page, link.replace("&amp;", "&")))


@pytest.mark.parametrize("version", ["1", "9", "x"])
def test_an_edit_that_is_not_there_says_so(page: Client, world: World, version: str) -> None:
    text = text_of(html_of(page, f"/errors/edit-others?error={error().pk}&version={version}"))
    assert "There is no such edit of this error. No other error was changed." in text


def test_an_edit_of_too_many_fields_is_refused(page: Client, world: World, account: Account) -> None:
    record = orjson.dumps({"id": 1} | {f"f{number}": 1 for number in range(60)}).decode()
    edit_retry_data(error=error(), member=make_member(account), text=record, expected_version=1)
    text = text_of(html_of(page, f"/errors/edit-others?error={error().pk}&version=2"))
    assert "too much to be repeated elsewhere" in text


def test_who_may_not_edit_is_refused_and_strangers_find_nothing(world: World, account: Account) -> None:
    address = f"/errors/edit-others?error={error().pk}&version=2"
    monitor = signed_in(make_member(account, role=Role.MONITOR).user)
    assert monitor.get(address).status_code == 403
    assert signed_in(make_member(make_account()).user).get(address).status_code == 404


def test_the_page_takes_few_queries(page: Client, world: World, django_assert_max_num_queries: Any) -> None:
    address = send(page)["Location"]
    with django_assert_max_num_queries(16):
        page.get(address)
