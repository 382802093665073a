"""From a red count to fixed and retried: in three clicks with the demo's real records, and many by keys alone."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Page, expect

from apps.errors.models import Error, RetryData
from apps.execution.check_books import differences
from apps.flows.models import Flow
from tests.browser.driver import Driver
from tests.console.scenes import Scene, make_scene
from tests.factories import make_error, make_retry_data
from tests.scenarios.test_demo import Demo

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
BROKEN = "no_repair_without_damage"


@pytest.fixture
def demo(tmp_path: Path, settings: Any) -> Demo:
    """The demo after its first runs: ten thousand reports, a good two hundred of which failed."""
    settings.FILES_ROOT, settings.SQLITE_ROOT = tmp_path / "files", tmp_path / "databases"
    settings.DEMO_DATABASE_URL, settings.IS_NEWCOMER = "", True
    demo = Demo(tmp_path)
    demo.install()
    demo.run_until_idle()
    return demo


@pytest.fixture
def as_demo(driver: Driver, demo: Demo) -> Driver:
    client = Client()
    client.force_login(User.objects.get(username="demo"))
    name = django_settings.SESSION_COOKIE_NAME
    driver.cookies = [{"name": name, "value": client.cookies[name].value}]
    return driver


@pytest.fixture
def scene(signed_in: Driver) -> Scene:
    """Twelve open errors of one flow, each with its record."""
    scene = make_scene(get_user_model().objects.get(username="mara"))
    first = Error.objects.of(scene.account).earliest("pk")
    for number in range(4, 13):
        make_error(first.run, cause=first.cause, key=f"A-{number}")
    for error in Error.objects.of(scene.account):
        make_retry_data(error, b'{"altitude":"high"}')
    return scene


class Clicks:
    """A page whose clicks are counted."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.count = 0

    def click(self, target: Any) -> None:
        self.count += 1
        target.click()
        self.page.wait_for_load_state()


def fix_one(page: Page, flow_id: int) -> int:
    """Count, edit, save: returns the number of clicks that it took."""
    page.goto("/dashboard/completed/")
    clicks = Clicks(page)
    clicks.click(page.locator(f"#flow-{flow_id}-open a"))
    row = page.locator("tbody tr", has_text=BROKEN).first
    clicks.click(row.get_by_role("link", name="Edit and retry"))
    field = page.get_by_label("Retry data, JSON")
    field.fill(re.sub(r'"(repair|total)_cents": \d+', r'"\1_cents": 0', field.input_value()))
    clicks.click(page.get_by_role("button", name="Save and retry"))
    expect(page.get_by_role("status").filter(has_text="1 error sent for retry.")).to_be_visible()
    return clicks.count


@pytest.mark.parametrize("script", [True, False], ids=["with a script", "without a script"])
def test_from_a_red_count_to_fixed_and_retried_in_three_clicks(demo: Demo, as_demo: Driver, script: bool) -> None:
    flow = Flow.unscoped.get(key="wildlife-strikes")
    open_before = Error.unscoped.filter(flow=flow).open().count()

    assert as_demo.run(lambda page: fix_one(page, flow.pk), script=script) == 3
    demo.run_until_idle()

    (data,) = RetryData.unscoped.filter(version=2).select_related("error")
    assert (data.error.state, data.error.reason) == ("resolved", "retried")
    assert Error.unscoped.filter(flow=flow).open().count() == open_before - 1
    assert list(differences()) == []


def test_ten_are_retried_and_watched_by_keys_alone(signed_in: Driver, scene: Scene) -> None:
    def steps(page: Page) -> None:
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(f"/flows/{scene.strikes.pk}/errors/?view=list")
        for key in ("j", "Space", *["j"] * 9, "Shift+Space", "r"):
            page.keyboard.press(key)
        expect(page.locator(".bulk")).to_contain_text("10 selected")
        expect(page.get_by_role("button", name="Retry 10")).to_be_focused()
        page.keyboard.press("r")
        expect(page.get_by_role("status").filter(has_text="10 errors sent for retry.")).to_be_visible()
        for key in ("j", "x"):
            page.keyboard.press(key)
        expect(page.get_by_role("status").filter(has_text="1 error resolved.")).to_be_visible()
        page.get_by_role("button", name="Undo").click()
        expect(page.get_by_role("status").filter(has_text="1 error reopened.")).to_be_visible()
        for key in ("j", "e"):
            page.keyboard.press(key)
        expect(page.get_by_label("Retry data, JSON")).to_be_visible()
        assert faults == []
        assert page.evaluate("window.policyViolations") == []

    signed_in.run(steps)
    assert Error.objects.of(scene.account).exclude(retry_run=None).count() == 10
    assert Error.objects.of(scene.account).filter(state="resolved").count() == 0


def test_the_field_tells_line_and_column_of_what_is_no_json_and_lays_out_what_is(
    signed_in: Driver, scene: Scene
) -> None:
    error = Error.objects.of(scene.account).latest("pk")
    RetryData.unscoped.filter(error=error).update(
        record=b'{"price":1.10,"list":[],"deep":{"n":12345678901234567890123}}'
    )

    def steps(page: Page) -> None:
        page.goto(f"/flows/{error.flow_id}/steps/{error.step_id}/errors/{error.pk}/data/")
        field, said = page.get_by_label("Retry data, JSON"), page.locator("#retry-said")
        expect(said).to_contain_text("Valid")
        laid_out = field.input_value()
        field.fill('{\n  "price": oops\n}')
        expect(said).to_have_text("Not JSON: line 2, column 12")
        field.fill("[1]")
        expect(said).to_contain_text("Must be a JSON object")
        field.fill(laid_out.replace("\n", " ").replace(" ", ""))
        page.get_by_role("button", name="Format").click()
        expect(field).to_have_value(laid_out)

    signed_in.run(steps)
