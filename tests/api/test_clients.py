"""What scripts, command-line tools and MCP servers send, call by call, as they send it."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.sync import SyncWorker

from apps.accounts.models import Account
from apps.api.reference import document
from apps.core.ids import Kind, parse_wire_id, wire_id
from apps.flows.models import Flow
from apps.runs.models import Run
from config.wsgi import application
from tests.api.client import Api
from tests.api.served import connection_stays
from tests.api.test_access import ids_in
from tests.factories import make_flow, make_run, step_of
from tests.scenarios.conftest import make_scene
from tests.scenarios.scene import Scene

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene(account: Account, tmp_path: Path, settings: Any) -> Iterator[Scene]:
    yield from make_scene("sqlite", account, tmp_path, settings)


def job_of(scene: Scene, wire: str) -> Run:
    """The run that a client knows by this id, worked on to its end."""
    return scene.work_to_the_end(Run.objects.of(scene.account).get(pk=parse_wire_id(wire, Kind.RUN)))


def of_flow(flow: Flow, *more: str) -> str:
    return "/".join([f"flows/{wire_id(Kind.FLOW, flow.pk)}", *more])


# --- lists -----------------------------------------------------------------------------------------------------------
def test_flows_are_listed_page_by_page(api, account):
    flows = [make_flow(account, name=f"Flow {number}") for number in range(3)]
    answer = api.call("GET", "/v1/flows?page=1&pageSize=100")
    assert {flow["_id"] for flow in answer.json} == {wire_id(Kind.FLOW, flow.pk) for flow in flows}
    assert "Link" in answer.headers
    assert len(api.call("GET", "/v1/flows?page=2&pageSize=2").json) == 1


def test_jobs_are_listed_with_empty_filters_and_with_both_ends_of_a_time(api, flow):
    run = make_run(flow)
    ids = [wire_id(Kind.RUN, run.pk)]
    day = run.created_at.strftime("%Y-%m-%d")
    for query in (
        "flow_id=&status=",
        f"flow_id={wire_id(Kind.FLOW, flow.pk)}&status=&_integrationId=",
        f"createdAt_gte={day}T00:00:00.000Z&createdAt_lte={day}T23:59:59.999Z&",
        f"createdAt_gte={day}T00:00:00Z&createdAt_lte=&",
        f"createdAt_gte={int(run.created_at.timestamp() * 1000) - 1}&createdAt_lte=4102444800000",
    ):
        assert [job["_id"] for job in api.call("GET", f"/v1/jobs?{query}").json] == ids, query
    assert api.call("GET", f"/v1/jobs?createdAt_lte={day}").json == []


def test_the_latest_jobs_of_a_flow_are_as_many_as_are_asked_for(api, flow):
    runs = [make_run(flow) for _ in range(4)]
    found = api.call("GET", of_flow(flow, "jobs/latest"), limit=3).json
    assert [job["_id"] for job in found] == [wire_id(Kind.RUN, run.pk) for run in reversed(runs[1:])]


# --- acts ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("body", [{}, None], ids=["{}", "no body"])
def test_a_flow_is_run_and_its_job_is_polled_to_the_end(api, scene, body):
    scene.write("orders.jsonl", '{"id": 1, "amount": 5}\n{"id": 2, "amount": 6}\n')
    flow = scene.flow_of_file("orders.jsonl")

    started = api.call("POST", of_flow(flow, "run"), body, status=201).json["_jobId"]
    assert api.call("GET", f"jobs/{started}").json["status"] == "queued"
    job_of(scene, started)

    job = api.call("GET", f"jobs/{started}").json
    assert (job["status"], job["numSuccess"], job["numError"]) == ("completed", 2, 0)
    assert scene.loaded() == [1, 2]


def test_an_error_is_found_mended_retried_and_then_resolved(api, scene):
    scene.write("orders.jsonl", '{"id": 1, "amount": 5}\n{"id": 2, "amount": -6}\n')
    flow = scene.flow_of_file("orders.jsonl")
    job_of(scene, api.call("POST", of_flow(flow, "run"), {}).json["_jobId"])

    (step,) = [one for one in api.call("GET", of_flow(flow, "errors")).json["flowErrors"] if one["numError"]]
    at = of_flow(flow, step["_expOrImpId"])
    (error,) = api.call("GET", f"{at}/errors").json["errors"]
    place = f"{at}/{error['retryDataKey']}/data"
    whole = api.call("GET", place).json
    assert (whole["data"], whole["stage"]) == ({"id": 2, "amount": -6}, "page_processor_import")
    api.call("PUT", place, whole | {"data": whole["data"] | {"amount": 6}})
    job = api.call("POST", f"{at}/retry", {"retryDataKeys": [error["retryDataKey"]]}, status=200).json["_id"]
    (pending,) = api.call("GET", f"{at}/resolved").json["resolved"]
    assert pending["errorId"] == error["errorId"]
    job_of(scene, job)

    assert api.call("GET", f"jobs/{job}").json["status"] == "completed"
    assert api.call("GET", f"{at}/errors").json["errors"] == []
    (resolved,) = api.call("GET", f"{at}/resolved").json["resolved"]
    assert (resolved["errorId"], resolved["resolvedReason"]) == (error["errorId"], "retried")
    assert scene.loaded() == [1, 2]


@pytest.mark.parametrize("name", ["errors", "errorIds"])
def test_errors_are_resolved_by_either_name(api, scene, name):
    scene.write("orders.jsonl", '{"id": 1, "amount": -5}\n{"id": 2, "amount": -6}\n')
    flow = scene.flow_of_file("orders.jsonl")
    scene.run(flow)
    at = of_flow(flow, "imports", wire_id(Kind.STEP, step_of(flow, "load").pk))
    errors = [error["errorId"] for error in api.call("GET", f"{at}/errors").json["errors"]]
    assert len(errors) == 2

    api.call("PUT", f"{at}/resolved", {name: errors}, status=204)

    assert api.call("GET", f"{at}/errors").json["errors"] == []
    assert {error["errorId"] for error in api.call("GET", f"{at}/resolved").json["resolved"]} == set(errors)


def test_a_call_with_a_body_and_an_idempotency_key_is_done_once(api, scene):
    scene.write("orders.jsonl", '{"id": 1, "amount": 5}\n')
    flow = scene.flow_of_file("orders.jsonl")
    sent = {"body": {"startDate": "2026-03-01"}, "headers": {"Idempotency-Key": "once"}}
    first, again = (api.call("POST", of_flow(flow, "run"), **sent) for _ in range(2))
    assert first.json == again.json
    assert Run.objects.of(scene.account).count() == 1


# --- addresses -------------------------------------------------------------------------------------------------------
def test_every_route_answers_head_options_and_a_slash_at_its_end(api, account):
    """HEAD is answered as GET is, OPTIONS names the methods, and nobody is sent elsewhere."""
    ids = ids_in(account)
    assert len(document()["paths"]) > 60
    for place in document()["paths"]:
        steps = ids | {"step_id": ids["export_id"]} if place.startswith("/v1/exports") else ids
        path = re.sub(r"\{(\w+)\}", lambda part, known=steps: known[part[1]], place)
        options = api.call("OPTIONS", f"{path}/", status=204)
        methods = set(options.headers["Allow"].split(", "))
        assert {method.upper() for method in document()["paths"][place]} <= methods, place
        with_slash, without, head = (
            status(api, *call) for call in (("GET", f"{path}/"), ("GET", path), ("HEAD", path))
        )
        assert with_slash == without == head, place
        assert without in ({200, 404, 422} if "get" in document()["paths"][place] else {405}), (place, without)


def status(api: Api, method: str, path: str) -> int:
    answer = api.browser.generic(method, path, headers={"Authorization": f"Bearer {api.token}"})
    assert method != "HEAD" or answer.content == b""
    return answer.status_code


@pytest.mark.parametrize("target", ["http://127.0.0.1:{port}/v1/tokenInfo", "/v1/tokenInfo", "/v1/tokenInfo/"])
def test_a_request_line_may_hold_the_whole_address(api, target):
    """As a client writes it that takes us for a proxy (RFC 9112, absolute-form), through gunicorn and a real socket."""
    head, body = served(target, f"Authorization: Bearer {api.token}")
    assert head.startswith("HTTP/1.1 200 ")
    assert orjson.loads(body)["scope"] == "full"
    head, body = served(target)
    assert head.startswith("HTTP/1.1 401 ")
    assert orjson.loads(body)["errors"][0]["code"] == "unauthorized"


def served(target: str, *headers: str) -> tuple[str, bytes]:
    """Head and body of what gunicorn answers; it works in this thread, so it sees what the test has written."""
    config = Config()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        lines = [f"GET {target.format(port=port)} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Connection: close", *headers]
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall("\r\n".join([*lines, "", ""]).encode())
            client.shutdown(socket.SHUT_WR)
            ours, address = listener.accept()
            worker = SyncWorker(1, 0, [listener], SimpleNamespace(), 30, config, Logger(config))
            worker.wsgi = application
            with connection_stays():
                worker.handle(listener, ours, address)
            worker.tmp.close()
            answer = b"".join(iter(lambda: client.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.decode(), body
