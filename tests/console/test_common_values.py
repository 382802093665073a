"""The value that most failed records of a root cause share."""

from typing import Any

import orjson
import pytest

from apps.console.selectors.common_values import strongest_value


def raw(*records: Any) -> list[bytes]:
    return [orjson.dumps(record) for record in records]


def test_a_value_that_most_share_and_others_do_not_is_told_with_its_count() -> None:
    records = raw(*[{"airport": None, "kind": "strike", "id": n} for n in range(61)])
    records += raw(*[{"airport": "KDEN", "kind": "strike", "id": n} for n in range(13)])
    others = raw(*[{"airport": "KJFK", "kind": "strike", "id": n} for n in range(20)])
    assert str(strongest_value(records, others)) == "airport = None in 61 of 74"


def test_what_all_records_of_a_flow_have_says_nothing_about_a_cause() -> None:
    same = raw(*[{"kind": "strike", "id": n} for n in range(10)])
    assert strongest_value(same, same) is None


def test_without_others_to_compare_only_what_the_message_names_counts() -> None:
    records = raw(*[{"airport": "BAD", "kind": "strike"} for _ in range(5)])
    assert strongest_value(records) is None
    assert str(strongest_value(records, message="No airport BAD in table airport")) == "airport = BAD in all 5"


@pytest.mark.parametrize("records", [[], raw({"a": 1}), [b"{oops", b"[1]", b"\xff"]])
def test_too_few_records_and_what_is_no_record_say_nothing(records: list[bytes]) -> None:
    assert strongest_value(records, message="a") is None


def test_inner_fields_lists_and_empty_texts_are_looked_at() -> None:
    record = {"place": {"iata": ""}, "lines": [{"sku": 7}, {"sku": 8}]}
    found = strongest_value(raw(*[record] * 4), raw(*[{"place": {"iata": "DEN"}}] * 4))
    assert str(found) == 'place.iata = "" in all 4'
    found = strongest_value(raw(*[{"lines": [{"sku": 7}]}] * 4), raw(*[{"lines": [{"sku": 8}]}] * 4))
    assert str(found) == "lines[*].sku = 7 in all 4"


def test_a_huge_record_is_read_in_bounds() -> None:
    wide = {f"f{number}": 1 for number in range(5_000)}
    deep: Any = 1
    for _ in range(200):
        deep = {"x": deep}
    found = strongest_value(raw(*[wide] * 3), raw(*[{"f0": 2}] * 3))
    assert str(found) == "f0 = 1 in all 3"
    assert strongest_value(raw(*[deep] * 3)) is None
