"""The addresses of webhooks: what is answered to whom, and what is durable when 202 is answered."""

import hashlib
import hmac
import json
from datetime import timedelta
from io import BytesIO, StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client, RequestFactory

from apps.core import clock
from apps.execution import hooks
from apps.execution.arrivals import StoredArrivals
from apps.flows.hooks import hook_address, hook_of
from apps.flows.models import Hook
from apps.flows.services import apply_definition, disable_flow, renew_hook, set_connection
from apps.runs import arrivals
from apps.runs.arrivals import QueueFullError, send_test
from apps.runs.models import Arrival, Delivery, Run
from apps.runs.services import RunRefused, cancel_run, start_run

pytestmark = pytest.mark.django_db

DEFINITION = """
flow: sightings
integration: birds
enabled: true
overlap: {overlap}
steps:
  - key: arrive
    export: {{connection: sender{options}}}
  - key: keep
    import: {{connection: files, path: out.jsonl}}
"""
KEY = "both know it"


def listen(account: Any, options: str = "", overlap: str = "queue", **config: Any) -> Any:
    secrets = {"secret": KEY} if config.get("verification", "none") != "none" else None
    config.setdefault("verification", "none")
    set_connection(account=account, name="sender", kind="webhook", config=config, secrets=secrets)
    set_connection(account=account, name="files", kind="file", config={})
    text = DEFINITION.format(options=f", {options}" if options else "", overlap=overlap)
    return apply_definition(account=account, text=text).flow


def path_of(flow: Any) -> str:
    return "/hooks/" + hook_address(hook_of(flow)).rsplit("/", 1)[1]


def post(flow: Any, body: Any, **headers: str) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(path_of(flow), raw, content_type="application/json", headers=named)


def message(answer: Any) -> str:
    (error,) = answer.json()["errors"]
    return str(error["message"])


def signature(body: bytes) -> str:
    return hmac.new(KEY.encode(), body, hashlib.sha256).hexdigest()


# --- addresses -------------------------------------------------------------------------------------------------------
def test_applying_a_definition_makes_an_address_that_stays(account, settings):
    settings.PUBLIC_URL = "https://flows.example.org/"
    flow = listen(account)
    address = hook_address(hook_of(flow))

    again = listen(account, "window_s: 2")

    assert again == flow
    assert hook_address(hook_of(again)) == address
    assert address.startswith("https://flows.example.org/hooks/")
    assert len(address.rsplit("/", 1)[1]) >= 32


def test_the_database_holds_no_address_that_could_be_used(account):
    key = path_of(listen(account)).removeprefix("/hooks/")
    row = Hook.unscoped.get()
    assert key.encode() not in bytes(row.key_sealed)
    assert key != row.key_sha256


def test_a_renewed_address_works_and_the_one_before_does_not(account):
    flow = listen(account)
    before = path_of(flow)
    renew_hook(hook=hook_of(flow))

    assert post(flow, {"id": 1}).status_code == 202
    assert Client().post(before, b"{}", content_type="application/json").status_code == 404


def test_an_address_can_be_shown_after_the_keys_were_rotated(account, settings):
    settings.FIELD_KEYS = ["old"]
    flow = listen(account)
    address = hook_address(hook_of(flow))
    settings.FIELD_KEYS = ["new", "old"]
    call_command("rotate_keys", stdout=StringIO())
    settings.FIELD_KEYS = ["new"]
    assert hook_address(hook_of(flow)) == address


def test_an_address_that_no_key_opens_still_works_and_the_command_says_so(account, settings):
    flow = listen(account)
    path = path_of(flow)
    settings.FIELD_KEYS = ["another"]
    assert Client().post(path, b"{}", content_type="application/json").status_code == 202
    with pytest.raises(CommandError, match="still works; --renew makes another one"):
        told("address", "sightings")


def test_a_flow_that_exports_from_elsewhere_has_no_address(flow):
    assert hook_of(flow) is None


# --- taking in -------------------------------------------------------------------------------------------------------
def test_an_object_is_taken_in_and_a_run_is_queued_for_the_end_of_the_window(account, noon):
    flow = listen(account, "window_s: 3")

    answer = post(flow, {"id": 1})

    arrival = Arrival.unscoped.get()
    assert (answer.status_code, answer.json()) == (202, {"received": 1, "id": arrival.pk})
    run = Run.unscoped.get()
    assert (run.trigger, run.status, run.not_before) == ("webhook", "queued", noon + timedelta(seconds=3))
    hook = hook_of(flow)
    assert (hook.waiting, hook.waiting_bytes) == (1, len(b'{"id": 1}'))


def test_all_requests_of_a_window_go_into_one_run(account):
    flow = listen(account)
    for number in range(5):
        assert post(flow, [{"id": number}, {"id": -number}]).json()["received"] == 2
    assert Run.unscoped.count() == 1
    assert hook_of(flow).waiting == 10


def test_a_request_that_comes_while_a_run_is_under_way_gets_a_run_of_its_own(account):
    flow = listen(account, overlap="skip")
    post(flow, {"id": 1})
    Run.unscoped.update(status="running")

    assert post(flow, {"id": 2}).status_code == 202
    assert sorted(Run.unscoped.values_list("status", flat=True)) == ["queued", "running"]


def test_a_run_started_by_hand_that_has_not_begun_takes_the_request_along(account):
    flow = listen(account)
    start_run(flow=flow)
    post(flow, {"id": 1})
    assert Run.unscoped.count() == 1


def test_an_empty_array_is_answered_and_starts_nothing(account):
    answer = post(listen(account), [])
    assert (answer.status_code, answer.json()) == (202, {"received": 0, "id": None})
    assert not Run.unscoped.exists()


def test_only_chosen_headers_are_kept(account):
    post(listen(account, "include_headers: [X-Topic]"), {"id": 1}, X_Topic="birds", X_Other="secret")
    assert Arrival.unscoped.get().headers == {"x-topic": "birds"}


def test_a_request_is_answered_with_202_only_when_it_is_durable_with_its_run(account, monkeypatch):
    flow = listen(account)

    def broken(listening):
        raise RuntimeError("the database went away")

    monkeypatch.setattr(arrivals, "start_if_needed", broken)
    assert post(flow, {"id": 1}).status_code == 500
    assert not Arrival.unscoped.exists()
    assert hook_of(flow).waiting == 0


# --- refusing --------------------------------------------------------------------------------------------------------
def test_an_unknown_address_is_404_in_json(db):
    answer = Client().post("/hooks/no-such-key", b"{}", content_type="application/json")
    assert answer.status_code == 404
    assert message(answer) == "Nothing listens at this address."


def test_only_post_is_taken(account):
    path = path_of(listen(account))
    answer = Client().get(path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("body", [b"", b"no json", b"[1]", b"\xff\xfe", b"[" * 70 + b"]" * 70, b'{"a": NaN}', b'"x"'])
def test_a_body_that_cannot_be_taken_is_400_with_what_is_wrong(account, body):
    answer = post(listen(account), body)
    assert answer.status_code == 400
    assert len(message(answer)) > 15
    assert not Arrival.unscoped.exists()


def test_a_signed_request_is_taken_and_any_other_is_401(account):
    flow = listen(account, verification="hmac")
    body = b'{"id": 1}'
    assert post(flow, body, X_Signature=signature(body)).status_code == 202
    assert post(flow, b'{"id": 2}', X_Signature=signature(body)).status_code == 401
    assert message(post(flow, body)) == "The header X-Signature is missing."
    assert Arrival.unscoped.count() == 1


def test_a_wrong_token_is_401_and_shows_no_secret(account):
    flow = listen(account, verification="token")
    answer = post(flow, {"id": 1}, X_Webhook_Token="wrong")
    assert answer.status_code == 401
    assert KEY not in answer.content.decode()


def test_a_disabled_flow_asks_to_come_back_later(account):
    flow = disable_flow(flow=listen(account))
    answer = post(flow, {"id": 1})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
    assert not Arrival.unscoped.exists()


def test_a_removed_flow_has_no_address_any_more(account, noon):
    flow = listen(account)
    path = path_of(flow)
    flow.removed_at = noon
    flow.save()
    assert Client().post(path, b"{}", content_type="application/json").status_code == 404


def test_a_secret_that_cannot_be_used_is_503_and_nothing_comes_in(account):
    flow = listen(account, verification="hmac", key_encoding="base64")
    assert post(flow, {"id": 1}, X_Signature="00").status_code == 503
    assert not Arrival.unscoped.exists()


def test_ten_megabytes_come_in_and_what_is_larger_than_the_limit_does_not(account):
    flow = listen(account, max_mb=11)
    body = json.dumps([{"id": n, "text": "x" * 1050} for n in range(10_000)]).encode()
    assert len(body) > 10 * 1024 * 1024
    assert post(flow, body).json()["received"] == 10_000
    answer = post(flow, b'{"text": "' + b"x" * 11 * 1024 * 1024 + b'"}')
    assert answer.status_code == 413
    assert "larger than 11 MB" in message(answer)


def test_a_body_in_chunks_without_a_length_is_read_to_its_end_or_the_limit():
    def chunked(body: bytes) -> Any:
        request = RequestFactory().post("/hooks/x")
        del request.META["CONTENT_LENGTH"]
        request.META |= {"wsgi.input": BytesIO(body), "wsgi.input_terminated": True}
        return hooks.read_body(request, 10)

    assert chunked(b"[{}, {}]") == b"[{}, {}]"
    assert chunked(b"[{}, {}, {}]") is None


def test_a_packed_body_is_refused_by_name(account):
    answer = post(listen(account), b"\x1f\x8b", Content_Encoding="gzip")
    assert answer.status_code == 415


# --- the queue -------------------------------------------------------------------------------------------------------
def test_a_full_queue_is_429_with_the_time_to_come_back(account):
    flow = listen(account, "max_waiting: 3")
    assert post(flow, [{"id": 1}, {"id": 2}]).status_code == 202
    answer = post(flow, [{"id": 3}, {"id": 4}])
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "6")
    assert message(answer) == "2 records wait for this flow already. Send again in 6 seconds."
    assert post(flow, {"id": 3}).status_code == 202


def test_an_array_longer_than_the_queue_is_taken_while_nothing_waits(account):
    flow = listen(account, "max_waiting: 3")
    assert post(flow, [{"id": n} for n in range(5)]).status_code == 202
    assert post(flow, {"id": 9}).status_code == 429


# --- repeats ---------------------------------------------------------------------------------------------------------
def test_a_delivery_that_was_taken_in_before_is_answered_and_not_taken_again(account):
    flow = listen(account, id_header="X-Delivery")
    first = post(flow, [{"id": 1}, {"id": 2}], X_Delivery="d-1").json()
    again = post(flow, [{"id": 1}, {"id": 2}], X_Delivery="d-1")

    assert (again.status_code, again.json()) == (202, {**first, "repeat": True})
    assert post(flow, {"id": 3}, X_Delivery="d-2").json()["received"] == 1
    assert Arrival.unscoped.count() == 2


def test_a_repeat_is_known_after_its_records_are_through_and_forgotten_after_its_time(account, noon):
    flow = listen(account, id_header="X-Delivery", remember_hours=1)
    post(flow, {"id": 1}, X_Delivery="d-1")
    Arrival.unscoped.all().delete()
    assert post(flow, {"id": 1}, X_Delivery="d-1").json()["repeat"]

    with clock.frozen(noon + timedelta(minutes=61)):
        assert "repeat" not in post(flow, {"id": 1}, X_Delivery="d-1").json()
    assert Delivery.unscoped.count() == 1


def test_a_replayed_request_with_a_signed_time_is_not_taken_again(account, noon):
    config = {"timestamp_header": "X-Time", "signed": "{timestamp}.{body}"}
    flow = listen(account, verification="hmac", **config)
    stamp, body = noon.isoformat(), b'{"id": 1}'
    headers = {"X_Time": stamp, "X_Signature": signature(f"{stamp}.".encode() + body)}
    assert post(flow, body, **headers).json()["received"] == 1
    assert post(flow, body, **headers).json()["repeat"]
    with clock.frozen(noon + timedelta(minutes=6)):
        assert post(flow, body, **headers).status_code == 401
    assert Arrival.unscoped.count() == 1


def test_equal_bodies_without_id_or_time_are_different_events(account):
    flow = listen(account, verification="hmac")
    body = b'{"event": "tick"}'
    for _ in range(2):
        assert post(flow, body, X_Signature=signature(body)).json()["received"] == 1
    assert Arrival.unscoped.count() == 2


def test_deliveries_are_forgotten_a_month_later_when_a_run_is_through(account, noon):
    flow = listen(account, id_header="X-Delivery")
    post(flow, {"id": 1}, X_Delivery="d-1")
    with clock.frozen(noon + timedelta(days=32)):
        post(flow, {"id": 2}, X_Delivery="d-2")
        StoredArrivals(hook_of(flow), Run.unscoped.get().pk).discard(0)
    assert Delivery.unscoped.count() == 1


# --- by hand ---------------------------------------------------------------------------------------------------------
def test_a_test_request_needs_no_signature_and_goes_the_same_way(account):
    flow = listen(account, verification="hmac")
    received = send_test(flow=flow, body=b'[{"id": 1}, {"id": 2}]')
    assert (received.records, Run.unscoped.get().trigger) == (2, "webhook")


def test_a_test_request_is_refused_where_a_real_one_would_be(account, flow):
    full = listen(account, "max_waiting: 1")
    send_test(flow=full, body=b'{"id": 1}')
    with pytest.raises(QueueFullError):
        send_test(flow=full, body=b'{"id": 2}')
    with pytest.raises(RunRefused, match="has no webhook"):
        send_test(flow=flow, body=b"{}")


def test_after_its_run_was_canceled_what_waits_goes_with_the_next_request(account):
    flow = listen(account)
    post(flow, {"id": 1})
    cancel_run(run=Run.unscoped.get(), member=None)
    post(flow, {"id": 2})
    assert sorted(Run.unscoped.values_list("status", flat=True)) == ["canceled", "queued"]
    assert hook_of(flow).waiting == 2


def test_the_address_is_in_no_log(account, caplog):
    flow = listen(account, verification="hmac")
    post(flow, b"no json")
    assert path_of(flow).removeprefix("/hooks/") not in caplog.text


# --- on the command line ---------------------------------------------------------------------------------------------
def told(*words: str) -> dict[str, Any]:
    out = StringIO()
    call_command("flow", *words, "--json", stdout=out)
    return dict(json.loads(out.getvalue()))


def test_the_command_line_shows_the_address_and_renews_it(account):
    flow = listen(account)
    shown = told("address", "sightings")
    assert shown["address"] == hook_address(hook_of(flow))
    assert told("address", "sightings", "--renew")["address"] != shown["address"]


def test_the_command_line_sends_a_test_request(account, tmp_path):
    listen(account)
    (tmp_path / "two.json").write_text('[{"id": 1}, {"id": 2}]')
    assert told("send", "sightings", str(tmp_path / "two.json"))["received"] == 2
    assert Run.unscoped.count() == 1


@pytest.mark.parametrize(("content", "sentence"), [("[1]", "Entry 1 of the array"), (None, "cannot be read")])
def test_a_test_request_that_cannot_be_sent_is_told(account, tmp_path, content, sentence):
    listen(account)
    if content is not None:
        (tmp_path / "a.json").write_text(content)
    with pytest.raises(CommandError, match=sentence):
        told("send", "sightings", str(tmp_path / "a.json"))
