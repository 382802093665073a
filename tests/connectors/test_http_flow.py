"""Whole flows from one HTTP application to another: everything real but the applications."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.accounts.models import Account
from apps.core.clock import frozen
from apps.errors.models import Error
from apps.errors.services import retry_errors
from apps.execution.dispatcher import start_reruns
from apps.flows.models import Flow
from apps.runs.models import Capture, Run
from tests.connectors.contract import CANARY
from tests.fakes.http_peer import Peer, Seen, reply
from tests.scenarios.conftest import make_scene
from tests.scenarios.scene import Scene

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("_sent_again_soon")]

DEFINITION = """
flow: web
integration: {key: trial, name: Trial}
enabled: true
page_size: 50
steps:
  - key: source
    export: {connection: shop, path: orders, record_path: items, paging: page, size_param: size}
    trace_key: "{{ record.id }}"
  - key: send
    import: {connection: crm, path: deals, idempotency_header: Idempotency-Key}
    mapping: {id: record.id, amount: record.amount}
"""


class Deals:
    """The receiving application: keeps a key it knows from being taken twice."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.keys: dict[str, int] = {}
        self.ledger: Counter[int] = Counter()
        self.refuses: set[int] = set()
        self.is_busy: set[int] = set()
        self.breaks: set[int] = set()
        peer.on("POST /deals", self.take)

    def take(self, one: Seen) -> Any:
        number = one.json["id"]
        if number in self.is_busy:
            self.is_busy.discard(number)
            return reply(503, None, Retry_After="0")
        if number in self.refuses:
            return reply(422, {"message": f"deal {number} has no owner"}, X_Echo=one.headers["Authorization"])
        if one.headers["Idempotency-Key"] not in self.keys:
            self.keys[one.headers["Idempotency-Key"]] = number
            self.ledger[number] += 1
        return reply(504) if number in self.breaks else {"deal": number}


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer().running() as running:
        yield running


@pytest.fixture
def deals(peer: Peer) -> Deals:
    orders = [{"id": number, "amount": number} for number in range(1, 201)]

    def page(one: Seen) -> Any:
        at, size = int(one.query["page"]) - 1, int(one.query["size"])
        return {"items": orders[at * size :][:size]}

    peer.on("GET /orders", page)
    return Deals(peer)


@pytest.fixture
def scene(account: Account, tmp_path: Path, settings: object, peer: Peer) -> Iterator[Scene]:
    for made in make_scene("sqlite", account, tmp_path, settings):
        made.connect("shop", "http", base_url=peer.url)
        made.connect("crm", "http", base_url=peer.url, auth="bearer", secrets={"bearer_token": CANARY})
        yield made


def retried(scene: Scene, flow: Flow) -> list[Run]:
    retry_errors(account=scene.account, member=None, errors=Error.objects.of(scene.account).open())
    runs = Run.objects.of(scene.account).retries().filter(flow=flow)
    return [scene.work_to_the_end(run) for run in runs if not run.is_ended]


def test_every_refusal_is_an_error_with_request_and_answer_and_every_busy_answer_is_through_in_the_end(
    scene: Scene, deals: Deals
) -> None:
    deals.refuses, deals.is_busy = {7, 107}, {20, 120}
    run = scene.run(scene.apply(DEFINITION))
    assert (run.success, run.failed) == (198, 2)
    assert sorted(deals.ledger) == [number for number in range(1, 201) if number not in deals.refuses]
    assert set(deals.ledger.values()) == {1}
    for error in scene.errors(run):
        assert error.cause.classification == "value"
        capture = Capture.objects.of(scene.account).get(pk=error.capture_id)
        assert capture.request["body"]["id"] in deals.refuses
        assert capture.request["headers"]["Authorization"] == "[hidden]"
        assert capture.response["body"]["message"].endswith("has no owner")
        assert CANARY not in f"{capture.request} {capture.response} {error.message}"


def test_a_lost_answer_is_retried_by_the_same_key_and_a_refused_record_by_a_new_one(scene: Scene, deals: Deals) -> None:
    deals.refuses, deals.breaks = {7}, {8}
    flow = scene.apply(DEFINITION)
    run = scene.run(flow)
    assert {error.key: error.in_doubt for error in scene.errors(run)} == {"7": False, "8": False}
    deals.refuses, deals.breaks = set(), set()
    assert [again.failed for again in retried(scene, flow)] == [0]
    assert set(deals.ledger.values()) == {1}
    sent = [one.headers["Idempotency-Key"] for one in deals.peer.asked("/deals") if one.json["id"] == 7]
    assert len(set(sent)) == 2


def test_a_run_that_is_run_again_sends_what_went_through_by_the_same_key_and_what_failed_by_a_new_one(
    scene: Scene, deals: Deals
) -> None:
    deals.refuses = {77}
    text = DEFINITION.replace("steps:", "workflow_retry: {attempts: 1, minutes: 1}\nsteps:", 1)
    run = scene.run(scene.apply(f"{text}    on_error: fail\n"))
    assert (run.status, run.records_in) == ("retrying", 100)
    deals.refuses = set()
    with frozen(run.not_before):
        assert start_reruns() == 1

    following = scene.work_to_the_end(Run.unscoped.latest("pk"))

    assert (following.outcome, following.records_in) == ("completed", 200)
    assert sorted(deals.ledger) == list(range(1, 201))
    assert set(deals.ledger.values()) == {1}
    keys: dict[int, set[str]] = {}
    for one in deals.peer.asked("/deals"):
        keys.setdefault(one.json["id"], set()).add(one.headers["Idempotency-Key"])
    assert {number for number, used in keys.items() if len(used) > 1} == {77}


def test_without_a_key_a_lost_answer_is_in_doubt_and_never_repeated_by_itself(scene: Scene, deals: Deals) -> None:
    deals.peer.on("POST /deals", lambda one: reply(504) if one.json["id"] == 8 else {})
    flow = scene.apply(DEFINITION.replace(", idempotency_header: Idempotency-Key", ""))
    error = scene.only_error(scene.run(flow))
    assert (error.key, error.in_doubt) == ("8", True)
    assert len([one for one in deals.peer.asked("/deals") if one.json["id"] == 8]) == 1


def test_an_application_that_is_down_makes_no_errors(scene: Scene, deals: Deals) -> None:
    scene.connect("crm", "http", base_url="http://127.0.0.1:1")
    run = scene.run(scene.apply(DEFINITION))
    assert not run.is_ended
    assert "crm" in run.wait_reason
    assert "refused the connection" in run.wait_reason
    assert scene.errors(run) == []
