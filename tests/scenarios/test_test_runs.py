"""Test runs as a worker does them: a report and nothing else, on either target; no request and no mail goes out."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F

from apps.accounts.models import AuditEntry
from apps.core.clock import read_now
from apps.errors.models import Cause, Error
from apps.execution import testing
from apps.execution.dispatcher import dispatch
from apps.execution.test_claims import claim_test, end_test, purge_tests
from apps.execution.testing import work_on_test
from apps.flows.models import Checkpoint, Flow
from apps.flows.services import apply_definition
from apps.runs.models import Bucket, FlowState, Page, Run, RunLog, StepRun, TestRun
from apps.runs.test_runs import TestRefused, read_records, report_of, start_test
from tests.connectors.contract import CANARY
from tests.factories import make_member
from tests.fakes.http_peer import Peer
from tests.fakes.mail_server import MailServer
from tests.scenarios.scene import Scene

pytestmark = pytest.mark.django_db

ORDERS = "\n".join(json.dumps({"id": n, "amount": 10 * n}) for n in range(1, 8))
SUB_FLOW = """
flow: price
integration: {key: trial, name: Trial}
steps:
  - key: source
    export: {connection: files, path: none.jsonl, if_missing: empty}
  - key: dear
    map: {amount: record.amount * 2}
    keep: true
  - key: cheap
    filter: record.amount < 100
"""


def tried(flow: Flow, text: str = "", **facts: Any) -> TestRun:
    """A test of a text (else of the current one), worked on to its end."""
    facts.setdefault("member", make_member(flow.account))
    revision = flow.revision
    test = start_test(flow=flow, text=text or revision.definition, revision=revision.number, **facts)
    work_on_test(test.pk)
    test.refresh_from_db()
    return test


def stages(test: TestRun) -> dict[str, dict[str, Any]]:
    return {stage["key"]: stage for stage in report_of(test)["stages"]}


def outcomes(stage: dict[str, Any]) -> list[str]:
    return [row["outcome"] for row in stage["rows"]]


def booked() -> list[int]:
    """How many rows the books have."""
    return [model.unscoped.count() for model in (Run, StepRun, Page, RunLog, Bucket, Error, Cause, Checkpoint)]


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer().running() as running:
        yield running


@pytest.fixture
def mail() -> Iterator[MailServer]:
    server = MailServer()
    with server.running():
        yield server


# --- nothing stays ---------------------------------------------------------------------------------------------------
def test_a_test_reads_from_the_checkpoint_writes_nothing_and_books_nothing(scene: Scene) -> None:
    scene.write("orders.jsonl", ORDERS)
    flow = scene.flow_of_file("orders.jsonl")
    before, state = booked(), FlowState.unscoped.filter(flow=flow).values().first()
    test = tried(flow, size=5)
    assert (test.status, test.problem) == ("completed", "")
    assert scene.loaded() == []
    assert booked() == before
    assert FlowState.unscoped.filter(flow=flow).values().first() == state
    assert report_of(test)["counts"] == {"success": 5, "ignored": 0, "failed": 0, "rolled_back": 0}
    load = stages(test)["load"]
    assert (load["in"], load["out"], load["errors"]) == (5, 5, 0)
    assert json.loads(load["rows"][0]["in"]) == {"id": 1, "amount": 10}
    assert json.loads(load["rows"][0]["built"])["row"] == {"id": 1, "amount": 10, "note": None}


@pytest.mark.parametrize("scope", ["none", "record", "page"])
def test_nothing_stays_in_any_scope_nor_a_ledger(scene: Scene, scope: str) -> None:
    scene.write("orders.jsonl", ORDERS)
    load = "{connection: target, operation: insert, table: journal}"
    flow = scene.flow_of_file(
        "orders.jsonl",
        load=load,
        change=lambda t: f"scope: {scope}\n{t}".replace(', note: "default(record.note, None)"', ""),
    )
    test = tried(flow)
    assert outcomes(stages(test)["load"]) == ["succeeded"] * 7
    assert scene.loaded("journal") == []
    tables = "information_schema.tables WHERE table_name" if scene.place.is_postgresql else "sqlite_master WHERE name"
    if not scene.place.is_postgresql:
        assert scene.place.rows(f"SELECT 1 FROM {tables} = 'flowmend_ledger'") == []


def test_no_transaction_is_left_open(scene: Scene) -> None:
    scene.write("orders.jsonl", ORDERS)
    tried(scene.flow_of_file("orders.jsonl"))
    if scene.place.is_postgresql:
        idle = (
            "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' AND query LIKE '%fm_test%'"
        )
        assert scene.place.rows(idle) == [(0,)]
    scene.place.execute("INSERT INTO orders (id, amount) VALUES (1, 1)")  # nobody holds a lock
    assert scene.loaded() == [1]


def test_a_page_that_a_run_has_read_is_not_read_again_and_the_checkpoint_stays(scene: Scene) -> None:
    scene.write("a.jsonl", ORDERS)
    flow = scene.flow_of_file('"*.jsonl"', ", new_files_only: true")
    scene.run(flow)
    scene.write("b.jsonl", '{"id": 50, "amount": 5}')
    checkpoint = scene.checkpoint(flow)
    test = tried(flow)
    assert [row["key"] for row in stages(test)["load"]["rows"]] == ["50"]
    assert scene.checkpoint(flow) == checkpoint
    scene.run(flow)
    assert 50 in scene.loaded()


def test_a_file_is_not_moved(scene: Scene) -> None:
    path = scene.write("in/orders.jsonl", ORDERS)
    tried(scene.flow_of_file('"in/*.jsonl"', ", move_to: done"))
    assert path.exists()


# --- what is seen ----------------------------------------------------------------------------------------------------
def test_a_record_that_the_target_refuses_is_told_with_its_message(scene: Scene) -> None:
    scene.write("orders.jsonl", '{"id": 1, "amount": -5}\n{"id": 2, "amount": 5}')
    test = tried(scene.flow_of_file("orders.jsonl"))
    load = stages(test)["load"]
    assert outcomes(load) == ["error", "succeeded"]
    assert load["rows"][0]["class"] == "value"
    assert load["rows"][0]["message"]
    assert Error.unscoped.count() == 0


def test_a_line_that_is_no_record_fails_at_the_export(scene: Scene) -> None:
    scene.write("orders.jsonl", '{"id": 1, "amount": 5}\nnonsense')
    source = stages(tried(scene.flow_of_file("orders.jsonl")))["source"]
    assert (source["errors"], outcomes(source)) == (1, ["succeeded", "error"])


def test_pasted_records_are_taken_instead_of_the_export(scene: Scene) -> None:
    flow = scene.flow_of_file("not-there.jsonl")
    test = tried(flow, records=[{"id": 8, "amount": 1}])
    assert [row["key"] for row in stages(test)["load"]["rows"]] == ["8"]
    assert scene.loaded() == []


def test_an_export_that_cannot_be_read_says_why(scene: Scene) -> None:
    test = tried(scene.flow_of_file("not-there.jsonl"))
    assert test.status == "failed"
    assert "There is no file not-there.jsonl" in test.problem


def test_the_draft_is_tried_and_not_the_current_revision(scene: Scene) -> None:
    scene.write("orders.jsonl", ORDERS)
    flow = scene.flow_of_file("orders.jsonl")
    draft = flow.revision.definition.replace("record.amount,", "record.amount * 100,")
    test = tried(flow, draft, size=1)
    assert json.loads(stages(test)["load"]["rows"][0]["built"])["row"]["amount"] == 1000


def test_sub_flows_and_handlings_are_seen_step_by_step(scene: Scene) -> None:
    scene.apply(SUB_FLOW)
    scene.write("orders.jsonl", ORDERS)
    flow = scene.flow_of_file(
        "orders.jsonl",
        change=lambda t: t.replace(
            "  - key: load", "  - key: price\n    call: {flow: price, result: {amount: answer.amount}}\n  - key: load"
        ),
    )
    seen = stages(tried(flow))
    assert (seen["price"]["in"], seen["price/dear"]["out"], seen["price/cheap"]["ignored"]) == (7, 7, 3)
    assert json.loads(seen["price"]["rows"][0]["out"])["amount"] == 20
    assert seen["price/dear"]["path"].startswith("Orders ")


def test_two_tests_see_nothing_of_each_other(scene: Scene) -> None:
    scene.write("orders.jsonl", ORDERS)
    flow = scene.flow_of_file("orders.jsonl", load="{connection: target, operation: insert, table: orders}")
    assert [outcomes(stages(tried(flow))["load"]) for _ in range(2)] == [["succeeded"] * 7] * 2


# --- what is not sent ------------------------------------------------------------------------------------------------
def test_a_request_is_built_without_secrets_and_not_sent(sqlite_scene: Scene, peer: Peer) -> None:
    scene = sqlite_scene
    scene.connect("crm", "http", base_url=peer.url, auth="bearer", secrets={"bearer_token": CANARY})
    scene.write("orders.jsonl", '{"id": 1, "amount": 5, "password": "hunter2-secret"}')
    load = '{connection: crm, path: "deals/{{ record.id }}", method: PUT, headers: {X-Key: "%s"}}'
    load = load.replace("%s", CANARY)
    test = tried(scene.flow_of_file("orders.jsonl", load=load))
    assert peer.seen == []
    built = json.loads(stages(test)["load"]["rows"][0]["built"])
    assert (built["method"], built["url"]) == ("PUT", f"{peer.url}/deals/1")
    assert built["body"] == {"id": 1, "amount": 5, "note": None}
    assert built["headers"]["X-Key"] == "[hidden]"
    told = json.dumps(report_of(test))
    assert CANARY not in told
    assert "hunter2" not in told


def test_a_batch_of_requests_says_which_part_is_the_records(sqlite_scene: Scene, peer: Peer) -> None:
    scene = sqlite_scene
    scene.connect("crm", "http", base_url=peer.url)
    scene.write("orders.jsonl", ORDERS)
    test = tried(scene.flow_of_file("orders.jsonl", load="{connection: crm, path: deals, batch_size: 3}"), size=4)
    rows = [json.loads(row["built"]) for row in stages(test)["load"]["rows"]]
    assert [row.get("part") for row in rows] == [
        "record 1 of 3 in this request", "record 2 of 3 in this request", "record 3 of 3 in this request", None,
    ]  # fmt: skip
    assert peer.seen == []


def test_a_mail_is_built_and_not_sent(sqlite_scene: Scene, mail: MailServer) -> None:
    scene = sqlite_scene
    scene.connect(
        "post", "email", host=mail.host, port=mail.port, security="none", sender="orders@example.org",
        allowed_domains=["example.org"],
    )  # fmt: skip
    scene.write("orders.jsonl", '{"id": 1, "amount": 5}\n{"id": 2, "amount": 5, "to": "a@elsewhere.example"}')
    load = (
        '{connection: post, to: "{{ default(record.to, \'p@example.org\') }}", subject: "Order {{ record.id }}", '
        'text: "It is {{ record.amount }}", attach_csv: "order.csv"}'
    )
    flow = scene.flow_of_file("orders.jsonl", load=load, change=lambda t: t.replace("    mapping: {id", "    # {id"))
    test = tried(flow)
    assert (mail.taken, mail.connections) == ([], 0)
    first, second = stages(test)["load"]["rows"]
    built = json.loads(first["built"])
    assert (built["to"], built["subject"], built["attachments"]) == (["p@example.org"], "Order 1", ["order.csv"])
    assert built["text"].strip() == "It is 5"
    assert second["outcome"] == "error"


def test_a_file_is_told_by_name_and_lines_and_not_written(sqlite_scene: Scene) -> None:
    scene = sqlite_scene
    scene.write("orders.jsonl", ORDERS)
    load = '{connection: files, path: "out/{{ run.kind }}.csv"}'
    test = tried(scene.flow_of_file("orders.jsonl", load=load), size=2)
    built = json.loads(stages(test)["load"]["rows"][0]["built"])
    assert (built["file"], built["lines"]) == ("out/test.csv", ["id,amount,note", "1,10,"])
    assert not (scene.folder / "out").exists()
    assert [path.name for path in scene.folder.iterdir()] == ["orders.jsonl"]


# --- the worker ------------------------------------------------------------------------------------------------------
def queued(scene: Scene, **facts: Any) -> TestRun:
    scene.write("orders.jsonl", ORDERS)
    flow = scene.flow_of_file("orders.jsonl")
    return start_test(flow=flow, member=make_member(scene.account), text=flow.revision.definition, revision=1, **facts)


def later(test: TestRun, **columns: Any) -> None:
    TestRun.unscoped.filter(pk=test.pk).update(**columns)


def test_the_step_at_work_is_told_once_each(sqlite_scene: Scene, monkeypatch: Any) -> None:
    told: list[str] = []
    monkeypatch.setattr(testing, "tell_stage", lambda test, stage: told.append(stage))
    work_on_test(queued(sqlite_scene).pk)
    assert told == ["reading the export", "step Load (2 of 2)"]


def test_a_test_is_done_once_however_often_its_hint_comes(sqlite_scene: Scene) -> None:
    test = queued(sqlite_scene)
    work_on_test(test.pk)
    test.refresh_from_db()
    work_on_test(test.pk)
    again = TestRun.unscoped.get(pk=test.pk)
    assert (again.fence, again.change_no) == (test.fence, test.change_no)


def test_a_test_whose_worker_died_is_hinted_at_again_and_done(sqlite_scene: Scene, monkeypatch: Any) -> None:
    hints: list[tuple[Any, ...]] = []
    test = queued(sqlite_scene)
    assert claim_test(test.pk) is not None  # and then the worker is killed
    monkeypatch.setattr("apps.execution.test_claims.enqueue", lambda *given, **facts: hints.append(given))
    later(test, hinted_at=read_now() - timedelta(seconds=20))
    dispatch()
    assert hints == []
    assert claim_test(test.pk) is None
    later(test, lease_until=read_now() - timedelta(seconds=1))
    dispatch()
    dispatch()
    assert hints == [("apps.execution.tasks.work_test", test.pk)]
    work_on_test(test.pk)
    test.refresh_from_db()
    assert test.status == "completed"


def test_a_hint_that_was_lost_is_sent_again(sqlite_scene: Scene, monkeypatch: Any) -> None:
    hints: list[tuple[Any, ...]] = []
    test = queued(sqlite_scene)
    monkeypatch.setattr("apps.execution.test_claims.enqueue", lambda *given, **facts: hints.append(given))
    dispatch()
    assert hints == []
    later(test, hinted_at=F("hinted_at") - timedelta(seconds=20))
    dispatch()
    assert len(hints) == 1


def test_who_lost_a_test_writes_no_report(sqlite_scene: Scene) -> None:
    test = queued(sqlite_scene)
    first = claim_test(test.pk)
    later(test, lease_until=read_now() - timedelta(seconds=1))
    second = claim_test(test.pk)
    assert first is not None
    assert second is not None
    assert end_test(first, {"stages": []}) is False
    assert end_test(second, {"stages": []}) is True


def test_a_test_that_kills_its_workers_is_given_up(sqlite_scene: Scene) -> None:
    test = queued(sqlite_scene)
    for _ in range(4):
        claim_test(test.pk)
        later(test, lease_until=read_now() - timedelta(seconds=1))
    test.refresh_from_db()
    assert (test.status, "died" in test.problem) == ("failed", True)


def test_a_test_ends_when_its_time_is_over_and_tells_what_it_saw(scene: Scene, monkeypatch: Any) -> None:
    monkeypatch.setattr(testing, "TIME_S", -1.0)
    test = queued(scene, records=[{"id": 1, "amount": 1}])
    work_on_test(test.pk)
    test.refresh_from_db()
    assert (test.status, "took longer" in test.problem) == ("failed", True)
    assert stages(test)["source"]["in"] == 1
    assert scene.loaded() == []


def test_an_export_that_takes_too_long_is_ended_too(sqlite_scene: Scene, monkeypatch: Any) -> None:
    monkeypatch.setattr(testing, "TIME_S", -1.0)
    test = queued(sqlite_scene)
    work_on_test(test.pk)
    test.refresh_from_db()
    assert (test.status, "took longer" in test.problem) == ("failed", True)


def test_tests_go_after_a_day(sqlite_scene: Scene) -> None:
    test = queued(sqlite_scene)
    assert purge_tests() == 0
    later(test, created_at=read_now() - timedelta(hours=25))
    assert purge_tests() == 1
    assert TestRun.unscoped.count() == 0


def test_a_sixth_test_at_once_is_refused(sqlite_scene: Scene) -> None:
    test = queued(sqlite_scene)
    facts = {"flow": test.flow, "member": test.member, "text": test.text, "revision": 1}
    for _ in range(4):
        start_test(**facts)
    with pytest.raises(TestRefused, match="5 test runs of this account are under way"):
        start_test(**facts)


def test_who_started_a_test_stands_in_the_audit_log(sqlite_scene: Scene) -> None:
    test = queued(sqlite_scene, size=3)
    entry = AuditEntry.objects.of(sqlite_scene.account).get(act="flow.test")
    assert (entry.member_id, entry.object_id, entry.after["records"]) == (test.member_id, test.flow_id, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{nonsense", "not valid JSON: .* at line 1, column 2"),
        ("[1]", "Record 1 is no JSON object"),
        ("[]", "no record"),
        (json.dumps([{}] * 101), "101 records"),
        ('"' + "x" * 1_100_000 + '"', "larger than 1 MB"),
    ],
)
def test_pasted_text_that_is_no_records_is_refused_with_a_sentence(text: str, message: str) -> None:
    with pytest.raises(TestRefused, match=message):
        read_records(text)


def test_pasted_records_may_be_one_a_list_or_one_a_line() -> None:
    assert read_records('{"id": 1}') == read_records('[{"id": 1}]') == [{"id": 1}]
    assert read_records('{"id": 1}\n\n{"id": 2}') == [{"id": 1}, {"id": 2}]


# --- the errors of a root cause --------------------------------------------------------------------------------------
def failing(scene: Scene) -> tuple[Flow, Cause]:
    """Three open errors of one cause: amounts below zero."""
    rows = [{"id": n, "amount": -n if n in (2, 4, 6) else n} for n in range(1, 8)]
    scene.write("orders.jsonl", "\n".join(map(json.dumps, rows)))
    flow = scene.flow_of_file("orders.jsonl")
    scene.run(flow)
    return flow, Cause.objects.of(scene.account).get()


def judged(flow: Flow, cause: Cause, text: str) -> list[dict[str, Any]]:
    errors = list(Error.objects.of(flow.account).open().filter(cause=cause).order_by("pk").values_list("pk", flat=True))
    return report_of(tried(flow, text, cause=cause.pk, errors=errors))["verdicts"]


def test_a_draft_is_tried_on_the_open_errors_of_a_cause(scene: Scene) -> None:
    flow, cause = failing(scene)
    before, loaded = booked(), scene.loaded()
    text = flow.revision.definition.replace(
        "record.amount,", '"abs(record.amount) if record.id != 4 else record.amount",'
    )
    verdicts = judged(flow, cause, text)
    assert [(one["key"], one["verdict"]) for one in verdicts] == [("2", "fixed"), ("4", "failing"), ("6", "fixed")]
    assert (booked(), scene.loaded()) == (before, loaded)
    assert Error.objects.of(scene.account).open().count() == 3
    assert verdicts[1]["message"]


def test_an_error_that_fails_in_another_way_is_told_apart(scene: Scene) -> None:
    flow, cause = failing(scene)
    text = flow.revision.definition.replace("amount: record.amount,", "amount: record.nothing.at.all,")
    verdicts = judged(flow, cause, text)
    assert {one["verdict"] for one in verdicts} == {"broken"}
    assert {one["at"] for one in verdicts} == {"Load"}


def test_the_current_revision_still_fails_as_it_did(scene: Scene) -> None:
    flow, cause = failing(scene)
    assert {one["verdict"] for one in judged(flow, cause, "")} == {"failing"}


def test_an_error_whose_record_went_through_since_is_not_tried_as_a_retry_would_not_send_it(scene: Scene) -> None:
    flow, cause = failing(scene)
    Error.objects.of(scene.account).filter(key="2").update(passed_outcome="success")
    verdicts = judged(flow, cause, "")
    assert [one["verdict"] for one in verdicts] == ["untested", "failing", "failing"]
    assert "newer pass" in verdicts[0]["message"]
    Error.objects.of(scene.account).filter(key="2").update(passed_outcome="")


def test_errors_whose_step_the_draft_has_no_more_are_told_as_untested(scene: Scene) -> None:
    flow, cause = failing(scene)
    verdicts = judged(flow, cause, flow.revision.definition.replace("key: load", "key: other"))
    assert {one["verdict"] for one in verdicts} == {"untested"}


def test_a_page_of_which_nothing_stayed_is_tried_as_a_whole(scene: Scene) -> None:
    scene.write("orders.jsonl", '{"id": 1, "amount": 5}\n{"id": 2, "amount": -5}')
    flow = scene.flow_of_file("orders.jsonl", change=lambda t: f"scope: page\n{t}")
    scene.run(flow)
    cause = Cause.objects.of(scene.account).get()
    assert [one["verdict"] for one in judged(flow, cause, "")] == ["failing"]
    text = flow.revision.definition.replace("record.amount,", "abs(record.amount),")
    assert [one["verdict"] for one in judged(flow, cause, text)] == ["fixed"]
    assert scene.loaded() == []


def test_what_a_test_promised_is_what_the_retry_does(scene: Scene) -> None:
    from apps.errors.services import retry_errors

    flow, cause = failing(scene)
    text = flow.revision.definition.replace("record.amount,", "abs(record.amount),")
    assert {one["verdict"] for one in judged(flow, cause, text)} == {"fixed"}
    apply_definition(account=scene.account, text=text, member=None)
    retry_errors(account=scene.account, member=None, errors=Error.objects.of(scene.account).open())
    for run in Run.objects.of(scene.account).retries():
        scene.work_to_the_end(run)
    assert Error.objects.of(scene.account).open().count() == 0
