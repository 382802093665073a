"""JSON and JSON Lines files: read in constant memory, a bad record pinned alone."""

import json

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.connectors.base import Limits
from apps.engine.ports import BadRecord, Classification, ConnectorError, Record
from tests.connectors.filing import Filing, resumed_rows, rows_or_fault


def places(bad: list[BadRecord]) -> list[tuple[str, str]]:
    return [(row.place, row.failure.code) for row in bad]


def read_until_fault(
    filing: Filing, path: str, page_size: int = 100, **options: str
) -> tuple[list[Record], ConnectorError]:
    rows: list[Record] = []

    def read() -> None:
        for page in filing.pages(path, page_size, **options):
            rows.extend(page.records)  # type: ignore[arg-type]

    with pytest.raises(ConnectorError) as caught:
        read()
    return rows, caught.value


# --- JSON Lines ------------------------------------------------------------------------------------------------------
def test_every_kind_of_bad_line_is_one_error_and_the_others_go_on(filing: Filing) -> None:
    lines = [
        b'{"id": 1}',
        b'{"id": 2, "x": NaN}',
        b'{"id": 3, "x": Infinity}',
        b'{"id": 4, "x": "\x00"}',
        b'{"id": 5, "x": "\xff"}',
        b"6",
        b'[{"id": 7}]',
        b'{"id": 8',
        b"[" * 5000 + b"]" * 5000,
        b'{"id": 10, "id": 11}',
        b"",
        b'{"id": 12, "x": 1e400, "y": 123456789012345678901234567890}',
        b'{"id": 13, "x": "\\u0000"}',
        b'{"id": 14, "cut',
    ]
    filing.put("a.jsonl", b"\n".join(lines))
    good, bad = filing.good_and_bad("a.jsonl")
    assert [row["id"] for row in good] == [1, 13]
    assert [place for place, _ in places(bad)] == [f"line {number}" for number in (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14)]
    by_place = {row.place: row for row in bad}
    assert by_place["line 6"].failure.message == "line 6: a number is not a JSON object."
    assert by_place["line 8"].raw == b'{"id": 8\n'
    assert {row.failure.classification for row in bad} == {Classification.PARSE}


def test_a_lone_surrogate_is_a_bad_line(filing: Filing) -> None:
    filing.put("a.jsonl", b'{"id": 1, "x": "\\ud800"}\n{"id": 2}\n')
    good, bad = filing.good_and_bad("a.jsonl")
    assert ([row["id"] for row in good], places(bad)) == ([2], [("line 1", "json_malformed")])


def test_a_line_of_ten_megabytes_is_read_and_one_above_the_limit_refused_alone(tmp_path) -> None:
    filing = Filing(tmp_path, limits=Limits(max_bytes=11_000_000))
    small, large = {"x": "y" * 10_000_000}, {"x": "y" * 12_000_000}
    filing.put("a.jsonl", b"\n".join(map(orjson.dumps, [small, large, {"id": 3}, large])))
    good, bad = filing.good_and_bad("a.jsonl")
    assert [len(row.get("x", "")) for row in good] == [10_000_000, 0]
    assert places(bad) == [("line 2", "too_large"), ("line 4", "too_large")]
    assert bad[0].failure.classification == Classification.TOO_LARGE


def test_pages_of_large_records_end_early(filing: Filing) -> None:
    filing.put("a.jsonl", b"\n".join([orjson.dumps({"x": "y" * 3_000_000})] * 20))
    assert max(len(page.records) for page in filing.pages("a.jsonl", 1000)) < 10


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.ndjson", "a.json"])
def test_reading_json_lines_goes_on_exactly_after_any_page(filing: Filing, name: str) -> None:
    filing.put(name, "\n".join(json.dumps({"id": n, "text": "é\n" * n}) if n % 7 else "broken" for n in range(1, 60)))
    whole = filing.rows(name, 8, format="jsonl") if name == "a.json" else filing.rows(name, 8)
    assert len(whole) == 59
    assert all(found == whole for found in resumed_rows(filing, name, 8, format="jsonl"))


def test_objects_by_line_in_a_file_called_json_are_found_out(filing: Filing) -> None:
    filing.put("a.json", '{"id": 1}\n{"id": 2}\n')
    assert filing.rows("a.json") == [{"id": 1}, {"id": 2}]


def test_a_byte_order_mark_is_skipped(filing: Filing) -> None:
    filing.put("a.jsonl", b'\xef\xbb\xbf{"id": 1}\n{"id": 2}')
    filing.put("a.json", b'\xef\xbb\xbf[{"id": 1}]')
    assert filing.rows("a.jsonl") == [{"id": 1}, {"id": 2}]
    assert filing.rows("a.json") == [{"id": 1}]


def test_utf16_json_is_read(filing: Filing) -> None:
    filing.put("a.json", json.dumps([{"town": "Köln"}], ensure_ascii=False).encode("utf-16"))
    assert filing.rows("a.json") == [{"town": "Köln"}]


# --- JSON documents --------------------------------------------------------------------------------------------------
def test_the_list_at_the_record_path_is_read(filing: Filing) -> None:
    document = {
        "meta": {"items": [{"id": "wrong"}], "text": 'a "quoted" ] }'},
        "data": {"n": 1, "items": [{"id": 1}, {}]},
    }
    filing.put("a.json", json.dumps(document))
    assert filing.rows("a.json", record_path="data.items") == [{"id": 1}, {}]


def test_an_object_is_one_record(filing: Filing) -> None:
    filing.put("a.json", '{"id": 1, "list": [1, 2]}')
    assert filing.rows("a.json") == [{"id": 1, "list": [1, 2]}]


def test_a_wrong_record_path_names_the_fields_that_are_there(filing: Filing) -> None:
    filing.put("a.json", '{"data": {"rows": [], "total": 0}}')
    _, error = read_until_fault(filing, "a.json", record_path="data.items")
    assert error.code == "record_path_missing"
    assert error.message == 'a.json has no field "items" in "data". The fields there are: "rows", "total".'


def test_a_document_that_ends_in_the_middle_gives_its_records_and_then_the_fault(filing: Filing) -> None:
    filing.put("a.json", '[{"id": 1}, {"id": 2}, {"id": 3}, {"id": 4, "te')
    rows, error = read_until_fault(filing, "a.json", page_size=2)
    assert [row["id"] for row in rows] == [1, 2, 3]
    assert error.code == "json_truncated"
    assert "after record 3" in error.message


def test_a_list_that_ends_before_its_document_is_truncated_too(filing: Filing) -> None:
    filing.put("a.json", '{"items": [{"id": 1}]')
    rows, error = read_until_fault(filing, "a.json", record_path="items")
    assert (rows, error.code) == ([{"id": 1}], "json_truncated")


@pytest.mark.parametrize("text", ['[{"id": 1} {"id": 2}]', '[{"id": 1}]]', '[{"id": 1},]', '[{"id": 1}] x'])
def test_what_is_between_records_must_be_right(filing: Filing, text: str) -> None:
    filing.put("a.json", text)
    rows, error = read_until_fault(filing, "a.json")
    assert (rows, error.code) == ([{"id": 1}], "json_malformed")


def test_a_bad_record_in_a_document_is_pinned_alone(filing: Filing) -> None:
    filing.put("a.json", '[{"id": 1}, {"id": NaN}, 5, "x", null, [1], {"id": tru}, {"a": "\x00"}, {"id": 2}]')
    good, bad = filing.good_and_bad("a.json")
    assert [row["id"] for row in good] == [1, 2]
    assert [row.place for row in bad] == [f"record {number}" for number in range(2, 9)]


@pytest.mark.parametrize("large", ['{"x": "' + "y" * 300_000 + '"}', '{"x": [' + "[1], " * 60_000 + "2]}"])
def test_a_record_above_the_limit_in_a_document_is_refused_alone(tmp_path, large: str) -> None:
    filing = Filing(tmp_path, limits=Limits(max_bytes=100_000))
    filing.put("a.json", f'[{{"id": 1}}, {large}, {{"id": 2}}, {large}]')
    good, bad = filing.good_and_bad("a.json")
    assert [row["id"] for row in good] == [1, 2]
    assert places(bad) == [("record 2", "too_large"), ("record 4", "too_large")]


def test_a_large_value_before_the_list_is_passed_over(tmp_path) -> None:
    filing = Filing(tmp_path, limits=Limits(max_bytes=100_000))
    filing.put("a.json", json.dumps({"before": ["z" * 50_000] * 80, "items": [{"id": 1}], "after": "q" * 3_000_000}))
    assert filing.rows("a.json", record_path="items") == [{"id": 1}]


@pytest.mark.parametrize("text", ["5", '"x"', "null", '{"items": 5}'])
def test_a_document_without_list_or_object_says_so(filing: Filing, text: str) -> None:
    filing.put("a.json", text)
    _, error = read_until_fault(filing, "a.json", record_path="items" if "items" in text else "")
    assert error.code in {"record_path_missing", "json_malformed"}


@pytest.mark.parametrize("text", ["", "  ", "[]", '{"items": []}'])
def test_a_document_without_records_has_no_pages(filing: Filing, text: str) -> None:
    filing.put("a.json", text)
    assert list(filing.pages("a.json", record_path="items" if "items" in text else "")) == []


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('abé"\\{[', max_size=3), inner, max_size=3),
    max_leaves=8,
)
records = st.dictionaries(st.text('abé"{]\\', max_size=4), json_values, max_size=4)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(records, max_size=10),
    page_size=st.integers(1, 4),
    kind=st.sampled_from(["any.jsonl", "any.json", "any.json.gz", "path.json"]),
    indent=st.sampled_from([None, 2]),
)
def test_any_records_come_back_as_they_were_written(
    filing: Filing, rows: list[Record], page_size: int, kind: str, indent: int | None
) -> None:
    options = {"format": "jsonl" if kind == "any.jsonl" else "json"}
    if kind == "path.json":
        options["record_path"] = "a.b"
        text = json.dumps({"z": rows, "a": {"y": 1, "b": rows, "x": {}}}, indent=indent)
    elif kind == "any.jsonl":
        text = "\n".join(map(json.dumps, rows))
    else:
        text = json.dumps(rows, indent=indent)
    filing.put(kind, text)
    assert filing.rows(kind, page_size, **options) == rows
    assert all(found == rows for found in resumed_rows(filing, kind, page_size, **options))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=200) | st.text('{}[]",:\\ 1a\n', max_size=60).map(str.encode), name=st.sampled_from("jl")
)
def test_no_content_breaks_more_than_records_and_the_file(filing: Filing, content: bytes, name: str) -> None:
    filing.put("any", content)
    options = {"format": "json" if name == "j" else "jsonl"}
    whole = rows_or_fault(filing, "any", 2, **options)
    if isinstance(whole, ConnectorError):
        assert whole.message.endswith(".")
    else:
        assert all(found == whole for found in resumed_rows(filing, "any", 2, **options))
