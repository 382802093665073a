"""Flows over the API: reading them and changing them; each change is another revision of the definition."""

import pytest

from apps.accounts.models import AuditEntry, Role
from apps.core.ids import Kind, wire_id
from apps.errors.models import Error
from apps.flows.models import Flow, Revision, Step
from tests.api.client import api_of
from tests.console.screens import orders_flow
from tests.factories import (
    make_account,
    make_connection,
    make_error,
    make_flow,
    make_integration,
    make_member,
    make_run,
    step_of,
)
from tests.flows.definitions import STRIKES

pytestmark = pytest.mark.django_db


def flow_id(flow) -> str:
    return wire_id(Kind.FLOW, flow.pk)


def step_id(flow, key: str) -> str:
    return wire_id(Kind.STEP, step_of(flow, key).pk)


def definition_of(flow) -> str:
    return Flow.unscoped.select_related("revision").get(pk=flow.pk).revision.definition


# --- reading ---------------------------------------------------------------------------------------------------------
def test_a_list_of_flows_tells_steps_schedule_and_open_errors(api, account, django_assert_num_queries):
    flow = orders_flow(account, cron="0 6 * * *", time_zone="Europe/Berlin", description="Every morning")
    make_error(step=step_of(flow))
    make_flow(make_account())
    api.call("GET", "tokenInfo")  # notes that the token is used
    with django_assert_num_queries(4):  # token, flows, steps, open errors
        (found,) = api.call("GET", "flows").json
    assert found["_id"] == flow_id(flow)
    assert found["_integrationId"] == wire_id(Kind.INTEGRATION, flow.integration_id)
    assert (found["name"], found["description"], found["disabled"]) == ("Orders", "Every morning", False)
    assert (found["schedule"], found["timezone"]) == ("? 0 6 * * *", "Europe/Berlin")
    assert found["pageGenerators"] == [{"_exportId": step_id(flow, "source")}]
    assert found["pageProcessors"] == [
        {"type": "import", "_importId": step_id(flow, "target"), "proceedOnFailure": False}
    ]
    assert found["numOpenError"] == 1


def test_one_flow_tells_its_definition_too(api, strikes, django_assert_num_queries):
    api.call("GET", "tokenInfo")
    with django_assert_num_queries(4):
        answer = api.call("GET", f"flows/{flow_id(strikes)}")
    assert answer.json["definition"] == STRIKES
    assert answer.headers["ETag"] == '"1"'
    lookup, target = answer.json["pageProcessors"]
    assert (lookup["type"], lookup["_exportId"]) == ("export", step_id(strikes, "airport"))
    assert (target["type"], target["_importId"]) == ("import", step_id(strikes, "load"))


def test_the_flows_of_an_integration_are_a_list_of_their_own(api, account):
    mine, other = make_flow(account), make_flow(account)
    path = f"integrations/{wire_id(Kind.INTEGRATION, mine.integration_id)}/flows"
    assert [found["_id"] for found in api.call("GET", path).json] == [flow_id(mine)]
    by_filter = api.call("GET", "flows", _integrationid=wire_id(Kind.INTEGRATION, other.integration_id)).json
    assert [found["_id"] for found in by_filter] == [flow_id(other)]


# --- changing --------------------------------------------------------------------------------------------------------
def test_patch_merges_into_the_definition_and_keeps_the_rest_of_its_text(api, strikes):
    body = {"name": "Bird strikes", "schedule": "? 0 7 ? * 1-5", "autoResolveMatchingTraceKeys": False}
    found = api.call("PATCH", f"flows/{flow_id(strikes)}", body).json
    assert (found["name"], found["schedule"], found["revision"]) == ("Bird strikes", "? 0 7 * * 1-5", 2)
    assert found["timezone"] == "Europe/Berlin"
    assert not found["autoResolveMatchingTraceKeys"]
    text = definition_of(strikes)
    assert "name: Bird strikes" in text
    assert STRIKES.partition("steps:")[2] == text.partition("steps:")[2]
    entry = AuditEntry.unscoped.filter(act="flow.apply").latest("pk")
    assert entry.actor_kind == "token"


def test_patch_takes_a_list_of_operations_too(api, strikes):
    operations = [{"op": "replace", "path": "/disabled", "value": True}, {"op": "remove", "path": "/schedule"}]
    found = api.call("PATCH", f"flows/{flow_id(strikes)}", operations, content_type="application/json-patch+json").json
    assert found["disabled"]
    assert "schedule" not in found
    nested = [{"op": "replace", "path": "/pageProcessors/0/type", "value": "import"}]
    assert api.call("PATCH", f"flows/{flow_id(strikes)}", nested, status=422).codes == ["invalid_operation"]


def test_an_environment_in_the_query_narrows_what_is_read_not_what_is_changed(api, strikes):
    path = f"flows/{flow_id(strikes)}"
    api.call("GET", path, status=404, environment="sandbox")
    assert api.call("PATCH", path, {"name": "Renamed"}, environment="sandbox").json["name"] == "Renamed"


def test_the_steps_of_a_definition_that_has_none_are_not_replaced(api, flow):
    answer = api.call("PATCH", f"flows/{flow_id(flow)}", {"pageProcessors": []}, status=422)
    assert "no steps" in answer.message


def test_disabling_by_patch_is_no_new_revision(api, strikes):
    assert api.call("PATCH", f"flows/{flow_id(strikes)}", {"disabled": True}).json["disabled"]
    assert not Flow.unscoped.get(pk=strikes.pk).enabled
    assert Revision.unscoped.count() == 1
    assert api.call("PATCH", f"flows/{flow_id(strikes)}", {"name": "Still off"}).json["disabled"]


def test_what_get_answered_can_be_put_back(api, strikes):
    found = api.call("GET", f"flows/{flow_id(strikes)}").json
    del found["definition"]
    assert api.call("PUT", f"flows/{flow_id(strikes)}", found).json["revision"] == 1
    assert definition_of(strikes) == STRIKES


def test_a_put_that_does_not_name_the_steps_is_422_and_changes_nothing(api, strikes):
    answer = api.call("PUT", f"flows/{flow_id(strikes)}", {"name": "Renamed"}, status=422)
    assert answer.json["errors"][0]["field"] == "pageGenerators"
    assert "would be lost" in answer.message
    assert definition_of(strikes) == STRIKES


def test_a_put_takes_out_the_steps_that_it_does_not_name(api, strikes):
    found = api.call("GET", f"flows/{flow_id(strikes)}").json
    del found["definition"]
    found["pageProcessors"] = found["pageProcessors"][1:]
    found["pageProcessors"][0]["proceedOnFailure"] = True
    found["schedule"] = ""
    changed = api.call("PUT", f"flows/{flow_id(strikes)}", found).json
    assert [entry.get("_importId") for entry in changed["pageProcessors"]] == [step_id(strikes, "load")]
    assert changed["pageProcessors"][0]["proceedOnFailure"]
    assert "schedule" not in changed
    assert {step.key for step in Step.unscoped.filter(flow=strikes).present()} == {"strikes", "damaged", "load"}
    assert definition_of(strikes).startswith("# Wildlife strikes, every five minutes\n")


def test_a_put_puts_steps_into_another_order(api, strikes):
    found = api.call("GET", f"flows/{flow_id(strikes)}").json
    wanted = {"pageProcessors": found["pageProcessors"][::-1]}
    changed = api.call("PATCH", f"flows/{flow_id(strikes)}", wanted).json
    assert [entry["type"] for entry in changed["pageProcessors"]] == ["import", "export"]
    for entry in ({}, {"_importId": "x"}, {"_importId": step_id(strikes, "load"), "_exportId": ""}):
        assert api.call("PATCH", f"flows/{flow_id(strikes)}", {"pageProcessors": [entry]}, status=422)
    assert api.call("PATCH", f"flows/{flow_id(strikes)}", {"pageGenerators": [{}]}, status=422)
    foreign = {"pageProcessors": [{"type": "import", "_importId": step_id(strikes, "airport")}]}
    assert api.call("PATCH", f"flows/{flow_id(strikes)}", foreign, status=422).codes == ["validation_error"]


def test_put_replaces_a_flow_by_its_definition(api, strikes):
    text = STRIKES.replace("Europe/Berlin", "Europe/Paris")
    found = api.call("PUT", f"flows/{flow_id(strikes)}", {"definition": text, "disabled": True}).json
    assert (found["timezone"], found["revision"], found["disabled"]) == ("Europe/Paris", 2, True)
    other = api.call("PUT", f"flows/{flow_id(strikes)}", {"definition": text.replace("wildlife-", "")}, status=422)
    assert "another flow" in other.message


def test_every_mistake_in_a_definition_is_told_with_its_place(api, strikes):
    text = STRIKES.replace("*/5 * * * *", "every day").replace("connection: warehouse", "connection: nowhere")
    answer = api.call("PUT", f"flows/{flow_id(strikes)}", {"definition": text}, status=422)
    assert set(answer.codes) == {"validation_error"}
    assert {"schedule.cron", "steps[2].lookup.connection"} <= {one["field"] for one in answer.json["errors"]}


def test_if_match_guards_against_another_change(api, strikes):
    path = f"flows/{flow_id(strikes)}"
    assert api.call("PATCH", path, {"name": "One"}, headers={"If-Match": '"1"'}).headers["ETag"] == '"2"'
    answer = api.call("PATCH", path, {"name": "Two"}, status=409, headers={"If-Match": '"1"'})
    assert answer.codes == ["conflict"]
    assert api.call("PATCH", path, {"name": "Two"}, status=400, headers={"If-Match": "soon"}).codes == ["bad_request"]


# --- making and removing ---------------------------------------------------------------------------------------------
def test_a_flow_is_made_by_its_definition(api, account):
    make_connection(account, name="files", kind="file")
    make_connection(account, name="warehouse", kind="sql")
    found = api.call("POST", "flows", {"definition": STRIKES}).json
    assert (found["key"], found["revision"]) == ("wildlife-strikes", 1)
    assert api.call("POST", "flows", {"definition": STRIKES}, status=409).codes == ["conflict"]


def test_a_flow_is_made_by_copying_steps(api, account, strikes):
    target = make_integration(account, name="Elsewhere", slug="elsewhere")
    body = {
        "name": "Only the damaged",
        "_integrationId": wire_id(Kind.INTEGRATION, target.pk),
        "pageGenerators": [{"_exportId": step_id(strikes, "strikes")}],
        "pageProcessors": [{"type": "export", "_exportId": step_id(strikes, "airport")}],
        "schedule": "? 0 5 * * *",
    }
    answer = api.call("POST", "flows", body)
    found = answer.json
    assert answer.status == 201
    assert (found["name"], found["disabled"], found["schedule"]) == ("Only the damaged", True, "? 0 5 * * *")
    made = Flow.unscoped.get(key="only-the-damaged")
    assert sorted(Step.unscoped.filter(flow=made).values_list("key", flat=True)) == ["airport", "strikes"]
    assert api.call("POST", "flows", {"name": "Empty"}, status=422).json["errors"][0]["field"] == "_integrationId"


def test_delete_removes_a_flow_and_resolves_its_open_errors(api, account, strikes):
    run = make_run(strikes, status="running")
    make_error(run, step=step_of(strikes, "load"))
    assert api.call("DELETE", f"flows/{flow_id(strikes)}", status=409).codes == ["conflict"]
    run.status = "completed"
    run.save()
    assert api.call("DELETE", f"flows/{flow_id(strikes)}").status == 204
    api.call("GET", f"flows/{flow_id(strikes)}", status=404)
    assert [error.state for error in Error.unscoped.all()] == ["resolved"]
    assert api.call("GET", "integrations").json[0]["numOpenError"] == 0


def test_a_flow_that_another_one_runs_after_is_not_removed(api, account):
    first = make_flow(account)
    make_flow(account, run_after=first, name="The second")
    answer = api.call("DELETE", f"flows/{flow_id(first)}", status=409)
    assert "The second" in answer.message


def test_monitors_change_nothing_and_managers_remove_nothing(account, strikes):
    path = f"flows/{flow_id(strikes)}"
    monitor, manager = api_of(make_member(account, role=Role.MONITOR)), api_of(make_member(account))
    for method, body in (("PUT", {}), ("PATCH", {"name": "Mine"}), ("DELETE", None)):
        assert monitor.call(method, path, body, status=403).codes == ["forbidden"]
    assert manager.call("DELETE", path, status=403).codes == ["forbidden"]
    assert manager.call("PATCH", path, {"name": "Ours"}).json["name"] == "Ours"
    assert monitor.call("POST", "flows", {"definition": STRIKES}, status=403).codes == ["forbidden"]
