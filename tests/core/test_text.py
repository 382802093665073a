"""Text that both databases can hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.text import short, storable, storable_value
from tests.factories import make_flow


@pytest.mark.parametrize(
    ("text", "stored", "changed"),
    [("plain", "plain", False), ("a\x00b", "a\ufffdb", True), ("\ud800", "\ufffd", True), ("😀", "😀", False)],
)
def test_what_cannot_be_stored_is_replaced_and_said(text, stored, changed):
    assert storable(text) == (stored, changed)


@given(st.text(alphabet=st.characters()))
def test_every_text_becomes_one_that_utf8_and_postgresql_take(text):
    assert b"\x00" not in storable(text)[0].encode()


def test_a_record_is_cleaned_in_keys_values_and_lists():
    value = {"a\x00": ["x\x00", {"b": float("nan")}], "n": 1.5, "t": None, "k": True}
    assert storable_value(value) == (
        {"a\ufffd": ["x\ufffd", {"b": "nan"}], "n": 1.5, "t": None, "k": True},
        True,
    )
    assert storable_value({"a": [1, "b"]}) == ({"a": [1, "b"]}, False)


@pytest.mark.django_db
def test_the_database_takes_a_cleaned_record():
    flow = make_flow(description=storable("a\x00b\udfff")[0])
    flow.refresh_from_db()
    assert flow.description == "a\ufffdb\ufffd"


@pytest.mark.parametrize(("length", "shown"), [(5, "hello"), (4, "hel…"), (1, "…")])
def test_a_long_text_is_cut_with_an_ellipsis(length, shown):
    assert short("hello", length) == shown
