"""Ids on the wire and on the screen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.ids import (
    LARGEST_KEY,
    Kind,
    WrongIdError,
    parse_retry_data_key,
    parse_short_id,
    parse_wire_id,
    retry_data_key,
    short_id,
    wire_id,
)

KEYS = st.integers(min_value=1, max_value=LARGEST_KEY)


@given(st.sampled_from(Kind), KEYS)
def test_a_wire_id_is_24_hex_digits_and_comes_back_as_its_key(kind, key):
    text = wire_id(kind, key)
    assert len(text) == 24
    assert parse_wire_id(text, kind) == parse_wire_id(text.upper(), kind) == key


@given(KEYS)
def test_a_retry_data_key_is_32_hex_digits_and_comes_back_as_its_error(key):
    text = retry_data_key(key)
    assert len(text) == 32
    assert parse_retry_data_key(text) == key


@given(st.text())
def test_no_other_text_is_an_id(text):
    with pytest.raises(WrongIdError):
        parse_wire_id(text, Kind.FLOW)


def test_the_id_of_another_kind_is_refused():
    with pytest.raises(WrongIdError, match="not the id of a flow"):
        parse_wire_id(wire_id(Kind.RUN, 7), Kind.FLOW)


@pytest.mark.parametrize("text", ["00000004" + "0" * 16, "00000004" + "f" * 16, "00000004" + "0" * 15 + "٣"])
def test_a_key_that_no_table_can_hold_is_refused(text):
    with pytest.raises(WrongIdError):
        parse_wire_id(text, Kind.FLOW)


def test_numbers_of_kinds_never_change():
    assert wire_id(Kind.FLOW, 255) == "0000000400000000000000ff"
    assert wire_id(Kind.ERROR, 1) == "000000070000000000000001"


def test_people_name_runs_and_errors_by_short_ids():
    assert short_id(Kind.RUN, 48213) == "r-48213"
    assert parse_short_id(" R-48213 ", Kind.RUN) == parse_short_id("48213", Kind.RUN) == 48213


@pytest.mark.parametrize("text", ["e-48213", "r-", "r-1-2", "", "r-0", "r-99999999999999999999", "9" * 30, "r-٣"])
def test_a_short_id_of_another_kind_or_shape_is_refused(text):
    with pytest.raises(WrongIdError):
        parse_short_id(text, Kind.RUN)
