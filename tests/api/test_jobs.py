"""Jobs over the API: a test for each row of the contract."""

import time
from datetime import timedelta
from io import BytesIO
from unittest.mock import patch
from urllib.parse import urlencode
from zipfile import ZipFile

import pytest
from django.conf import settings
from django.test import Client

from apps.accounts.models import AuditEntry, Token
from apps.accounts.tokens import revoke_token
from apps.core.ids import Kind, wire_id
from apps.errors.models import StepState
from apps.runs.models import Bucket, FlowState, Grain, Run, StepRun
from apps.runs.statuses import RunKind, RunOutcome, RunStatus
from tests.api.client import Api
from tests.conftest import NOON
from tests.console.screens import orders_flow
from tests.factories import make_account, make_error, make_flow, make_run, make_step_run, step_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def flow(account):
    return orders_flow(account)


def ended(flow, **fields):
    facts = {"status": RunStatus.COMPLETED, "outcome": RunOutcome.COMPLETED, "created_at": NOON, "started_at": NOON,
             "ended_at": NOON + timedelta(minutes=1)}  # fmt: skip
    return make_run(flow, **{**facts, **fields})


def keys(called):
    return [job["_id"] for job in called.json]


def wire(run):
    return wire_id(Kind.RUN, run.pk)


def test_a_job_has_every_field_of_the_contract(api, flow, django_assert_num_queries):
    run = ended(flow, errors=2, unit_errors=1, success=7, ignored=1, records_in=10, pages_fetched=3, pages_done=3)
    make_step_run(run, step_of(flow), open_errors=1, auto_resolved=1, user_resolved=1)
    api.call("GET", "tokenInfo")
    with django_assert_num_queries(3):  # token, runs, what became of their errors
        (found,) = api.call("GET", "jobs").json
    assert found == {
        "_id": wire(run), "type": "flow", "_integrationId": wire_id(Kind.INTEGRATION, flow.integration_id),
        "_flowId": wire_id(Kind.FLOW, flow.pk), "status": "completed", "outcome": "completed",
        "createdAt": "2026-03-02T12:00:00.000Z", "startedAt": "2026-03-02T12:00:00.000Z",
        "endedAt": "2026-03-02T12:01:00.000Z", "lastExecutedAt": "2026-03-02T12:01:00.000Z",
        "lastModified": "2026-03-02T12:01:00.000Z", "purgeAt": "2026-04-01T12:00:00.000Z", "numError": 3,
        "numSuccess": 7, "numIgnore": 1, "numResolved": 2, "numOpenError": 1, "numExport": 10,
        "numPagesGenerated": 3, "numPagesProcessed": 3, "doneExporting": True, "retriable": True,
    }  # fmt: skip
    assert api.call("GET", f"jobs/{wire(run)}").json == found


def test_child_jobs_tell_what_each_step_did(api, flow):
    run, other = ended(flow), ended(flow)
    source, target = step_of(flow, "source"), step_of(flow)
    make_step_run(run, source, success=10, came_in=10, pages=2)
    row = make_step_run(run, target, success=8, errors=2, came_in=10)
    make_step_run(other, target)
    found = api.call("GET", "jobs", _flowJobId=wire(run)).json
    assert [job["type"] for job in found] == ["import", "export"]
    child = found[0]
    assert child["_id"] == wire_id(Kind.STEP_RUN, row.pk)
    assert (child["_flowJobId"], child["oIndex"], child["numError"], child["numSuccess"]) == (wire(run), 1, 2, 8)
    assert child["_importId"] == child["_expOrImpId"] == wire_id(Kind.STEP, target.pk)
    assert "_exportId" not in child
    assert len(api.call("GET", "jobs", _importId=wire_id(Kind.STEP, target.pk)).json) == 2
    assert len(api.call("GET", "jobs", type="export").json) == 1
    assert api.call("GET", f"jobs/{child['_id']}").json == child


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ({}, 4), ({"status": "failed"}, 1), ({"status": ""}, 4), ({"type": "retry"}, 1), ({"type_in": "flow,retry"}, 4),
        ({"createdAt_gte": "2026-03-02T12:30:00Z"}, 2), ({"createdAt_lte": "2026-03-02", "nonsense": "x"}, 0),
        ({"createdAt_gte": "1772451000000", "createdAt_lte": "1772454600000"}, 2),
        ({"numError_gte": 1}, 1), ({"numSuccess_lte": 0}, 3), ({"numIgnore_gte": 5}, 0), ({"numExport_lte": 100}, 4),
    ],
    ids=str,
)  # fmt: skip
def test_jobs_are_filtered_by(api, flow, query, number):
    ended(flow, success=5)
    ended(flow, errors=3)
    later = NOON + timedelta(hours=1)
    ended(flow, status=RunStatus.FAILED, outcome=RunOutcome.FAILED, created_at=later)
    ended(flow, kind=RunKind.AUTO_RETRY, created_at=later)
    ended(flow, kind=RunKind.TEST)
    assert len(api.call("GET", f"jobs?{urlencode(query)}").json) == number


@pytest.mark.parametrize("name", ["_flowId", "flow_id", "_flowId_in", "FLOW_ID"])
def test_jobs_of_a_flow_are_found_under_each_name(api, account, flow, name):
    run = ended(flow)
    ended(make_flow(account))
    assert keys(api.call("GET", "jobs", **{name: wire_id(Kind.FLOW, flow.pk)})) == [wire(run)]
    assert keys(api.call("GET", "jobs", _integrationId=wire_id(Kind.INTEGRATION, flow.integration_id))) == [wire(run)]


def test_a_wrong_id_and_a_wrong_status_are_refused_in_words(api):
    assert "24 hex digits" in api.call("GET", "jobs", _flowId="x", status=400).message
    refused = api.call("GET", "jobs?status=done", status=400)
    assert (refused.codes, refused.json["errors"][0]["field"]) == (["invalid_query"], "status")


def test_pages_of_jobs_go_on_by_the_link_header(api, flow):
    runs = [ended(flow) for _ in range(5)]
    seen, address = [], "jobs?limit=2"
    while address:
        called = api.call("GET", address)
        seen += keys(called)
        ended(flow)
        address = called.headers.get("Link", "").partition("<")[2].partition(">")[0]
    assert seen == [wire(run) for run in reversed(runs)]


def test_jobs_of_others_are_not_there(api, flow):
    foreign = ended(make_flow(make_account()))
    assert api.call("GET", "jobs").json == []
    for end in ("", "/cancel", "/joberrors"):
        method = "PUT" if end == "/cancel" else "GET"
        api.call(method, f"jobs/{wire(foreign)}{end}", status=404)


@pytest.mark.parametrize("end", ["joberrors", "jobErrors", "errors"])
def test_errors_of_a_job(api, flow, end):
    run = ended(flow)
    make_error(run, step=step_of(flow), key="A-1")
    make_error(run, step=step_of(flow, "source"), key="B-1")
    row = make_step_run(run, step_of(flow))
    assert [error["traceKey"] for error in api.call("GET", f"jobs/{wire(run)}/{end}").json] == ["B-1", "A-1"]
    assert [e["traceKey"] for e in api.call("GET", f"jobs/{wire_id(Kind.STEP_RUN, row.pk)}/{end}").json] == ["A-1"]
    first = api.call("GET", f"jobs/{wire(run)}/{end}", limit=1)
    assert len(first.json) == 1
    assert 'rel="next"' in first.headers["Link"]


@pytest.mark.parametrize(("method", "end"), [("PUT", "/cancel"), ("DELETE", "")])
def test_a_run_is_canceled_and_one_that_has_ended_is_409(api, flow, method, end, owner):
    FlowState.objects.of(flow.account_id).get_or_create(flow=flow, defaults={"account_id": flow.account_id})
    FlowState.objects.of(flow.account_id).update(queued=1)
    waiting = make_run(flow, root_run_id=None)
    job = api.call(method, f"jobs/{wire(waiting)}{end}").json
    assert (job["status"], job["canceledBy"]) == ("canceled", owner.user.email)
    assert api.call(method, f"jobs/{wire(waiting)}{end}", status=409).codes == ["job_ended"]


def test_current_jobs_are_those_under_way_and_the_body_filters(api, account, flow):
    waiting, running = make_run(flow), make_run(flow, status=RunStatus.RUNNING)
    again = make_run(make_flow(account), status=RunStatus.RETRYING)
    ended(flow)
    assert keys(api.call("POST", "jobs/current")) == [wire(again), wire(running), wire(waiting)]
    assert keys(
        api.call("POST", "jobs/current", {"_flowId_in": [wire_id(Kind.FLOW, flow.pk)], "status": "running"})
    ) == [wire(running)]


def test_latest_jobs_of_a_flow_and_of_an_integration(api, flow):
    runs = [ended(flow) for _ in range(4)]
    ended(flow, kind=RunKind.RETRY)
    FlowState.objects.of(flow.account_id).update_or_create(
        flow=flow, defaults={"account_id": flow.account_id, "last_run": runs[-1]}
    )
    at = f"flows/{wire_id(Kind.FLOW, flow.pk)}/jobs/latest"
    assert keys(api.call("GET", at)) == [wire(runs[-1])]
    assert keys(api.call("GET", at, limit=3)) == [wire(run) for run in runs[:0:-1]]
    whole = f"integrations/{wire_id(Kind.INTEGRATION, flow.integration_id)}/jobs/latest"
    assert keys(api.call("GET", whole)) == [wire(runs[-1])]


def test_statistics_are_read_from_the_buckets(api, account, flow, noon, django_assert_num_queries):
    half_hour = int(noon.timestamp()) // 1800
    for slot, runs in ((half_hour - 1, 2), (half_hour - 100, 5)):
        Bucket.unscoped.create(
            account=account, flow=flow, grain=Grain.HALF_HOUR, slot=slot, runs=runs, run_success=10 * runs, run_errors=1
        )
    StepState.objects.of(account).filter(step=step_of(flow)).update(open_errors=4)
    idle = make_flow(account, name="Unused")
    api.call("GET", "tokenInfo")
    with django_assert_num_queries(4):  # token, flows, buckets, open errors
        first, second = api.call("POST", "flows/runs/stats").json
    assert first == {
        "_flowId": wire_id(Kind.FLOW, flow.pk), "numRuns": 2, "numSuccess": 20, "numError": 1, "numOpenError": 4,
        "lastExecutedAt": None,
    }  # fmt: skip
    assert (second["_flowId"], second["numRuns"]) == (wire_id(Kind.FLOW, idle.pk), 0)
    whole = api.call("POST", "flows/runs/stats", {"_flowIds": [wire_id(Kind.FLOW, flow.pk)], "startDate": "2026-02-01"})
    assert [row["numRuns"] for row in whole.json] == [7]
    assert Run.unscoped.count() == StepRun.unscoped.count() == 0


def test_the_support_bundle_of_a_job_has_an_address_that_opens_it_for_ten_minutes(api, flow):
    run = ended(flow)
    row = make_step_run(run, step_of(flow))
    make_error(run, message="No such airport")
    for job in (wire(run), wire_id(Kind.STEP_RUN, row.pk)):
        told = api.call("GET", f"jobs/{job}/diagnostics").json
        assert told["fileName"] == f"support-bundle-run-{run.pk}.zip"
        path, _, query = told["signedURL"].removeprefix(settings.PUBLIC_URL).partition("?")
        answer = Client().get(f"{path}?{query}")  # no token
        assert answer["Content-Disposition"] == f'attachment; filename="{told["fileName"]}"'
        with ZipFile(BytesIO(answer.content)) as archive:
            assert b"No such airport" in archive.read("errors.txt")
    assert api.call("GET", f"jobs/{wire(run)}/diagnostics/file").status == 200
    taken = AuditEntry.objects.of(flow.account).filter(act="support_bundle.download")
    assert set(taken.values_list("object_kind", "object_id", "actor_kind")) == {("run", run.pk, "token")}
    assert taken.count() == 3


def test_a_signed_address_opens_nothing_else_and_dies_with_its_token(api, flow):
    run, other = ended(flow), ended(flow)
    address = api.call("GET", f"jobs/{wire(run)}/diagnostics").json["signedURL"].removeprefix(settings.PUBLIC_URL)
    query = address.partition("?")[2]
    stranger = Api()
    assert stranger.call("GET", f"/v1/jobs/{wire(other)}/diagnostics/file?{query}", status=401).codes
    assert stranger.call("GET", f"{address}x", status=401).message.startswith("This address is not good any more")
    assert stranger.call("GET", f"/v1/jobs?{query}", status=401).codes == ["unauthorized"]
    with patch("django.core.signing.time.time", return_value=time.time() + 601):
        stranger.call("GET", address, status=401)
    revoke_token(token=Token.unscoped.get())
    stranger.call("GET", address, status=401)
