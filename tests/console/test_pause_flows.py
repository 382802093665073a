"""Pausing all flows that use a connection, and the way back."""

from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import AuditEntry, Member, Role
from apps.flows.models import Connection, Flow, Revision
from apps.flows.services import disable_flow, enable_flow
from tests.console.scenes import Scene
from tests.console.screens import html_of, text_of
from tests.factories import make_connection, make_flow, step_of


@pytest.fixture
def warehouse(scene: Scene) -> Connection:
    """Used by Wildlife strikes, which is enabled."""
    return Connection.unscoped.get(name="Warehouse")


def address(connection: Connection, act: str = "") -> str:
    return f"/connections/{connection.pk}/{act}"


def use(flow: Flow, connection: Connection) -> None:
    step_of(flow).__class__.unscoped.filter(flow=flow, key="target").update(connection=connection)


def pause(client: Client, connection: Connection, *flows: Flow) -> str:
    answer = client.post(address(connection, "pause"), {"flow": [flow.pk for flow in flows]}, follow=True)
    return text_of(answer.content.decode())


def resume(client: Client, connection: Connection) -> str:
    return text_of(client.post(address(connection, "resume"), follow=True).content.decode())


def enabled() -> set[str]:
    return set(Flow.unscoped.filter(enabled=True).values_list("name", flat=True))


def test_the_question_names_the_number_and_each_flow(client: Client, scene: Scene, warehouse: Connection) -> None:
    use(scene.airports, warehouse)
    html = html_of(client, address(warehouse, "pause"))
    assert "Pause 2 flows that use Warehouse?" in text_of(html)
    assert f'href="/flows/{scene.strikes.pk}/"' in html
    assert enabled() == {"Airports", "Wildlife strikes"}


def test_the_flows_are_disabled_and_no_other(client: Client, scene: Scene, warehouse: Connection) -> None:
    text = pause(client, warehouse, scene.strikes, scene.airports)
    assert "1 flow is paused: no new run starts, one under way goes on." in text
    assert enabled() == {"Airports"}
    assert AuditEntry.unscoped.filter(act="flow.disable", object_id=scene.strikes.pk).count() == 1


def test_a_flow_that_was_not_named_in_the_question_runs_on(client: Client, scene: Scene, warehouse: Connection) -> None:
    use(scene.airports, warehouse)
    pause(client, warehouse, scene.strikes)
    assert enabled() == {"Airports"}


def test_a_flow_that_calls_one_with_the_connection_is_named_too(
    client: Client, scene: Scene, warehouse: Connection
) -> None:
    Revision.unscoped.filter(flow=scene.airports).update(callees={scene.strikes.key: 1})
    disable_flow(flow=scene.strikes)
    text = text_of(html_of(client, address(warehouse, "pause")))
    assert "Pause 1 flow that uses Warehouse?" in text
    assert "Airports" in text


def test_the_way_back_enables_exactly_what_was_paused(client: Client, scene: Scene, warehouse: Connection) -> None:
    off = make_flow(integration=scene.shop, name="Off already", enabled=False)
    use(off, warehouse)
    pause(client, warehouse, scene.strikes)
    assert "1 flow is paused here, last on" in text_of(html_of(client, address(warehouse)))
    assert "1 flow is enabled again." in resume(client, warehouse)
    assert enabled() == {"Airports", "Wildlife strikes"}
    assert "paused here" not in html_of(client, address(warehouse))
    assert "None of these flows is paused any more." in resume(client, warehouse)


def test_the_next_run_is_planned_again(client: Client, scene: Scene, warehouse: Connection) -> None:
    pause(client, warehouse, scene.strikes)
    assert Flow.unscoped.get(pk=scene.strikes.pk).next_due_at is None
    resume(client, warehouse)
    assert Flow.unscoped.get(pk=scene.strikes.pk).next_due_at is not None


def test_what_was_paused_before_comes_back_with_what_is_paused_later(
    client: Client, scene: Scene, warehouse: Connection
) -> None:
    pause(client, warehouse, scene.strikes)
    use(scene.airports, warehouse)
    assert "2 flows are paused here" in pause(client, warehouse, scene.airports)
    resume(client, warehouse)
    assert enabled() == {"Airports", "Wildlife strikes"}


def test_a_flow_that_somebody_enabled_meanwhile_is_not_paused_any_more(
    client: Client, scene: Scene, warehouse: Connection
) -> None:
    pause(client, warehouse, scene.strikes)
    enable_flow(flow=Flow.unscoped.get(pk=scene.strikes.pk))
    assert "paused here" not in html_of(client, address(warehouse))


def test_without_an_enabled_flow_there_is_nothing_to_pause(client: Client, scene: Scene, warehouse: Connection) -> None:
    unused = make_connection(scene.account, name="Archive")
    assert "No flow that uses Archive is enabled." in text_of(html_of(client, address(unused, "pause")))
    assert 'title="No flow that uses it is enabled"' in html_of(client, address(unused))
    assert "None of these flows is enabled any more." in pause(client, unused, scene.strikes)


@pytest.mark.parametrize("path", ["/connections/", "own"])
def test_the_way_there_stands_in_the_list_and_at_the_connection(
    client: Client, warehouse: Connection, path: str
) -> None:
    html = html_of(client, address(warehouse) if path == "own" else path)
    assert f'href="{address(warehouse, "pause")}"' in html


def test_a_monitor_pauses_nothing(client: Client, scene: Scene, warehouse: Connection, mara: Any) -> None:
    Member.unscoped.filter(user=mara).update(role=Role.MONITOR)
    assert client.get(address(warehouse, "pause")).status_code == 403
    for act in ("pause", "resume"):
        assert client.post(address(warehouse, act), {"flow": scene.strikes.pk}).status_code == 403
    assert "Wildlife strikes" in enabled()


def test_what_is_sent_as_a_flow_and_is_none_is_passed_over(client: Client, warehouse: Connection) -> None:
    answer = client.post(address(warehouse, "pause"), {"flow": ["x", "9" * 40, "²"]}, follow=True)
    assert "None of these flows" in answer.content.decode()


def test_connections_of_others_are_not_there(client: Client, scene: Scene) -> None:
    theirs = make_connection()
    assert client.get(address(theirs, "pause")).status_code == 404
    assert client.post(address(theirs, "resume")).status_code == 404
    elsewhere = make_connection(scene.account, environment="sandbox")
    assert client.get(address(elsewhere, "pause")).status_code == 404


def test_the_question_takes_eight_queries(
    client: Client, warehouse: Connection, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(8):
        html_of(client, address(warehouse, "pause"))
