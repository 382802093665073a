"""Many tabs of one account: what they ask within a second is worked out once, and nobody is told what is another's."""

from threading import Event, Thread
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import Account, Member, MemberRole, Profile, Role
from apps.accounts.sessions import end_sessions
from apps.console import pace, sharing
from apps.console.pace import Pace
from apps.console.sharing import SHELF, Shelf
from apps.core.clock import wall_now
from apps.runs.models import Run
from tests.console.scenes import Scene, make_scene, start_work
from tests.console.screens import signed_in
from tests.console.test_live import address_with_version, live_address
from tests.factories import make_account, make_error, make_flow, make_member, step_of


class Watch:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What is read is shared for a second of this watch."""
    watch = Watch()
    monkeypatch.setattr(sharing, "SHARED_S", 1.0)
    monkeypatch.setattr(sharing, "monotonic", watch)
    monkeypatch.setattr(sharing, "PACE", Pace())
    SHELF.clear()
    yield watch
    SHELF.clear()


@pytest.fixture
def scene(mara: Any) -> Scene:
    return make_scene(mara)


def colleague(scene: Scene, role: Role = Role.MANAGER) -> tuple[Member, Client]:
    member = make_member(scene.account, role=role)
    return member, signed_in(member.user)


PAGES = ["/dashboard/completed/", "/dashboard/running/", "/errors/?view=causes", "/connections/"]


@pytest.mark.parametrize("page", PAGES)
def test_the_second_tab_of_a_second_asks_the_database_nothing(
    mara: Any, scene: Scene, watch: Watch, page: str, django_assert_num_queries: Any
) -> None:
    start_work(scene)
    mine, (_, theirs) = signed_in(mara), colleague(scene)
    asked = address_with_version(live_address(mine, page), "old~old")
    first = mine.get(asked).content
    with django_assert_num_queries(0):
        assert mine.get(asked).content == first
    with django_assert_num_queries(3):  # has their session changed, the session, and who they are
        assert theirs.get(asked).content == first


def test_a_second_later_it_takes_one_query_that_the_reader_is_still_the_same(
    mara: Any, scene: Scene, watch: Watch, django_assert_num_queries: Any
) -> None:
    browser = signed_in(mara)
    address = live_address(browser, "/connections/")
    browser.get(address)
    watch.now += 1.1
    with django_assert_num_queries(3):  # nothing about the reader has changed; the pulse, the connections
        browser.get(address)


def test_whoever_loses_a_role_is_told_so_a_second_later(scene: Scene, watch: Watch) -> None:
    elsewhere = make_flow(scene.account, name="Elsewhere")
    member = in_shop(scene)
    browser = signed_in(member.user)
    address = f"/live/?t=flow:{scene.strikes.pk}&v=0"
    assert browser.get(address).status_code == 200
    MemberRole.unscoped.filter(member=member).update(integration=elsewhere.integration)
    watch.now += 1.0
    assert browser.get(address).status_code == 404


def test_after_a_second_there_is_news(mara: Any, scene: Scene, watch: Watch) -> None:
    browser = signed_in(mara)
    address = live_address(browser, "/dashboard/completed/")
    assert browser.get(address).status_code == 204
    make_error(Run.unscoped.filter(flow=scene.strikes).latest("pk"), key="A-4")
    watch.now += 0.9
    assert browser.get(address).status_code == 204
    watch.now += 0.2
    answer = browser.get(address)
    assert answer.status_code == 200
    assert browser.get(address_with_version(address, answer["Live-Version"])).status_code == 204


def test_a_page_never_shows_what_was_read_for_a_poll(mara: Any, scene: Scene, watch: Watch) -> None:
    browser = signed_in(mara)
    before = live_address(browser, "/dashboard/completed/")
    browser.get(before)
    make_error(Run.unscoped.filter(flow=scene.strikes).latest("pk"), key="A-4")
    assert live_address(browser, "/dashboard/completed/") != before


def test_a_flow_page_tells_each_reader_with_the_token_of_his_own_forms(mara: Any, scene: Scene, watch: Watch) -> None:
    run = start_work(scene)
    address = f"/live/?t=flow:{run.flow_id}&v=0"
    for browser in (signed_in(mara), colleague(scene)[1]):
        strict = Client(enforce_csrf_checks=True)
        strict.cookies = browser.cookies
        html = strict.get(address).content.decode()
        token = html.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
        done = strict.post(f"/runs/{run.pk}/cancel", {"csrfmiddlewaretoken": token})
        assert done.status_code == 302


def in_shop(scene: Scene, role: Role = Role.MONITOR) -> Member:
    member = make_member(scene.account, role=Role.MONITOR)
    Member.unscoped.filter(pk=member.pk).update(role="")
    MemberRole.unscoped.create(account=scene.account, member=member, integration=scene.shop, role=role)
    return member


def look_up_count(browser: Client, address: str) -> int:
    """Queries beyond those for who asks."""
    with CaptureQueriesContext(connection) as queries:
        assert browser.get(address).status_code == 200
    return len(queries) - 3


def test_whoever_sees_less_is_told_less(mara: Any, scene: Scene, watch: Watch) -> None:
    elsewhere = make_flow(scene.account, name="Elsewhere")
    make_error(step=step_of(elsewhere), key="E-1")
    address = f"/live/?t=dashboard:0.{scene.strikes.pk}-{elsewhere.pk}&v=0"
    place = f'id="flow-{elsewhere.pk}-open"'
    assert place in signed_in(mara).get(address).content.decode()
    assert place not in signed_in(in_shop(scene).user).get(address).content.decode()


def test_nothing_goes_from_one_account_to_another(mara: Any, scene: Scene, watch: Watch) -> None:
    stranger = make_member(make_account())
    address = f"/live/?t=flow:{scene.strikes.pk}&v=0"
    assert signed_in(mara).get(address).status_code == 200
    assert signed_in(stranger.user).get(address).status_code == 404


@pytest.mark.parametrize("change", ["role", "right", "zone", "environment"])
def test_only_readers_who_are_told_the_same_share(mara: Any, scene: Scene, watch: Watch, change: str) -> None:
    address = f"/live/?t=dashboard:0.{scene.strikes.pk}&v=0"
    signed_in(mara).get(address)
    member, same = colleague(scene)
    assert look_up_count(same, address) == 0
    if change == "role":
        Member.unscoped.filter(pk=member.pk).update(role=Role.MONITOR)
    elif change == "right":
        Member.unscoped.filter(pk=member.pk).update(may_edit_retry_data=True)
    elif change == "zone":
        Profile.objects.update_or_create(user=member.user, defaults={"time_zone": "Asia/Tokyo"})
    other = signed_in(member.user)
    if change == "environment":
        other.post("/environment/choose/", {"environment": "sandbox"})
    assert look_up_count(other, address) > 0


def test_a_session_that_switches_environments_is_told_of_the_other(mara: Any, scene: Scene, watch: Watch) -> None:
    browser = signed_in(mara)
    address = f"/live/?t=dashboard:0.{scene.strikes.pk}&v=0"
    place = f'id="flow-{scene.strikes.pk}-open"'
    assert place in browser.get(address).content.decode()
    browser.post("/environment/choose/", {"environment": "sandbox"})
    watch.now += 1.1
    assert place not in browser.get(address).content.decode()


def test_whoever_signs_out_elsewhere_is_told_for_a_second_at_most(mara: Any, scene: Scene, watch: Watch) -> None:
    browser = signed_in(mara)
    address = live_address(browser, "/connections/")
    browser.get(address)
    end_sessions(mara)
    watch.now += 1.0
    assert browser.get(address).status_code == 401


def test_whoever_is_disabled_is_told_for_a_second_at_most(scene: Scene, watch: Watch) -> None:
    member, browser = colleague(scene)
    address = live_address(browser, "/connections/")
    browser.get(address)
    Member.unscoped.filter(pk=member.pk).update(disabled_at=wall_now())
    watch.now += 1.0
    assert browser.get(address).status_code == 401


def test_whoever_signs_out_here_is_told_nothing_from_then_on(mara: Any, scene: Scene, watch: Watch) -> None:
    browser = signed_in(mara)
    address = live_address(browser, "/connections/")
    browser.get(address)
    browser.logout()
    assert browser.get(address).status_code == 401


def test_an_account_that_requires_a_second_factor_tells_nothing_without_one(
    mara: Any, scene: Scene, watch: Watch
) -> None:
    browser = signed_in(mara)
    address = live_address(browser, "/connections/")
    Account.objects.update(second_factor_required=True)
    assert browser.get(address).status_code == 401


def test_new_errors_are_announced_to_the_tab_that_has_not_seen_them(mara: Any, scene: Scene, watch: Watch) -> None:
    run = start_work(scene)
    Run.unscoped.filter(pk=run.pk).update(errors=3)
    browser = signed_in(mara)
    older, newer = f"/live/?t=run:{run.pk}&v=0:old", f"/live/?t=run:{run.pk}&v=3:old"
    assert "New errors in this run" in browser.get(older).content.decode()
    assert "New errors in this run" not in browser.get(newer).content.decode()


def test_what_is_being_read_is_waited_for_and_read_once(watch: Watch) -> None:
    shelf, begun, go_on = Shelf(), Event(), Event()
    read: list[int] = []

    def slow() -> int:
        begun.set()
        go_on.wait(5)
        read.append(1)
        return len(read)

    found: list[int] = []
    tabs = [Thread(target=lambda: found.append(shelf.take("key", slow))) for _ in range(3)]
    for tab in tabs:
        tab.start()
    begun.wait(5)
    go_on.set()
    for tab in tabs:
        tab.join(5)
    assert found == [1, 1, 1]


def test_what_could_not_be_read_is_read_again(watch: Watch) -> None:
    shelf = Shelf()
    with pytest.raises(ZeroDivisionError):
        shelf.take("key", lambda: 1 // 0)
    assert shelf.take("key", lambda: 7) == 7


def test_nothing_old_stays_in_memory(watch: Watch) -> None:
    shelf = Shelf()
    for number in range(50):
        shelf.take(number, lambda: "much")
    watch.now += 2
    shelf.take("last", lambda: "more")
    assert len(shelf._slots) == 1


def test_what_is_told_may_be_older_while_tabs_wait_longer(
    mara: Any, scene: Scene, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = Pace()
    busy.book(60)  # tabs wait for 15 s
    monkeypatch.setattr(sharing, "PACE", busy)
    browser = signed_in(mara)
    address = live_address(browser, "/dashboard/completed/")
    browser.get(address)
    make_error(Run.unscoped.filter(flow=scene.strikes).latest("pk"), key="A-4")
    watch.now += 2.5
    assert browser.get(address).status_code == 204
    watch.now += 0.6
    assert browser.get(address).status_code == 200


# --- how often -------------------------------------------------------------------------------------------------------
def test_a_few_tabs_ask_as_often_as_their_pages_say(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch()
    monkeypatch.setattr(pace, "monotonic", watch)
    few = Pace()
    for _ in range(20):
        watch.now += 1
        assert few.book(0.02) < 1


def test_many_tabs_take_the_share_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """200 tabs whose answers take 10 ms would take two thirds of a core if they asked every 3 s."""
    watch = Watch()
    monkeypatch.setattr(pace, "monotonic", watch)
    many, asked, minute = Pace(), 0, 600.0
    due = [watch.now + number * 3 / 200 for number in range(200)]
    while min(due) < 100 + minute:
        watch.now = min(due)
        due[due.index(watch.now)] += max(3, many.book(0.009))
        asked += 1
    assert asked * 0.01 / minute <= 0.14
    assert asked / minute >= 200 / pace.LONGEST_WAIT_S * 0.5


def test_no_tab_waits_longer_than_promised() -> None:
    assert Pace().book(60) <= pace.LONGEST_WAIT_S


def test_an_answer_says_when_to_ask_again(mara: Any, scene: Scene) -> None:
    browser = signed_in(mara)
    answer = browser.get(live_address(browser, "/connections/"))
    assert 0 < float(answer["Live-Wait"]) <= pace.LONGEST_WAIT_S
