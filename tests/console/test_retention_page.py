"""The page of the retention: what goes is told before it goes, what went is told after; the end of an account."""

from collections.abc import Iterator
from datetime import timedelta

import orjson
import pytest
from django.test import Client

from apps.accounts.models import Account, AuditEntry, Member, Role
from apps.core import clock
from apps.errors.models import Error
from apps.execution.purging import begin_purges, count_ahead, export_slice, purge_slice
from apps.flows.models import Flow
from apps.retention.ahead import look_ahead
from apps.retention.models import NOT_ENDED, Purge, PurgeExport, PurgePlan
from tests.conftest import NOON
from tests.console.screens import html_of, signed_in, text_of
from tests.factories import make_member
from tests.fakes.running import World, make_world
from tests.scenarios.retry_world import records, run_once

PAGE = "/settings/retention/"


@pytest.fixture(autouse=True)
def _noon() -> Iterator[None]:
    with clock.frozen(NOON):
        yield


@pytest.fixture
def administrator(account: Account) -> Client:
    return signed_in(make_member(account, role=Role.ADMINISTRATOR).user)


@pytest.fixture
def owner(account: Account) -> Client:
    return signed_in(Member.unscoped.get(account=account, role=Role.OWNER).user)


@pytest.fixture
def world(account: Account) -> World:
    """Errors of 40 days and of 10 days ago, in an account that keeps 60 days."""
    Account.objects.filter(pk=account.pk).update(retention_days=60)
    account.retention_days = 60
    made = make_world(account, name="Orders")
    made.refuse(1, 2, 3)
    for days, ids in ((40, (1, 2)), (10, (3,))):
        with clock.frozen(NOON - timedelta(days=days)):
            run_once(made, records(*ids))
    return made


def test_a_shorter_time_says_what_it_deletes_and_takes_nothing_for_a_day(administrator: Client, world: World) -> None:
    assert "Kept for 60 days" in text_of(html_of(administrator, PAGE))
    asked = text_of(html_of(administrator, f"{PAGE}change/?days=30"))
    assert "2 errors older than 30 days are deleted, 2 of them open 1 run with its requests" in asked
    assert Account.objects.get(pk=world.flow.account_id).retention_days == 60
    told = text_of(administrator.post(f"{PAGE}change/", {"days": "30"}, follow=True).content.decode())
    assert "Runs and errors are kept for 30 days. Nothing goes before tomorrow night." in told
    assert PurgePlan.objects.get().due_at == NOON.replace(hour=3) + timedelta(days=2)
    assert AuditEntry.unscoped.filter(act="account.retention", after__retention_days=30).count() == 1
    assert Error.unscoped.count() == 3
    assert "Kept for 30 days" in text_of(html_of(administrator, PAGE))


def test_a_longer_time_is_set_at_once_and_others_are_refused(administrator: Client, world: World) -> None:
    administrator.post(f"{PAGE}change/", {"days": "90"})
    assert Account.objects.get(pk=world.flow.account_id).retention_days == 90
    told = administrator.post(f"{PAGE}change/", {"days": "31"}, follow=True).content.decode()
    assert "kept for 30, 60, 90, 180 days. Choose one of these." in told
    assert administrator.get(f"{PAGE}change/?days=x").status_code == 302
    assert Account.objects.get(pk=world.flow.account_id).retention_days == 90


def test_what_goes_and_what_went_are_told_with_numbers(
    administrator: Client, world: World, django_assert_max_num_queries: object
) -> None:
    Account.objects.filter(pk=world.flow.account_id).update(retention_days=30)
    html = html_of(administrator, PAGE)
    before = text_of(html)
    link = html.split('<a class="cnt live" href="')[1].split('"')[0].replace("&amp;", "&")
    assert html_of(administrator, link).count('name="error"') == 2
    assert "3 Mar 03:00 2 2 1" in before, "not counted by a worker yet, so it is counted now"
    assert "None yet." in before
    begin_purges()
    PurgePlan.objects.update(due_at=NOON)
    begin_purges()
    assert "Waits for a worker" in html_of(administrator, PAGE)
    purge_slice(Purge.unscoped.get(NOT_ENDED).pk)
    count_ahead(world.flow.account_id)
    with django_assert_max_num_queries(10):  # type: ignore[operator]
        after = text_of(html_of(administrator, PAGE))
    assert "took" in after
    assert "2 2 1 " in after
    assert "3 Mar 03:00 0 0 0" in after


def test_administrators_are_warned_on_every_page_before_much_goes(
    administrator: Client, page: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.retention.ahead.BIG_OPEN", 2)
    account = Account.objects.get(pk=world.flow.account_id)
    begin_purges()
    look_ahead(account)
    assert "reach the end of their retention" not in html_of(administrator, "/errors/tags/")
    account.retention_days = 30
    account.save()
    look_ahead(account)
    assert "reach the end of their retention" in html_of(administrator, "/errors/tags/")
    assert "reach the end of their retention" not in html_of(page, "/errors/tags/"), "a manager sets no retention"


@pytest.mark.parametrize("file_format", ["csv", "jsonl"])
def test_what_goes_next_can_be_had_as_a_file_before(administrator: Client, world: World, file_format: str) -> None:
    Account.objects.filter(pk=world.flow.account_id).update(retention_days=30)
    assert "being written" in administrator.post(f"{PAGE}export", {"format": file_format}, follow=True).content.decode()
    made = PurgeExport.unscoped.get()
    assert administrator.get(f"{PAGE}exports/{made.pk}/").status_code == 404
    export_slice(made.pk)
    answer = administrator.get(f"{PAGE}exports/{made.pk}/")
    lines = b"".join(answer.streaming_content).decode().strip().splitlines()
    assert answer["Content-Disposition"].endswith(f'.{file_format}"')
    taken = AuditEntry.objects.of(world.flow.account).get(act="purge.download")
    assert (taken.object_id, taken.after) == (made.pk, {"format": file_format})
    if file_format == "csv":
        assert lines[0].startswith("\ufefferror,state,flow")
        assert [line.split(",")[4] for line in lines[1:]] == ["1", "2"]
    else:
        assert [orjson.loads(line)["retry_data"] for line in lines] == [{"id": 1}, {"id": 2}]
    assert administrator.post(f"{PAGE}export", {"format": "exe"}, follow=True).status_code == 200
    assert PurgeExport.unscoped.count() == 1


def test_a_purge_under_way_tells_how_far_it_is(administrator: Client, world: World) -> None:
    html = html_of(administrator, PAGE)
    begin_purges()
    address = html.split('data-live="')[1].split('"')[0].replace("&amp;", "&") if 'data-live="' in html else ""
    assert "retention" in address
    PurgePlan.objects.update(due_at=NOON)
    begin_purges()
    assert "Waits for a worker" in administrator.get(address).content.decode()


def test_only_those_who_set_the_retention_see_it(page: Client, administrator: Client, world: World) -> None:
    made = PurgeExport.unscoped.create(account=world.flow.account, member_id=1, before=NOON, ended_at=NOON)
    for path in (PAGE, f"{PAGE}change/", f"{PAGE}exports/{made.pk}/", "/settings/account/close/"):
        assert page.get(path).status_code == 403, path
    assert PAGE not in html_of(page, "/errors/tags/")
    assert PAGE in html_of(administrator, "/errors/tags/")
    assert administrator.get("/settings/account/close/").status_code == 403
    stranger = signed_in(make_member(role=Role.ADMINISTRATOR).user)
    assert stranger.get(f"{PAGE}exports/{made.pk}/").status_code == 404


def test_an_owner_closes_the_account_by_typing_its_name(owner: Client, world: World) -> None:
    account = world.flow.account
    asked = text_of(html_of(owner, "/settings/account/close/"))
    assert "1 flows" in asked
    assert "3 open errors" in asked
    refused = owner.post("/settings/account/close/", {"name": "no"})
    assert refused.status_code == 422
    assert f"Type the name of the account, {account.name}" in refused.content.decode()
    assert Flow.unscoped.get().enabled
    owner.post("/settings/account/close/", {"name": account.name})
    account.refresh_from_db()
    assert account.closed_at == NOON
    assert not Flow.unscoped.get().enabled
    assert "not a member of any account" in html_of(owner, "/")
    assert AuditEntry.unscoped.filter(act="account.close").count() == 1
