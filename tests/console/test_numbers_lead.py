"""A number leads to what it counts: the lists behind the figures of dashboards, root causes, records and retries."""

import re
from datetime import datetime
from typing import Any

import pytest
from django.test import Client

from apps.errors.models import Cause, Error
from apps.flows.models import Flow
from tests.console.scenes import Scene, start_work
from tests.console.screens import ended_run, html_of, keyed_error, text_of
from tests.factories import step_of
from tests.fakes.running import World
from tests.scenarios.retry_world import retry, retry_runs

KEYS = ("A-1", "A-2", "A-3")


def link_of(html: str, words: str) -> str:
    """The address of the first link that says these words."""
    found = re.search(rf'<a [^>]*href="([^"]+)"[^>]*>{words}</a>', html)
    assert found, f"no link says {words}"
    return found[1].replace("&amp;", "&")


def lists_all(client: Client, address: str) -> bool:
    return all(f">{key}</a>" in html_of(client, address) for key in KEYS)


@pytest.mark.parametrize("place", ["/dashboard/completed/", "/integrations/birds/dashboard/completed/"])
def test_the_strip_leads_to_flows_and_charts(client: Client, scene: Scene, place: str) -> None:
    html = html_of(client, place)
    assert link_of(html, "1 flow") == f"{place}?open=1"
    assert "Airports</a>" not in html_of(client, f"{place}?open=1")
    charts = "/integrations/birds/analytics/" if "birds" in place else "/analytics/"
    assert link_of(html, "940") == f"{charts}?range=24h#chart-success"
    assert f'href="{charts}?range=24h#chart-errors">0.31</a> % of records' in html


def test_a_live_cell_of_the_strip_is_the_cell_of_the_page(client: Client, scene: Scene) -> None:
    for place in ("/dashboard/completed/", "/integrations/birds/dashboard/running/"):
        first: Any = client.get(place)
        told = html_of(client, re.sub(r"v=.*", "v=old~old", first.context["live_url"]))
        cell = re.search(r'<dd id="strip-open" hx-swap-oob="true">(.*?)</dd>', told)
        assert cell
        assert f'<dd id="strip-open">{cell[1]}</dd>' in first.content.decode()


def test_records_of_the_completed_dashboard_lead_to_the_runs_that_brought_them(client: Client, scene: Scene) -> None:
    address = link_of(html_of(client, "/dashboard/completed/?range=24h"), "940")
    row = html_of(client, "/dashboard/completed/?range=24h").partition(f'id="flow-{scene.strikes.pk}"')[2]
    assert link_of(row, "20").startswith(f"/flows/{scene.strikes.pk}/history/?from=")
    assert "chart-success" in address
    assert "940" in html_of(client, link_of(row, "940"))


def test_records_of_the_running_dashboard_lead_to_their_run(client: Client, scene: Scene) -> None:
    run = start_work(scene)
    assert link_of(html_of(client, "/dashboard/running/"), "300") == f"/runs/{run.pk}/"


def test_all_errors_of_a_root_cause_are_one_click_away(client: Client, scene: Scene) -> None:
    Error.unscoped.filter(key="A-3").update(state="resolved", reason="manual")
    Cause.unscoped.update(open_errors=2)
    cause = Cause.unscoped.get()
    page = html_of(client, f"/errors/causes/{cause.pk}/")
    assert lists_all(client, link_of(page, r"<span class=.num.>3</span> in all"))
    assert lists_all(client, link_of(page, "All 3"))


def test_the_figures_of_a_record_lead_to_its_errors(page: Client, orders: Flow, noon: datetime) -> None:
    run = ended_run(orders, noon)
    keyed_error(run, step_of(orders), "A-1")
    html = html_of(page, "/records/A-1/")
    assert link_of(html, "1") == "/errors/?view=list&key=A-1&state=all"
    assert 'class="bad" href="/errors/?view=list&amp;key=A-1">1</a> open' in html
    assert "1 on this page" in text_of(html_of(page, "/errors/?view=list&key=A-1"))


def test_the_figures_of_a_retry_lead_to_what_came_of_each_error(page: Client, world: World) -> None:
    retry(world)
    (run,) = retry_runs(world)
    row = html_of(page, f"/flows/{world.flow.pk}/errors/retries/").partition(f'<tr id="retry-{run.pk}"')[2]
    assert link_of(row, "3") == f"/runs/{run.pk}/"
    assert link_of(row, "3 waiting") == f"/runs/{run.pk}/?result=waiting"
    assert 'href="?result=waiting">3 ' in html_of(page, f"/runs/{run.pk}/?result=waiting")


def test_failed_records_in_the_sum_of_a_run_lead_to_its_errors(page: Client, orders: Flow, noon: datetime) -> None:
    run = ended_run(orders, noon)
    assert f'href="/errors/?run={run.pk}&amp;state=all">7</a> failed' in html_of(page, f"/runs/{run.pk}/")
