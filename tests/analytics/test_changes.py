"""Changes that charts mark: what the acts themselves wrote into the audit log."""

from datetime import timedelta

import pytest

from apps.accounts.models import Account, AuditEntry
from apps.analytics import changes
from apps.analytics.changes import changes_in
from apps.core.clock import wall_now
from apps.flows.models import Flow
from apps.flows.services import apply_definition, disable_flow, enable_flow, note_outage
from apps.flows.services.health import bring_online
from tests.factories import make_connection, make_flow, make_member, make_user, step_of

TEXT = """flow: orders
integration: shop
steps:
  - key: source
    export: {connection: Warehouse, query: SELECT 1 AS id}
  - key: target
    import: {connection: Warehouse, table: orders, operation: insert}
"""


def texts(flow: Flow) -> list[tuple[str, str]]:
    now = wall_now()
    found = changes_in(flow.account_id, {flow.pk: flow.name}, now - timedelta(hours=1), now + timedelta(minutes=1))
    return [(change.text, change.who) for change in found.rows]


def test_edits_of_the_definition_switches_and_incidents_are_told_oldest_first(account: Account) -> None:
    mara = make_member(account, user=make_user(first_name="Mara", last_name="Lindqvist"))
    warehouse = make_connection(account, name="Warehouse", offline_after=1)
    make_connection(account, name="Elsewhere", offline_after=1)
    flow = apply_definition(account=account, text=TEXT, member=mara).flow
    apply_definition(account=account, text=TEXT, member=mara)  # changes nothing
    apply_definition(account=account, text=TEXT.replace("SELECT 1", "SELECT 2"))
    enable_flow(flow=flow, member=mara)
    for name in ("Warehouse", "Elsewhere"):
        note_outage(account_id=account.pk, environment="production", name=name, message="Refused")
    warehouse.refresh_from_db()
    bring_online(warehouse)
    assert texts(flow) == [
        ("Orders: revision 1", "Mara Lindqvist"),
        ("Orders: revision 2", "Command line"),
        ("Orders: enabled", "Mara Lindqvist"),
        ("Warehouse: offline", "Flowmend"),
        ("Warehouse: online again", "Flowmend"),
    ]


def test_changes_of_other_flows_accounts_and_times_are_left_out(flow: Flow) -> None:
    disable_flow(flow=make_flow(flow.account))
    disable_flow(flow=make_flow())
    disable_flow(flow=flow)
    assert len(texts(flow)) == 1
    AuditEntry.unscoped.filter(object_id=flow.pk).update(at=wall_now() - timedelta(hours=2))
    assert texts(flow) == []


def test_of_very_many_the_newest_are_told_and_that_there_were_more(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "MOST_CHANGES", 2)
    for act in ("flow.enable", "flow.disable", "flow.enable"):
        AuditEntry.unscoped.create(
            account=flow.account, actor_kind="system", act=act, object_kind="flow", object_id=flow.pk
        )
    now = wall_now()
    found = changes_in(flow.account_id, {flow.pk: "Orders"}, now - timedelta(hours=1), now + timedelta(minutes=1))
    assert [change.text for change in found.rows] == ["Orders: disabled", "Orders: enabled"]
    assert found.is_cut


def test_a_removed_steps_connection_says_nothing_any_more(flow: Flow) -> None:
    gone = make_connection(flow.account, name="Gone", offline_after=1)
    step_of(flow).__class__.unscoped.filter(flow=flow, key="target").update(connection=gone, removed_at=wall_now())
    note_outage(account_id=flow.account_id, environment="production", name="Gone", message="Refused")
    assert texts(flow) == []
