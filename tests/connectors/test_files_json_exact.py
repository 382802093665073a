"""What parsing a JSON text would lose is told, record by record; what it would not is let through."""

import json

import pytest

from tests.connectors.filing import Filing

BIG = 2**64
LOSING = {
    "a field that stands twice": ('{"id": 1, "a": 1, "a": 2}', "duplicate_field", 'the field "a" stands there twice'),
    "one deeper down": ('{"id": 1, "x": [{"a": {"b": 1, "b": 1}}]}', "duplicate_field", '"b" stands there twice'),
    "one written in two ways": ('{"id": 1, "a": 1, "\\u0061": 2}', "duplicate_field", '"a" stands there twice'),
    "one behind an escaped colon": ('{"id": "\\u003a\\u003a", "a": 1, "a": 2}', "duplicate_field", '"a" stands'),
    "a whole number beyond 64 bits": (f'{{"id": {BIG}}}', "number_too_large", f"the whole number {BIG} needs more"),
    "a negative one": (f'{{"id": {-(2**63) - 1}}}', "number_too_large", "-9223372036854775809"),
    "one of a thousand digits": (f'{{"id": {"7" * 300}}}', "number_too_large", f"{'7' * 30}… needs"),
    "lists in lists": ('{"id": ' + "[" * 600 + "]" * 600 + "}", "too_deep", "nested too deep"),
    "objects in objects": ('{"id": ' + '{"a":' * 900 + "1" + "}" * 900 + "}", "too_deep", "nested too deep"),
}
KEEPING = [
    '{"id": 1, "a": {"b": 1}, "c": {"b": 1}}',
    '{"id":"a:b::c","text":"\\u003a and \\u003A"}',
    f'{{"id": {BIG - 1}, "low": {-(2**63)}}}',
    '{"id": 1.00000000000000000000000001, "tiny": 1e-300, "code": "12345678901234567890123"}',
    '{"id": ' + "[" * 200 + "]" * 200 + "}",
    '{"":1," ":2}',
]


@pytest.fixture
def filing(tmp_path) -> Filing:
    return Filing(tmp_path)


@pytest.mark.parametrize("kind", LOSING)
@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_a_record_that_would_lose_something_is_a_bad_one_and_its_neighbours_are_not(filing, name, kind):
    text, code, words = LOSING[kind]
    rows = ['{"id": "before"}', text, '{"id":"after"}']
    filing.put(name, "\n".join(rows) if name == "a.jsonl" else f"[{', '.join(rows)}]")

    good, bad = filing.good_and_bad(name)

    assert [row["id"] for row in good] == ["before", "after"]
    assert [(row.failure.code, row.raw.decode().strip()) for row in bad] == [(code, text)]
    assert words in bad[0].failure.message


@pytest.mark.parametrize("text", KEEPING)
@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_a_record_that_loses_nothing_is_none_of_them(filing, name, text):
    filing.put(name, f'{text}\n{{"id": 2}}\n' if name == "a.jsonl" else f'[{text}, {{"id": 2}}]')

    good, bad = filing.good_and_bad(name)

    assert (good, bad) == ([json.loads(text), {"id": 2}], [])


def test_bad_lines_of_other_kinds_beside_them_confuse_no_places(filing):
    rows = ["no", '{"id": 2}', '{"id": 3, "id": 3}', "", "[4]", '{"id": 5}', '{"id": 6, "id": 6}', '{"id": 7']
    filing.put("a.jsonl", "\ufeff" + "\n".join(rows))

    good, bad = filing.good_and_bad("a.jsonl")

    assert [row["id"] for row in good] == [2, 5]
    assert [row.place for row in bad] == [f"line {n}" for n in (1, 3, 5, 7, 8)]
