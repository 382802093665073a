"""Connections over the API: their secrets go in and never come out."""

import pytest

from apps.accounts.models import Role
from apps.connectors.base import Ping
from apps.core.ids import Kind, wire_id
from apps.flows.models import Connection
from apps.flows.secrets import read_secrets
from tests.api.client import api_of
from tests.factories import make_account, make_connection, make_flow, make_member, step_of

pytestmark = pytest.mark.django_db
HTTP = {"base_url": "https://api.example.org", "auth": "bearer"}


def path_of(connection: Connection, act: str = "") -> str:
    return f"connections/{wire_id(Kind.CONNECTION, connection.pk)}{act}"


def test_connections_are_listed_without_their_secrets(api, account, django_assert_num_queries):
    make_connection(
        account, name="Shop", kind="http", config=HTTP, secrets={"bearer_token": "hush-hush"}, state="offline"
    )
    make_connection(account, name="Archive", kind="file")
    make_connection(make_account(), name="Foreign")
    api.call("GET", "tokenInfo")
    with django_assert_num_queries(2):
        archive, shop = api.call("GET", "connections").json
    assert (shop["name"], shop["type"], shop["offline"], shop["config"]) == ("Shop", "http", True, HTTP)
    assert not archive["offline"]
    assert "hush" not in str(shop)
    assert api.call("GET", "connections", type="http").json == [shop]
    assert api.call("GET", f"connections/{shop['_id']}").json == shop


def test_a_connection_is_made_changed_and_deleted(api):
    body = {"name": "Shop", "type": "http", "config": HTTP, "secrets": {"bearer_token": " spaced "}}
    answer = api.call("POST", "connections", body)
    assert answer.status == 201
    assert "spaced" not in str(answer.json)
    shop = Connection.unscoped.get()
    assert read_secrets(shop) == {"bearer_token": " spaced "}
    assert api.call("POST", "connections", body, status=422).codes == ["validation_error"]
    changed = api.call("PATCH", path_of(shop), {"config": {"max_rate": 5}, "secrets": {"bearer_token": "other"}}).json
    assert changed["config"] == {**HTTP, "max_rate": 5}
    assert read_secrets(Connection.unscoped.get()) == {"bearer_token": "other"}
    replaced = api.call("PUT", path_of(shop), {"config": HTTP}).json
    assert replaced["config"] == HTTP
    assert api.call("DELETE", path_of(shop)).status == 204
    assert not Connection.unscoped.exists()


def test_every_mistake_in_a_connection_is_told_with_its_field(api):
    body = {"name": "Shop", "type": "http", "config": {"base_url": "nowhere", "bearer_token": "in the open"}}
    answer = api.call("POST", "connections", body, status=422)
    assert {"base_url", "bearer_token"} <= {one.get("field") for one in answer.json["errors"]}
    assert "in the open" not in str(answer.json)
    assert api.call("POST", "connections", {"name": "x"}, status=422).json["errors"][0]["field"] == "type"


def test_a_connection_keeps_its_name_and_one_in_use_stays(api, account):
    shop = make_connection(account, name="Shop", kind="file")
    assert api.call("PATCH", path_of(shop), {"name": "Other"}, status=422).codes == ["invalid_operation"]
    step = step_of(make_flow(account, name="Nightly"))
    step.connection = shop
    step.save()
    answer = api.call("DELETE", path_of(shop), status=409)
    assert "Nightly" in answer.message


def test_a_ping_tells_what_was_tried_and_found(api, account, monkeypatch):
    shop = make_connection(account, name="Shop", kind="http", config=HTTP)
    monkeypatch.setattr("apps.runs.trying.ping_in_time", lambda *given: Ping(True, "GET /", "It answered 200.", 12))
    assert api.call("POST", path_of(shop, "/ping")).json == {
        "code": 200, "message": "It answered 200.", "tried": "GET /", "ms": 12
    }  # fmt: skip
    monkeypatch.setattr("apps.runs.trying.ping_in_time", lambda *given: Ping(False, "GET /", "401", 12))
    found = api.call("POST", path_of(shop, "/ping")).json
    assert (found["code"], found["errors"]) == (422, [{"code": "connection_failed", "message": "401"}])


def test_monitors_change_no_connection(account):
    shop = make_connection(account)
    monitor = api_of(make_member(account, role=Role.MONITOR))
    assert monitor.call("GET", path_of(shop)).status == 200
    for method, path in (("POST", "connections"), ("PUT", path_of(shop)), ("DELETE", path_of(shop))):
        assert monitor.call(method, path, {}, status=403).codes == ["forbidden"]
    assert monitor.call("POST", path_of(shop, "/ping"), status=403).codes == ["forbidden"]


def test_who_has_roles_in_single_integrations_sees_the_connections_that_those_use(account):
    used, unused = make_connection(account), make_connection(account)
    flow = make_flow(account)
    step = step_of(flow)
    step.connection = used
    step.save()
    member = make_member(account)
    member.role = ""
    member.save()
    member.roles.create(account=account, integration=flow.integration, role=Role.MANAGER)
    api = api_of(member)
    assert [found["name"] for found in api.call("GET", "connections").json] == [used.name]
    api.call("GET", path_of(unused), status=404)
    assert api.call("PATCH", path_of(used), {}, status=403).codes == ["forbidden"]
