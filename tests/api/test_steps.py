"""Exports and imports over the API: the steps of flows."""

import pytest

from apps.accounts.models import Role
from apps.core.ids import Kind, wire_id
from apps.flows.models import Flow, Step
from tests.api.client import api_of
from tests.factories import make_connection, make_member, step_of

pytestmark = pytest.mark.django_db


def path_of(kind: str, flow: Flow, key: str) -> str:
    return f"{kind}/{wire_id(Kind.STEP, step_of(flow, key).pk)}"


def into(table: str) -> dict[str, str]:
    return {"connection": "warehouse", "table": table, "operation": "insert"}


def test_exports_and_lookups_are_listed_as_exports(api, strikes, django_assert_num_queries):
    api.call("GET", "tokenInfo")
    with django_assert_num_queries(2):
        lookup, source = api.call("GET", "exports").json
    assert (source["name"], source["key"], source["isLookup"]) == ("Export strikes", "strikes", False)
    assert source["_flowId"] == wire_id(Kind.FLOW, strikes.pk)
    assert source["adaptorType"] == "file"
    assert source["definition"]["export"] == {"connection": "files", "path": "birdstrikes.csv"}
    assert (lookup["key"], lookup["isLookup"], lookup["adaptorType"]) == ("airport", True, "sql")


def test_imports_are_listed_by_flow_and_connection(api, strikes):
    (target,) = api.call("GET", "imports", _flowId=wire_id(Kind.FLOW, strikes.pk)).json
    assert (target["key"], target["proceedOnFailure"], target["oIndex"]) == ("load", False, "3")
    assert api.call("GET", "imports", _connectionId=target["_connectionId"]).json == [target]
    assert api.call("GET", "imports", _flowId=wire_id(Kind.FLOW, 2**40)).json == []
    assert api.call("GET", f"imports/{target['_id']}").json == target
    api.call("GET", f"exports/{target['_id']}", status=404)


def test_outside_of_a_flow_no_export_is_made(api):
    for kind in ("exports", "imports"):
        answer = api.call("POST", kind, {"name": "Alone"}, status=422)
        assert answer.codes == ["invalid_operation"]
        assert answer.json["errors"][0]["field"] == "_flowId"


def test_an_import_is_added_to_a_flow_changed_and_taken_out(api, strikes):
    body = {
        "_flowId": wire_id(Kind.FLOW, strikes.pk),
        "name": "Archive",
        "definition": {
            "key": "archive",
            "import": {"connection": "warehouse", "table": "archive", "operation": "insert"},
        },
    }
    made = api.call("POST", "imports", body)
    assert (made.status, made.json["name"], made.json["oIndex"]) == (201, "Archive", "4")
    again = api.call("POST", "imports", body, status=422)
    assert again.json["errors"][0]["field"] == "definition.key"
    path = path_of("imports", strikes, "archive")
    changed = api.call("PATCH", path, {"name": "Cellar", "definition": {"continue_on_error": True}}).json
    assert (changed["name"], changed["proceedOnFailure"]) == ("Cellar", True)
    replaced = api.call("PUT", path, {"definition": {"import": into("cellar")}}).json
    assert replaced["definition"] == {
        "key": "archive",
        "import": into("cellar"),
    }
    assert not replaced["proceedOnFailure"]
    assert api.call("DELETE", path).status == 204
    api.call("GET", path, status=404)
    assert Step.unscoped.get(flow=strikes, key="archive").removed_at is not None


def test_a_step_keeps_its_key_and_kind_and_a_flow_its_export(api, strikes):
    path = path_of("imports", strikes, "load")
    for definition in ({"key": "other"}, {"import": None}):
        assert api.call("PATCH", path, {"definition": definition}, status=422).codes == ["invalid_operation"]
    assert api.call("DELETE", path_of("exports", strikes, "strikes"), status=422).codes == ["invalid_operation"]
    assert api.call("PUT", path, {"name": "Bare"}, status=422).json["errors"][0]["field"] == "definition"


def test_a_step_moves_to_another_connection_and_mistakes_are_told(api, account, strikes):
    other = make_connection(account, name="second", kind="sql")
    path = path_of("imports", strikes, "load")
    moved = api.call("PATCH", path, {"_connectionId": wire_id(Kind.CONNECTION, other.pk)}).json
    assert moved["definition"]["import"]["connection"] == "second"
    answer = api.call("PATCH", path, {"definition": {"mapping": {"id": "record."}}}, status=422)
    assert answer.codes == ["validation_error"]


def test_monitors_change_no_step(account, strikes):
    monitor = api_of(make_member(account, role=Role.MONITOR))
    path = path_of("imports", strikes, "load")
    for method in ("PATCH", "DELETE"):
        assert monitor.call(method, path, {}, status=403).codes == ["forbidden"]
    assert monitor.call("GET", path).status == 200
