"""Exports from an HTTP application: every way of paging, resumed anywhere, incremental, and never round in circles."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from apps.connectors.http.connector import HttpConnector
from apps.connectors.http.paging import links
from apps.engine.ports import CheckpointValue, ConnectorError, Outage, SourcePage, Window
from tests.fakes.http_peer import NOON, HttpPlace, Peer, Seen, reply

pytestmark = pytest.mark.usefixtures("_sent_again_soon")


def rows(count: int, first: int = 1) -> list[dict[str, Any]]:
    return [{"id": number} for number in range(first, first + count)]


def ids(pages: list[SourcePage]) -> list[int]:
    return [row["id"] for page in pages for row in page.records]  # type: ignore[index,call-overload]


def refusal(place: HttpPlace, **options: Any) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        place.pages(**options)
    return caught.value


# --- what is asked ---------------------------------------------------------------------------------------------------
def test_parameters_without_a_value_are_left_out(peer: Peer, place: HttpPlace) -> None:
    peer.on("/x", lambda one: [])
    window = Window(10, NOON, parameters={"shop": "a b&c"})
    place.pages(window, path="x", query={"shop": "{{ run.parameters.shop }}", "since": "{{ run.since }}", "k": "1"})
    assert peer.seen[0].query == {"shop": "a b&c", "k": "1"}


def test_a_search_is_sent_as_a_body(peer: Peer, place: HttpPlace) -> None:
    peer.on("POST /search", lambda one: {"rows": rows(2)})
    body = {"filter": {"country": "{{ run.parameters.country }}"}, "limit": 5}
    window = Window(10, NOON, parameters={"country": "AT"})
    assert ids(place.pages(window, method="POST", path="search", body=body, record_path="rows")) == [1, 2]
    assert peer.seen[0].json == {"filter": {"country": "AT"}, "limit": 5}


def test_an_object_at_the_record_path_is_the_only_record_and_null_is_none(peer: Peer, place: HttpPlace) -> None:
    peer.on("/one", lambda one: {"data": {"id": 7}})
    peer.on("/null", lambda one: {"data": None})
    peer.on("/nothing", lambda one: reply(204))
    assert ids(place.pages(path="one", record_path="data")) == [7]
    assert ids(place.pages(path="null", record_path="data")) == []
    assert ids(place.pages(path="nothing", record_path="data")) == []


def test_a_record_path_that_is_not_there_says_what_is(peer: Peer, place: HttpPlace) -> None:
    peer.on("/x", lambda one: {"results": [], "total": 0})
    error = refusal(place, path="x", record_path="data.items")
    assert (error.code, error.classification) == ("record_path_missing", "missing")
    assert '"data.items"; it has the fields "results", "total"' in error.message


@pytest.mark.parametrize(
    ("status", "classification", "is_outage"),
    [(400, "value", False), (401, "connection", False), (404, "missing", False), (500, "intermittent", True)],
)
def test_a_refusal_fails_the_window_and_a_fault_of_the_application_is_tried_again_later(
    peer: Peer, place: HttpPlace, status: int, classification: str, is_outage: bool
) -> None:
    peer.on("/x", lambda one: reply(status, {"message": "because of this"}))
    error = refusal(place, path="x")
    assert (error.code, error.classification, isinstance(error, Outage)) == (str(status), classification, is_outage)
    assert f"GET /x was answered with {status}" in error.message
    assert "because of this" in error.message
    capture = error.failure().capture
    assert capture is not None
    assert capture.response["body"] == {"message": "because of this"}


def test_a_short_fault_is_waited_for(peer: Peer, place: HttpPlace) -> None:
    answers = iter([reply(503), reply(429, None, Retry_After="0"), rows(2)])
    peer.on("/x", lambda one: next(answers))
    assert ids(place.pages(path="x")) == [1, 2]


def test_a_long_wait_is_for_the_run(peer: Peer, place: HttpPlace) -> None:
    peer.on("/x", lambda one: reply(429, None, Retry_After="600"))
    error = refusal(place, path="x")
    assert isinstance(error, Outage)
    assert error.retry_after_s is not None
    assert 599 <= error.retry_after_s <= 600


# --- paging ----------------------------------------------------------------------------------------------------------
def test_a_short_page_ends_the_export_if_the_author_says_so(peer: Peer, place: HttpPlace) -> None:
    peer.on("/x", lambda one: rows(12)[int(one.query["skip"]) :][: int(one.query["n"])])
    options = {"path": "x", "paging": "offset", "offset_param": "skip", "size_param": "n", "size": 5}
    assert ids(place.pages(**options)) == list(range(1, 13))
    assert len(peer.seen) == 4
    assert ids(place.pages(**options, last_page="short")) == list(range(1, 13))
    assert len(peer.seen) == 7


def test_a_page_that_is_not_there_ends_the_export_only_if_the_author_says_so(peer: Peer, place: HttpPlace) -> None:
    peer.on("/x", lambda one: rows(3, first=int(one.query["page"]) * 3) if int(one.query["page"]) < 2 else reply(404))
    options = {"path": "x", "paging": "page", "first_page": 0}
    assert ids(place.pages(**options, last_page="not_found")) == [0, 1, 2, 3, 4, 5]
    assert refusal(place, **options).code == "404"


def test_an_answer_may_say_that_there_is_no_more(peer: Peer, place: HttpPlace) -> None:
    def page(one: Seen) -> Any:
        number = int(one.query["page"])
        return {"rows": rows(2, first=number * 2), "more": number < 3}

    peer.on("/x", page)
    assert ids(place.pages(path="x", paging="page", record_path="rows", more_path="more")) == [2, 3, 4, 5, 6, 7]


def test_an_empty_page_in_the_middle_does_not_end_a_cursor(peer: Peer, place: HttpPlace) -> None:
    given = {"": (rows(2), "b"), "b": ([], "c"), "c": (rows(1, first=9), None)}

    def page(one: Seen) -> Any:
        found, following = given[one.query.get("after", "")]
        return {"rows": found, "after": following}

    peer.on("/x", page)
    options = {"path": "x", "paging": "cursor", "cursor_path": "after", "cursor_param": "after", "record_path": "rows"}
    assert ids(place.pages(**options)) == [1, 2, 9]


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ({"paging": "page"}, rows(2)),
        ({"paging": "offset"}, rows(2)),
        ({"paging": "cursor", "cursor_path": "next", "record_path": "rows"}, {"rows": rows(2), "next": "same"}),
        ({"paging": "next_url", "next_path": "next", "record_path": "rows"}, {"rows": rows(2), "next": "/x?a=1"}),
    ],
    ids=["page", "offset", "cursor", "next"],
)
def test_an_application_that_leads_round_in_circles_is_stopped(
    peer: Peer, place: HttpPlace, options: dict[str, Any], answer: Any
) -> None:
    peer.on("/x", lambda one: answer)
    error = refusal(place, path="x", **options)
    assert error.code == "paging_loop"
    assert len(peer.seen) <= 3


def test_the_next_address_may_be_relative_and_keeps_to_web_addresses(peer: Peer, place: HttpPlace) -> None:
    peer.on("/a/b", lambda one: {"rows": rows(1), "next": "c?page=2"})
    peer.on("/a/c", lambda one: {"rows": rows(1, first=2), "next": "javascript:alert(1)"})
    error = refusal(place, path="a/b", paging="next_url", next_path="next", record_path="rows")
    assert error.code == "address_value"
    assert [one.path for one in peer.seen] == ["/a/b", "/a/c"]
    assert peer.seen[1].query == {"page": "2"}


def test_a_link_header_is_read_as_the_standard_writes_it() -> None:
    header = '</a?x=1,2>; rel="prev"; title="a; b", <https://h/b>;rel=next;foo=bar, <c>'
    assert [(address, found.get("rel")) for address, found in links(header)] == [
        ("/a?x=1,2", "prev"), ("https://h/b", "next"), ("c", None)
    ]  # fmt: skip


# --- pages and positions ---------------------------------------------------------------------------------------------
def test_an_answer_of_many_records_becomes_several_pages_that_can_be_resumed(peer: Peer, place: HttpPlace) -> None:
    peer.on("/x", lambda one: rows(23))
    pages = place.pages(Window(10, NOON), path="x")
    assert [len(page.records) for page in pages] == [10, 10, 3]
    rest = place.pages(Window(10, NOON, position=json.loads(json.dumps(pages[0].position))), path="x")
    assert ids(rest) == list(range(11, 24))
    assert pages[1].source_ref == "GET /x, records 11 to 20"
    assert place.pages(Window(10, NOON, position=pages[-1].position), path="x") == []


def test_nothing_is_guessed_when_the_answer_has_changed_meanwhile(peer: Peer, place: HttpPlace) -> None:
    found = rows(23)
    peer.on("/x", lambda one: found)
    position = place.pages(Window(10, NOON), path="x")[0].position
    found.insert(0, {"id": 99})
    with pytest.raises(ConnectorError, match="has changed") as caught:
        place.pages(Window(10, NOON, position=position), path="x")
    assert caught.value.code == "source_changed"


def test_the_key_of_the_connection_is_not_stored_with_the_position(peer: Peer, place: HttpPlace) -> None:
    peer.on("/x", lambda one: {"rows": rows(1), "next": f"{peer.url}/y?page=2&api_key={one.query['api_key']}"})
    peer.on("/y", lambda one: {"rows": rows(1, first=2) if one.query.get("api_key") == "s3cret-key" else []})
    place.config = {"auth": "api_key", "key_in": "query", "key_name": "api_key", "api_key": "s3cret-key"}
    pages = place.pages(path="x", paging="next_url", next_path="next", record_path="rows")
    assert ids(pages) == [1, 2]
    assert "s3cret-key" not in f"{pages}"


# --- incremental -----------------------------------------------------------------------------------------------------
def day(number: int) -> str:
    return f"2026-03-{number:02d}T08:00:00Z"


CHANGES: dict[str, Any] = {
    "path": "changes",
    "query": {"since": "{{ run.since }}", "until": "{{ run.until }}"},
    "incremental": "field",
    "incremental_field": "changed.at",
}


def changes(one: Seen, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    since = one.query.get("since", "")
    return [record for record in found if record["changed"]["at"] >= since]


def test_the_next_run_begins_at_the_highest_value_and_repeats_nothing(peer: Peer, place: HttpPlace) -> None:
    found = [{"id": number, "changed": {"at": day(at)}} for number, at in ((1, 3), (2, 5), (3, 4), (4, 5))]
    peer.on("/changes", lambda one: changes(one, found))
    first = place.pages(**CHANGES)
    checkpoint = first[-1].checkpoint
    assert checkpoint is not None
    assert checkpoint.value == {"since": day(5)}
    found += [{"id": 5, "changed": {"at": day(5)}}, {"id": 6, "changed": {"at": day(6)}}]
    second = place.pages(Window(100, NOON, checkpoint=checkpoint), **CHANGES)
    assert peer.seen[-1].query["since"] == day(5)
    assert ids(second) == [5, 6]
    third = place.pages(Window(100, NOON, checkpoint=second[-1].checkpoint), **CHANGES)
    assert ids(third) == []
    assert third[-1].checkpoint == second[-1].checkpoint


def test_an_overlap_looks_back_and_still_repeats_nothing(peer: Peer, place: HttpPlace) -> None:
    found = [{"id": number, "changed": {"at": day(number)}} for number in range(1, 6)]
    peer.on("/changes", lambda one: changes(one, found))
    options = {**CHANGES, "overlap_s": 2 * 86_400}
    checkpoint = place.pages(**options)[-1].checkpoint
    found.insert(0, {"id": 9, "changed": {"at": day(4)}})  # became visible late
    second = place.pages(Window(100, NOON, checkpoint=checkpoint), **options)
    assert peer.seen[-1].query["since"] == day(3)
    assert ids(second) == [9]


def test_a_resumed_window_remembers_what_it_has_seen(peer: Peer, place: HttpPlace) -> None:
    found = [{"id": number, "changed": {"at": day(10 - number)}} for number in range(1, 7)]
    peer.on("/changes", lambda one: changes(one, found))
    pages = place.pages(Window(2, NOON), **CHANGES)
    rest = place.pages(Window(2, NOON, position=json.loads(json.dumps(pages[0].position))), **CHANGES)
    assert ids(rest) == [3, 4, 5, 6]
    assert rest[-1].checkpoint == pages[-1].checkpoint


def test_the_window_of_a_run_is_what_the_request_asks_for(peer: Peer, place: HttpPlace) -> None:
    peer.on("/changes", lambda one: [])
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    place.pages(Window(100, NOON, start=start, end=end), **CHANGES)
    assert peer.seen[-1].query == {"since": "2026-01-01T00:00:00Z", "until": "2026-02-01T00:00:00Z"}
    place.pages(Window(100, NOON), **CHANGES)
    assert peer.seen[-1].query == {"until": "2026-03-02T12:00:00Z"}


def test_an_export_by_windows_goes_on_where_the_last_window_ended(peer: Peer, place: HttpPlace) -> None:
    peer.on("/changes", lambda one: rows(1))
    options = {**CHANGES, "incremental": "window", "incremental_field": "", "overlap_s": 60}
    first = place.pages(Window(100, NOON), **options)
    assert first[-1].checkpoint == CheckpointValue({"since": "2026-03-02T12:00:00Z"})
    later = replace(Window(100, NOON, checkpoint=first[-1].checkpoint), now=datetime(2026, 3, 3, tzinfo=UTC))
    place.pages(later, **options)
    assert peer.seen[-1].query == {"since": "2026-03-02T11:59:00Z", "until": "2026-03-03T00:00:00Z"}


def test_numbers_count_as_numbers_and_kinds_are_not_mixed(peer: Peer, place: HttpPlace) -> None:
    found: list[Any] = [{"id": 9, "no": 9}, {"id": 10, "no": 10}, {"id": 11, "no": None}]
    peer.on("/x", lambda one: found)
    options = {"path": "x", "incremental": "field", "incremental_field": "no"}
    checkpoint = place.pages(**options)[-1].checkpoint
    assert checkpoint is not None
    assert checkpoint.value == {"since": 10}
    found.append({"id": 12, "no": "2026-01-01"})
    assert "cannot be compared" in refusal(place, **options).message


def test_only_an_ordered_export_moves_its_checkpoint_with_every_page() -> None:
    with HttpPlace("http://127.0.0.1:9").opened() as connector:
        for ordered in (False, True):
            options = HttpConnector.ExportOptions.model_validate({**CHANGES, "ordered": ordered})  # type: ignore[union-attr]
            assert connector.open_export(options, Window(10, NOON)).in_order == ordered


def test_options_that_contradict_each_other_are_told_when_the_flow_is_saved() -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"paging": "cursor"}, "cursor_path"),
        ({"paging": "next_url"}, "next_path"),
        ({"body": {"a": 1}}, "POST"),
        ({"paging_in": "body"}, "POST"),
        ({"paging": "page", "last_page": "short"}, "short page"),
        ({"incremental": "field"}, "belong together"),
        ({"ordered": True}, "incremental by a field"),
        ({"path": "a/{{ record.id }}"}, "record"),
        ({"record_path": "a..b"}, "no path of fields"),
    ]
    for options, words in wrong:
        with pytest.raises(ValueError, match=words):
            HttpConnector.ExportOptions.model_validate(options)  # type: ignore[union-attr]
