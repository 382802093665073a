"""Records sent to an HTTP application: each gets the outcome that its answer gives it, nothing is repeated unseen."""

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from typing import Any

import pytest

from apps.connectors.http import gate
from apps.connectors.http.connector import HttpConnector
from apps.engine.ports import Outage, Repeats
from tests.fakes.http_peer import HttpPlace, Peer, Seen, batch_of, hostile, raw_answer, reply, reset

pytestmark = pytest.mark.usefixtures("_sent_again_soon")

BATCH = {"path": "bulk", "batch_size": 3, "results_path": "results", "status_path": "status"}


def people(count: int) -> list[dict[str, Any]]:
    return [{"id": number, "name": f"Name {number}"} for number in range(count)]


# --- what is sent ----------------------------------------------------------------------------------------------------
def test_a_record_is_sent_as_it_was_mapped_and_its_answer_comes_back(peer: Peer, place: HttpPlace) -> None:
    peer.on("POST /orders", lambda one: {"number": f"A{one.json['id']}"})
    written = place.send(people(3), path="orders")
    assert written.answers == {0: {"number": "A0"}, 1: {"number": "A1"}, 2: {"number": "A2"}}
    assert [one.headers["Content-Type"] for one in peer.seen] == ["application/json"] * 3
    assert "Idempotency-Key" not in peer.seen[0].headers


def test_method_path_query_headers_and_body_come_from_templates(peer: Peer, place: HttpPlace) -> None:
    peer.on("/*", lambda one: reply(201))
    written = place.send(
        [{"id": "a/b ?", "name": 'Ä "quoted"', "tags": ["x"], "none": None}],
        method="PATCH",
        path="shops/{{ settings.country }}/{{ record.id }}",
        query={"note": "for {{ record.name }}", "left_out": "{{ record.none }}"},
        headers={"X-Name": "{{ upper(record.id) }}"},
        body={"label": "Name: {{ record.name }}", "tags": "{{ record.tags }}", "fixed": [1, None, {"deep": True}]},
    )
    assert written.failures == {}
    one = peer.seen[0]
    assert (one.method, one.path, one.query) == ("PATCH", "/shops/AT/a/b ?", {"note": 'for Ä "quoted"'})
    assert one.headers["X-Name"] == "A/B ?"
    assert one.json == {"label": 'Name: Ä "quoted"', "tags": ["x"], "fixed": [1, None, {"deep": True}]}
    assert written.answers == {0: {"status": 201, "location": None}}


def test_a_value_cannot_lead_a_path_elsewhere_or_leave_it_out(peer: Peer, place: HttpPlace) -> None:
    peer.on("/*", lambda one: {})
    bodies: list[dict[str, Any]] = [{"id": ".."}, {"id": ""}, {"id": None}, {"id": "../../admin?x=1#y"}, {}]
    written = place.send(bodies, method="DELETE", path="orders/{{ record.id }}")
    assert {at: failure.code for at, failure in written.failures.items()} == {
        0: "value", 1: "missing", 2: "missing", 4: "request_missing"
    }  # fmt: skip
    assert [failure.source for failure in written.failures.values()] == ["mapping"] * 4
    assert [(one.path, one.body) for one in peer.seen] == [("/orders/../../admin?x=1#y", b"")]


def test_a_header_value_of_two_lines_fails_its_record_alone(peer: Peer, place: HttpPlace) -> None:
    peer.on("/*", lambda one: {})
    bodies = [{"id": "a\r\nX-Evil: 1"}, {"id": "b"}]
    written = place.send(bodies, path="x", headers={"X-Id": "{{ record.id }}"})
    assert list(written.failures) == [0]
    assert "more than one line" in written.failures[0].message
    assert len(peer.seen) == 1


def test_a_number_that_is_no_json_fails_its_record_alone(peer: Peer, place: HttpPlace) -> None:
    peer.on("/*", lambda one: {})
    written = place.send([{"a": float("nan")}, {"a": None}, {"a": [{"b": float("inf")}]}], path="x")
    assert list(written.failures) == [0, 2]
    assert "infinite or undefined" in written.failures[0].message


def test_forms_and_texts_can_be_sent(peer: Peer, place: HttpPlace) -> None:
    peer.on("/*", lambda one: {})
    place.send([{"a": "ä&=", "b": None, "c": [1]}], path="x", body_format="form")
    place.send([{"a": "line"}], path="x", body_format="text", body="{{ record.a }}!")
    assert peer.seen[0].body == b"a=%C3%A4%26%3D&c=%5B1%5D"
    assert (peer.seen[1].body, peer.seen[1].headers["Content-Type"]) == (b"line!", "text/plain; charset=utf-8")


def test_several_requests_run_at_once_but_no_more_than_the_connection_allows(peer: Peer, place: HttpPlace) -> None:
    peer.delay_s = 0.05
    peer.on("/*", lambda one: {})
    place.config = {"max_concurrency": 4}
    begun = time.monotonic()
    assert place.send(people(24), path="x").failures == {}
    assert peer.busiest == 4
    assert time.monotonic() - begun < 24 * 0.05


def test_the_pace_is_kept_by_all_connectors_of_a_process(peer: Peer, place: HttpPlace) -> None:
    peer.on("/*", lambda one: {})
    place.config = {"max_rate": 40.0}
    begun = time.monotonic()
    threads = [threading.Thread(target=lambda: place.send(people(12), path="x")) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(peer.seen) == 24
    assert time.monotonic() - begun >= 23 / 40 - 0.05


# --- outcomes --------------------------------------------------------------------------------------------------------
def test_a_refused_record_is_an_error_with_request_and_answer(peer: Peer, place: HttpPlace) -> None:
    peer.on("/*", lambda one: reply(422, {"errors": {"email": ["is invalid"]}}) if one.json["id"] == 1 else {})
    written = place.send(people(3), path="orders")
    assert list(written.failures) == [1]
    failure = written.failures[1]
    assert (failure.source, failure.code, failure.classification) == ("application", "422", "value")
    assert failure.message == "POST /orders was answered with 422 Unprocessable Entity: email: is invalid"
    assert not failure.unknown
    assert failure.capture is not None
    assert failure.capture.status == 422
    assert failure.capture.request["body"] == {"id": 1, "name": "Name 1"}
    assert failure.capture.response["body"] == {"errors": {"email": ["is invalid"]}}
    assert failure.capture.request["url"] == f"{peer.url}/orders"


@pytest.mark.parametrize(
    ("status", "classification"),
    [(400, "value"), (401, "connection"), (403, "connection"), (404, "missing"), (409, "duplicate"),
     (413, "too_large"), (500, "intermittent"), (301, "connection"), (307, "connection")],
)  # fmt: skip
def test_a_status_decides_the_class_of_an_error(peer: Peer, place: HttpPlace, status: int, classification: str) -> None:
    peer.on("/*", lambda one: reply(status, {"a": "b"}, Location="/elsewhere"))
    failure = place.send([{"id": 1}], path="orders").failures[0]
    assert (failure.code, failure.classification, failure.unknown) == (str(status), classification, False)
    assert len(peer.seen) == 1  # writes follow no redirects


def test_more_statuses_can_mean_success(peer: Peer, place: HttpPlace) -> None:
    peer.on("/*", lambda one: reply(404))
    assert place.send([{"id": 1}], method="DELETE", path="x/{{ record.id }}", accept_statuses=[404]).failures == {}


@pytest.mark.parametrize(
    ("answer", "options", "code", "message"),
    [
        ({"ok": False, "why": "no stock"}, {"success_path": "ok", "error_path": "why"}, "rejected", "no stock"),
        ({"state": "DONE"}, {"success_path": "state", "success_values": ["DONE", "OK"]}, None, None),
        ({"state": "FAILED"}, {"success_path": "state", "success_values": ["DONE"]}, "rejected", "did not go well"),
        ({"errors": []}, {"error_path": "errors"}, None, None),
        ({"errors": [{"code": 7, "message": "too long"}]},
         {"error_path": "errors", "code_path": "errors[0].code"}, "7", "too long"),
        ({"other": 1}, {"success_path": "ok"}, "lost", 'does not say at "ok"'),
    ],
)  # fmt: skip
def test_success_and_error_are_read_from_the_answer(
    peer: Peer, place: HttpPlace, answer: Any, options: dict[str, Any], code: str | None, message: str
) -> None:
    peer.on("/*", lambda one: answer)
    failures = place.send([{"id": 1}], path="x", **options).failures
    assert [failure.code for failure in failures.values()] == ([code] if code else [])
    if code:
        assert message in failures[0].message
        assert failures[0].unknown == (code == "lost")


# --- several records in one request ----------------------------------------------------------------------------------
def test_a_list_is_answered_in_order(peer: Peer, place: HttpPlace) -> None:
    def bulk(one: Seen) -> Any:
        return {
            "results": [
                {"status": 422, "message": "bad"} if body["id"] % 4 == 1 else {"status": 201} for body in one.json
            ]
        }

    peer.on("/*", bulk)
    written = place.send(people(7), **BATCH)
    assert [len(one.json) for one in sorted(peer.seen, key=lambda one: -len(one.body))] == [3, 3, 1]
    assert list(written.failures) == [1, 5]
    assert written.failures[5].message == "422 Unprocessable Entity: bad"
    assert written.failures[5].capture is not None
    assert written.failures[5].capture.request["body"] == {"id": 5, "name": "Name 5"}
    assert written.answers[6] == {"status": 201}


def test_results_are_found_by_a_field_and_what_has_none_is_in_doubt(peer: Peer, place: HttpPlace) -> None:
    def bulk(one: Seen) -> Any:
        rows = [{"ref": str(body["id"]), "status": "200 OK"} for body in one.json["data"]["rows"]]
        return {"results": list(reversed(rows[1:]))}

    peer.on("/*", bulk)
    written = place.send(
        people(3), **BATCH, records_field="data.rows", envelope={"sent": "{{ settings.country }}"},
        match_sent="id", match_result="ref",
    )  # fmt: skip
    assert peer.seen[0].json["sent"] == "AT"
    assert list(written.failures) == [0]
    assert written.failures[0].unknown
    assert written.failures[0].code == "lost"


@pytest.mark.parametrize(("given", "in_doubt"), [(1, [1, 2]), (0, [0, 1, 2]), (4, [0, 1, 2]), (None, [0, 1, 2])])
def test_an_answer_with_another_number_of_results_never_means_success(
    peer: Peer, place: HttpPlace, given: int | None, in_doubt: list[int]
) -> None:
    peer.on("/*", lambda one: {} if given is None else {"results": [{"status": 200}] * given})
    failures = place.send(people(3), **BATCH).failures
    assert list(failures) == in_doubt
    assert all(failure.unknown for failure in failures.values())


def test_a_refused_list_is_one_error_per_record(peer: Peer, place: HttpPlace) -> None:
    peer.on("/*", lambda one: reply(400, {"message": "the list is wrong"}))
    failures = place.send(people(2), **BATCH).failures
    assert [failure.code for failure in failures.values()] == ["400", "400"]
    assert failures[0].message == failures[1].message
    assert failures[0].capture is not None
    assert failures[0].capture.request["part"] == "record 1 of 2 in this request"


def test_a_list_that_is_too_long_is_sent_in_halves(peer: Peer, place: HttpPlace) -> None:
    peer.on("/*", lambda one: reply(413) if len(one.json) > 2 or {"id": 6, "name": "Name 6"} in one.json else {})
    written = place.send(people(8), path="bulk", batch_size=8)
    assert list(written.failures) == [6]
    assert written.failures[6].classification == "too_large"


def test_a_207_without_a_list_that_can_be_read_is_in_doubt(peer: Peer, place: HttpPlace) -> None:
    peer.on("/*", lambda one: reply(207, {"some": "thing"}))
    failures = place.send(people(2), path="bulk", batch_size=2).failures
    assert all(failure.unknown for failure in failures.values())


def test_a_207_list_needs_no_options(peer: Peer, place: HttpPlace) -> None:
    peer.on("/*", lambda one: reply(207, [{"status": 200}, {"status": 409, "error": "it exists"}]))
    failures = place.send(people(2), path="bulk", batch_size=2).failures
    assert {at: (failure.code, failure.classification) for at, failure in failures.items()} == {1: ("409", "duplicate")}


# --- repeats ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("options", "repeats"),
    [
        ({}, Repeats.UNSAFE),
        ({"method": "PUT"}, Repeats.SAFE),
        ({"method": "DELETE"}, Repeats.SAFE),
        ({"method": "PATCH"}, Repeats.SAFE),
        ({"idempotency_header": "Idempotency-Key"}, Repeats.KEYED),
        ({"idempotency_header": "X-Key", "batch_size": 5}, Repeats.UNSAFE),
        ({"key_field": "ref", "batch_size": 5}, Repeats.KEYED),
        ({"repeats": "safe"}, Repeats.SAFE),
        ({"method": "PATCH", "repeats": "unsafe"}, Repeats.UNSAFE),
    ],
)
def test_a_target_knows_what_a_repeat_does(options: dict[str, Any], repeats: Repeats) -> None:
    with HttpPlace("http://127.0.0.1:9").opened() as connector:
        target = connector.open_import(HttpConnector.ImportOptions.model_validate({"path": "x", **options}))
    assert target.repeats is repeats


def test_the_key_of_a_record_is_sent_and_is_the_same_when_it_is_sent_again(peer: Peer, place: HttpPlace) -> None:
    peer.on("/*", lambda one: {})
    for _ in range(2):
        place.send(people(2), path="x", idempotency_header="X-Request-Key", key_field="meta.ref")
    assert sorted(one.headers["X-Request-Key"] for one in peer.seen) == ["key-0", "key-0", "key-1", "key-1"]
    assert {one.json["meta"]["ref"] for one in peer.seen} == {"key-0", "key-1"}


def test_a_lost_answer_is_asked_for_again_at_once_where_the_key_makes_that_harmless() -> None:
    stored: dict[str, int] = {}
    cuts = iter([True, False, True, True, False])

    def script(connection: Any) -> None:
        stored["sends"] = stored.get("sends", 0) + 1
        if next(cuts):
            reset(connection)
        else:
            connection.sendall(raw_answer(b'{"ok": true}'))

    with hostile(script) as port:
        place = HttpPlace(f"http://127.0.0.1:{port}")
        place.config = {"max_concurrency": 1}
        written = place.send(people(2), path="x", idempotency_header="Idempotency-Key")
    assert written.failures == {}
    assert stored["sends"] == 5


def test_a_lost_answer_is_never_asked_for_again_where_a_repeat_does_it_twice() -> None:
    sends: list[int] = []

    def script(connection: Any) -> None:
        sends.append(1)
        reset(connection)

    with hostile(script) as port:
        written = HttpPlace(f"http://127.0.0.1:{port}").send(people(3), path="x")
    assert len(sends) == 3
    assert all(failure.unknown and failure.code == "reset" for failure in written.failures.values())


def test_the_author_may_say_that_lost_answers_are_sent_again() -> None:
    with hostile(reset) as port:
        failure = HttpPlace(f"http://127.0.0.1:{port}").send([{"id": 1}], path="x", on_unknown="retry").failures[0]
    assert (failure.unknown, failure.classification, failure.keeps_key) == (False, "intermittent", True)


def test_a_passing_fault_without_a_time_is_unknown_and_with_a_time_it_is_not(peer: Peer, place: HttpPlace) -> None:
    calls = iter([reply(503), reply(503, None, Retry_After="0"), {"ok": True}])
    peer.on("/*", lambda one: next(calls))
    assert place.send([{"id": 1}], path="x").failures[0].unknown
    assert place.send([{"id": 1}], path="x").failures == {}


# --- being asked to wait ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_short_wait_is_kept_and_nobody_sends_before_its_end(
    peer: Peer, place: HttpPlace, status: int, form: str
) -> None:
    taken_at: list[float] = []
    refused_at: list[float] = []

    def answer(one: Seen) -> Any:
        if refused_at and time.time() > refused_at[0] + 0.5:
            taken_at.append(time.time())
            return {}
        refused_at.append(time.time())
        now = datetime.now(UTC)
        until = now + timedelta(seconds=1)
        value = "1" if form == "seconds" else format_datetime(until, usegmt=True)
        made = reply(status, None, Retry_After=value)
        made.headers["Date"] = format_datetime(now, usegmt=True)
        return made

    peer.on("/*", answer)
    place.config = {"max_concurrency": 2}
    written = place.send(people(6), path="x")
    assert (written.failures, written.not_sent) == ({}, {})
    assert min(taken_at) - max(refused_at) >= 0.9
    assert len(taken_at) == 6
    assert len(refused_at) <= 2


def test_a_long_wait_is_for_the_engine_and_holds_for_every_worker(peer: Peer, place: HttpPlace) -> None:
    peer.on("/*", lambda one: reply(429, None, Retry_After="120") if one.json["id"] == 3 else {})
    place.config = {"max_concurrency": 1}
    written = place.send(people(6), path="x")
    assert sorted(written.not_sent) == [3, 4, 5]
    assert 119 <= written.not_sent[3] <= 120
    assert "wait for" in written.reason
    seen = len(peer.seen)
    with pytest.raises(Outage) as caught:
        place.send(people(1), path="x")  # another worker, with a connector of its own
    assert caught.value.retry_after_s is not None
    assert 100 < caught.value.retry_after_s <= 120
    assert caught.value.classification == "rate_limit"
    assert len(peer.seen) == seen


def test_a_429_that_names_no_time_waits_longer_each_time(
    peer: Peer, place: HttpPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "FIRST_WAIT_S", 0.2)
    times: list[float] = []

    def answer(one: Seen) -> Any:
        times.append(time.monotonic())
        return reply(429) if len(times) <= 2 else {}

    peer.on("/*", answer)
    assert place.send([{"id": 1}], path="x").failures == {}
    first, second = (later - earlier for earlier, later in pairwise(times))
    assert first >= 0.2
    assert second >= 0.4


def test_what_may_not_be_started_any_more_is_handed_back(peer: Peer, place: HttpPlace) -> None:
    peer.on("/*", lambda one: {})
    place.config = {"max_concurrency": 1}
    batch = batch_of(people(5), stop=lambda: len(peer.seen) >= 2)
    written = place.send([], path="x", batch=batch)
    assert (sorted(written.answers), sorted(written.not_sent)) == ([0, 1], [2, 3, 4])


def test_what_went_through_before_a_connection_went_down_stays_so_and_the_rest_waits() -> None:
    with hostile(lambda one: one.sendall(raw_answer(b"{}", Connection="close")), connections=2) as port:
        place = HttpPlace(f"http://127.0.0.1:{port}", config={"max_concurrency": 1})
        written = place.send(people(6), path="x")
    assert (written.failures, sorted(written.answers), sorted(written.not_sent)) == ({}, [0, 1], [2, 3, 4, 5])
    assert "refused the connection" in written.reason


def test_options_that_contradict_each_other_are_told_when_the_flow_is_saved() -> None:
    wrong = [
        ({"records_field": "rows"}, "several records per request"),
        ({"batch_size": 5, "body_format": "form"}, "sent as JSON"),
        ({"batch_size": 5, "envelope": {"a": 1}}, "records_field"),
        ({"match_sent": "id"}, "belong together"),
        ({"success_values": ["x"]}, "success_path"),
        ({"repeats": "keyed"}, "idempotency_header"),
        ({"path": "a?b=1"}, "write parameters as query"),
        ({"path": "http://other/x"}, "connection's address"),
        ({"path": "a/../b"}, "segments of dots"),
        ({"path": "{{ record. }}"}, "Inside"),
        ({"headers": {"Content-Length": "5"}}, "set by the connector"),
        ({"headers": {"a b": "5"}}, "no name of a header"),
        ({"body": {"a": "{{ nope }}"}}, "nope"),
        ({"accept_statuses": [99]}, "100 to 599"),
    ]
    for options, words in wrong:
        with pytest.raises(ValueError, match=words):
            HttpConnector.ImportOptions.model_validate(options)


def test_a_record_in_the_request_of_an_error_is_the_one_that_was_sent(peer: Peer, place: HttpPlace) -> None:
    peer.on("/*", lambda one: reply(500, b"<html>" + b"x" * 200_000))
    failure = place.send([{"text": "y" * 200_000}], path="x").failures[0]
    assert failure.capture is not None
    assert len(failure.capture.request["body"]) == 65536
    assert len(failure.capture.response["body"]) == 65536
    assert "only the beginning" in failure.capture.response["body_cut"]
    assert json.dumps(failure.capture.request)
