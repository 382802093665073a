"""One change for many records: set, unset, rename, expression; and an edit of one record as changes for others."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.errors.changes import (
    MISSING,
    Change,
    ChangeRefused,
    apply_changes,
    check_change,
    differences,
    is_same,
    parse_path,
    path_text,
    same_changes,
)

NOW = datetime(2026, 11, 20, 15, 4, tzinfo=UTC)


def changed(record: dict[str, Any], *changes: Change) -> dict[str, Any]:
    return apply_changes(changes, record, now=NOW)


@pytest.mark.parametrize(
    ("change", "record", "expected"),
    [
        (Change("set", "airport", "KDEN"), {"airport": None}, {"airport": "KDEN"}),
        (Change("set", "place.iata", "DEN"), {}, {"place": {"iata": "DEN"}}),
        (Change("set", "lines[1].sku", 7), {"lines": [{}, {"sku": 1}]}, {"lines": [{}, {"sku": 7}]}),
        (Change("set", "lines[*].sku", 7), {"lines": [{"sku": 1}, {}]}, {"lines": [{"sku": 7}, {"sku": 7}]}),
        (Change("set", '["Origin.State"]', "TX"), {}, {"Origin.State": "TX"}),
        (Change("set", "a", 2, only={"is": 1}), {"a": 1}, {"a": 2}),
        (Change("set", "a", 2, only={"is": 1}), {"a": 3}, {"a": 3}),
        (Change("set", "a", 2, only={"is": 1}), {"a": True}, {"a": True}),
        (Change("set", "a", 2, only={"missing": True}), {"a": None}, {"a": None}),
        (Change("unset", "a.b"), {"a": {"b": 1, "c": 2}}, {"a": {"c": 2}}),
        (Change("unset", "a.b"), {"x": 1}, {"x": 1}),
        (Change("rename", "a", to="z"), {"a": 1, "b": 2}, {"z": 1, "b": 2}),
        (Change("rename", "a", to="z"), {"b": 2}, {"b": 2}),
        (Change("expression", "a", expression="upper(record.a)"), {"a": "den"}, {"a": "DEN"}),
        (Change("expression", expression='{"id": record.id}'), {"id": 1, "x": 2}, {"id": 1}),
    ],
)
def test_a_change_is_made_where_it_fits(change: Change, record: dict[str, Any], expected: dict[str, Any]) -> None:
    before = repr(record)
    assert is_same(changed(record, change), expected)
    assert repr(record) == before, "the record given stays as it is"


@pytest.mark.parametrize(
    ("change", "record", "words"),
    [
        (Change("set", "a.b", 1), {"a": "text"}, "not inside an object"),
        (Change("set", "lines[3]", 1), {"lines": []}, "not inside a list"),
        (Change("rename", "a", to="b"), {"a": 1, "b": 2}, "a field b already"),
        (Change("expression", "a", expression="number(record.a)"), {"a": "x"}, "number"),
        (Change("expression", expression="record.a"), {"a": "x"}, "whole record"),
    ],
)
def test_a_record_that_cannot_take_a_change_says_why(change: Change, record: dict[str, Any], words: str) -> None:
    with pytest.raises(ChangeRefused, match=words):
        changed(record, change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (Change("set", ""), "is no field"),
        (Change("set", "a..b"), "is no field"),
        (Change("rename", "a", to="b.c"), "plain name"),
        (Change("expression", "a", expression="record.("), "cannot be used"),
        (Change("expression", "a", expression="settings.x"), "cannot be used"),
        (Change("drop", "a"), "Choose one of"),
    ],
)
def test_a_change_that_cannot_be_is_refused_in_words(change: Change, words: str) -> None:
    with pytest.raises(ChangeRefused, match=words):
        check_change(change)


def test_the_edit_of_one_record_becomes_a_change_of_the_same_value_in_others() -> None:
    before = {"id": 1, "lines": [{"item": 40071}, {"item": 40118}]}
    changes = same_changes(before, {"id": 1, "lines": [{"item": 40071}, {"item": 40181}]})
    assert [(c.kind, c.field, c.value, c.only) for c in changes] == [("set", "lines[*].item", 40181, {"is": 40118})]
    other = {"id": 2, "lines": [{"item": 40118}, {"item": 5}, {"item": 40118}]}
    assert changed(other, *changes)["lines"] == [{"item": 40181}, {"item": 5}, {"item": 40181}]
    assert changed({"id": 3, "lines": []}, *changes) == {"id": 3, "lines": []}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab.", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab. [", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
RECORDS = st.dictionaries(st.text("abc", min_size=1, max_size=2), JSON, max_size=4)


@given(RECORDS, RECORDS)
def test_differences_tell_every_record_from_every_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert (differences(before, after) == []) == is_same(before, after)
    assert all(d.old is not MISSING or d.new is not MISSING for d in differences(before, after))


@given(
    st.lists(
        st.integers(0, 99) | st.text('ab."[]*', min_size=1, max_size=4).filter(lambda t: '"' not in t),
        min_size=1,
        max_size=5,
    )
)
def test_a_path_is_read_as_it_is_written(parts: list[str | int]) -> None:
    if "*" in parts:
        return
    assert parse_path(path_text(tuple(parts))) == tuple(parts)
