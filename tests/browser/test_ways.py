"""The ways people take through the console, each from its start to its end."""

import pytest
from django.contrib.auth import get_user_model
from playwright.sync_api import Page, expect

from apps.engine.records import key_hash
from apps.errors.models import Error, RetryData
from apps.flows.models import Integration
from apps.runs.models import Run
from tests.browser.driver import Driver
from tests.browser.test_dashboard_live import commit_page
from tests.console.scenes import Scene, make_scene, start_work
from tests.console.screens import furnish

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def scene(signed_in: Driver) -> Scene:
    return make_scene(get_user_model().objects.get(username="mara"))


@pytest.fixture
def run(scene: Scene) -> Run:
    """A run under way; the record of the newest error is kept."""
    run = start_work(scene)
    newest = Error.objects.of(scene.account).latest("pk")
    furnish(run, newest)
    Error.unscoped.filter(pk=newest.pk).update(key_hash=key_hash("A-3"))
    return run


def without_faults(page: Page) -> list[str]:
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    return faults


def test_a_link_in_a_mail_leads_through_the_sign_in_to_the_error_and_it_is_fixed(
    driver: Driver, scene: Scene, run: Run
) -> None:
    Integration.unscoped.update(environment="sandbox")
    error = Error.objects.of(scene.account).latest("pk")
    driver.cookies = []

    def steps(page: Page) -> None:
        faults = without_faults(page)
        page.goto(f"/flows/{error.flow_id}/steps/{error.step_id}/errors/{error.pk}/data/?environment=sandbox")
        page.get_by_label("E-mail address or user name").fill("mara")
        page.get_by_label("Password").fill("a long password")
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.get_by_label("Retry data, JSON").fill('{"id":"A-3","altitude":300}')
        page.get_by_role("button", name="Save and retry").click()
        expect(page.get_by_role("status").filter(has_text="1 error sent for retry.")).to_be_visible()
        assert faults == []

    driver.run(steps)
    assert bytes(RetryData.unscoped.get(version=2).record) == b'{"id":"A-3","altitude":300}'


def test_a_run_is_watched_a_record_is_found_and_two_runs_are_compared(
    signed_in: Driver, scene: Scene, run: Run
) -> None:
    ended = Error.objects.of(scene.account).earliest("pk").run_id

    def steps(page: Page) -> None:
        faults = without_faults(page)
        page.goto("/dashboard/running/")
        page.locator(f"#run-{run.pk}-pages a").click()
        expect(page.locator("#main")).to_contain_text("2 of at least 3 pages")
        commit_page(run)
        expect(page.locator("#main")).to_contain_text("3 of at least 3 pages", timeout=10_000)
        page.keyboard.press("/")
        page.keyboard.type("A-3")
        page.keyboard.press("Enter")
        page.get_by_role("link", name="A-3").first.click()
        expect(page.get_by_role("heading", name="A-3")).to_be_visible()
        page.goto(f"/flows/{scene.strikes.pk}/history/")
        for number in (ended, run.pk):
            page.get_by_label(f"Compare run r-{number}").check()
        page.get_by_role("button", name="Compare the two").click()
        expect(page.get_by_role("heading", name=f"Runs r-{ended} and r-{run.pk}")).to_be_visible()
        assert page.evaluate("window.policyViolations") == []
        assert faults == []

    signed_in.run(steps)
