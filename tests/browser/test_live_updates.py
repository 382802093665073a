"""Live updates in a real browser: cells change by themselves, and a silent server is told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser import live_site
from tests.browser.driver import Driver
from tests.browser.live_site import Teller

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def teller(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Teller:
    settings.ROOT_URLCONF = "tests.browser.live_site"
    settings.TEMPLATES = [
        settings.TEMPLATES[0] | {"DIRS": [*settings.TEMPLATES[0]["DIRS"], Path(__file__).parent / "templates"]}
    ]
    fresh = Teller()
    monkeypatch.setattr(live_site, "teller", fresh)
    return fresh


def on_live_page(driver: Driver, steps: Callable[[Page], None]) -> None:
    def opened(page: Page) -> None:
        page.goto("/live-page/")
        steps(page)
        assert page.evaluate("window.policyViolations") == []

    driver.run(opened)


def test_a_changed_number_appears_by_itself_and_the_next_question_carries_its_version(
    signed_in: Driver, teller: Teller
) -> None:
    def steps(page: Page) -> None:
        teller.version = 2
        expect(page.locator("#number")).to_have_text("2")
        teller.version = 3
        expect(page.locator("#number")).to_have_text("3")

    on_live_page(signed_in, steps)
    assert teller.asked[0] == "1"
    assert "2" in teller.asked


def test_an_answer_of_no_change_leaves_the_page_alone(signed_in: Driver, teller: Teller) -> None:
    def steps(page: Page) -> None:
        page.evaluate("document.getElementById('number').dataset.mark = 'same'")
        for _ in range(2):
            with page.expect_response("**/live/**") as answer:
                pass
            assert answer.value.status == 204
        expect(page.locator("#number[data-mark=same]")).to_have_text("1")
        expect(page.locator(".tag-live")).to_have_text("Live")

    on_live_page(signed_in, steps)


def test_p_pauses_and_goes_on(signed_in: Driver, teller: Teller) -> None:
    def steps(page: Page) -> None:
        page.keyboard.press("p")
        expect(page.get_by_role("button", name="Pause live updates", pressed=True)).to_be_visible()
        expect(page.locator("#livectl")).to_contain_text("Paused")
        asked = len(teller.asked)
        teller.version = 2
        page.wait_for_timeout(2500)
        assert len(teller.asked) <= asked + 1  # one may have been under way
        page.keyboard.press("p")
        expect(page.locator("#number")).to_have_text("2")

    on_live_page(signed_in, steps)


def test_after_two_missed_answers_the_page_says_so_and_try_now_asks_at_once(signed_in: Driver, teller: Teller) -> None:
    def steps(page: Page) -> None:
        teller.is_down = True
        notice = page.locator("#livectl .hintbox")
        expect(notice).to_contain_text("Live updates stopped", timeout=10_000)
        expect(notice).to_contain_text("next try in")
        expect(page.locator("#number")).to_have_text("1")
        teller.is_down, teller.version = False, 2
        notice.get_by_role("button", name="Try now").click()
        expect(page.locator("#number")).to_have_text("2")
        expect(notice).to_be_hidden()

    on_live_page(signed_in, steps)
