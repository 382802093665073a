"""Integrations: tiles, the flows of one, and what is done to them."""

import re
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import AuditEntry, Member, Role
from apps.core.clock import wall_now
from apps.flows.models import Connection, Flow, Integration
from apps.runs.models import Run
from tests.console.scenes import Scene, start_work
from tests.console.test_dashboard import html_of, names_in, row_of
from tests.factories import make_account, make_connection, make_flow, make_integration

FLOWS = "/integrations/birds/flows/"


def test_a_tile_tells_how_the_integration_is_doing(client: Client, scene: Scene) -> None:
    html = html_of(client, "/integrations/")
    assert names_in(html) == ["Birds and airports"]
    assert 'href="/errors/?view=list&amp;integration=birds">3 open errors</a>' in html
    assert "2 flows" in html
    assert "running now" in html


def test_a_tile_names_whom_to_ask_or_the_connection_that_is_offline(client: Client, scene: Scene, mara: Any) -> None:
    scene.shop.owner = Member.unscoped.get(user=mara)
    scene.shop.save()
    for view in ("tiles", "list"):
        assert ">Mara<" in html_of(client, f"/integrations/?view={view}")
    Connection.unscoped.update(state="offline", offline_since=wall_now())
    for view in ("tiles", "list"):
        assert "Warehouse is offline since " in html_of(client, f"/integrations/?view={view}")


@pytest.mark.parametrize(("asked", "number"), [("BIRD", 1), ("sql", 1), ("warehouse", 1), ("orders", 0)])
def test_integrations_are_found_by_name_and_application(client: Client, scene: Scene, asked: str, number: int) -> None:
    html = html_of(client, f"/integrations/?q={asked}")
    assert len(names_in(html)) == number
    assert number or "No integration matches this filter" in html
    assert number or "1 integration without it. Name or application: orders." in html


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


def test_a_flow_s_switch_says_whether_it_is_on_and_when_it_runs_next(client: Client, scene: Scene) -> None:
    due = wall_now().replace(microsecond=0)
    Flow.unscoped.filter(pk=scene.strikes.pk).update(next_due_at=due, enabled=True)
    Flow.unscoped.filter(pk=scene.airports.pk).update(next_due_at=due, enabled=False)
    html = html_of(client, FLOWS)
    on, off = (row_of(html, flow, as_words=False) for flow in (scene.strikes, scene.airports))
    assert 'role="switch" aria-checked="true" aria-label="Wildlife strikes is enabled"' in on
    assert 'role="switch" aria-checked="false"' in off
    assert f'datetime="{due.isoformat()}"' in on
    assert "not while off" in off
    assert 'title="The flow is disabled. Enable it first."' in off


def test_a_flow_that_runs_after_another_names_it_unless_it_is_of_another_integration(
    client: Client, scene: Scene
) -> None:
    Flow.unscoped.filter(pk=scene.strikes.pk).update(run_after=scene.airports, cron="")
    for page in ("/integrations/birds/flows/", f"/flows/{scene.strikes.pk}/"):
        assert "After Airports" in html_of(client, page)
    elsewhere = make_flow(integration=make_integration(scene.account), name="Hidden first")
    Flow.unscoped.filter(pk=scene.strikes.pk).update(run_after=elsewhere)
    for page in ("/integrations/birds/flows/", f"/flows/{scene.strikes.pk}/"):
        assert "After another flow" in html_of(client, page)


def test_many_flows_of_an_integration_come_in_pages(
    client: Client, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.console.views.integrations.ROWS_A_PAGE", 1)
    assert names_in(html_of(client, FLOWS)) == ["Airports"]
    html = html_of(client, f"{FLOWS}?page=2")
    assert names_in(html) == ["Wildlife strikes"]
    assert "Page 2 of 2" in html


def test_the_connections_of_an_integration_are_those_that_its_flows_use(client: Client, scene: Scene) -> None:
    make_connection(scene.account, name="Elsewhere")
    html = html_of(client, "/integrations/birds/connections/")
    assert ">Warehouse</a>" in html
    assert "Elsewhere" not in html
    make_integration(scene.account, slug="empty")
    assert "No flow here uses a connection yet" in html_of(client, "/integrations/empty/connections/")


def test_no_tab_of_an_integration_is_dead(client: Client, scene: Scene) -> None:
    tabs = re.findall(r'<nav class="tabs" aria-label="Integration">(.*?)</nav>', html_of(client, FLOWS))[0]
    addresses = re.findall(r'href="([^"]+)"', tabs)
    assert len(addresses) >= 4
    for address in addresses:
        assert 'aria-current="page"' in html_of(client, address)


# --- making and changing --------------------------------------------------------------------------------------------
def test_a_new_integration_leads_to_its_first_flow(client: Client, scene: Scene, mara: Any) -> None:
    assert 'href="/integrations/new/"' in html_of(client, "/integrations/")
    assert "New integration" in html_of(client, "/integrations/new/")
    fields = {"name": "Shop and books", "key": "shop-books", "description": "Orders, refunds"}
    answer = client.post("/integrations/new/", fields, follow=True)
    assert answer.redirect_chain[-1][0] == "/integrations/shop-books/flows/new/"
    assert "Integration Shop and books is made. Make its first flow now." in answer.content.decode()
    made = Integration.objects.of(scene.account).get(slug="shop-books")
    assert (made.name, made.description, made.environment) == ("Shop and books", "Orders, refunds", "production")
    assert AuditEntry.objects.of(scene.account).filter(act="integration.create", object_id=made.pk).exists()
    assert "Begin with an example that runs" in html_of(client, "/integrations/shop-books/flows/")


@pytest.mark.parametrize(
    ("key", "words"),
    [("birds", "There is an integration with the key birds already."), ("Not a key", "A key consists of a to z")],
)
def test_a_key_is_free_and_can_stand_in_an_address(client: Client, scene: Scene, key: str, words: str) -> None:
    answer = client.post("/integrations/new/", {"name": "Birds", "key": key})
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert Integration.objects.of(scene.account).count() == 1


def test_the_settings_change_what_it_is_called_and_whom_to_ask(client: Client, scene: Scene, mara: Any) -> None:
    address, member = "/integrations/birds/settings/", Member.unscoped.get(user=mara)
    assert "Birds and airports" in html_of(client, address)
    client.post(address, {"name": "Birds", "description": "", "owner": member.pk})
    changed = Integration.unscoped.get(pk=scene.shop.pk)
    assert (changed.name, changed.description, changed.owner_id) == ("Birds", "", member.pk)
    entry = AuditEntry.objects.of(scene.account).get(act="integration.change")
    assert entry.before["name"] == "Birds and airports"
    client.post(address, {"name": "Birds", "description": "", "owner": member.pk})
    assert AuditEntry.objects.of(scene.account).filter(act="integration.change").count() == 1
    stranger = make_account().members.get()
    assert client.post(address, {"name": "Birds", "owner": stranger.pk}).status_code == 422
    assert client.post(address, {"name": " "}).status_code == 422


def test_a_monitor_reads_settings_and_changes_none(client: Client, scene: Scene, mara: Any) -> None:
    Member.unscoped.filter(user=mara).update(role=Role.MONITOR)
    assert "<fieldset" in html_of(client, "/integrations/birds/settings/")
    assert "disabled" in html_of(client, "/integrations/birds/settings/").split("<fieldset")[1].split(">")[0]
    assert client.post("/integrations/birds/settings/", {"name": "Mine"}).status_code == 403
    assert client.get("/integrations/new/").status_code == 403
    assert 'href="/integrations/new/"' not in html_of(client, "/integrations/")


def test_the_dashboard_of_an_integration_has_only_its_flows(client: Client, scene: Scene) -> None:
    other = make_integration(scene.account, slug="other", name="Other")
    make_flow(integration=other, name="Elsewhere")
    html = html_of(client, "/integrations/birds/dashboard/completed/")
    assert names_in(html) == ["Wildlife strikes", "Airports"]
    assert '<a class="bad" href="/errors/?view=list&amp;integration=birds">3</a>' in html
    assert client.get("/integrations/birds/dashboard/").url == "/integrations/birds/dashboard/completed/"
    start_work(scene)
    assert names_in(html_of(client, "/integrations/other/dashboard/running/")) == []


@pytest.mark.parametrize("page", ["flows/", "dashboard/completed/", "dashboard/running/", "connections/", "settings/"])
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
