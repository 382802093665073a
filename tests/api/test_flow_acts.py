"""What is done with flows over the API: run, clone, what hangs on them, how far their export has got."""

from datetime import timedelta

import pytest

from apps.accounts.models import KeptAnswer, Role
from apps.accounts.tokens import Scope
from apps.core.clock import read_now
from apps.core.ids import Kind, wire_id
from apps.flows.models import Checkpoint, Connection, Flow, Step
from apps.flows.services import move_checkpoint
from apps.runs.models import Run
from tests.api.client import api_of
from tests.factories import make_connection, make_flow, make_integration, make_member, make_run, step_of

pytestmark = pytest.mark.django_db


def path_of(flow, act: str) -> str:
    return f"flows/{wire_id(Kind.FLOW, flow.pk)}/{act}"


# --- run -------------------------------------------------------------------------------------------------------------
def test_a_run_is_started_with_a_window(api, flow, owner):
    body = {"startDate": "2026-03-01", "endDate": 1772452800000, "_exportIds": [source_id(flow)]}
    answer = api.call("POST", path_of(flow, "run"), body)
    run = Run.unscoped.get()
    assert (answer.status, answer.json) == (201, {"_jobId": wire_id(Kind.RUN, run.pk)})
    assert (run.trigger, run.started_by_id) == ("api", owner.pk)
    assert (str(run.window_from), str(run.window_to)) == ("2026-03-01 00:00:00+00:00", "2026-03-02 12:00:00+00:00")


def source_id(flow) -> str:
    return wire_id(Kind.STEP, step_of(flow, "source").pk)


def test_a_run_is_refused_with_the_reason(api, account, flow):
    for body, field in (
        ({"startDate": "yesterday"}, "startDate"),
        ({"startDate": "2026-03-02", "endDate": "2026-03-01"}, "endDate"),
        ({"_exportIds": [wire_id(Kind.STEP, step_of(flow).pk)]}, "_exportIds"),
        ({"_exportIds": "all"}, "_exportIds"),
    ):
        assert api.call("POST", path_of(flow, "run"), body, status=422).json["errors"][0]["field"] == field
    Flow.unscoped.filter(pk=flow.pk).update(enabled=False)
    assert api.call("POST", path_of(flow, "run"), status=422).codes == ["flow_disabled"]
    assert not Run.unscoped.exists()


def test_a_monitor_may_run_and_needs_a_token_for_it(account, flow):
    member = make_member(account, role=Role.MONITOR)
    assert api_of(member, Scope.READ).call("POST", path_of(flow, "run"), status=403).codes == ["forbidden"]
    assert api_of(member, Scope.RUN).call("POST", path_of(flow, "run")).status == 201


# --- bodies and idempotency keys, on a call that changes something ---------------------------------------------------
@pytest.mark.parametrize("body", [b"", b"null", b"{}", b'{"unknown": 1}'])
def test_a_missing_body_is_the_same_as_an_empty_one(api, flow, body):
    assert api.call("POST", path_of(flow, "run"), body).status == 201


def test_a_body_that_is_no_json_or_no_object_is_refused(api, flow):
    assert api.call("POST", path_of(flow, "run"), b"{", status=400).codes == ["invalid_json"]
    assert api.call("POST", path_of(flow, "run"), b"[]", status=422).codes == ["validation_error"]
    answer = api.call(
        "POST", path_of(flow, "run"), b"a=1", status=415, content_type="application/x-www-form-urlencoded"
    )
    assert answer.codes == ["unsupported_media_type"]


def test_a_body_that_is_too_large_is_413(api, flow, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
    assert api.call("POST", path_of(flow, "run"), b'{"startDate": "2026"}', status=413).codes == ["too_large"]


def test_the_same_idempotency_key_is_done_once_and_answered_alike(api, flow):
    key = {"Idempotency-Key": "night-1"}
    first = api.call("POST", path_of(flow, "run"), headers=key)
    again = api.call("POST", path_of(flow, "run"), headers=key)
    assert (again.status, again.json) == (first.status, first.json)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert Run.unscoped.count() == 1
    other = api.call("POST", path_of(flow, "run"), {"startDate": "2026-03-01"}, status=422, headers=key)
    assert other.codes == ["idempotency_key_reused"]


def test_an_answer_that_is_given_again_names_its_revision_too(api, strikes):
    path, key = f"flows/{wire_id(Kind.FLOW, strikes.pk)}", {"Idempotency-Key": "rename"}
    answers = [api.call("PATCH", path, {"name": "Bird strikes"}, headers=key) for _ in range(2)]
    assert [answer.headers["ETag"] for answer in answers] == ['"2"', '"2"']
    assert answers[0].json == answers[1].json


def test_a_refusal_is_kept_with_its_key_and_a_failure_of_ours_is_not(api, flow, monkeypatch):
    Flow.unscoped.filter(pk=flow.pk).update(enabled=False)
    api.call("POST", path_of(flow, "run"), status=422, headers={"Idempotency-Key": "a"})
    Flow.unscoped.filter(pk=flow.pk).update(enabled=True)
    again = api.call("POST", path_of(flow, "run"), status=422, headers={"Idempotency-Key": "a"})
    assert again.codes == ["flow_disabled"]
    with monkeypatch.context() as broken:
        broken.setattr("apps.api.views.flow_acts.start_run", lambda **given: 1 / 0)
        api.call("POST", path_of(flow, "run"), status=500, headers={"Idempotency-Key": "b"})
    assert api.call("POST", path_of(flow, "run"), headers={"Idempotency-Key": "b"}).status == 201


def test_a_key_whose_first_call_is_under_way_is_409_until_that_is_given_up(api, flow):
    api.call("POST", path_of(flow, "run"), headers={"Idempotency-Key": "c"})
    KeptAnswer.unscoped.update(status=None)
    assert api.call("POST", path_of(flow, "run"), status=409, headers={"Idempotency-Key": "c"}).codes == ["in_progress"]
    KeptAnswer.unscoped.update(at=long_ago(minutes=2))
    assert api.call("POST", path_of(flow, "run"), headers={"Idempotency-Key": "c"}).status == 201


def test_a_key_is_forgotten_after_a_day(api, flow):
    api.call("POST", path_of(flow, "run"), headers={"Idempotency-Key": "d"})
    KeptAnswer.unscoped.update(at=long_ago(minutes=24 * 60 + 1))
    api.call("POST", path_of(flow, "run"), headers={"Idempotency-Key": "d"})
    assert Run.unscoped.count() == 2
    assert KeptAnswer.unscoped.count() == 1


def long_ago(*, minutes: int):
    return read_now() - timedelta(minutes=minutes)


# --- clone, dependencies, audit --------------------------------------------------------------------------------------
def test_a_clone_is_disabled_under_a_name_and_key_of_its_own(api, account, strikes):
    found = api.call("POST", path_of(strikes, "clone")).json
    assert (found["name"], found["key"], found["disabled"]) == (
        "Wildlife strikes (copy)",
        "wildlife-strikes-copy",
        True,
    )
    assert len(found["pageProcessors"]) == 2
    other = make_integration(account, name="Other", slug="other")
    body = {"name": "Second", "_integrationId": wire_id(Kind.INTEGRATION, other.pk)}
    second = api.call("POST", path_of(strikes, "clone"), body).json
    assert (second["key"], second["_integrationId"]) == ("wildlife-strikes-copy-2", wire_id(Kind.INTEGRATION, other.pk))
    body["_integrationId"] = wire_id(Kind.INTEGRATION, 2**40)
    assert api.call("POST", path_of(strikes, "clone"), body, status=422).json["errors"][0]["field"] == "_integrationId"


def test_dependencies_tell_what_a_flow_uses_and_who_needs_it(api, account, strikes, django_assert_max_num_queries):
    make_flow(account, name="Report", run_after=strikes)
    api.call("GET", "tokenInfo")
    with django_assert_max_num_queries(4):
        found = api.call("GET", path_of(strikes, "dependencies")).json
    assert sorted(one["name"] for one in found["connections"]) == ["files", "warehouse"]
    assert [one["name"] for one in found["flows"]] == ["Report"]
    assert [one["name"] for one in found["integrations"]] == ["Aviation"]
    assert (len(found["exports"]), len(found["imports"])) == (2, 1)


def test_the_audit_of_a_flow_tells_who_changed_what(api, owner, strikes):
    api.call("PATCH", f"flows/{wire_id(Kind.FLOW, strikes.pk)}", {"disabled": True})
    newest, first = api.call("GET", path_of(strikes, "audit")).json
    assert (newest["event"], newest["source"], newest["resourceType"]) == ("flow.disable", "api", "flow")
    assert newest["_resourceId"] == wire_id(Kind.FLOW, strikes.pk)
    assert newest["byUser"]["email"] == owner.user.email
    assert newest["fieldChanges"] == [{"fieldPath": "enabled", "oldValue": True, "newValue": False}]
    assert (first["event"], first["source"]) == ("flow.apply", "command")
    move_checkpoint(step=step_of(strikes, "strikes"), value={"files": 1})
    assert api.call("GET", path_of(strikes, "audit")).json[0]["event"] == "checkpoint.set"


def test_the_audit_log_is_for_administrators(account, strikes):
    manager = api_of(make_member(account))
    assert manager.call("GET", path_of(strikes, "audit"), status=403).codes == ["forbidden"]
    assert manager.call("GET", "audit", status=403).codes == ["forbidden"]


def test_the_audit_of_the_account_is_paged_and_filtered(api, strikes, django_assert_num_queries):
    api.call("GET", "tokenInfo")
    with django_assert_num_queries(2):
        found = api.call("GET", "audit", limit=2)
    assert len(found.json) == 2
    assert 'rel="next"' in found.headers["Link"]
    only = api.call("GET", "audit", resourceType="flow", _resourceId=wire_id(Kind.FLOW, strikes.pk)).json
    assert [entry["event"] for entry in only] == ["flow.apply"]
    assert api.call("GET", "audit", to="2020-01-01").json == []
    assert api.call("GET", "audit", event="flow.apply", **{"from": "2020-01-01"}).json == only


# --- how far the export has got --------------------------------------------------------------------------------------
def http_export(flow) -> Step:
    step = step_of(flow, "source")
    step.connection = make_connection(flow.account, kind="http")
    step.save()
    return step


def test_the_last_export_is_told_as_a_time_and_as_it_is_kept(api, flow):
    step = http_export(flow)
    path = path_of(flow, "lastExportDateTime")
    assert api.call("GET", path).json == {"lastExportDateTime": None, "value": None}
    Checkpoint.unscoped.create(account=flow.account, flow=flow, step=step, value={"since": "2026-03-02T13:00:00+01:00"})
    found = api.call("GET", path).json
    assert found["lastExportDateTime"] == "2026-03-02T12:00:00.000Z"
    assert found["value"] == {"since": "2026-03-02T13:00:00+01:00"}


def test_the_last_export_is_moved_in_the_form_in_which_it_is_kept(api, flow):
    step = http_export(flow)
    path = path_of(flow, "lastExportDateTime")
    moved = api.call("PUT", path, {"lastExportDateTime": "2026-03-01T00:00:00Z"}).json
    assert moved["value"] == {"since": "2026-03-01T00:00:00.000Z"}
    Checkpoint.unscoped.update(value={"watermark": "2026-03-02 12:00:00"})
    Connection.unscoped.filter(pk=step.connection_id).update(kind="sql")
    moved = api.call("PUT", path, {"lastExportDateTime": "2026-02-28T23:00:00.000Z"}).json
    assert moved["value"] == {"watermark": "2026-02-28 23:00:00"}
    assert api.call("PUT", path, {"value": {"watermark": 5}}).json["lastExportDateTime"] is None
    assert api.call("PUT", path, {"lastExportDateTime": "2026-02-28"}, status=422).codes == ["validation_error"]
    assert api.call("PUT", path, {"lastExportDateTime": None}).json["value"] is None
    assert api.call("PUT", path, status=422).codes == ["validation_error"]


def test_the_last_export_is_not_moved_while_a_run_is_under_way(api, flow):
    http_export(flow)
    make_run(flow, status="running")
    answer = api.call("PUT", path_of(flow, "lastExportDateTime"), {"lastExportDateTime": None}, status=409)
    assert answer.codes == ["conflict"]


def test_an_export_that_does_not_count_by_time_takes_a_value_only(api, flow, account):
    path = path_of(flow, "lastExportDateTime")
    assert "as a value" in api.call("PUT", path, {"lastExportDateTime": "2026-03-01"}, status=422).message
    assert api.call("PUT", path, {"value": {"files": 3, "last": "c.csv"}}).json["value"]["files"] == 3
    assert "a number" in api.call("PUT", path, {"value": 7}, status=422).message
    monitor = api_of(make_member(account, role=Role.MONITOR))
    assert monitor.call("PUT", path, {"value": {}}, status=403).codes == ["forbidden"]
