"""The editor of a definition with a script: checked while it is written, and mistakes lead to their lines."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from playwright.sync_api import Page, expect

from apps.flows.models import Flow
from apps.flows.services import apply_definition, set_connection
from tests.browser.driver import Driver
from tests.factories import make_account

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

TEXT = """\
flow: orders
integration: shop
page_size: 500
steps:
  - key: source
    export: {connection: Warehouse, query: SELECT 1 AS id}
"""
SELECTED = "field => field.value.slice(field.selectionStart, field.selectionEnd)"


@pytest.fixture
def flow() -> Flow:
    account = make_account(owner=get_user_model().objects.get(username="mara"))
    set_connection(account=account, name="Warehouse", kind="sql", config={"database": "sqlite", "file": "w.db"})
    return apply_definition(account=account, text=TEXT).flow


def test_the_text_is_checked_while_it_is_written_and_a_mistake_leads_to_its_line(signed_in: Driver, flow: Flow) -> None:
    def write(page: Page) -> Any:
        page.goto(f"{signed_in.address}/flows/{flow.pk}/definition/")
        field = page.locator("#definition-text")
        assert page.locator(".gutter span").count() == TEXT.count("\n") + 1
        field.fill(TEXT.replace("page_size", "page_sise"))
        page.get_by_role("link", name="Line 3").click()
        selected = field.evaluate(SELECTED)
        field.fill(TEXT.replace("500", "100"))
        expect(page.locator("#findings")).to_contain_text("1 line added, 1 removed against revision 1")
        return selected, page.evaluate("window.policyViolations")

    assert signed_in.run(write) == ("page_sise: 500", [])
    flow.refresh_from_db()
    assert flow.page_size == 500


def test_a_setting_tells_what_it_will_do_while_it_is_written(signed_in: Driver, flow: Flow) -> None:
    def write(page: Page) -> Any:
        page.goto(f"{signed_in.address}/flows/{flow.pk}/settings/")
        page.get_by_label("Cron expression").fill("30 6 * * *")
        expect(page.locator("#story-schedule")).to_contain_text("Daily at 06:30, UTC. The next 5 times:")
        page.get_by_label("Attempts", exact=True).fill("2")
        expect(page.locator("#story-workflow-retry")).to_contain_text("until one attempt does not fail")
        return page.evaluate("window.policyViolations")

    assert signed_in.run(write) == []


def test_a_definition_is_checked_and_saved_without_a_script(signed_in: Driver, flow: Flow) -> None:
    def write(page: Page) -> Any:
        page.goto(f"{signed_in.address}/flows/{flow.pk}/definition/")
        page.locator("#definition-text").fill(TEXT.replace("page_size", "page_sise"))
        page.get_by_role("button", name="Check").click()
        expect(page.locator("#findings")).to_contain_text("did you mean page_size?")
        page.locator("#definition-text").fill(TEXT.replace("500", "100"))
        page.get_by_role("button", name="Save as revision 2").click()
        return page.locator(".toast").inner_text()

    assert "Revision 2 of Orders is saved: page size changed." in signed_in.run(write, script=False)
    flow.refresh_from_db()
    assert flow.page_size == 100
