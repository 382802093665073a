"""How webhook requests are verified, what bodies are taken, and how what arrived is read in pages."""

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from apps.connectors.base import Surroundings
from apps.connectors.webhook.body import UnfitBodyError, count_records
from apps.connectors.webhook.config import WebhookConfig, WebhookExportOptions
from apps.connectors.webhook.connector import WebhookConnector
from apps.connectors.webhook.verify import RequestRefusedError, verify
from apps.engine.ports import BadRecord, SourcePage, Window
from tests.connectors.listening import MemoryArrivals

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
STAMP = str(int(NOW.timestamp()))
BODY = b'{"id": 1, "name": "\xc3\x9cn\xc3\xaf"}'
KEY = "our common key"


def signed(content: bytes, *, key: bytes = KEY.encode(), algorithm: str = "sha256", as_base64: bool = False) -> str:
    digest = hmac.new(key, content, algorithm)
    return base64.b64encode(digest.digest()).decode() if as_base64 else digest.hexdigest()


def hook(**fields: Any) -> WebhookConfig:
    return WebhookConfig.model_validate({"verification": "hmac", "secret": KEY, **fields})


def of_code_host() -> tuple[WebhookConfig, dict[str, str]]:
    config = hook(header="X-Hub-Signature-256", prefix="sha256=", id_header="X-GitHub-Delivery")
    return config, {"x-hub-signature-256": f"sha256={signed(BODY)}", "x-github-delivery": "72d3162e"}


def of_shop() -> tuple[WebhookConfig, dict[str, str]]:
    config = hook(header="X-Shopify-Hmac-Sha256", encoding="base64")
    return config, {"x-shopify-hmac-sha256": signed(BODY, as_base64=True)}


def of_chat() -> tuple[WebhookConfig, dict[str, str]]:
    config = hook(
        header="X-Slack-Signature",
        prefix="v0=",
        timestamp_header="X-Slack-Request-Timestamp",
        signed="v0:{timestamp}:{body}",
    )
    content = b"v0:" + STAMP.encode() + b":" + BODY
    return config, {"x-slack-signature": f"v0={signed(content)}", "x-slack-request-timestamp": STAMP}


def of_payments() -> tuple[WebhookConfig, dict[str, str]]:
    """The time stands in the header of the signatures; while the key changes there are two of them."""
    config = hook(
        header="Stripe-Signature",
        prefix="v1=",
        timestamp_header="Stripe-Signature",
        timestamp_prefix="t=",
        signed="{timestamp}.{body}",
    )
    good = signed(STAMP.encode() + b"." + BODY)
    return config, {"stripe-signature": f"t={STAMP},v1={'0' * 64},v1={good},v0={'1' * 64}"}


def of_the_common_standard() -> tuple[WebhookConfig, dict[str, str]]:
    key = b"\x01\x02 raw bytes of a key"
    config = hook(
        secret="whsec_" + base64.b64encode(key).decode(),
        key_encoding="base64",
        header="webhook-signature",
        prefix="v1,",
        encoding="base64",
        timestamp_header="webhook-timestamp",
        id_header="webhook-id",
        signed="{id}.{timestamp}.{body}",
    )
    good = signed(b"msg_1." + STAMP.encode() + b"." + BODY, key=key, as_base64=True)
    return config, {"webhook-signature": f"v1,AAAA v1,{good}", "webhook-timestamp": STAMP, "webhook-id": "msg_1"}


def of_an_old_sender() -> tuple[WebhookConfig, dict[str, str]]:
    return hook(algorithm="sha1", prefix="sha1="), {"x-signature": f"sha1={signed(BODY, algorithm='sha1')}"}


SENDERS = [of_code_host, of_shop, of_chat, of_payments, of_the_common_standard, of_an_old_sender]
every_sender = pytest.mark.parametrize("sender", SENDERS)


# --- verification ----------------------------------------------------------------------------------------------------
@every_sender
def test_a_request_signed_as_its_sender_does_is_verified(sender: Any) -> None:
    config, headers = sender()
    verify(config, headers, BODY, NOW)


@every_sender
def test_a_body_that_was_changed_on_the_way_is_refused(sender: Any) -> None:
    config, headers = sender()
    with pytest.raises(RequestRefusedError, match=f"signature in the header {config.header_name}"):
        verify(config, headers, BODY + b" ", NOW)


@every_sender
def test_a_request_signed_with_another_key_is_refused(sender: Any) -> None:
    config, headers = sender()
    other = config.model_copy(update={"secret": hook(secret=base64.b64encode(b"another").decode()).secret})
    with pytest.raises(RequestRefusedError):
        verify(other, headers, BODY, NOW)


@every_sender
def test_a_request_without_its_signature_is_told_the_header(sender: Any) -> None:
    config, headers = sender()
    with pytest.raises(RequestRefusedError, match=f"The header {config.header_name} is missing"):
        verify(
            config, {name: value for name, value in headers.items() if name != config.header_name.lower()}, BODY, NOW
        )


@pytest.mark.parametrize("sender", [of_chat, of_payments, of_the_common_standard])
@pytest.mark.parametrize("seconds", [301, -301])
def test_a_signed_time_that_is_too_far_away_is_refused(sender: Any, seconds: int) -> None:
    config, headers = sender()
    with pytest.raises(RequestRefusedError, match="at most 300 seconds"):
        verify(config, headers, BODY, NOW + timedelta(seconds=seconds))


def test_a_time_that_was_changed_does_not_fit_the_signature() -> None:
    config, headers = of_chat()
    later = {**headers, "x-slack-request-timestamp": str(int(STAMP) + 600)}
    with pytest.raises(RequestRefusedError, match="signature"):
        verify(config, later, BODY, NOW + timedelta(seconds=600))


def test_a_signature_with_a_signed_time_and_an_id_are_what_a_repeat_is_known_by() -> None:
    assert [key.split(":")[0] for key in verify(*of_the_common_standard(), BODY, NOW).delivery_keys] == [
        "id",
        "signature",
    ]
    assert verify(*of_code_host(), BODY, NOW).delivery_keys == ("id:72d3162e",)


def test_a_signature_without_a_time_is_no_sign_of_a_repeat_for_equal_events_have_equal_ones() -> None:
    assert verify(*of_shop(), BODY, NOW).delivery_keys == ()


@pytest.mark.parametrize("value", ["tomorrow", "9" * 15, "", "٣"])
def test_a_time_that_cannot_be_read_is_refused_with_a_sentence(value: str) -> None:
    config = hook(timestamp_header="X-Time", signed="{timestamp}.{body}")
    headers = {"x-signature": signed(value.encode() + b"." + BODY), "x-time": value}
    with pytest.raises(RequestRefusedError, match=r"X-Time|seconds"):
        verify(config, headers, BODY, NOW)


@pytest.mark.parametrize("value", [STAMP, f"{STAMP}000", "2026-03-02T12:00:00Z", "2026-03-02T13:00:00+01:00"])
def test_times_are_seconds_milliseconds_or_iso(value: str) -> None:
    config = hook(timestamp_header="X-Time", signed="{timestamp}.{body}")
    verify(config, {"x-signature": signed(value.encode() + b"." + BODY), "x-time": value}, BODY, NOW)


def test_a_token_is_compared_as_a_whole() -> None:
    config = WebhookConfig.model_validate(
        {"verification": "token", "secret": "s3", "header": "Authorization", "prefix": "Bearer "}
    )
    verify(config, {"authorization": "Bearer s3"}, BODY, NOW)
    for wrong in ("Bearer s", "Bearer s33", "s3", "Basic s3"):
        with pytest.raises(RequestRefusedError):
            verify(config, {"authorization": wrong}, BODY, NOW)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"verification": "hmac"}, "needs a secret"),
        ({"verification": "token", "secret": ""}, "needs a secret"),
        ({"secret": "a", "signed": "{timestamp}.{body}"}, "timestamp_header and {timestamp} together"),
        ({"secret": "a", "timestamp_header": "X-T"}, "timestamp_header and {timestamp} together"),
        ({"secret": "a", "signed": "{id}.{body}"}, "id_header names no header"),
        ({"secret": "a", "signed": "all"}, "must hold {body} once"),
        ({"secret": "a", "signed": "{body}{nonce}"}, "may stand in braces"),
        ({"secret": "a", "header": "X Signature"}, "no name of an HTTP header"),
        ({"verification": "none", "timestamp_header": "X-T"}, "belong to the verification hmac"),
    ],
)
def test_settings_that_protect_nothing_are_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        WebhookConfig.model_validate({"verification": "hmac", **fields})
    assert sentence in str(caught.value)


def test_how_requests_are_verified_has_to_be_said() -> None:
    with pytest.raises(ValidationError, match="verification"):
        WebhookConfig.model_validate({})


def test_headers_with_credentials_are_never_put_into_records() -> None:
    with pytest.raises(ValidationError, match="credentials"):
        WebhookExportOptions.model_validate({"include_headers": ["Authorization"]})


# --- bodies ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"id=1&name=x", "not valid JSON"),
        (b'{"id": 1', "not valid JSON"),
        (b'{"id": NaN}', "not valid JSON"),
        (b'{"id": 1} {"id": 2}', "not valid JSON"),
        (b'{"name": "\xff"}', "not valid JSON"),
        (b'{"name": "\\ud800"}', "not valid JSON"),
        (b"[" * 65 + b"]" * 65, "more than 64 levels"),
        (b"[" * 5000 + b"]" * 5000, "not valid JSON"),
        (b'{"id": 1, "id": 2}', "stands there twice"),
        (b'{"id": 123456789012345678901234567890}', "more than 64 bits"),
        (b'"text"', "but there is a text"),
        (b"7", "but there is a number"),
        (b"null", "but there is null"),
        (b'[{"id": 1}, 2]', "Entry 2 of the array is a number"),
        (b'[[{"id": 1}]]', "Entry 1 of the array is an array"),
    ],
)
def test_what_is_wrong_with_a_body_is_told(body: bytes, sentence: str) -> None:
    with pytest.raises(UnfitBodyError) as caught:
        count_records(body, "")
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("body", "path", "count"),
    [
        (b'{"id": 1}', "", 1),
        (b'\xef\xbb\xbf[{"id": 1}, {"id": 2}]', "", 2),
        (b"[]", "", 0),
        (b'{"data": {"rows": [{}, {}, {}]}}', "data.rows", 3),
        (b'{"data": {"order": {"id": 1}}}', "data.order", 1),
        (b'{"a":' * 63 + b"{}" + b"}" * 63, "", 1),
        (b'{"text": "' + b"[{" * 500 + b'\\""}', "", 1),
    ],
)
def test_objects_and_arrays_of_objects_are_taken(body: bytes, path: str, count: int) -> None:
    assert count_records(body, path) == count


def test_a_missing_record_path_is_told_with_what_is_there() -> None:
    with pytest.raises(UnfitBodyError, match=r'no "data.rows".*The fields there are: "items", "next"'):
        count_records(b'{"data": {"items": [], "next": 1}}', "data.rows")


def test_brackets_in_texts_are_no_depth_in_ten_megabytes_either() -> None:
    rows = [{"id": number, "text": "[" * 80} for number in range(90_000)]
    assert count_records(json.dumps(rows).encode(), "") == 90_000


# --- pages -----------------------------------------------------------------------------------------------------------
def pages(arrivals: MemoryArrivals, size: int = 10, **options: Any) -> list[SourcePage]:
    surroundings = Surroundings(7, Path("/nowhere"), Path("/nowhere"), arrivals=arrivals)
    connector = WebhookConnector(WebhookConfig.model_validate({"verification": "none"}), surroundings)
    source = connector.open_export(WebhookExportOptions.model_validate(options), Window(size, NOW))
    found = list(source.pages())
    source.finish()
    return found


def test_small_requests_are_gathered_into_pages_and_large_ones_divided() -> None:
    arrivals = MemoryArrivals()
    for body in ({"id": 1}, [{"id": 2}, {"id": 3}], [{"id": n} for n in range(4, 10)]):
        arrivals.send(body)
    found = pages(arrivals, 4)
    assert [[row["id"] for row in page.records if isinstance(row, dict)] for page in found] == [
        [1, 2, 3, 4],
        [5, 6, 7, 8],
        [9],
    ]
    assert [page.source_ref for page in found] == ["requests 1 to 3", "request 3", "request 3"]
    assert arrivals.waiting == []


def test_records_of_a_request_that_went_through_before_are_not_given_again() -> None:
    arrivals = MemoryArrivals()
    arrivals.send([{"id": 1}, {"id": 2}, {"id": 3}], given=2)
    assert [page.records for page in pages(arrivals)] == [[{"id": 3}]]


def test_chosen_headers_stand_beside_the_fields_of_each_record() -> None:
    arrivals = MemoryArrivals()
    arrivals.send([{"id": 1}, {"id": 2}], {"x-topic": "orders/new"})
    (page,) = pages(arrivals, include_headers=["X-Topic", "X-Other"])
    assert page.records == [{"id": n, "_headers": {"x-topic": "orders/new"}} for n in (1, 2)]


def test_a_request_that_does_not_fit_the_options_any_more_is_a_bad_record() -> None:
    arrivals = MemoryArrivals()
    arrivals.send({"id": 1})
    arrivals.send({"rows": [{"id": 2}]})
    (page,) = pages(arrivals, record_path="rows")
    bad, good = page.records
    assert isinstance(bad, BadRecord)
    assert bad.raw == b'{"id": 1}'
    assert 'request 1: The body has no "rows"' in bad.failure.message
    assert good == {"id": 2}
