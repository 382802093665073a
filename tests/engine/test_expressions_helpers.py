"""Every helper does what its examples in the help say."""

from typing import Any

import pytest

from apps.engine.expressions import HELPERS, ExpressionError, Helper
from tests.engine.expression_records import value_of

EXAMPLES = [(source, expected) for helper in HELPERS.values() for source, expected in helper.examples]


@pytest.mark.parametrize(("source", "expected"), EXAMPLES, ids=[source for source, _ in EXAMPLES])
def test_an_example_of_the_help_is_true(source: str, expected: Any) -> None:
    value = value_of(source)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize("helper", HELPERS.values(), ids=HELPERS)
def test_a_helper_is_documented_by_a_sentence_and_an_example_that_uses_it(helper: Helper) -> None:
    assert helper.sentence[0].isupper() or helper.sentence[0].isdigit()
    assert helper.sentence.endswith(".")
    assert all(f"{helper.name}(" in source for source, _ in helper.examples)
    assert helper.examples
    assert helper.label.startswith(f"{helper.name}(")


def test_the_label_shows_how_a_helper_is_written() -> None:
    assert HELPERS["pad_left"].label == 'pad_left(text, length, fill=" ")'
    assert HELPERS["coalesce"].label == "coalesce(values, …)"


VALUES: list[tuple[str, Any]] = [
    ("upper(12)", "12"),
    ("pad_left(150, 4, '0')", "0150"),
    ("pad_left('12345', 4, '0')", "12345"),
    ("right('ab', 5)", "ab"),
    ("right('ab', 0)", ""),
    ("replace('aaa', 'a', '')", ""),
    ("join([], ',')", ""),
    ("join([1, None, True, 2.5], '|')", "1||true|2.5"),
    ("length({'a': 1})", 1),
    ("number('-1,234,567.89')", -1234567.89),
    ("number('1 234,5', decimal=',', thousands=' ')", 1234.5),
    ('number("1\'234.5", thousands="\'")', 1234.5),
    ("number('.5')", 0.5),
    ("number('1e3')", 1000),
    ("number(True)", 1),
    ("number('1234.5', thousands='')", 1234.5),
    ("integer(7.0)", 7),
    ("money('EUR 1,000')", "1000.00"),
    ("money('1.000,5 €', decimal=',', thousands='.')", "1000.50"),
    ("money('-$5')", "-5.00"),
    ("money(2.675)", "2.68"),
    ("money('1.23456', digits=4)", "1.2346"),
    ("round(-2.5)", -3),
    ("round(2.675, 2)", 2.68),
    ("round(money('2.345'), 1)", "2.4"),
    ("max('b', 'a')", "b"),
    ("min(date('2024-01-02'), date('2024-01-01'))", "2024-01-01"),
    ("sum([])", 0),
    ("sum([money('0.1'), 0.2])", "0.30"),
    ("date('20240131', 'YYYYMMDD')", "2024-01-31"),
    ("date('1/2/99', 'M/D/YY')", "1999-01-02"),
    ("date('1/2/68', 'M/D/YY')", "2068-01-02"),
    ("date('31-dec-2024', 'DD-MMM-YYYY')", "2024-12-31"),
    ("date(datetime('2024-12-31T23:00:00Z'))", "2024-12-31"),
    ("datetime('2024-07-01T12:00:00', tz='Europe/Berlin')", "2024-07-01T12:00:00+02:00"),
    ("datetime('01.07.2024 12:00 +0530', 'DD.MM.YYYY HH:mm Z')", "2024-07-01T12:00:00+05:30"),
    ("datetime(date('2024-07-01'))", "2024-07-01T00:00:00+00:00"),
    ("datetime('12:30 AM', 'hh:mm A')", "1900-01-01T00:30:00+00:00"),
    ("format_date('2024-12-31T15:04:05.678Z', 'YY-M-D h:m:s.SSS A Z')", "24-12-31 3:4:5.678 PM +00:00"),
    ("add_days(date('2024-12-31'), 1)", "2025-01-01"),
    ("add_days('2024-12-31T10:00:00Z', -1)", "2024-12-30T10:00:00+00:00"),
    ("add_months('2024-12-31', 2)", "2025-02-28"),
    ("epoch('2018-02-07T01:26:13.840Z', 'ms')", 1517966773840),
    ("from_epoch(0)", "1970-01-01T00:00:00+00:00"),
    ("format_date(now, 'DD.MM.YYYY')", "02.01.2025"),
    ("find([{'a': {'b': 1}}], 'a.b', 1)", {"a": {"b": 1}}),
    ("find([], 'a', 1)", None),
    ("last([], 0)", 0),
    ("unique([1, True, '1', [1], [1]])", [1, True, "1", [1]]),
    ("sort_by([{'n': 'b'}, {'n': 'a'}], 'n')", [{"n": "a"}, {"n": "b"}]),
    ("choose(1, {'1': 'one'})", "one"),
    ("choose(1, {1: 'one'})", "one"),
    ("choose(True, {True: 'yes', False: 'no'})", "yes"),
    ("boolean(' OFF ')", False),
    ("json(now)", '"2025-01-02T03:04:05+00:00"'),
    ("null_if(record.name, 'Ann')", None),
    ("text(money('1.5'))", "1.50"),
    ("text(True)", "true"),
    ("sha256('')", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
]


@pytest.mark.parametrize(("source", "expected"), VALUES, ids=[source for source, _ in VALUES])
def test_a_helper_takes_the_forms_that_real_data_has(source: str, expected: Any) -> None:
    assert value_of(source) == expected


FAILURES: list[tuple[str, str, str]] = [
    ("number('1,5')", "parse", "is not a number"),
    ("number('12a')", "parse", "is not a number"),
    ("number('NaN')", "parse", "is not a number"),
    ("number('٣')", "parse", "is not a number"),
    ("number('')", "missing", "the text is empty"),
    ("number('5', decimal='x')", "value", "two different signs"),
    ("integer('7.5')", "value", "A whole number is needed"),
    ("integer('99999999999999999999')", "limit", "64 bits"),
    ("money('twelve')", "parse", "is not a number"),
    ("min([])", "missing", "The list is empty"),
    ("max(1, 'a')", "value", "can't compare"),
    ("round(1, 99)", "value", "at most 15 digits"),
    ("date('31.12.2024')", "parse", "YYYY-MM-DD"),
    ("date('')", "missing", "the text is empty"),
    ("date(20241231)", "value", "A date is needed, but this is the number 20241231"),
    ("date('1', 'QQ')", "value", "the unknown letter Q"),
    ("date('1 1', 'M M')", "value", "the same part twice"),
    ("datetime('yesterday')", "parse", "is not an ISO date or time"),
    ("to_zone(now, 'Mars/Olympus')", "value", '"Mars/Olympus" is not a time zone'),
    ("to_zone(now, '../../etc/passwd')", "value", "is not a time zone"),
    ("add_days('9999-12-31', 1)", "value", "outside the years 1 to 9999"),
    ("add_days('2024-12-31', 10 ** 18)", "value", "too long"),
    ("add_hours('2024-12-31', 1e300)", "value", "too long"),
    ("from_epoch(1e300)", "value", "is no time"),
    ("from_epoch(1, 'h')", "value", 'The unit must be "s" or "ms"'),
    ("left('abc', -1)", "value", "must be 0 or more"),
    ("left('abc', '1')", "value", "must be a whole number"),
    ("replace('a', '', 'b')", "value", "may not be empty"),
    ("pad_left('a', 5, 'ab')", "value", "The fill must be one character"),
    ("choose('X', {'S': 1})", "missing", 'The choice for the text "X" is missing. The fields there are "S".'),
    ("choose([1], {'S': 1})", "value", "There is no choice for a list of 1"),
    ("boolean('maybe')", "parse", "is neither yes nor no"),
    ("boolean('')", "missing", "is neither yes nor no"),
    ("sort_by([{'a': 1}, {}], 'a')", "missing", "a is missing"),
    ("sort_by([1, 'a'])", "value", "can't compare"),
    ("get(record, 'a..b')", "value", "A path names fields with points between them"),
    ("keys([1])", "value", "An object is needed"),
    ("first('abc')", "value", "A list is needed"),
    ("upper([1])", "value", "A text is needed, but this is a list of 1."),
]


@pytest.mark.parametrize(("source", "kind", "sentence"), FAILURES, ids=[source for source, _, _ in FAILURES])
def test_a_helper_says_what_it_can_not_take(source: str, kind: str, sentence: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        value_of(source)
    assert caught.value.kind == kind
    assert sentence in str(caught.value)


def test_a_stable_id_differs_for_other_values() -> None:
    assert value_of("stable_id('a', 1)") != value_of("stable_id('a', 2)")
    assert value_of("stable_id('a', 1)") != value_of("stable_id('a1')")
