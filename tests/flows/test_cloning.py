"""An integration is made again, in the other environment or under another name: its flows, but nothing that runs."""

import pytest
import yaml

from apps.accounts.models import Account, AuditEntry
from apps.flows.models import Connection, Flow, Integration
from apps.flows.secrets import secret_names
from apps.flows.services import apply_definition
from apps.flows.services.cloning import Cloned, CloneRefused, bindings, clone_integration
from apps.flows.services.grouping import IntegrationRefused
from tests.factories import make_connection

ORDERS = """\
flow: orders
name: Orders
integration: {key: shop, name: Shop}
enabled: true
schedule: "0 6 * * *" # early
settings: {limit: 5}
steps:
  - key: source
    export: {connection: Store, query: "SELECT 1 AS id"} # all of it
  - key: priced
    lookup: {connection: Store, query: "SELECT 2 AS price", into: price}
  - key: target
    handling: custom_with_rollback
    ends: end
    handler:
      - key: note
        import: {connection: Store, operation: insert, table: failures}
    import: {connection: Ledger, operation: insert, table: orders}
"""
AFTER = """\
flow: report
name: Report
integration: shop
run_after: orders
steps:
  - key: source
    export: {connection: Store, query: "SELECT 1 AS id"}
  - key: sub
    call: {flow: part}
"""
PART = """\
flow: part
name: Part
integration: shop
steps:
  - key: source
    export: {connection: Store, query: "SELECT 1 AS id"}
  - key: log
    log: "{{ record.id }}"
"""


def store(account: Account, name: str, environment: str = "production", **fields: object) -> Connection:
    return make_connection(
        account, name=name, environment=environment, config={"database": "sqlite", "file": f"{name}.db"}, **fields
    )


@pytest.fixture
def shop(account: Account) -> Integration:
    store(account, "Store", secrets={"password": "open sesame"})
    store(account, "Ledger")
    for text in (PART, ORDERS, AFTER):
        apply_definition(account=account, text=text)
    return Integration.objects.of(account).get(slug="shop")


def into_sandbox(shop: Integration, **connections: Connection | None) -> Cloned:
    found = {b.connection.pk: connections.get(b.connection.name) for b in bindings(shop, "sandbox")}
    return clone_integration(
        integration=shop, environment="sandbox", key="shop-sandbox", name="Shop trial", connections=found
    )


def definition_of(flow: Flow) -> dict[str, object]:
    flow.refresh_from_db()
    assert flow.revision is not None
    found: dict[str, object] = yaml.safe_load(flow.revision.definition)
    return found


def test_every_connection_that_a_flow_names_is_to_be_bound(shop: Integration, account: Account) -> None:
    there = store(account, "Store", "sandbox")
    other = store(account, "Trial", "sandbox")
    make_connection(account, name="Mail", kind="email", environment="sandbox")
    found = {b.connection.name: b for b in bindings(shop, "sandbox")}
    assert set(found) == {"Store", "Ledger"}
    assert found["Store"].offered == [there, other]
    assert found["Store"].present == there
    assert found["Ledger"].present is None
    assert found["Store"].steps == 5


def test_the_flows_come_along_disabled_under_their_own_keys(shop: Integration, account: Account) -> None:
    made = into_sandbox(shop)
    assert (made.integration.name, made.integration.environment) == ("Shop trial", "sandbox")
    flows = {flow.name: flow for flow in Flow.objects.of(account).filter(integration=made.integration)}
    assert {name: flow.key for name, flow in flows.items()} == {
        "Orders": "orders-sandbox", "Report": "report-sandbox", "Part": "part-sandbox",
    }  # fmt: skip
    assert not any(flow.enabled or flow.next_due_at for flow in flows.values())
    assert flows["Orders"].cron == "0 6 * * *"
    assert flows["Report"].run_after == flows["Orders"]
    assert definition_of(flows["Report"])["steps"][1]["call"] == {"flow": "part-sandbox"}
    assert definition_of(flows["Orders"])["settings"] == {"limit": 5}
    text = flows["Orders"].revision.definition
    assert "# early" in text
    assert "# all of it" in text


def test_connections_are_bound_to_those_of_the_target(shop: Integration, account: Account) -> None:
    trial = store(account, "Trial", "sandbox")
    made = into_sandbox(shop, Store=trial)
    flow = Flow.objects.of(account).get(key="orders-sandbox")
    steps = {step.key: step.connection for step in flow.steps.all()}
    assert steps["source"] == steps["priced"] == trial
    assert steps["target"] == made.bare[0]
    handler = definition_of(flow)["steps"][2]["handler"]
    assert handler[0]["import"]["connection"] == "Trial"


def test_a_new_connection_has_the_address_but_no_credentials(shop: Integration) -> None:
    ledger, store_there = into_sandbox(shop).bare
    assert (store_there.name, store_there.environment, store_there.kind) == ("Store", "sandbox", "sql")
    assert store_there.config == {"database": "sqlite", "file": "Store.db"}
    assert secret_names(store_there) == []
    assert ledger.name == "Ledger"
    assert not AuditEntry.unscoped.filter(after__icontains="sesame").exists()


def test_beside_itself_it_may_use_the_same_connections(shop: Integration, account: Account) -> None:
    same = {b.connection.pk: b.connection for b in bindings(shop, "production")}
    made = clone_integration(
        integration=shop, environment="production", key="shop-copy", name="Shop again", connections=same
    )
    assert made.bare == []
    assert {flow.key for flow in made.flows} == {"orders-copy", "report-copy", "part-copy"}
    again = clone_integration(
        integration=shop, environment="production", key="shop-copy-2", name="Shop again", connections=same
    )
    assert {flow.key for flow in again.flows} == {"orders-copy-2", "report-copy-2", "part-copy-2"}


def test_a_flow_that_stays_behind_is_not_run_after(shop: Integration, account: Account) -> None:
    lonely = "flow: lonely\nname: Lonely\nintegration: other\nrun_after: orders\nsteps:\n"
    lonely += '  - key: source\n    export: {connection: Store, query: "SELECT 1 AS id"}\n'
    apply_definition(account=account, text=lonely)
    other = Integration.objects.of(account).get(slug="other")
    made = clone_integration(integration=other, environment="sandbox", key="o2", name="Other", connections={})
    assert made.flows[0].run_after is None


def test_what_cannot_be_cloned_leaves_nothing(shop: Integration, account: Account) -> None:
    calling = "flow: calling\nname: Calling\nintegration: other\nsteps:\n"
    calling += '  - key: source\n    export: {connection: Store, query: "SELECT 1 AS id"}\n'
    calling += "  - key: sub\n    call: {flow: part}\n"
    apply_definition(account=account, text=calling)
    other = Integration.objects.of(account).get(slug="other")
    with pytest.raises(CloneRefused, match=r"The flow Calling cannot be cloned: .*in the environment production"):
        clone_integration(integration=other, environment="sandbox", key="o2", name="Other", connections={})
    with pytest.raises(IntegrationRefused, match="There is an integration with the key shop already"):
        clone_integration(integration=shop, environment="sandbox", key="shop", name="Shop", connections={})
    stranger = make_connection(account, name="Web", kind="http", environment="sandbox")
    with pytest.raises(CloneRefused, match="Web cannot stand for Store: choose one of its kind"):
        into_sandbox(shop, Store=stranger)
    assert not Integration.objects.of(account).filter(environment="sandbox").exists()
    assert not Connection.objects.of(account).filter(environment="sandbox").exclude(name="Web").exists()
