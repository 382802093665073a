"""With scripts switched off: lists are narrowed, errors read, resolved, retried and edited by links and forms."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from playwright.sync_api import Page, expect

from apps.accounts.models import Profile, Role
from apps.engine.records import key_hash
from apps.errors.models import Error, RetryData
from apps.flows.models import Connection
from tests.browser.driver import Driver
from tests.console.scenes import Scene, make_scene, start_work
from tests.console.screens import furnish
from tests.factories import make_member, make_retry_data, make_user, step_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
DEAD_CONTROLS = """() => [...document.querySelectorAll(
    "button, a, input, select, textarea, summary, [hx-get], [hx-post]")]
  .filter((element) => element.checkVisibility() && !element.disabled)
  .filter((element) => {
    if (element.matches("summary")) return element.parentElement.localName !== "details";
    if (element.matches("a")) return !element.getAttribute("href");
    if (element.matches("button")) return element.type !== "submit" || !element.form;
    if (element.matches("input, select, textarea")) return !element.form && !element.readOnly;
    return !element.matches("form, [id=live]") && !element.closest("form");
  }).map((element) => element.outerHTML.slice(0, 160))"""


@pytest.fixture
def scene(signed_in: Driver) -> Scene:
    """Three open errors whose records are kept, a run under way, and Ana beside Mara."""
    scene = make_scene(get_user_model().objects.get(username="mara"))
    make_member(scene.account, user=make_user("ana", first_name="Ana"), role=Role.MONITOR)
    newest = Error.objects.of(scene.account).latest("pk")
    for error in Error.objects.of(scene.account):
        Error.unscoped.filter(pk=error.pk).update(key_hash=key_hash(error.key))
        if error != newest:
            make_retry_data(error, b'{"id":"%s","altitude":"high"}' % error.key.encode())
    furnish(start_work(scene), newest)
    return scene


def said(page: Page, text: str) -> None:
    expect(page.get_by_role("status").filter(has_text=text)).to_be_visible()


def menu(page: Page, text: str) -> None:
    page.locator("#main summary:visible", has_text=text).first.click()


def test_a_count_leads_to_its_errors_and_an_error_is_read_in_full(signed_in: Driver, scene: Scene) -> None:
    run = Error.objects.of(scene.account).latest("pk").run_id

    def steps(page: Page) -> None:
        page.goto("/dashboard/completed/")
        page.locator(f"#flow-{scene.strikes.pk}-open a").click()
        expect(page.locator("tbody tr")).to_have_count(3)
        page.locator("tbody a.name").first.click()
        expect(page.get_by_role("heading", name="The altitude is no number")).to_be_visible()
        for tab in ("Retry data", "Request", "Response", "History"):
            page.get_by_role("navigation").get_by_role("link", name=tab).or_(
                page.locator(".drawer").get_by_role("link", name=tab)
            ).first.click()
            expect(page.locator(".drawer [aria-current]").filter(has_text=tab)).to_be_visible()
        page.get_by_role("link", name=f"r-{run}").first.click()
        expect(page.get_by_role("heading", level=1)).to_be_visible()

    signed_in.run(steps, script=False)


def test_a_list_is_narrowed_by_menus_text_and_time_and_widened_again(signed_in: Driver, scene: Scene) -> None:
    def steps(page: Page) -> None:
        page.goto("/errors/?view=list")
        search = page.locator("#main").get_by_role("searchbox").or_(page.locator("#main input[name=q]")).first
        search.fill("key:A-2")
        search.press("Enter")
        expect(page.locator("tbody tr")).to_have_count(1)
        page.get_by_role("link", name="Clear filters").first.click()
        expect(page.locator("tbody tr")).to_have_count(3)
        menu(page, "Occurred:")
        page.get_by_label("From", exact=True).first.fill("2020-01-01T00:00")
        page.get_by_label("To", exact=True).first.fill("2020-01-02T00:00")
        page.get_by_role("button", name="Show this range").first.click()
        expect(page.get_by_role("heading", name="No open error matches these filters")).to_be_visible()
        menu(page, "Occurred:")
        page.get_by_role("link", name="last 24 hours").first.click()
        expect(page.locator("tbody tr")).to_have_count(3)
        page.goto(f"/flows/{scene.strikes.pk}/history/")
        menu(page, "Status:")
        page.get_by_role("link", name="canceled").first.click()
        expect(page).to_have_url(f"/flows/{scene.strikes.pk}/history/?status=canceled")

    signed_in.run(steps, script=False)


def test_chosen_errors_and_all_that_match_are_resolved_and_the_act_is_undone(signed_in: Driver, scene: Scene) -> None:
    def steps(page: Page) -> None:
        page.goto("/errors/?view=list")
        for place in (0, 1):
            page.locator("tbody .tick input").nth(place).check()
        page.get_by_role("button", name="Resolve", exact=True).click()
        said(page, "2 errors resolved.")
        page.get_by_role("button", name="Undo").click()
        said(page, "2 errors reopened.")
        page.get_by_label("All 3 that match").check()
        page.get_by_role("button", name="Resolve", exact=True).click()
        said(page, "3 errors resolved.")

    signed_in.run(steps, script=False)
    assert set(Error.unscoped.values_list("state", flat=True)) == {"resolved"}


def test_errors_are_retried_one_by_one_and_all_of_a_root_cause(signed_in: Driver, scene: Scene) -> None:
    step = step_of(scene.strikes)

    def steps(page: Page) -> None:
        page.goto(f"/flows/{step.flow_id}/steps/{step.pk}/errors/open/")
        page.locator("tbody .tick input").first.check()
        page.get_by_role("button", name="Retry", exact=True).click()
        said(page, "1 error sent for retry.")
        page.goto("/errors/")
        page.get_by_role("button", name="Retry 2").first.click()
        said(page, "2 errors sent for retry.")

    signed_in.run(steps, script=False)
    assert Error.unscoped.filter(retry_run=None).count() == 0


def test_a_record_is_edited_and_retried(signed_in: Driver, scene: Scene) -> None:
    def steps(page: Page) -> None:
        page.goto("/errors/?view=list")
        page.get_by_role("link", name="Edit and retry").first.click()
        field = page.get_by_label("Retry data, JSON")
        field.fill('{"id":"A-3","altitude": oops}')
        page.get_by_role("button", name="Save and retry").click()
        expect(page.get_by_text("line 1").first).to_be_visible()
        field.fill('{"id":"A-3","altitude":300}')
        page.get_by_role("button", name="Save and retry").click()
        said(page, "1 error sent for retry.")

    signed_in.run(steps, script=False)
    assert bytes(RetryData.unscoped.get(version=2).record) == b'{"id":"A-3","altitude":300}'


def test_the_frame_works_too_search_profile_help_and_environment(signed_in: Driver, scene: Scene) -> None:
    def steps(page: Page) -> None:
        page.goto("/dashboard/completed/")
        box = page.get_by_role("banner").get_by_role("searchbox")
        box.fill("A-2")
        box.press("Enter")
        page.locator("#main").get_by_role("link", name="A-2", exact=True).first.click()
        expect(page).to_have_url("/records/A-2/")
        page.locator("summary.avatar").click()
        page.get_by_role("link", name="Profile and time zone").click()
        page.locator("select[name=times]").select_option("relative")
        page.locator("select[name=theme]").select_option("dark")
        page.get_by_role("button", name="Save profile").click()
        said(page, "Your profile is saved.")
        page.get_by_role("navigation", name="Help").get_by_role("link", name="Quick help").click()
        page.get_by_role("link", name="Runs stay in the queue").click()
        expect(page.get_by_role("heading", level=1, name="Runs stay in the queue")).to_be_visible()
        page.locator("summary.env").click()
        page.get_by_role("button", name="Sandbox").click()
        expect(page.locator("html")).to_have_attribute("data-environment", "sandbox")

    signed_in.run(steps, script=False)
    assert Profile.objects.get(user__username="mara").times == "relative"


PAGES = [
    "/dashboard/completed/", "/dashboard/running/", "/integrations/", "/integrations/birds/flows/", "/connections/",
    "/connections/{connection}/", "/flows/{flow}/", "/flows/{flow}/history/", "/flows/{flow}/settings/",
    "/flows/{flow}/definition/", "/errors/", "/errors/?view=list", "/errors/causes/{cause}/",
    "/flows/{flow}/steps/{step}/errors/{error}/data/", "/runs/{run}/", "/runs/{run}/log/", "/records/A-1/", "/help/",
    "/profile/", "/errors/views/", "/errors/tags/",
]  # fmt: skip


def test_no_page_shows_a_control_that_does_nothing(signed_in: Driver, scene: Scene) -> None:
    error = Error.objects.of(scene.account).latest("pk")
    facts: dict[str, Any] = {
        "connection": Connection.objects.of(scene.account).get(name="Warehouse").pk,
        "flow": scene.strikes.pk,
        "cause": error.cause_id,
        "step": error.step_id,
        "error": error.pk,
        "run": error.run_id,
    }

    def steps(page: Page) -> dict[str, list[str]]:
        found = {}
        for path in PAGES:
            answer = page.goto(path.format(**facts))
            assert answer is not None
            assert answer.status == 200, path
            found[path] = page.evaluate(DEAD_CONTROLS)
        return {path: controls for path, controls in found.items() if controls}

    assert signed_in.run(steps, script=False) == {}
