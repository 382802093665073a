"""The dashboard in a real browser: a run's numbers move by themselves, and only those that changed."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from playwright.sync_api import Page, expect

from apps.runs.models import Run
from tests.browser.driver import Driver
from tests.console.scenes import make_scene, start_work

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
WATCH_CHANGES = """
window.replaced = [];
document.body.addEventListener("htmx:oobAfterSwap", (event) => window.replaced.push(event.detail.target.id));
"""


def test_only_the_cells_that_changed_are_replaced(signed_in: Driver) -> None:
    scene = make_scene(get_user_model().objects.get(username="mara"))
    run = start_work(scene)

    def opened(page: Page) -> None:
        faults: list[str] = []
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.goto("/dashboard/running/")
        page.evaluate(WATCH_CHANGES)
        with page.expect_response("**/live/**"):
            pass  # one round without news
        commit_page(run)
        expect(page.locator(f"#run-{run.pk}-success")).to_have_text("450", timeout=10_000)
        replaced = page.evaluate("window.replaced")
        assert f"run-{run.pk}-success" in replaced
        assert f"run-{run.pk}-ignored" not in replaced
        assert f"run-{run.pk}-act" not in replaced
        assert "strip-causes" not in replaced
        assert faults == []
        assert page.evaluate("window.policyViolations") == []

    signed_in.run(opened)


def commit_page(run: Run) -> None:
    """What a page commit does to the run's row; in a thread of its own, for the browser's may not use the ORM."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        assert thread.submit(_write, run.pk).result() == 1


def _write(run_id: int) -> int:
    try:
        return Run.unscoped.filter(pk=run_id).update(success=450, pages_done=3, change_no=2)
    finally:
        connection.close()


def test_a_run_is_canceled_without_a_script(signed_in: Driver) -> None:
    scene = make_scene(get_user_model().objects.get(username="mara"))
    run = start_work(scene)

    def opened(page: Page) -> None:
        page.goto("/dashboard/running/")
        page.get_by_role("button", name=f"Cancel run {run} of Wildlife strikes").click()
        expect(page.locator(".toast")).to_contain_text(f"Run {run} of Wildlife strikes")

    signed_in.run(opened, script=False)
    run.refresh_from_db()
    assert run.cancel_requested_at is not None
