"""What expressions mean, and what they say when they fail."""

from decimal import Decimal
from typing import Any

import pytest

from apps.engine.expressions import DEFAULT_NAMES, ExpressionError, compile_expression
from tests.engine.expression_records import ORDER, SCOPE, value_of

VALUES: list[tuple[str, Any]] = [
    # fields
    ("record.id", 4711),
    ("record.address.city", "Oslo"),
    ('record["Origin State"]', "Texas"),
    ("record._id", "x1"),
    ("record.größe", "L"),
    ("record.lines[0].sku", "a"),
    ("record.lines[-1].sku", "b"),
    ("record.lines[record.lines[0].count - 1].sku", "b"),
    ('record[lower("NAME")]', "Ann"),
    ("record.name[0]", "A"),
    ("record.name[:2]", "An"),
    ("record.name[-2:]", "nn"),
    ("record.lines[1:][0].sku", "b"),
    ("record.fax", None),
    # the scope
    ("flow.name + '/' + text(run.id)", "Orders/7"),
    ("settings.country", "NO"),
    ("run.parameters.since", "2025-01-01"),
    ("now", "2025-01-02T03:04:05+00:00"),
    # arithmetic
    ("1 + 2 * 3", 7),
    ("7 / 2", 3.5),
    ("-7 // 2", -4),
    ("-7 % 3", 2),
    ("2 ** 10", 1024),
    ("-record.price", -12.5),
    ("record.price * 2", 25.0),
    ("money('19.99') * 3", "59.97"),
    ("money('0.10') + 0.2", "0.30"),
    ("money('-7') // 2", "-4"),
    ("money('-7') % 3", "2.00"),
    ("'a' + 'b'", "ab"),
    ("[1] + [2]", [1, 2]),
    # comparison and logic
    ("record.price > 10", True),
    ("10 < record.price <= 12.5", True),
    ("record.price > 20 < 1", False),
    ("record.name == 'Ann' and record.paid", True),
    ("record.name != 'Bob'", True),
    ("record.fax is None", True),
    ("record.name is not None", True),
    ("not record.paid", False),
    ("record.name in ('Ann', 'Bob')", True),
    ("record.name not in ['Ann']", False),
    ("'city' in record.address", True),
    ("'nn' in record.name", True),
    ("'x' not in record.name", True),
    ("record.id == record.price", False),
    ("date(record.day) < date('2025-01-01')", True),
    ("'yes' if record.paid else 'no'", "yes"),
    ("record.nothing if False else 1", 1),
    ("None or 'x'", "x"),
    # lists, objects, texts
    ("[record.id, 'x', None]", [4711, "x", None]),
    ("(1, 2)", [1, 2]),
    ("{'a': record.name, 'b': {'c': 1}}", {"a": "Ann", "b": {"c": 1}}),
    ("[line.sku for line in record.lines if line.count > 0]", ["a"]),
    ("sum(line.price * line.count for line in record.lines)", 20),
    ("{line.sku: line.price for line in record.lines}", {"a": 10, "b": 5}),
    ("[name for name, value in entries(record.address)]", ["city", "zip"]),
    ("f'{record.name} of {record.address.city}, {record.fax}'", "Ann of Oslo, "),
    # several lines, blanks
    ("  record.id  ", 4711),
    ("(record.id +\n 1)", 4712),
    ("record.id\n  + 1\n", 4712),
]


@pytest.mark.parametrize(("source", "expected"), VALUES, ids=[source for source, _ in VALUES])
def test_an_expression_has_the_value_that_python_readers_expect(source: str, expected: Any) -> None:
    assert value_of(source) == expected


EMPTY_VALUES: list[tuple[str, Any]] = [
    ("default(record.nick, 'none')", "none"),
    ("default(record.address.street.number, 'none')", "none"),
    ("default(record.fax, 'none')", "none"),
    ("default(record.note, 'none')", "none"),
    ("default(record.name, 'none')", "Ann"),
    ("default(record.name.first, 'none')", "none"),
    ("default(record.lines[5].sku, 'none')", "none"),
    ("default(upper(record.nick), 'none')", "none"),
    ("default(record.paid, record.broken)", True),
    ("default(record.nick, fallback='none')", "none"),
    ("default(value=record.nick, fallback='none')", "none"),
    ("default(number(record.note), 0)", 0),
    ("default(default(record.a, record.b), 'c')", "c"),
    ("coalesce(record.nick, record.fax, record.note, record.name)", "Ann"),
    ("coalesce(record.nick)", None),
    ("empty(record.nick)", True),
    ("empty(record.fax) and empty(record.note)", True),
    ("empty(record.name)", False),
    ("get(record, 'address.street', 'none')", "none"),
    ("get(record, 'fax', 'none')", None),
    ("get(record, 'lines[1].sku')", "b"),
    ("get(record, 'lines.1.sku')", "b"),
    ("attempt(record.name + 1, 'no')", "no"),
    ("attempt(record.nick, 'no')", "no"),
    ("[default(line.note, '-') for line in record.lines]", ["-", "-"]),
]


@pytest.mark.parametrize(("source", "expected"), EMPTY_VALUES, ids=[source for source, _ in EMPTY_VALUES])
def test_a_stand_in_answers_for_what_is_missing_null_or_empty(source: str, expected: Any) -> None:
    assert value_of(source) == expected


FAILURES: list[tuple[str, str, str]] = [
    ("record.nick", "missing", 'record.nick is missing. The fields there are "id, name,'),
    ("record.address.street", "missing", 'record.address.street is missing. The fields there are "city, zip".'),
    ("record.fax.number", "missing", "record.fax.number is missing. What should contain it is empty (null)."),
    ("record.name.first", "missing", 'record.name.first is missing. What should contain it is the text "Ann".'),
    ("record.lines[7].sku", "missing", "record.lines[7] is missing. The list there has 2 entries."),
    ("record.lines.sku", "missing", "record.lines.sku is missing. The list there has 2 entries."),
    ("[line.colour for line in record.lines]", "missing", 'line.colour is missing. The fields there are "sku, '),
    ("settings.region", "missing", 'settings.region is missing. The fields there are "country".'),
    ("upper(record.fax)", "missing", "upper(record.fax): A value is needed, but it is empty (null)"),
    ("record.price > record.fax", "missing", "can't compare the number 12.5 with empty (null)"),
    ("record.name > 5", "value", 'record.name > 5: ">" can\'t compare the text "Ann" with the number 5'),
    ("record.name + 5", "value", 'record.name + 5: "+" can\'t join the text "Ann" and the number 5'),
    ("record.name * 3", "value", 'record.name * 3: A number is needed, but this is the text "Ann"; number(…)'),
    ("record.paid + 1", "value", "A number is needed, but this is true"),
    ("record.lines < record.lines", "value", "can't compare a list of 2 with a list of 2"),
    ("record.id / 0", "value", 'record.id / 0: "/" divides by zero.'),
    ("record[record.lines]", "value", "a list of 2 can't be a field name"),
    ("[x for x in record.name]", "value", 'A list is needed, but this is the text "Ann"'),
    ("[x for x in record.address]", "value", "for an object use keys(…), values(…) or entries(…)"),
    ("[a for a, b in record.lines]", "value", "Each entry must be a list of 2"),
    ("number(record.name)", "parse", 'number(record.name): The text "Ann" is not a number'),
    ("date(record.name)", "parse", 'The text "Ann" is not a date in the format YYYY-MM-DD.'),
    ("date('2024-02-30')", "parse", 'The text "2024-02-30" is not a real date'),
    ("parse_json('{\"a\": ')", "parse", "The text is not JSON: line 1, column"),
    ("9223372036854775807 + 1", "limit", "A whole number may have at most 64 bits"),
    ("(-8) ** 0.5", "value", "The root of a negative number"),
    ("1e308 * 10", "value", "infinite or undefined"),
    ("{[1]: 2}", "value", "The value can't be worked with"),
]


@pytest.mark.parametrize(("source", "kind", "sentence"), FAILURES, ids=[source for source, _, _ in FAILURES])
def test_a_failure_names_the_field_and_shows_the_value(source: str, kind: str, sentence: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        value_of(source)
    assert caught.value.kind == kind
    assert sentence in str(caught.value)
    assert caught.value.expression == source
    assert caught.value.field is None


SYNTAX: list[tuple[str, int, str]] = [
    ("recrod.name", 1, "recrod is not a known name; did you mean record?"),
    ("1 + nothing", 5, "nothing is not a known name; known are flow, now, record, run, settings."),
    ("answer.id", 1, "answer is not a known name"),
    ("uper(record.name)", 1, "uper is not a helper; did you mean upper?"),
    ("len(record.name)", 1, "len is not a helper; did you mean length?"),
    ("record.name.upper()", 1, "Values have no functions of their own: write upper(text)."),
    ("upper", 1, "upper is a helper: write upper(text)."),
    ("upper(record.a, 2, 3)", 1, "upper(text) does not fit here: too many positional arguments."),
    ("left(record.a)", 1, "left(text, length) does not fit here: missing a required argument: 'length'."),
    ("left(record.a, size=2)", 1, "does not fit here"),
    ("record.a = 5", 10, "to compare, write =="),
    ("record.a +", 11, "invalid syntax"),
    ("record.a is 5", 1, '"is" is for None only'),
    ("'ü' + foo", 7, "foo is not a known name"),
    ("", 0, "The expression is empty."),
    ("'\\d'", 1, "invalid escape sequence"),
    ("f'{record.a:>10}'", 1, "Formats in texts"),
    ("f'{record.a!r}'", 1, "Formats in texts"),
    ("[record for record in record.a]", 13, "record can't be the variable of a comprehension"),
    ("record.a[::2]", 10, "A slice has two parts"),
    ("{**record}", 1, "use merge(…)"),
    ("1 in record.a in record.b", 1, '"in" can\'t be part of a chain'),
]


@pytest.mark.parametrize(("source", "column", "sentence"), SYNTAX, ids=[source for source, _, _ in SYNTAX])
def test_a_mistake_in_the_syntax_has_its_place_and_a_hint(source: str, column: int, sentence: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(source)
    error = caught.value
    assert error.kind == "syntax"
    assert sentence in str(error)
    if column:
        assert (error.line, error.column) == (1, column)
        assert str(error).endswith(f"\n  {source}\n  {' ' * (column - 1)}^")


def test_a_mistake_in_a_later_line_points_to_that_line() -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression("record.id\n  + foo")
    assert (caught.value.line, caught.value.column) == (2, 5)
    assert str(caught.value).endswith("\n    + foo\n      ^")


def test_names_beside_the_usual_ones_are_there_when_the_caller_allows_them() -> None:
    assert value_of("answer.id", names=DEFAULT_NAMES | {"answer"}) == "A-1"
    assert value_of("error.type + ': ' + error.message", names=DEFAULT_NAMES | {"error"}) == "ValueError: no stock"


def test_a_name_that_the_scope_has_not_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="The scope has no secrets"):
        compile_expression("record", DEFAULT_NAMES | {"secrets"})


@pytest.mark.parametrize(
    ("source", "reads"),
    [
        ("record.address.city + record.name", {"address.city", "name"}),
        ("record.lines[0].price", {"lines[0].price"}),
        ("record.lines[record.id].price", {"lines", "id"}),
        ("default(record.nick, record.name)", {"nick", "name"}),
        ("[line.sku for line in record.lines]", {"lines"}),
        ("get(record, 'a.b')", {"a.b"}),
        ("now", set()),
    ],
)
def test_an_expression_knows_the_fields_that_it_reads(source: str, reads: set[str]) -> None:
    assert compile_expression(source).reads == reads


def test_a_long_value_is_shown_shortened() -> None:
    with pytest.raises(ExpressionError) as caught:
        value_of("number(record.text)", {"text": "x" * 5000})
    assert len(str(caught.value)) < 250
    assert caught.value.value == "x" * 60 + "…"


def test_the_source_is_compiled_once_and_gives_the_same_for_every_record() -> None:
    compiled = compile_expression("record.id + 1")
    assert [compiled({"id": number}, SCOPE) for number in range(3)] == [1, 2, 3]


def test_an_exact_amount_stays_exact_until_the_edge() -> None:
    assert compile_expression("money('0.1') + money('0.2')")(ORDER, SCOPE) == Decimal("0.30")


def test_a_failure_does_not_disturb_the_next_record() -> None:
    compiled = compile_expression("upper(record.name)")
    with pytest.raises(ExpressionError):
        compiled({}, SCOPE)
    assert compiled({"name": "ann"}, SCOPE) == "ANN"
