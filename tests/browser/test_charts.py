"""The charts in a real browser: drawn in both themes, a drag is an address, and what is shown is what is counted."""

import csv
import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth import get_user_model
from django.db.models import Sum
from playwright.sync_api import Page, expect

from apps.core.clock import wall_now
from apps.runs.models import Bucket, Grain
from tests.browser.driver import Driver
from tests.console.scenes import Scene, add_to_bucket, make_scene
from tests.factories import make_flow

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
# how many colours the picture of a chart has: a blank one has one
COLORS = """(canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return new Set(new Uint32Array(data.buffer)).size;
}"""
# what has moved by itself since the page began to load, if it is more than the guide's 0.01
MOVED = """() => new Promise((tell) => {
  const found = [];
  let sum = 0;
  new PerformanceObserver((list) => list.getEntries().forEach((shift) => {
    sum += shift.value;
    found.push(...shift.sources.map(({ node }) => `${node?.nodeName} ${node?.className} ${node?.id}`));
  })).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => tell(sum > 0.01 ? found : []), 200);
})"""
PIXELS = "(canvas) => canvas.toDataURL()"


@pytest.fixture
def scene(signed_in: Driver) -> Scene:
    found = make_scene(get_user_model().objects.get(username="mara"))
    now = wall_now()
    for hours in range(1, 20):
        add_to_bucket(
            found.strikes, now - timedelta(hours=hours), success=hours * 10, errors=hours % 3, busy_ms=hours * 900
        )
    return found


def test_charts_are_drawn_in_both_themes_and_tell_the_point_under_the_cursor(signed_in: Driver, scene: Scene) -> None:
    def opened(page: Page) -> None:
        faults: list[str] = []
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto("/integrations/birds/analytics/?range=24h")
        canvases = page.locator(".chart canvas")
        expect(canvases).to_have_count(5)
        for theme in ("light", "dark"):
            page.evaluate(
                "(theme) => { const root = document.documentElement; root.dataset.theme = theme;"
                "root.dispatchEvent(new Event('themechange')); }",
                theme,
            )
            page.wait_for_timeout(100)
            assert min(canvas.evaluate(COLORS) for canvas in canvases.all()) > 3
            pictures.append(canvases.first.evaluate(PIXELS))
        moved.extend(page.evaluate(MOVED))
        chart = page.get_by_role("img", name=re.compile("^Line chart: Success"))
        chart.focus()
        chart.press("End")
        chart.press("ArrowLeft")
        expect(chart.locator(".tip")).to_contain_text("Wildlife strikes")
        expect(chart.locator(".tip")).to_contain_text("10")
        expect(page.locator("#charts-said")).to_contain_text("Wildlife strikes 10")
        assert faults == []
        assert page.evaluate("window.policyViolations") == []

    pictures: list[str] = []
    moved: list[str] = []
    signed_in.run(opened)
    assert pictures[0] != pictures[1]
    assert moved == []


def test_a_drag_over_one_chart_is_the_address_of_that_time_in_all(signed_in: Driver, scene: Scene) -> None:
    def opened(page: Page) -> None:
        page.goto(f"/flows/{scene.strikes.pk}/analytics/?range=24h&tables=errors")
        box = page.locator("[data-chart=success] .u-over").bounding_box()
        assert box
        page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 60)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 60, steps=5)
        page.mouse.up()
        page.wait_for_url(re.compile("from="))
        addresses.append(page.url)
        expect(page.locator(".chart canvas")).to_have_count(5)
        page.go_back()
        addresses.append(page.url)

    addresses: list[str] = []
    signed_in.run(opened)
    query = parse_qs(urlsplit(addresses[0]).query)
    since, until = (wall_now().fromisoformat(query[name][0]) for name in ("from", "to"))
    assert timedelta(hours=6) <= until - since <= timedelta(hours=8)
    assert abs(since - (wall_now() - timedelta(hours=18))) < timedelta(hours=1, minutes=30)
    assert (query["tables"], "range" in query) == (["errors"], False)
    assert addresses[1].endswith("range=24h&tables=errors")


def test_a_ninth_stream_is_refused_where_it_is_chosen(signed_in: Driver, scene: Scene) -> None:
    for _ in range(7):
        make_flow(integration=scene.shop)

    def opened(page: Page) -> None:
        page.goto("/integrations/birds/analytics/?range=24h")
        expect(page.locator("a.chip[data-stream]")).to_have_count(8)
        page.locator("summary", has_text="Choose").click()
        for box in page.locator("input[name=stream]").all():
            box.check()
        page.get_by_role("button", name="Show these streams").click()
        expect(page.get_by_role("alert")).to_have_text(re.compile("Up to 8 streams. Remove one first."))
        expect(page.locator("a.chip[data-stream]")).to_have_count(8)

    signed_in.run(opened)
    signed_in.run(opened, script=False)


def test_without_a_script_the_tables_are_the_download_and_both_are_the_buckets(signed_in: Driver, scene: Scene) -> None:
    def opened(page: Page) -> None:
        page.goto(f"/flows/{scene.strikes.pk}/analytics/?range=24h")
        page.get_by_role("link", name="Show all as tables").click()
        expect(page.locator("#table-ms tbody td").first).to_be_visible()
        for name, place in (("success", 0), ("errors", 1), ("ignored", 2), ("resolved", 3), ("ms", 4)):
            cells = page.locator(f"#table-{name} tbody td").all_inner_texts()
            tables[place] = [cell.replace(",", "") for cell in reversed(cells)]
        with page.expect_download() as waited:
            page.get_by_role("link", name="CSV").click()
        text.append(waited.value.path().read_text(encoding="utf-8-sig"))

    tables: dict[int, list[str]] = {}
    text: list[str] = []
    signed_in.run(opened, script=False)
    rows = list(csv.reader(text[0].splitlines()))[1:]
    for place in range(4):
        assert [row[2 + place] for row in rows] == tables[place]
    assert [bool(row[6]) for row in rows] == [bool(cell) for cell in tables[4]]
    buckets = Bucket.unscoped.filter(flow=scene.strikes, grain=Grain.MINUTE).aggregate(Sum("success"), Sum("errors"))
    assert sum(map(int, tables[0])) == buckets["success__sum"]
    assert sum(map(int, tables[1])) == buckets["errors__sum"]
