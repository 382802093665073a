"""How requests sign in, where the credentials go, and that they are seen nowhere."""

import threading
from base64 import b64encode
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from pydantic import ValidationError

from apps.connectors.http.config import HttpConfig
from apps.connectors.http.connector import HttpConnector
from apps.connectors.http.gate import retry_after
from apps.connectors.shared import ProcessShared, Token
from apps.engine.ports import ConnectorError, Outage, Window
from tests.connectors.contract import CANARY
from tests.fakes.http_peer import NOON, HttpPlace, Peer, Seen, reply


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer().running() as running:
        yield running


@pytest.fixture
def other() -> Iterator[Peer]:
    """Another application, elsewhere."""
    with Peer().running() as running:
        yield running


BASIC = f"Basic {b64encode(f'me:{CANARY}'.encode()).decode()}"
SIGNED_IN: list[tuple[dict[str, Any], str, str]] = [
    ({"auth": "basic", "user": "me", "password": CANARY}, "Authorization", BASIC),
    ({"auth": "bearer", "bearer_token": CANARY}, "Authorization", f"Bearer {CANARY}"),
    ({"auth": "api_key", "api_key": CANARY}, "X-API-Key", CANARY),
    ({"auth": "api_key", "api_key": CANARY, "key_name": "X-Shop"}, "X-Shop", CANARY),
]  # fmt: skip
QUERY_KEY = {"auth": "api_key", "api_key": CANARY, "key_in": "query", "key_name": "token"}


@pytest.mark.parametrize(("config", "header", "value"), SIGNED_IN)
def test_every_request_is_signed_in(peer: Peer, config: dict[str, Any], header: str, value: str) -> None:
    peer.on("/*", lambda one: [])
    HttpPlace(peer.url, config).pages(path="x")
    assert peer.seen[0].headers[header] == value


def test_a_key_can_stand_in_the_query(peer: Peer) -> None:
    peer.on("/*", lambda one: [])
    HttpPlace(peer.url, QUERY_KEY).pages(path="x", query={"a": "b c"})
    assert peer.seen[0].query == {"a": "b c", "token": CANARY}


@pytest.mark.parametrize("config", [config for config, _, _ in SIGNED_IN] + [QUERY_KEY])
def test_another_origin_gets_no_credentials_by_a_redirect_or_a_next_address(
    peer: Peer, other: Peer, config: dict[str, Any]
) -> None:
    peer.on("/redirect", lambda one: reply(302, None, Location=f"{other.url}/there"))
    peer.on("/next", lambda one: {"rows": [], "next": f"{other.url}/there"})
    other.on("/there", lambda one: {"rows": []})
    place = HttpPlace(peer.url, {**config, "headers": {"X-Own": "own"}})
    place.pages(path="redirect", record_path="rows", headers={"X-Step": "step"})
    place.pages(path="next", record_path="rows", paging="next_url", next_path="next")
    assert len(other.seen) == 2
    for one in other.seen:
        assert CANARY not in f"{one}"
        assert {"Authorization", "X-API-Key", "X-Shop", "X-Own", "X-Step"}.isdisjoint(one.headers)


def test_a_redirect_within_the_application_keeps_the_credentials(peer: Peer) -> None:
    peer.on("/a", lambda one: reply(308, None, Location="/b"))
    peer.on("/b", lambda one: [{"id": 1}])
    assert HttpPlace(peer.url, SIGNED_IN[1][0]).rows(path="a") == [{"id": 1}]
    assert peer.seen[1].headers["Authorization"] == f"Bearer {CANARY}"


def test_three_redirects_are_followed_and_no_fourth(peer: Peer) -> None:
    for number in range(4):
        peer.on(f"/{number}", lambda one, to=number + 1: reply(302, None, Location=f"/{to}"))  # type: ignore[misc]
    peer.on("/4", lambda one: [{"id": 1}])
    assert HttpPlace(peer.url).rows(path="1") == [{"id": 1}]
    with pytest.raises(ConnectorError, match="more than 3 times"):
        HttpPlace(peer.url).rows(path="0")


def test_cookies_are_not_kept(peer: Peer) -> None:
    peer.on("/*", lambda one: reply(200, [], Set_Cookie="session=abc"))
    with HttpPlace(peer.url).opened() as connector:
        for _ in range(2):
            list(connector.open_export(HttpConnector.ExportOptions(path="x"), Window(5, NOON)).pages())  # type: ignore[misc]
    assert all("Cookie" not in one.headers for one in peer.seen)


# --- OAuth 2 ---------------------------------------------------------------------------------------------------------
class TokenGiver:
    """Gives out access tokens and takes only the newest one."""

    def __init__(self, peer: Peer, **answer: Any) -> None:
        self.given: list[dict[str, list[str]]] = []
        self.headers: list[dict[str, str]] = []
        self.answer = answer
        self.valid = ""
        peer.on("POST /token", self.give)
        peer.on("/data", self.data)
        peer.on("POST /records", self.data)

    def give(self, one: Seen) -> Any:
        self.given.append(parse_qs(one.body.decode()))
        self.headers.append(one.headers)
        self.valid = f"access-{len(self.given)}-{CANARY}"
        return {"access_token": self.valid, "token_type": "Bearer", "expires_in": 3600, **self.answer}

    def data(self, one: Seen) -> Any:
        return [] if one.headers.get("Authorization") == f"Bearer {self.valid}" else reply(401, {"error": "expired"})


def oauth(peer: Peer, **config: Any) -> dict[str, Any]:
    base = {"auth": "oauth2_client", "oauth_url": f"{peer.url}/token", "client_id": "me", "client_secret": CANARY}
    return {**base, **config}


def test_a_token_is_got_once_for_all_workers_of_a_process(peer: Peer) -> None:
    giver = TokenGiver(peer)
    place = HttpPlace(peer.url, oauth(peer, oauth_scope="read write"))
    place.pages(path="data")
    place.pages(path="data")
    assert giver.given == [{"grant_type": ["client_credentials"], "scope": ["read write"]}]
    assert giver.headers[0]["Authorization"] == BASIC


def test_a_refused_token_is_renewed_once_by_many_requests_of_many_workers(peer: Peer) -> None:
    giver = TokenGiver(peer)
    place = HttpPlace(peer.url, oauth(peer))
    place.pages(path="data")
    giver.valid = "nobody has it"
    peer.delay_s = 0.02
    outcomes: list[Any] = []
    bodies = [{"id": number} for number in range(20)]
    threads = [threading.Thread(target=lambda: outcomes.append(place.send(bodies, path="records"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [outcome.failures for outcome in outcomes] == [{}, {}, {}]
    assert len(giver.given) == 2


def test_a_refresh_token_is_used_and_replaced_by_the_newest(peer: Peer) -> None:
    giver = TokenGiver(peer, refresh_token="refresh-2", expires_in=0.001)
    config = oauth(peer, auth="oauth2_refresh", refresh_token="refresh-1", client_in="body")
    place = HttpPlace(peer.url, config)
    place.pages(path="data")
    place.pages(path="data")
    assert [one["refresh_token"] for one in giver.given] == [["refresh-1"], ["refresh-2"]]
    assert giver.given[0]["client_secret"] == [CANARY]
    assert "Authorization" not in giver.headers[0]


def test_credentials_that_are_refused_are_an_outage_that_says_why(peer: Peer) -> None:
    peer.on("POST /token", lambda one: reply(400, {"error": "invalid_client", "error_description": f"not {CANARY}"}))
    place = HttpPlace(peer.url, oauth(peer))
    with pytest.raises(Outage) as caught:
        place.send([{"id": 1}], path="records")
    assert (caught.value.code, caught.value.classification) == ("auth", "connection")
    assert "answered 400: not [hidden]" in caught.value.message


def test_a_second_401_is_the_answer(peer: Peer) -> None:
    giver = TokenGiver(peer)
    peer.on("POST /records", lambda one: reply(401))
    failure = HttpPlace(peer.url, oauth(peer)).send([{"id": 1}], path="records").failures[0]
    assert (failure.code, failure.classification, failure.unknown) == ("401", "connection", False)
    assert len(giver.given) == 2


def test_the_store_of_tokens_renews_only_what_is_stale() -> None:
    shared = ProcessShared()
    made = iter(Token(f"t{number}") for number in range(9))
    asked = [shared.token("a", lambda last: next(made), stale) for stale in ("", "", "t0", "t0")]
    assert [token.access for token in asked] == ["t0", "t0", "t1", "t1"]
    assert shared.token("b", lambda last: next(made), "").access == "t2"


# --- nothing secret is seen ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("config", [config for config, _, _ in SIGNED_IN] + [QUERY_KEY])
def test_an_application_that_says_the_secret_back_does_not_make_it_seen(peer: Peer, config: dict[str, Any]) -> None:
    def parrot(one: Seen) -> Any:
        basic = b64encode(f"me:{CANARY}".encode()).decode()
        body = {"message": f"no access for {CANARY} at ?token={CANARY}", "basic": basic, "sent": one.headers}
        return reply(422, body, X_Echo=CANARY, Set_Cookie="sid=0123456789")

    peer.on("/*", parrot)
    place = HttpPlace(peer.url, config)
    failure = place.send([{"id": 1}], path="x", query={"q": CANARY}).failures[0]
    with pytest.raises(ConnectorError) as caught:
        place.pages(path="x")
    seen = f"{failure!r} {caught.value.failure()!r}"
    for form in (CANARY, b64encode(CANARY.encode()).decode()[:-4], b64encode(f"me:{CANARY}".encode()).decode()):
        assert form not in seen
    assert "0123456789" not in seen
    assert "[hidden]" in failure.message


def test_secrets_are_not_in_the_words_of_the_test_button(peer: Peer) -> None:
    peer.on("/health", lambda one: reply(403, {"message": f"{CANARY} is wrong"}))
    with HttpPlace(peer.url, {**QUERY_KEY, "ping_path": f"health?x={CANARY}"}).opened() as connector:
        ping = connector.ping()
    assert not ping.is_ok
    assert CANARY not in f"{ping}"
    assert "403 Forbidden" in ping.found


def test_the_test_button_needs_a_good_answer_only_where_its_path_is_named(peer: Peer) -> None:
    peer.on("/v1/health", lambda one: {"up": True})
    found = {}
    for path in ("", "health", "nowhere"):
        with HttpPlace(f"{peer.url}/v1", {"ping_path": path}).opened() as connector:
            found[path] = connector.ping().is_ok
    assert found == {"": True, "health": True, "nowhere": False}


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"base_url": "ftp://x"}, "https://api.example.org"),
        ({"base_url": "http://me:secret@x"}, "Credentials do not belong"),
        ({"base_url": "http://x/?a=1"}, "before"),
        ({"base_url": "http://x:99999"}, "https://api.example.org"),
        ({"base_url": "http://x", "auth": "basic"}, "needs user, password"),
        ({"base_url": "http://x", "auth": "oauth2_client"}, "needs oauth_url, client_id, client_secret"),
        ({"base_url": "http://x", "headers": {"Host": "y"}}, "set by the connector"),
        ({"base_url": "http://x", "headers": {"A": "b\nc"}}, "one line"),
        ({"base_url": "http://x", "ca": "no certificate"}, "PEM"),
    ],
)
def test_a_connection_that_cannot_work_is_told_when_it_is_saved(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        HttpConnector.Config.model_validate(config)


# --- Retry-After -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0), ("0", 0.0), ("99999999999999", 86_400.0), ("-5", None), ("soon", None), ("", None),
        ("1.5", None), ("Mon, 02 Mar 2026 12:01:30 GMT", 90.0), ("Mon, 02 Mar 2026 11:00:00 GMT", 0.0),
        ("Monday, 02-Mar-26 12:00:10 GMT", 10.0),
    ],
)  # fmt: skip
def test_a_wished_wait_is_read_in_both_forms(value: str, seconds: float | None) -> None:
    assert retry_after(CIMultiDictProxy(CIMultiDict({"Retry-After": value})), NOON) == seconds


def test_a_date_is_measured_by_the_clock_of_the_one_who_gave_it() -> None:
    given = CIMultiDict({"Retry-After": "Mon, 02 Mar 2026 13:00:30 GMT", "Date": "Mon, 02 Mar 2026 13:00:00 GMT"})
    assert retry_after(CIMultiDictProxy(given), NOON) == 30


@pytest.mark.parametrize("name", ["Authorization", "cookie", "X-API-Key"])
def test_a_header_that_carries_a_secret_is_refused_for_headers_are_stored_readable(name):
    with pytest.raises(ValidationError, match="Choose how to sign in"):
        HttpConfig.model_validate({"base_url": "https://api.example.org", "headers": {name: "x"}})
