"""What the scripts add to every page: keys, menus, selection, theme; and that the page works without them."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from playwright.sync_api import Page, expect

from apps.accounts.models import Profile
from tests.browser.driver import Driver
from tests.console.scenes import make_scene
from tests.factories import step_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PLACE_IN_PANEL = """(({ y, height }, panel) => [y - panel.y, height])(
  document.querySelector(".panel .tbl-wrap").getBoundingClientRect(),
  document.querySelector(".panel").getBoundingClientRect())"""


@pytest.fixture(autouse=True)
def _with_design_page(settings: Any) -> None:
    settings.DEBUG = True


def on_design_page(driver: Driver, steps: Callable[[Page], None], **options: Any) -> None:
    def opened(page: Page) -> None:
        page.goto("/design/", wait_until="load")
        steps(page)

    driver.run(opened, **options)


def user_menu(page: Page) -> Any:
    return page.locator("summary.avatar")


def test_a_menu_closes_on_escape_and_gives_the_focus_back(signed_in: Driver) -> None:
    def steps(page: Page) -> None:
        user_menu(page).click()
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="Sign out")).to_be_hidden()
        expect(user_menu(page)).to_be_focused()

    on_design_page(signed_in, steps)


def test_a_menu_closes_on_a_click_elsewhere(signed_in: Driver) -> None:
    def steps(page: Page) -> None:
        user_menu(page).click()
        page.get_by_role("heading", name="Design", exact=True).click()
        expect(page.get_by_role("button", name="Sign out")).to_be_hidden()

    on_design_page(signed_in, steps)


def test_t_switches_the_theme_at_once_and_for_good(signed_in: Driver) -> None:
    def steps(page: Page) -> None:
        with page.expect_response("**/theme/choose/"):
            page.keyboard.press("t")
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        page.reload()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")

    on_design_page(signed_in, steps)
    assert Profile.objects.get(user__username="mara").theme == "dark"


def test_a_question_mark_lists_the_keys_and_escape_closes_the_list(signed_in: Driver) -> None:
    def steps(page: Page) -> None:
        page.keyboard.press("?")
        expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()

    on_design_page(signed_in, steps)


def test_rows_are_walked_and_selected_by_keys_and_the_bulk_bar_takes_the_toolbars_place(signed_in: Driver) -> None:
    def steps(page: Page) -> None:
        bulk, toolbar = page.locator(".bulk"), page.locator(".panel .toolbar")
        before = page.evaluate(PLACE_IN_PANEL)
        for key in ("j", "j", "Space", "j", "Shift+Space"):
            page.keyboard.press(key)
        expect(bulk).to_contain_text("2 selected")
        expect(toolbar).to_be_hidden()
        assert page.evaluate(PLACE_IN_PANEL) == before
        expect(page.locator("tr.cursor a.name")).to_be_focused()
        page.keyboard.press("*")
        expect(bulk).to_contain_text("4 selected")
        page.keyboard.press("Escape")
        expect(bulk).to_be_hidden()

    on_design_page(signed_in, steps)


def test_r_on_a_selection_focuses_the_button_before_it_presses_it(signed_in: Driver) -> None:
    def steps(page: Page) -> None:
        page.evaluate("document.querySelector('.bulk .primary').addEventListener('click', () => { window.sent = 1; })")
        for key in ("j", "Space", "r"):
            page.keyboard.press(key)
        expect(page.locator(".bulk .primary")).to_be_focused()
        assert page.evaluate("window.sent") is None
        page.keyboard.press("r")
        assert page.evaluate("window.sent") == 1

    on_design_page(signed_in, steps)


def test_keys_do_nothing_inside_a_field(signed_in: Driver) -> None:
    def steps(page: Page) -> None:
        page.get_by_label("Flow name").first.fill("")
        page.get_by_label("Flow name").first.press_sequentially("t?j")
        expect(page.get_by_label("Flow name").first).to_have_value("t?j")
        expect(page.locator("html")).to_have_attribute("data-theme", "system")

    on_design_page(signed_in, steps)


def test_keys_lead_to_places_neighbors_and_new_rows_and_pause_what_is_live(signed_in: Driver) -> None:
    scene = make_scene(get_user_model().objects.get(username="mara"))
    source, target = step_of(scene.strikes, "source"), step_of(scene.strikes, "target")
    list_of = "/flows/{}/steps/{}/errors/open/".format

    def pressed(page: Page, *keys: str) -> None:
        for key in keys:
            page.keyboard.press(key)

    def looks(page: Page) -> None:
        page.goto("/help/")
        for key, place in (("d", "/dashboard/completed/"), ("e", "/errors/"), ("i", "/integrations/"),
                           ("c", "/connections/"), ("a", "/analytics/")):  # fmt: skip
            pressed(page, "g", key)
            expect(page).to_have_url(place)
        page.goto(list_of(scene.strikes.pk, target.pk))
        pressed(page, "p")
        expect(page.locator("[data-live-word]")).to_have_text("Paused")
        pressed(page, "p", "/")
        expect(page.locator("[data-live-word]")).to_have_text("Live")
        expect(page.locator("#main input[name=q]")).to_be_focused()
        page.keyboard.press("Escape")
        page.locator("h1").click()
        pressed(page, "[")
        expect(page).to_have_url(list_of(scene.strikes.pk, source.pk))
        pressed(page, "]")
        expect(page).to_have_url(list_of(scene.strikes.pk, target.pk))

    def comes(page: Page) -> None:
        page.goto(list_of(scene.strikes.pk, target.pk))
        page.evaluate(
            "document.getElementById('new-errors').innerHTML = '<a class=newrows href=\"\" data-key=.>New</a>'"
        )
        with page.expect_navigation():
            pressed(page, ".")

    signed_in.run(looks)
    signed_in.run(comes)


def test_a_member_can_switch_the_keys_off(signed_in: Driver) -> None:
    Profile.objects.create(user=get_user_model().objects.get(username="mara"), shortcuts_on=False)

    def steps(page: Page) -> None:
        for key in ("?", "t", "j"):
            page.keyboard.press(key)
        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(page.locator("html")).to_have_attribute("data-theme", "system")
        expect(page.locator("tr.cursor")).to_have_count(0)

    on_design_page(signed_in, steps)


def test_without_a_script_menus_open_and_the_theme_switches(signed_in: Driver) -> None:
    def steps(page: Page) -> None:
        user_menu(page).click()
        page.get_by_role("button", name="Dark").click()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        expect(page.locator(".bulk")).to_be_visible()

    on_design_page(signed_in, steps, script=False)


def test_signing_in_and_out_works_without_a_script(driver: Driver) -> None:
    get_user_model().objects.create_user("mara", "mara@example.com", "a long password")

    def steps(page: Page) -> None:
        page.get_by_label("E-mail address or user name").fill("mara@example.com")
        page.get_by_label("Password").fill("a long password")
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(page).to_have_title("Design · Flowmend")
        user_menu(page).click()
        page.get_by_role("button", name="Sign out").click()
        expect(page).to_have_title("Sign in · Flowmend")

    on_design_page(driver, steps, script=False)
