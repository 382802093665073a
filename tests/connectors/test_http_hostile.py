"""A hostile HTTP peer: whatever it does ends as a classified error within the deadline, and memory stays bounded."""

import gzip
import json
import resource
import socket
import ssl
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from apps.connectors.base import Limits
from apps.engine.ports import BadRecord, Classification, ConnectorError, Outage
from tests.fakes.certificates import Authority
from tests.fakes.http_peer import HttpPlace, Script, hostile, raw_answer, reset

pytestmark = pytest.mark.usefixtures("_sent_again_soon")

LIMITS = Limits(connect_s=0.5, read_s=0.6, total_s=1.2, max_bytes=4 * 1024 * 1024)
IMPATIENT = replace(LIMITS, read_s=0.2, total_s=0.4)
MB = 1024 * 1024
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def nothing(connection: socket.socket) -> None:
    time.sleep(4)


def drip_headers(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in range(100):
        connection.sendall(b"X-%d: a\r\n" % number)
        time.sleep(0.1)


def drip_body(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n")
    for _ in range(100):
        connection.sendall(b" ")
        time.sleep(0.1)


def stop_in_body(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n[{")
    time.sleep(4)


def truncate(connection: socket.socket) -> None:
    connection.sendall(HEAD + b'Content-Length: 1000\r\n\r\n[{"id": 1}')
    connection.close()


def truncate_chunked(connection: socket.socket) -> None:
    connection.sendall(HEAD + b'Transfer-Encoding: chunked\r\n\r\nb\r\n[{"id": 1},\r\n')
    connection.close()


def truncate_packed(connection: socket.socket) -> None:
    packed = gzip.compress(json.dumps([{"id": number} for number in range(1000)]).encode())
    connection.sendall(raw_answer(packed[: len(packed) // 2], Content_Encoding="gzip"))


def no_http(connection: socket.socket) -> None:
    connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
    connection.close()


def endless_headers(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-Header: " + b"a" * 1000 + b"\r\n")


@cache
def bomb(bits: int) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, bits)
    return b"".join(packer.compress(bytes(MB)) for _ in range(100)) + packer.flush()


def gzip_bomb(connection: socket.socket) -> None:
    connection.sendall(raw_answer(bomb(31), Content_Encoding="gzip"))


def deflate_bomb(connection: socket.socket) -> None:
    connection.sendall(raw_answer(bomb(15), Content_Encoding="deflate"))


def two_gigabytes(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"Content-Length: 2147483648\r\n\r\n[")
    block = b" " * MB
    for _ in range(2048):
        connection.sendall(block)


def endless_chunks(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    block = b"100000\r\n" + b" " * MB + b"\r\n"
    while True:
        connection.sendall(block)


def garbage_packed(connection: socket.socket) -> None:
    connection.sendall(raw_answer(b"this is not gzip at all", Content_Encoding="gzip"))


def brotli(connection: socket.socket) -> None:
    connection.sendall(raw_answer(b"whatever", Content_Encoding="br"))


def deep(connection: socket.socket) -> None:
    connection.sendall(raw_answer(b"[" * 200_000 + b"]" * 200_000))


def no_json(connection: socket.socket) -> None:
    connection.sendall(raw_answer(b'[{"id": 1}, {"id": ]'))


def a_page_for_people(connection: socket.socket) -> None:
    body = b"<html><body>Please sign in</body></html>"
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def empty(connection: socket.socket) -> None:
    connection.sendall(raw_answer(b""))


def redirect_to(place: str) -> Script:
    def script(connection: socket.socket) -> None:
        connection.sendall(raw_answer(b"", "302 Found", Location=place))

    return script


def busy(connection: socket.socket) -> None:
    connection.sendall(raw_answer(b"", "429 Too Many Requests", Retry_After="120"))


def always_down(connection: socket.socket) -> None:
    connection.sendall(raw_answer(b"", "503 Service Unavailable"))


HOSTILE: dict[str, tuple[Script, str, str, bool]] = {
    # what it does: script, code, classification, is an outage (the run waits and asks again)
    "hang": (nothing, "timeout", "intermittent", True),
    "drip-headers": (drip_headers, "timeout", "intermittent", True),
    "drip-body": (drip_body, "timeout", "intermittent", True),
    "stop-in-body": (stop_in_body, "timeout", "intermittent", True),
    "reset": (reset, "reset", "intermittent", True),
    "truncate": (truncate, "truncated", "intermittent", True),
    "truncate-chunked": (truncate_chunked, "truncated", "intermittent", True),
    "truncate-packed": (truncate_packed, "truncated", "intermittent", True),
    "no-http": (no_http, "malformed_answer", "parse", False),
    "endless-headers": (endless_headers, "malformed_answer", "parse", False),
    "gzip-bomb": (gzip_bomb, "too_large", "too_large", False),
    "deflate-bomb": (deflate_bomb, "too_large", "too_large", False),
    "two-gigabytes": (two_gigabytes, "too_large", "too_large", False),
    "endless-chunks": (endless_chunks, "too_large", "too_large", False),
    "garbage-packed": (garbage_packed, "malformed_answer", "parse", False),
    "brotli": (brotli, "malformed_answer", "parse", False),
    "deep": (deep, "json_malformed", "parse", False),
    "no-json": (no_json, "json_malformed", "parse", False),
    "html": (a_page_for_people, "json_malformed", "parse", False),
    "empty": (empty, "json_malformed", "parse", False),
    "redirect-loop": (redirect_to("/again"), "redirects", "connection", False),
    "redirect-to-private": (redirect_to("http://10.1.2.3/"), "blocked", "connection", True),
    "redirect-to-metadata": (redirect_to("http://169.254.169.254/latest"), "blocked", "connection", True),
    "redirect-to-file": (redirect_to("file:///etc/passwd"), "redirects", "connection", False),
    "429": (busy, "429", "rate_limit", True),
    "503-burst": (always_down, "503", "intermittent", True),
}


def memory_bytes() -> int:
    """The most that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def refusal(place: HttpPlace, **options: Any) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        place.pages(path="records", **options)
    return caught.value


def limits_for(code: str) -> Limits:
    """Who is sure to be waited for in vain is not waited for long; the others have time on a busy machine too."""
    return IMPATIENT if code == "timeout" else LIMITS


@pytest.mark.parametrize(("script", "code", "classification", "is_outage"), HOSTILE.values(), ids=HOSTILE)
def test_an_export_from_a_hostile_peer_ends_as_a_classified_error_in_time(
    script: Script, code: str, classification: str, is_outage: bool
) -> None:
    bomb(31), bomb(15)
    limits = limits_for(code)
    before, begun = memory_bytes(), monotonic()
    with hostile(script) as port:
        place = HttpPlace(f"http://127.0.0.1:{port}", limits=limits)
        error = refusal(place)
        took = monotonic() - begun
    assert (error.code, error.classification) == (code, classification), error.message
    assert isinstance(error, Outage) == is_outage
    assert error.message.endswith(".")
    assert took <= limits.total_s + 1.0, took
    assert memory_bytes() - before <= 64 * MB


@pytest.mark.parametrize("name", ["hang", "drip-body", "reset", "truncate", "two-gigabytes", "gzip-bomb", "503-burst"])
def test_a_write_whose_answer_is_lost_is_in_doubt_unless_a_repeat_is_harmless(name: str) -> None:
    script, code, classification, _ = HOSTILE[name]
    with hostile(script) as port:
        place = HttpPlace(f"http://127.0.0.1:{port}", limits=limits_for(code))
        unsafe = place.send([{"id": 1}], path="records").failures[0]
        safe = place.send([{"id": 1}], path="records", method="PUT").failures[0]
    assert (unsafe.code, unsafe.classification, unsafe.unknown) == (code, classification, True)
    assert (safe.code, safe.classification, safe.unknown, safe.keeps_key) == (code, classification, False, True)
    assert "Whether it arrived is not known" in unsafe.message


def test_after_all_that_the_same_connection_still_works() -> None:
    scripts = iter([reset, truncate, gzip_bomb, lambda one: one.sendall(raw_answer(b'[{"id": 1}]'))])
    with hostile(lambda one: next(scripts)(one)) as port:
        place = HttpPlace(f"http://127.0.0.1:{port}", limits=LIMITS)
        with place.opened() as connector:
            from_bomb = []
            for _ in range(2):
                lookup = connector.open_lookup(connector.LookupOptions(path="x"))  # type: ignore[misc]
                from_bomb.append(lookup.find([{}], None)[0])  # type: ignore[arg-type]
    assert from_bomb[0].code == "too_large"
    assert from_bomb[1] == [{"id": 1}]


# --- bad records are not bad pages -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (b'{"id": NaN}', "json_malformed"),
        (b'{"a": {"b": [1, -Infinity]}}', "json_malformed"),
        (b'{"name": "caf\xe9"}', "encoding"),
        (b'{"name": "\\ud800"}', "encoding"),
        (b'"text"', "not_an_object"),
        (b"[1]", "not_an_object"),
        (b"null", "not_an_object"),
    ],
)
def test_a_bad_record_is_not_a_bad_page(bad: bytes, code: str) -> None:
    with hostile(lambda one: one.sendall(raw_answer(b'[{"id": 1}, ' + bad + b', {"id": 3}]'))) as port:
        rows = HttpPlace(f"http://127.0.0.1:{port}", limits=LIMITS).rows(path="records")
    assert [rows[0], rows[2]] == [{"id": 1}, {"id": 3}]
    assert isinstance(rows[1], BadRecord)
    assert rows[1].failure.code == code
    assert rows[1].failure.classification == "parse"
    assert rows[1].place == "record 2"
    if code == "encoding" and b"\xe9" in bad:
        assert b"\xe9" in rows[1].raw


def test_a_whole_number_of_any_length_is_a_number() -> None:
    with hostile(lambda one: one.sendall(raw_answer(b'[{"id": 123456789012345678901234567890}]'))) as port:
        rows = HttpPlace(f"http://127.0.0.1:{port}", limits=LIMITS).rows(path="records")
    assert len(rows) == 1
    assert not isinstance(rows[0], BadRecord)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "raw", "two members", "exactly one piece"])
def test_packed_answers_are_unpacked(encoding: str) -> None:
    body = json.dumps([{"id": number, "text": "x" * 50} for number in range(5000)]).encode()
    if encoding == "exactly one piece":
        body = body[:-1].ljust(256 * 1024 * 2 - 1) + b"]"
    packed = gzip.compress(body)
    if encoding == "deflate":
        packed = zlib.compress(body)
    elif encoding == "raw":
        packed = zlib.compress(body)[2:-4]
    elif encoding == "two members":
        packed = gzip.compress(body[:1000]) + gzip.compress(body[1000:])
    named = "deflate" if encoding in ("deflate", "raw") else "gzip"
    with hostile(lambda one: one.sendall(raw_answer(packed, Content_Encoding=named))) as port:
        rows = HttpPlace(f"http://127.0.0.1:{port}", limits=LIMITS).rows(path="records")
    assert len(rows) == 5000


# --- no connection ---------------------------------------------------------------------------------------------------
def test_a_refused_connection_is_an_outage_and_nothing_was_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    place = HttpPlace(f"http://127.0.0.1:{port}", limits=LIMITS)
    assert refusal(place).code == "refused"
    with pytest.raises(Outage, match="refused the connection"):
        place.send([{"id": 1}, {"id": 2}], path="records")


def test_a_name_that_nobody_knows_is_an_outage() -> None:
    error = refusal(HttpPlace("http://no-such-host.invalid", limits=Limits(connect_s=3, total_s=4)))
    assert (error.code, error.classification) == ("dns", "connection")
    assert "no-such-host.invalid could not be resolved" in error.message


def test_an_address_that_swallows_everything_is_given_up_in_time() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        port = server.getsockname()[1]
        fillers = [socket.socket() for _ in range(8)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        begun = monotonic()
        error = refusal(HttpPlace(f"http://127.0.0.1:{port}", limits=LIMITS))
        for filler in fillers:
            filler.close()
    assert (error.code, error.classification) == ("connect_timeout", "connection")
    assert monotonic() - begun <= LIMITS.connect_s + 1


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9", "http://10.0.0.1", "http://169.254.169.254",
        "http://[::ffff:127.0.0.1]:9", "http://2130706433:9", "http://0.0.0.0:9", "http://[64:ff9b::7f00:1]",
        "http://0x7f.1:9",
    ],
)  # fmt: skip
def test_private_addresses_are_reached_only_where_the_operator_says_so(address: str) -> None:
    error = refusal(HttpPlace(address, limits=LIMITS, allow_nets=()))
    assert error.code in ("blocked", "dns", "address_invalid"), error.message
    if error.code == "blocked":
        assert "EGRESS_ALLOW_NETS" in error.message


def test_no_proxy_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with hostile(lambda one: one.sendall(raw_answer(b"[]"))) as port:
        assert HttpPlace(f"http://127.0.0.1:{port}", limits=LIMITS).rows(path="x") == []


def test_the_name_is_judged_by_the_address_that_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS that answers with a public address first and with a private one later reaches nothing."""
    answers = iter(["93.184.215.14", "10.0.0.7"])
    real = socket.getaddrinfo

    def lying(host: str, port: int, *rest: Any, **named: Any) -> Any:
        return real(next(answers) if host == "rebinding.example" else host, port, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", lying)
    socket.getaddrinfo("rebinding.example", 80)
    error = refusal(HttpPlace("http://rebinding.example", limits=LIMITS, allow_nets=()))
    assert error.code == "blocked"
    assert "10.0.0.7" in error.message


# --- encrypted -------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def encrypted() -> Callable[..., ConnectorError | list[Any]]:
    def attempt(context: ssl.SSLContext, **config: Any) -> ConnectorError | list[Any]:
        with hostile(lambda one: one.sendall(raw_answer(b'[{"id": 1}]')), tls=context) as port:
            place = HttpPlace(f"https://127.0.0.1:{port}", limits=LIMITS, config=config)
            try:
                return place.rows(path="x")
            except ConnectorError as error:
                return error

    return attempt


def test_a_server_of_an_authority_that_the_connection_names_is_trusted(authority: Authority, encrypted: Any) -> None:
    assert encrypted(authority.context(), ca=authority.pem) == [{"id": 1}]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"self_signed": True}, "signed itself"),
        ({"days": -1}, "expired"),
        ({"name": "other.example"}, "another"),
        ({"unknown": True}, "unknown authority"),
    ],
    ids=["self-signed", "expired", "wrong host", "unknown authority"],
)
def test_a_server_that_cannot_be_trusted_is_an_outage_with_the_reason(
    authority: Authority, encrypted: Any, how: dict[str, Any], words: str
) -> None:
    is_unknown = how.pop("unknown", False)
    error = encrypted(authority.context(**how), **({} if is_unknown else {"ca": authority.pem}))
    assert isinstance(error, Outage)
    assert (error.code, error.classification) == ("tls", Classification.CONNECTION)
    assert words in error.message


def test_verification_can_be_switched_off(authority: Authority, encrypted: Any) -> None:
    assert encrypted(authority.context(self_signed=True), verify_tls=False) == [{"id": 1}]


def test_a_server_that_speaks_no_tls_is_an_outage(tmp_path: Path) -> None:
    with hostile(lambda one: one.sendall(b"hello")) as port:
        error = refusal(HttpPlace(f"https://127.0.0.1:{port}", limits=LIMITS))
    assert isinstance(error, Outage)
    assert error.classification == "connection"
