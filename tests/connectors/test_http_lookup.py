"""Lookups in an HTTP application: one request per record, or one for the keys of many."""

from typing import Any

import pytest

from apps.connectors.http.connector import HttpConnector
from apps.engine.ports import Failure, Outage
from tests.fakes.http_peer import SCOPE, HttpPlace, Peer, Seen, reply

EACH = {"path": "airports/{{ upper(record.code) }}"}
KEYS = {"path": "airports", "key": "record.code", "keys_param": "codes", "match_field": "code", "record_path": "found"}


def airport(one: Seen) -> Any:
    code = one.path.rpartition("/")[2]
    return {"code": code, "name": f"Airport {code}"} if code in {"VIE", "GRZ"} else reply(404)


def test_equal_requests_are_sent_once_and_their_answers_shared(peer: Peer, place: HttpPlace) -> None:
    peer.on("/airports/*", airport)
    found = place.find([{"code": code} for code in ("vie", "xxx", "grz", "VIE", "vie")], **EACH)
    vienna = {"code": "VIE", "name": "Airport VIE"}
    assert found == [[vienna], [], [{"code": "GRZ", "name": "Airport GRZ"}], [vienna], [vienna]]
    assert len(peer.seen) == 3


def test_a_lookup_asks_several_at_once(peer: Peer, place: HttpPlace) -> None:
    peer.delay_s = 0.05
    peer.on("/airports/*", airport)
    place.config = {"max_concurrency": 5}
    place.find([{"code": f"{number}"} for number in range(20)], **EACH)
    assert peer.busiest == 5


def test_not_found_can_be_an_error(peer: Peer, place: HttpPlace) -> None:
    peer.on("/airports/*", airport)
    found = place.find([{"code": "xxx"}, {"code": "vie"}], **EACH, not_found="error")
    assert isinstance(found[0], Failure)
    assert (found[0].source, found[0].code, found[0].classification) == ("lookup", "404", "missing")
    assert found[0].capture is not None
    assert len(found[1]) == 1


def test_one_record_that_never_works_does_not_hold_up_the_others(peer: Peer, place: HttpPlace) -> None:
    peer.on("/airports/*", lambda one: reply(500) if one.path.endswith("GRZ") else airport(one))
    found = place.find([{"code": "grz"}, {"code": "vie"}, {}], **EACH)
    assert (found[0].code, found[0].classification) == ("500", "intermittent")
    assert len(found[1]) == 1
    assert (found[2].code, found[2].source) == ("request_missing", "lookup")


def test_without_a_connection_the_page_waits() -> None:
    with pytest.raises(Outage, match="refused the connection"):
        HttpPlace("http://127.0.0.1:1").find([{"code": "vie"}], **EACH)


def test_a_list_in_the_answer_is_what_was_found(peer: Peer, place: HttpPlace) -> None:
    peer.on("/orders", lambda one: {"rows": [{"no": 1}, {"no": 2}] if one.query["customer"] == "7" else []})
    options = {"path": "orders", "query": {"customer": "{{ record.id }}"}, "record_path": "rows"}
    assert place.find([{"id": 7}, {"id": 8}], **options) == [[{"no": 1}, {"no": 2}], []]


# --- one request for many keys ---------------------------------------------------------------------------------------
def test_one_request_asks_for_the_keys_of_many(peer: Peer, place: HttpPlace) -> None:
    def many(one: Seen) -> Any:
        return {"found": [{"code": code, "n": 1} for code in one.query["codes"].split(",") if code != "x"]}

    peer.on("/airports", many)
    records = [{"code": code} for code in ("a", "x", "b", "a", None, "c")]
    found = place.find([*records, {}], **KEYS, keys_per_request=3)
    assert found[:6] == [
        [{"code": "a", "n": 1}], [], [{"code": "b", "n": 1}], [{"code": "a", "n": 1}], [], [{"code": "c", "n": 1}]
    ]  # fmt: skip
    assert isinstance(found[6], Failure)
    assert sorted(one.query["codes"] for one in peer.seen) == ["a,x,b", "c"]


def test_numbers_and_texts_are_the_same_key_and_may_be_sent_as_a_list(peer: Peer, place: HttpPlace) -> None:
    peer.on("POST /search", lambda one: [{"id": str(key), "meta": {"ref": str(key)}} for key in one.json["q"]["ids"]])
    options = {
        "method": "POST", "path": "search", "body": {"q": {"all": True}}, "key": "record.id", "keys_in": "body",
        "keys_param": "q.ids", "match_field": "meta.ref",
    }  # fmt: skip
    found = place.find([{"id": 1}, {"id": "2"}], **options)
    assert [rows[0]["id"] for rows in found] == ["1", "2"]
    assert peer.seen[0].json == {"q": {"all": True, "ids": [1, "2"]}}


def test_a_refused_request_for_many_fails_only_the_records_it_was_for(peer: Peer, place: HttpPlace) -> None:
    peer.on("/airports", lambda one: reply(400) if "b" in one.query["codes"] else {"found": [{"code": "a"}]})
    found = place.find([{"code": "a"}, {"code": "b"}], **KEYS, keys_per_request=1)
    assert found[0] == [{"code": "a"}]
    assert found[1].code == "400"


def test_a_lookup_tells_in_words_what_it_looked_for() -> None:
    with HttpPlace("http://127.0.0.1:9").opened() as connector:
        each = connector.open_lookup(HttpConnector.LookupOptions.model_validate(EACH))  # type: ignore[union-attr]
        keys = connector.open_lookup(HttpConnector.LookupOptions.model_validate(KEYS))  # type: ignore[union-attr]
        assert each.words_for({"code": "vie"}, SCOPE) == 'GET "/airports/VIE"'
        assert keys.words_for({"code": "vie"}, SCOPE) == 'GET airports with the key "vie"'


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"body": {}}, "POST"),
        ({"keys_param": "ids"}, "belong to a lookup"),
        ({"key": "record.id"}, "keys_param"),
        ({**KEYS, "keys_in": "body"}, "need POST"),
    ],
)
def test_wrong_options_are_told_when_the_flow_is_saved(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        HttpConnector.LookupOptions.model_validate(options)  # type: ignore[union-attr]
