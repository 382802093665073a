"""YAML from anybody: read within its caps, refused with a place, never a crash."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from apps.flows.definition import DefinitionError
from apps.flows.definition.document import MAX_DEPTH, read_document
from tests.flows.definitions import STRIKES, read


def refusal(text):
    with pytest.raises(DefinitionError) as caught:
        read_document(text)
    return caught.value.mistakes[0]


def test_values_are_read_as_yaml_1_2_means_them():
    document = read_document("{a: no, b: 1, c: 1.5, d: true, e: ~, f: 2026-01-31, g: '7', h: 0777, i: 1e400, j: .inf}")
    assert document.value == {
        "a": "no", "b": 1, "c": 1.5, "d": True, "e": None, "f": "2026-01-31", "g": "7", "h": 777,
        "i": "1e400", "j": ".inf",
    }  # fmt: skip


def test_field_names_are_text_as_written():
    assert read_document("{1: a, true: b, null: c, on: d}").value == {"1": "a", "true": "b", "null": "c", "on": "d"}


def test_each_place_has_its_line():
    document = read_document("a: 1\nb:\n  - x: 2\n    y: 3\n")
    assert document.line_of(("b", 0, "y")) == 4
    assert document.line_of(("b", 0, "missing")) == 3
    assert document.line_of(()) == 1


def test_a_syntax_error_tells_line_column_and_what_stands_there():
    mistake = refusal("flow: a\nsteps: [1, 2\nname: b\n")
    assert mistake.line == 3
    assert "line 3, column" in mistake.message
    assert "near: name: b" in mistake.message


def test_a_tab_gets_a_hint():
    assert "tab" in str(refusal("a:\n\t- b\n"))


def test_a_field_that_stands_twice_is_told_with_both_lines():
    document = read_document("a: 1\nb: {x: 1, x: {y: 2}}\na: 2\n")
    assert [(m.place, m.line) for m in document.mistakes] == [("b.x", 2), ("a", 3)]
    assert "first in line 1" in document.mistakes[1].message
    assert document.value == {"a": 1, "b": {"x": 1}}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: !!python/object/apply:os.system [ls]", "Tags are not read"),
        ("a: !!str 5", "Tags are not read"),
        ("a: &x {b: 1}\nc: {<<: *x}", "Merge keys (<<) are not read"),
        ("? [a]\n: 1", "A field name must be text"),
        ("&a a: 1\n*a : 2", "A field name must be text"),
        ("a: &x [*x]", "*x points to nothing"),
        ("a: *nothing", "points to nothing"),
        ("a: 1\n---\nb: 2", "more than one document"),
        ("a: \x00", "This is not YAML"),
        ("a: \ud800", "not valid Unicode"),
        ("a: " + "[" * (MAX_DEPTH + 5), "nested more than 40 levels"),
        ("a: " + "[" * 100_000, "nested more than 40 levels"),
        ("a: '" + "x" * 1_000_001, "at most 1,000,000 bytes"),
    ],
)
def test_what_is_not_read_is_refused_with_a_sentence(text, sentence):
    assert sentence in refusal(text).message


def test_aliases_count_as_often_as_they_are_used():
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    mistake = refusal("\n".join(rows))
    assert "at most 50,000 values" in mistake.message
    assert mistake.line == 5


def test_an_alias_stands_for_its_value():
    assert read_document("a: &x {b: 1}\nc: *x").value == {"a": {"b": 1}, "c": {"b": 1}}


def is_read_or_told(text):
    """Whether a text is a definition, or is refused with sentences."""
    try:
        return bool(read(text).steps)
    except DefinitionError as error:
        return bool(error.mistakes) and all(mistake.message for mistake in error.mistakes)


@given(st.text())
def test_any_text_is_read_or_refused(text):
    assert is_read_or_told(text)


WORDS = ["flow", "integration", "steps", "key", "export", "import", "map", "branch", "ways", "name", "lookup", "filter"]
NAMES = st.sampled_from([*WORDS, "connection", "on_error", "schedule", "cron", "settings", "run_after", "files"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | NAMES | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=20,
)


@given(VALUES)
def test_any_structure_is_read_or_refused_with_places(value):
    assert is_read_or_told(yaml.safe_dump(value, allow_unicode=True))


@given(st.data())
def test_a_good_definition_with_a_changed_line_is_read_or_refused(data):
    lines = STRIKES.splitlines()
    number = data.draw(st.integers(0, len(lines) - 1))
    start = data.draw(st.integers(0, len(lines[number])))
    lines[number] = lines[number][:start] + data.draw(st.text(max_size=5)) + lines[number][start + 2 :]
    assert is_read_or_told("\n".join(lines))
