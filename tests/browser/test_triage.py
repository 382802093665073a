"""Many errors are assigned and tagged from a list, and the list is kept as a view: with a script and without."""

import pytest
from django.contrib.auth import get_user_model
from playwright.sync_api import Page, expect

from apps.accounts.models import Role
from apps.errors.models import Error, ErrorTag, SavedView, Tag
from tests.browser.driver import Driver
from tests.console.scenes import Scene, make_scene
from tests.factories import make_member, make_user, step_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def scene(signed_in: Driver) -> Scene:
    """Three open errors, a tag, and Ana beside Mara."""
    scene = make_scene(get_user_model().objects.get(username="mara"))
    make_member(scene.account, user=make_user("ana", first_name="Ana"), role=Role.MONITOR)
    Tag.unscoped.create(account=scene.account, name="supplier asked")
    return scene


def tick(page: Page, *places: int) -> None:
    for place in places:
        page.locator("tbody .tick input").nth(place).check()


def choose(page: Page, menu: str, item: str, said: str) -> None:
    """An item of a menu of the bulk bar."""
    page.locator(".bulk summary", has_text=menu).click()
    page.locator(".bulk details[open] button", has_text=item).first.click()
    expect(page.get_by_role("status").filter(has_text=said)).to_be_visible()


def triage(page: Page, url: str) -> None:
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(url)
    tick(page, 0, 1)
    choose(page, "Assign", "Ana", "2 errors assigned to Ana.")
    tick(page, 0)
    page.get_by_label("All 3 that match").check()
    choose(page, "Tag", "supplier asked", "3 errors tagged supplier asked.")
    page.locator("summary", has_text="Assigned: anyone").click()
    page.get_by_role("link", name="nobody").click()
    page.locator("summary", has_text="Tag: any").click()
    page.locator(".toolbar").get_by_role("link", name="supplier asked").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.locator("summary", has_text="Views").click()
    page.get_by_label("Name").fill("Free, asked")
    page.get_by_role("button", name="Save these filters as a view").click()
    expect(page.get_by_role("status").filter(has_text="View Free, asked is saved, for you.")).to_be_visible()
    page.goto(url)
    page.locator("summary", has_text="Views").click()
    page.get_by_role("link", name="Free, asked").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("summary", has_text="View: Free, asked")).to_be_visible()
    assert faults == []


@pytest.mark.parametrize("script", [True, False], ids=["with a script", "without a script"])
def test_errors_are_assigned_tagged_and_kept_as_a_view(signed_in: Driver, scene: Scene, script: bool) -> None:
    url = f"/flows/{scene.strikes.pk}/steps/{step_of(scene.strikes).pk}/errors/open/"
    signed_in.run(lambda page: triage(page, url), script=script)
    assert ErrorTag.unscoped.count() == 3
    assert sorted(Error.unscoped.values_list("assignee__user__username", flat=True), key=str) == [None, "ana", "ana"]
    assert SavedView.unscoped.get().name == "Free, asked"


def test_the_key_a_selects_the_row_of_the_cursor_and_opens_the_menu(signed_in: Driver, scene: Scene) -> None:
    url = f"/flows/{scene.strikes.pk}/steps/{step_of(scene.strikes).pk}/errors/open/"

    def steps(page: Page) -> None:
        page.goto(url)
        for key in ("j", "a", "Tab", "Enter"):
            page.keyboard.press(key)
        expect(page.get_by_role("status").filter(has_text="1 error assigned to Mara.")).to_be_visible()

    signed_in.run(steps)
    assert Error.unscoped.filter(assignee__user__username="mara").count() == 1
