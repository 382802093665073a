"""The admin under the console's policy: nothing of it is blocked, and its acts ask before they act."""

import pytest
from django.contrib.auth import get_user_model
from playwright.sync_api import Page, expect

from apps.errors.models import Error
from tests.browser.driver import Driver
from tests.console.scenes import make_scene

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PAGES = [
    "/admin/",
    "/admin/runs/run/",
    "/admin/flows/revision/",
    "/admin/accounts/member/add/",
    "/admin/flows/connection/add/",
]


def test_the_admin_obeys_the_policy_asks_before_it_acts_and_leads_to_the_console(signed_in: Driver) -> None:
    user = get_user_model().objects.get(username="mara")
    user.is_staff = user.is_superuser = True
    user.save()
    scene = make_scene(user)

    def steps(page: Page) -> None:
        faults: list[str] = []
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        for path in PAGES:
            page.goto(path)
            assert page.evaluate("window.policyViolations") == []
        page.goto("/dashboard/completed/")
        page.locator("summary.avatar").click()
        page.get_by_role("link", name="Admin").click()
        page.locator("#errors-error").get_by_role("link", name="Errors").click()
        page.locator("tbody input.action-select").first.check()
        page.get_by_label("Action:").select_option(label="Resolve …")
        page.get_by_role("button", name="Run the selected action").or_(page.get_by_role("button", name="Go")).click()
        page.get_by_role("button", name="Resolve", exact=True).click()
        expect(page.locator(".messagelist")).to_contain_text("1 error chosen in Harbor & Pine")
        page.get_by_role("link", name="Open", exact=True).first.click()
        expect(page.get_by_role("heading", name="The altitude is no number")).to_be_visible()
        assert page.evaluate("window.policyViolations") == []
        assert faults == []

    signed_in.run(steps)
    assert Error.objects.of(scene.account).filter(state="resolved").count() == 1
