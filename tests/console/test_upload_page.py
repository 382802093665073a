"""The download of a list of errors, edited in a file, uploaded again: looked at, stored, retried."""

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from apps.accounts.models import Account, Member, MemberRole, Role
from apps.errors.models import BulkAct, Error, RetryData, Upload
from tests.console.screens import html_of, signed_in, text_of
from tests.factories import make_account, make_member
from tests.fakes.running import World, books, make_world
from tests.scenarios.retry_world import run_once, work_retries

pytestmark = pytest.mark.django_db
UPLOAD = "/errors/upload/"


@pytest.fixture
def world(account: Account) -> World:
    """Three open errors of the cities Old."""
    world = make_world(account, name="Orders")
    world.refuse(1, 2, 3)
    run_once(world, [{"id": number, "city": "Old"} for number in (1, 2, 3)])
    world.refuse()
    return world


@pytest.fixture
def page(account: Account) -> Client:
    return signed_in(make_member(account, role=Role.MANAGER).user)


def downloaded(page: Client) -> bytes:
    answer = page.get("/errors/?view=list&format=json")
    return b"".join(answer.streaming_content)  # type: ignore[arg-type]


def sent(page: Client, content: bytes, name: str = "errors.json") -> Any:
    return page.post(UPLOAD, {"file": SimpleUploadedFile(name, content)})


def city(key: str) -> str:
    found: str = json.loads(bytes(RetryData.unscoped.get(error__key=key).record))["city"]
    return found


def test_the_foot_of_a_list_leads_there(page: Client, world: World) -> None:
    assert f'href="{UPLOAD}"' in html_of(page, "/errors/?view=list")
    assert "Up to 10 MB and 5,000 errors" in text_of(html_of(page, UPLOAD))


def test_a_download_that_was_edited_is_shown_stored_and_retried(page: Client, world: World) -> None:
    answer = sent(page, downloaded(page).replace(b'"id":1,"city":"Old"', b'"id":1,"city":"New"'))
    look = answer["Location"]
    text = text_of(html_of(page, look))
    assert "errors.json: change the retry data of 1 error?" in text
    assert "1 changed: each gets a version of its own" in text
    assert "2 unchanged" in text
    assert 'city "Old" "New"' in text.replace("&quot;", '"')
    assert city("1") == "Old"

    answer = page.post(look, {"then": "all"})
    assert answer["Location"] == f"/acts/{BulkAct.unscoped.get(act='retry').pk}/"
    work_retries(world)
    assert world.database.rows["target"][1]["city"] == "New"
    assert Error.unscoped.get(key="1").reason == "retried"
    assert books() == []


def test_without_a_retry_the_page_tells_what_came_of_each(page: Client, world: World) -> None:
    look = sent(page, downloaded(page).replace(b'"city":"Old"', b'"city":"New"'))["Location"]
    text = text_of(page.post(look, follow=True).content.decode())
    assert "Upload retry data 3 errors" in text
    assert "3 changed" in text
    assert {city(key) for key in "123"} == {"New"}


def test_an_upload_that_is_stored_already_says_so(page: Client, world: World) -> None:
    look = sent(page, downloaded(page))["Location"]
    page.post(look)
    assert "This file is stored already" in text_of(page.post(look, follow=True).content.decode())
    assert page.get(f"{UPLOAD}{2**63}/").status_code == 404


def test_entries_that_cannot_be_used_are_told_with_their_number(page: Client, world: World) -> None:
    entries = [*json.loads(downloaded(page)), {"error": "nonsense"}, {"error": "e-99", "version": 1, "retry_data": {}}]
    text = text_of(html_of(page, sent(page, json.dumps(entries).encode())["Location"]))
    assert "1 unknown" in text
    assert "1 invalid" in text
    assert "entry 4 invalid: nonsense is no error such as e-48213" in text
    assert "disabled" in html_of(page, f"{UPLOAD}{Upload.unscoped.get().pk}/")


@pytest.mark.parametrize(
    ("content", "words"), [(b"error,state\n", "A CSV holds no retry data"), (b"[{", "This is not JSON (line 1")]
)
def test_a_file_that_cannot_be_read_says_why_and_nothing_is_kept(
    page: Client, world: World, content: bytes, words: str
) -> None:
    answer = sent(page, content)
    assert answer.status_code == 422
    assert words in text_of(answer.content.decode())
    assert "Nothing was stored." in text_of(answer.content.decode())
    assert "Choose the file" in text_of(page.post(UPLOAD).content.decode())
    assert not Upload.unscoped.exists()


def test_a_file_of_another_member_is_not_there(page: Client, world: World, account: Account) -> None:
    look = sent(page, downloaded(page))["Location"]
    for other in (make_member(account, role=Role.MANAGER), make_member(make_account())):
        assert signed_in(other.user).get(look)["Location"] == UPLOAD


def test_a_member_of_one_integration_changes_its_errors_alone(page: Client, account: Account, world: World) -> None:
    other = make_world(account)
    other.refuse(7)
    run_once(other, [{"id": 7, "city": "Old"}])
    content = downloaded(page).replace(b'"city":"Old"', b'"city":"New"')
    member = make_member(account, role=Role.MONITOR)
    Member.unscoped.filter(pk=member.pk).update(role="")
    MemberRole.unscoped.create(account=account, member=member, integration=world.flow.integration, role=Role.MANAGER)
    mine = signed_in(member.user)
    look = sent(mine, content)["Location"]
    assert "1 unknown: no errors that you may edit here" in text_of(html_of(mine, look))
    mine.post(look)
    assert (city("1"), city("7")) == ("New", "Old")


def test_a_monitor_may_not_upload_and_finds_no_link(account: Account, world: World) -> None:
    monitor = signed_in(make_member(account, role=Role.MONITOR).user)
    assert monitor.get(UPLOAD).status_code == 403
    assert UPLOAD not in html_of(monitor, "/errors/?view=list")


def test_the_look_takes_few_queries(page: Client, world: World, django_assert_max_num_queries: Any) -> None:
    look = sent(page, downloaded(page).replace(b'"city":"Old"', b'"city":"New"'))["Location"]
    with django_assert_max_num_queries(12):
        html_of(page, look)
