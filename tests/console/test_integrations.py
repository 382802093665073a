"""Integrations: tiles, the flows of one, and what is done to them."""

from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import AuditEntry, Member, Role
from apps.core.clock import wall_now
from apps.flows.models import Connection, Flow
from apps.runs.models import Run
from tests.console.scenes import Scene, make_scene, start_work
from tests.console.test_dashboard import html_of, names_in
from tests.factories import make_account, make_flow, make_integration

FLOWS = "/integrations/birds/flows/"


@pytest.fixture
def scene(client: Client, mara: Any) -> Scene:
    client.force_login(mara)
    return make_scene(mara)


def test_a_tile_tells_how_the_integration_is_doing(client: Client, scene: Scene) -> None:
    html = html_of(client, "/integrations/")
    assert names_in(html) == ["Birds and airports"]
    assert 'href="/errors/?view=list&amp;integration=birds">3 open errors</a>' in html
    assert "2 flows" in html
    assert "running now" in html


def test_a_tile_names_the_connection_that_is_offline(client: Client, scene: Scene) -> None:
    Connection.unscoped.update(state="offline", offline_since=wall_now())
    assert "Warehouse is offline" in html_of(client, "/integrations/")


@pytest.mark.parametrize(("asked", "number"), [("BIRD", 1), ("sql", 1), ("orders", 0)])
def test_integrations_are_found_by_name_and_application(client: Client, scene: Scene, asked: str, number: int) -> None:
    html = html_of(client, f"/integrations/?q={asked}")
    assert len(names_in(html)) == number
    assert number or "No integration matches" in html


def test_from_thirty_integrations_on_they_are_listed(client: Client, scene: Scene) -> None:
    assert 'class="tiles"' in html_of(client, "/integrations/")
    for _ in range(29):
        make_integration(scene.account)
    assert 'class="tiles"' not in html_of(client, "/integrations/")
    assert 'class="tiles"' in html_of(client, "/integrations/?view=tiles")


def test_the_flows_of_an_integration_with_their_schedule_and_acts(client: Client, scene: Scene) -> None:
    html = html_of(client, FLOWS)
    assert names_in(html) == ["Airports", "Wildlife strikes"]
    assert "Every 15 minutes" in html
    assert f'action="/flows/{scene.airports.pk}/run"' in html
    assert f'action="/flows/{scene.airports.pk}/disable"' in html
    assert client.get("/integrations/birds/").url == FLOWS


def test_the_dashboard_of_an_integration_has_only_its_flows(client: Client, scene: Scene) -> None:
    other = make_integration(scene.account, slug="other", name="Other")
    make_flow(integration=other, name="Elsewhere")
    html = html_of(client, "/integrations/birds/dashboard/completed/")
    assert names_in(html) == ["Wildlife strikes", "Airports"]
    assert '<a class="bad" href="/errors/?view=list&amp;integration=birds">3</a>' in html
    assert client.get("/integrations/birds/dashboard/").url == "/integrations/birds/dashboard/completed/"
    start_work(scene)
    assert names_in(html_of(client, "/integrations/other/dashboard/running/")) == []


@pytest.mark.parametrize("page", ["flows/", "dashboard/completed/", "dashboard/running/"])
def test_what_is_out_of_reach_is_not_there(client: Client, scene: Scene, page: str) -> None:
    make_integration(make_account(), slug="theirs")
    make_integration(scene.account, slug="sandboxed", environment="sandbox")
    for slug in ("theirs", "sandboxed", "nothing"):
        assert client.get(f"/integrations/{slug}/{page}").status_code == 404


# --- acts -----------------------------------------------------------------------------------------------------------
def test_a_flow_is_run_by_hand(client: Client, scene: Scene, mara: Any) -> None:
    answer = client.post(f"/flows/{scene.airports.pk}/run", {"next": FLOWS}, follow=True)
    run = Run.objects.of(scene.account).filter(flow=scene.airports).latest("pk")
    assert run.status == "queued"
    assert run.started_by.user == mara
    assert answer.redirect_chain[-1][0] == FLOWS
    assert f"Run {run} of Airports is queued." in answer.content.decode()


def test_why_a_run_is_refused_is_told(client: Client, scene: Scene) -> None:
    Flow.unscoped.update(enabled=False)
    answer = client.post(f"/flows/{scene.airports.pk}/run", {"next": FLOWS}, follow=True)
    assert "Flow Airports is disabled. Enable it first." in answer.content.decode()


def test_a_flow_is_disabled_and_enabled_and_both_are_in_the_audit_log(client: Client, scene: Scene) -> None:
    client.post(f"/flows/{scene.airports.pk}/disable", {"next": FLOWS})
    assert not Flow.unscoped.get(pk=scene.airports.pk).enabled
    client.post(f"/flows/{scene.airports.pk}/enable", {"next": FLOWS})
    assert Flow.unscoped.get(pk=scene.airports.pk).enabled
    acts = AuditEntry.objects.of(scene.account).filter(object_id=scene.airports.pk).values_list("act", flat=True)
    assert {"flow.disable", "flow.enable"} <= set(acts)


def test_a_run_is_canceled_once(client: Client, scene: Scene) -> None:
    client.post(f"/flows/{scene.airports.pk}/run")
    run = Run.objects.of(scene.account).latest("pk")
    first = client.post(f"/runs/{run.pk}/cancel", {"next": "/dashboard/running/"}, follow=True)
    assert f"Run {run} of Airports is canceled." in first.content.decode()
    again = client.post(f"/runs/{run.pk}/cancel", {"next": "/dashboard/running/"}, follow=True)
    assert f"Run {run} has ended already: canceled." in again.content.decode()


def test_a_monitor_may_run_and_cancel_but_not_switch_flows(client: Client, scene: Scene, mara: Any) -> None:
    Member.unscoped.filter(user=mara).update(role=Role.MONITOR)
    assert client.post(f"/flows/{scene.airports.pk}/run", {"next": FLOWS}).status_code == 302
    refused = client.post(f"/flows/{scene.airports.pk}/disable")
    assert refused.status_code == 403
    assert "it takes the role Manager" in refused.content.decode()
    assert 'disabled title="It takes the role manager"' in html_of(client, FLOWS)


@pytest.mark.parametrize("act", ["run", "enable", "disable"])
def test_acts_need_a_post_and_an_object_within_reach(client: Client, scene: Scene, act: str) -> None:
    theirs = make_flow(make_account())
    assert client.get(f"/flows/{scene.airports.pk}/{act}").status_code == 405
    assert client.post(f"/flows/{theirs.pk}/{act}").status_code == 404
    assert client.post(f"/flows/{2**63}/{act}").status_code == 404
    assert not Run.unscoped.filter(flow=theirs).exists()


def test_an_act_never_leads_to_another_site(client: Client, scene: Scene) -> None:
    answer = client.post(f"/flows/{scene.airports.pk}/run", {"next": "https://evil.example/"})
    assert answer.url == f"/flows/{scene.airports.pk}/"
