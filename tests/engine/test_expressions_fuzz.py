"""Random texts, random trees and random records: nothing but an ExpressionError ever comes out."""

import datetime as dt
import string
from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.engine.expressions import (
    DEFAULT_NAMES,
    HELPERS,
    CompiledMapping,
    ExpressionError,
    compile_expression,
    compile_mapping,
    compile_template,
    to_json_value,
)
from apps.engine.expressions.building import careful_function, expression_function
from apps.engine.expressions.compiler import generate
from apps.engine.expressions.mappings import MappedField, mapping_function
from tests.engine.expression_records import ORDER, SCOPE

FUZZ = settings(suppress_health_check=[HealthCheck.too_slow])

FIELDS = ["a", "b", "c"]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["", "2024-12-31", "1,234.50", "12", "yes", "DD.MM.YYYY", "Europe/Berlin", "a.b"])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=3),
    max_leaves=10,
)
RARE = st.dates() | st.datetimes(timezones=st.just(dt.UTC)) | st.decimals() | st.uuids()
RECORDS = st.dictionaries(st.sampled_from(FIELDS), JSON | RARE, max_size=3)

CONSTANTS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.floats(0, 1e6),
    st.sampled_from(["", "a", ",", "2024-12-31", "D", "12.5", "a.b", "ms"]),
).map(repr)
PATHS = st.lists(st.sampled_from([".a", ".b", '["c"]', "[0]", "[-1]", "[1:]", "[record.a]"]), max_size=3).map("".join)
LEAVES = CONSTANTS | PATHS.map(lambda path: f"record{path}") | st.sampled_from(["now", "settings.country", "run.id"])
INFIX = ["+", "-", "*", "/", "//", "%", "**", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]


def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Expressions made of smaller ones."""
    return st.one_of(
        st.tuples(inner, st.sampled_from(INFIX), inner).map(lambda three: f"({' '.join(three)})"),
        st.tuples(inner, inner, inner).map(lambda three: f"({three[0]} < {three[1]} <= {three[2]})"),
        st.tuples(inner, inner, inner).map(lambda three: f"({three[0]} if {three[1]} else {three[2]})"),
        st.tuples(st.sampled_from(["not ", "-"]), inner).map(lambda two: f"({''.join(two)})"),
        st.tuples(inner, PATHS).map("".join),
        st.lists(inner, max_size=3).map(lambda entries: f"[{', '.join(entries)}]"),
        st.lists(st.tuples(inner, inner), max_size=2).map(
            lambda pairs: f"{{{', '.join(f'{key}: {value}' for key, value in pairs)}}}"
        ),
        st.tuples(st.sampled_from(sorted(HELPERS)), st.lists(inner, min_size=1, max_size=3)).map(
            lambda call: f"{call[0]}({', '.join(call[1])})"
        ),
        st.tuples(inner, inner, inner).map(lambda three: f"[x for x in {three[0]} if {three[1]} == {three[2]}]"),
        inner.map(lambda one: f"[x.a for x in {one}]"),
    )


FAST = [
    "record.id",
    "record.price * 2 + 1",
    "record.paid and record.id > 5 and 0 < record.id < 9999",
    "record.name[0] + record.lines[0].sku + record.name[1:]",
    "upper(trim(record.name))",
    "-record.price",
    "default(record.nick, 'none')",
    "[line.sku for line in record.lines if line.count != 7 and line.sku not in ('x', 'y')]",
    "'A' in record.name and 'city' in record.address",
    "f'{record.name} {record.id} {settings.country}'",
    "{'a': (record.id, None)}['a'][0]",
]
EXPRESSIONS = st.recursive(LEAVES, larger, max_leaves=6)
NOISE = st.text(st.sampled_from(string.printable + "é\u202e\ud800\x00\uff5f"), max_size=60)
TOKENS = """record . a [ ] ( ) { } ' " , + ** lambda : for x in if else not is None f' {{ }} upper default 9 \\ = *"""
WORDS = st.lists(st.sampled_from(TOKENS.split()), max_size=25).map(" ".join)


def outcome(call: Any, *arguments: Any) -> tuple[str, Any]:
    """What comes out: a value, or the kind of the ExpressionError. Any other exception fails the test."""
    try:
        return "value", call(*arguments)
    except ExpressionError as error:
        return "error" if str(error) else "silent", error.kind


@FUZZ
@given(NOISE | WORDS)
def test_random_text_compiles_or_is_refused(source: str) -> None:
    for compiling in (compile_expression, compile_template):
        result, kind = outcome(compiling, source)
        assert result == "value" or kind == "syntax"


@FUZZ
@given(EXPRESSIONS, RECORDS)
def test_an_expression_on_a_random_record_gives_json_or_an_error(source: str, record: dict[str, Any]) -> None:
    kind, compiled = outcome(compile_expression, source)
    if kind == "value":
        kind, _ = outcome(lambda: orjson.loads(orjson.dumps(to_json_value(compiled(record, SCOPE)))))
    assert kind in {"value", "error"}


@FUZZ
@given(EXPRESSIONS, RECORDS)
def test_the_fast_and_the_careful_code_mean_the_same(source: str, record: dict[str, Any]) -> None:
    kind, compiled = outcome(compile_expression, source)
    if kind == "value":
        careful = careful_function(generate(source, DEFAULT_NAMES))
        assert repr(outcome(compiled, record, SCOPE)) == repr(outcome(careful, record, SCOPE))


@pytest.mark.parametrize("source", FAST)
def test_where_nothing_fails_the_fast_code_gives_the_value(source: str) -> None:
    code = generate(source, DEFAULT_NAMES)
    without_careful = replace(code, careful="'the careful code ran'")
    expected = careful_function(code)(ORDER, SCOPE)
    assert expression_function(without_careful)(ORDER, SCOPE) == expected
    field = MappedField("a", ("a",), code, True, careful_function(code))
    assert mapping_function((field,), lambda record, scope: "the careful code ran")(ORDER, SCOPE) == {"a": expected}


@FUZZ
@given(st.lists(EXPRESSIONS, min_size=1, max_size=4), RECORDS)
def test_a_mapping_is_the_sum_of_its_fields(sources: list[str], record: dict[str, Any]) -> None:
    fields = {f"f{index}": source for index, source in enumerate(sources)}
    kind, mapping = outcome(compile_mapping, fields)
    if kind != "value":
        return
    single = {
        name: outcome(lambda source=source: to_json_value(compile_expression(source)(record, SCOPE)))
        for name, source in fields.items()
    }
    failed = next(((name, kind) for name, (result, kind) in single.items() if result == "error"), None)
    assert failure_of(mapping, record) == failed
    if failed is None:
        assert repr(mapping(record, SCOPE)) == repr({name: value for name, (_, value) in single.items()})


def failure_of(mapping: CompiledMapping, record: dict[str, Any]) -> tuple[str | None, str] | None:
    """The field that failed and how, or None."""
    try:
        mapping(record, SCOPE)
    except ExpressionError as error:
        return error.field, error.kind
    return None


@FUZZ
@given(st.sampled_from(sorted(HELPERS)), st.lists(JSON | RARE, max_size=4))
def test_a_helper_takes_any_values(name: str, values: list[Any]) -> None:
    source = f"{name}({', '.join(f'record[{index}]' for index in range(len(values)))})"
    kind, compiled = outcome(compile_expression, source)
    if kind == "value":
        outcome(compiled, values, SCOPE)


@FUZZ
@given(JSON)
def test_what_json_can_say_passes_the_edge_unchanged(value: Any) -> None:
    kind, result = outcome(to_json_value, value)
    if kind == "value":
        assert result is value


@FUZZ
@given(EXPRESSIONS, RECORDS)
def test_a_template_gives_a_text_or_an_error(source: str, record: dict[str, Any]) -> None:
    kind, compiled = outcome(compile_template, f"<{{{{ {source} }}}}>")
    if kind == "value":
        kind, text = outcome(compiled, record, SCOPE)
    if kind == "value":
        assert text.startswith("<")
        assert text.endswith(">")


@FUZZ
@given(st.decimals(allow_nan=False, allow_infinity=False), st.decimals(allow_nan=False, allow_infinity=False))
def test_exact_amounts_are_written_so_that_they_read_back_the_same(left: Decimal, right: Decimal) -> None:
    kind, result = outcome(compile_expression("record.a + record.b"), {"a": left, "b": right}, SCOPE)
    if kind == "value":
        assert Decimal(orjson.loads(orjson.dumps(to_json_value(result)))) == result
