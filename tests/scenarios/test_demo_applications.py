"""The demo's flows that talk to applications: over HTTP to its own ones, by webhook and by e-mail."""

import asyncio
import csv
import json
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from threading import Event, Thread
from typing import Any

import pytest
from aiohttp import web
from django.test import Client

from apps.core.clock import frozen, read_now
from apps.errors.models import Error
from apps.execution import reader
from apps.execution.check_books import differences
from apps.execution.demo import applications, install, sightings
from apps.execution.worker import work_slice
from apps.flows.hooks import hook_address, hook_of
from apps.flows.models import Connection, Flow
from apps.flows.secrets import read_secrets
from apps.runs.models import Arrival, Capture, Run
from apps.runs.services import start_run
from tests.scenarios.demo_reading import DEMO
from tests.scenarios.test_demo import Demo, demo

__all__ = ["demo"]
pytestmark = pytest.mark.django_db
EVENTS = json.loads((DEMO / "data" / "earthquakes.json").read_bytes())["features"][:700]
"""Enough for a page and a few alarms that are asked to come again after a second."""
STRONG = [
    event
    for event in EVENTS
    if event["properties"]["type"] == "earthquake" and (event["properties"]["mag"] or 0) >= 2.5
]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, applications.Applications]]:
    """The demo's applications on a free port, and what they remember."""
    both = applications.Applications(EVENTS)
    monkeypatch.setattr(applications, "Applications", lambda events: both)
    loop, ready, ports = asyncio.new_event_loop(), Event(), []

    async def start() -> web.AppRunner:
        runner = web.AppRunner(applications.application(), access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        ports.append(runner.addresses[0][1])
        return runner

    def run() -> None:
        asyncio.set_event_loop(loop)
        runner = loop.run_until_complete(start())
        ready.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())

    thread = Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    yield ports[0], both
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


@pytest.fixture
def installed(
    demo: Demo, served: tuple[int, applications.Applications], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Demo:
    """Pages are read by the worker's own thread: a second one cannot see the database of a test."""
    monkeypatch.setattr(reader, "ReadAhead", reader.ReadInPlace)
    settings.EGRESS_ALLOW_NETS = ["127.0.0.0/8"]
    install.install_demo(applications_port=served[0])
    return demo


def worked(key: str) -> Run:
    """The latest run of a flow, worked on to its end; where it waits, time passes at once."""
    run = Run.unscoped.filter(flow__key=key).latest("pk")
    for _ in range(60):
        if run.is_ended:
            return run
        due = max(filter(None, [run.not_before, run.lease_until, read_now()]))
        with frozen(due + timedelta(seconds=1)):
            work_slice(run.pk)
        run.refresh_from_db()
    raise AssertionError(f"{run} is {run.status}: {run.wait_reason}")


def expected_sightings(first: int, count: int) -> Counter[str]:
    """What must become of them, by plain reading of the file."""
    with (DEMO / "data" / "birdstrikes.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[first : first + count]
    found: Counter[str] = Counter()
    for number, row in enumerate(rows, first):
        is_drill, is_wrong = number % 15 == 2, number % 10 == 9
        what = "ignored" if is_drill else "failed" if is_wrong else "success"
        found[what] += 1
        found["large"] += what == "success" and row["Wildlife Size"] == "Large"
    return found


def capture_of(error: Error) -> Capture:
    found: Capture = Capture.unscoped.get(pk=error.capture_id)
    return found


def test_refused_alarms_are_errors_with_request_and_answer_and_busy_applications_are_asked_again(
    installed: Demo, served: tuple[int, applications.Applications]
) -> None:
    run, (_, both) = worked("earthquake-alarms"), served
    without_region = [event for event in STRONG if ", " not in event["properties"]["place"]]

    assert 0 < len(without_region) < len(STRONG)
    assert (run.outcome, run.records_in) == ("completed_with_errors", len(both.events))
    assert (run.success, run.failed) == (len(STRONG) - len(without_region), len(without_region))
    assert installed.rows("SELECT count(*) FROM earthquake") == [(len(STRONG),)]
    statuses = Counter(status for status, _ in both.alarms.values())
    assert statuses == {201: run.success, 422: run.failed}
    assert [what for what in both.refused_at if what.startswith("page")]
    assert [what for what in both.refused_at if what.startswith("alarm")]

    errors = Error.unscoped.filter(run=run).select_related("cause")
    assert {error.key for error in errors} == {event["id"] for event in without_region}
    for error in errors:
        capture = capture_of(error)
        assert (error.cause.code, capture.status, capture.method) == ("region_missing", "422", "POST")
        assert error.key in json.dumps(capture.request)
        assert "Region is missing" in json.dumps(capture.response)
        assert "Region is missing" in error.message
    assert list(differences()) == []


def test_a_second_run_takes_the_place_of_the_errors_of_the_first(installed: Demo) -> None:
    first = worked("earthquake-alarms")
    start_run(flow=first.flow)
    second = worked("earthquake-alarms")
    assert second.pk > first.pk
    assert (second.success, second.failed) == (first.success, first.failed)
    assert set(Error.unscoped.filter(run=first).values_list("state", "reason")) == {("resolved", "superseded")}
    assert set(Error.unscoped.filter(run=second).values_list("state", flat=True)) == {"open"}


def test_sightings_that_arrive_become_rows_errors_and_a_mail_of_the_large_ones(installed: Demo) -> None:
    run, expected = worked("sightings"), expected_sightings(0, sightings.PER_REQUEST)
    assert (run.trigger, run.outcome, run.records_in) == ("webhook", "completed_with_errors", sightings.PER_REQUEST)
    assert (run.success, run.ignored, run.failed) == (expected["success"], expected["ignored"], expected["failed"])
    assert installed.rows("SELECT count(*) FROM sighting") == [(run.success,)]
    assert len({error.cause_id for error in Error.unscoped.filter(run=run)}) == 3
    assert not Arrival.unscoped.exists()

    (path,) = (installed.files / "outbox").glob("*.eml")
    mail = message_from_bytes(path.read_bytes(), policy=default)
    assert mail["subject"] == f"Large animals near runways: {expected['large']}"
    (attached,) = mail.iter_attachments()
    assert len(attached.get_content().strip().splitlines()) == 1 + expected["large"]
    assert list(differences()) == []


def test_the_observers_of_the_demo_send_signed_requests_that_are_taken_in(
    installed: Demo, live_server: Any, settings: Any
) -> None:
    worked("sightings")
    settings.PUBLIC_URL = live_server.url
    assert sightings.send_next(30)
    run = worked("sightings")
    assert (run.records_in, run.success) == (30, expected_sightings(30, 30)["success"])


def test_requests_with_another_signature_are_refused(installed: Demo) -> None:
    flow = Flow.unscoped.get(key="sightings")
    path = "/hooks/" + hook_address(hook_of(flow)).rsplit("/", 1)[1]
    answer = Client().post(
        path, sightings.body_of(60), content_type="application/json", headers={"X-Signature": "0" * 64}
    )
    assert answer.status_code == 401


def test_installing_again_keeps_the_secret_and_sends_nothing_twice(
    installed: Demo, served: tuple[int, applications.Applications]
) -> None:
    connection = Connection.unscoped.get(name="Observers")
    secret, runs = read_secrets(connection), Run.unscoped.count()
    install.install_demo(applications_port=served[0])
    connection.refresh_from_db()
    assert (read_secrets(connection), Run.unscoped.count()) == (secret, runs)
    assert len(secret["secret"]) >= 32
