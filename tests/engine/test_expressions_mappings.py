"""Mappings, templates, the JSON edge, and the types for definitions."""

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from apps.engine.expressions import (
    Expression,
    ExpressionError,
    Template,
    compile_mapping,
    compile_template,
    to_json_value,
)
from tests.engine.expression_records import ORDER, SCOPE


def test_a_mapping_builds_a_new_record_in_the_order_of_its_fields() -> None:
    mapping = compile_mapping({"number": "record.id", "customer": "upper(record.name)", "open": "not record.paid"})
    assert list(mapping(ORDER, SCOPE).items()) == [("number", 4711), ("customer", "ANN"), ("open", False)]
    assert mapping.names == ("number", "customer", "open")
    assert mapping.reads == {"id", "name", "paid"}


def test_dotted_targets_make_objects() -> None:
    mapping = compile_mapping(
        {"to.city": "record.address.city", "id": "record.id", "to.post.code": "record.address.zip"}
    )
    assert mapping(ORDER, SCOPE) == {"to": {"city": "Oslo", "post": {"code": "0150"}}, "id": 4711}


def test_what_leaves_a_mapping_is_json() -> None:
    mapping = compile_mapping({"day": "date(record.day)", "at": "now", "sum": "money('1.5')", "list": "[(1, now)]"})
    at = "2025-01-02T03:04:05+00:00"
    assert mapping(ORDER, SCOPE) == {"day": "2024-12-31", "at": at, "sum": "1.50", "list": [[1, at]]}


def test_a_field_that_fails_is_named() -> None:
    mapping = compile_mapping({"id": "record.id", "price": "number(record.name)"})
    with pytest.raises(ExpressionError) as caught:
        mapping(ORDER, SCOPE)
    assert caught.value.field == "price"
    assert caught.value.expression == "number(record.name)"
    assert str(caught.value).startswith('Field price: number(record.name): The text "Ann" is not a number')


@pytest.mark.parametrize("source", ["record.note", "record.fax"])
def test_a_required_field_that_comes_out_empty_is_missing(source: str) -> None:
    mapping = compile_mapping({"id": "record.id", "note": source}, required=["note"])
    with pytest.raises(ExpressionError) as caught:
        mapping(ORDER, SCOPE)
    assert (caught.value.kind, caught.value.field) == ("missing", "note")
    assert str(caught.value) == f"Field note: It is required, but {source} is empty."


def test_zero_and_false_are_not_empty() -> None:
    mapping = compile_mapping({"a": "0", "b": "False"}, required=["a", "b"])
    result = mapping(ORDER, SCOPE)
    assert mapping.empty_fields(result) == ()


def test_empty_fields_are_told_by_name() -> None:
    mapping = compile_mapping({"id": "record.id", "to.fax": "record.fax", "to.city": "'Oslo'", "note": "record.note"})
    assert mapping.empty_fields(mapping(ORDER, SCOPE)) == ("to.fax", "note")
    assert mapping.empty_fields({"id": 1}) == ("to.fax", "to.city", "note")


@pytest.mark.parametrize(
    ("fields", "required", "field", "sentence"),
    [
        ({"a": "record.x +"}, (), "a", "invalid syntax"),
        ({"a": "1", "a.b": "2"}, (), "a.b", "a is filled as a whole and by its part a.b"),
        ({"a..b": "1"}, (), "a..b", "A target field is a name"),
        ({"": "1"}, (), "", "A target field is a name"),
        ({"a": "1"}, ("b",), "b", "b is required, but the mapping does not fill it."),
    ],
)
def test_a_mapping_that_can_not_work_is_refused(
    fields: dict[str, str], required: tuple[str, ...], field: str, sentence: str
) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_mapping(fields, required)
    assert (caught.value.kind, caught.value.field) == ("syntax", field)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Decimal("NaN"), b"x", {1: 2}, [float("-inf")], object()])
def test_what_json_can_not_say_is_an_error_of_its_field(value: Any) -> None:
    mapping = compile_mapping({"a": "record.a"})
    with pytest.raises(ExpressionError) as caught:
        mapping({"a": value}, SCOPE)
    assert (caught.value.kind, caught.value.field) == ("value", "a")


def test_an_empty_mapping_gives_an_empty_record() -> None:
    assert compile_mapping({})(ORDER, SCOPE) == {}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (dt.date(2024, 12, 31), "2024-12-31"),
        (dt.datetime(2024, 12, 31, 8, tzinfo=dt.UTC), "2024-12-31T08:00:00+00:00"),
        (Decimal("1E+2"), "100"),
        (Decimal("12.50"), "12.50"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ((1, [Decimal(2)]), [1, ["2"]]),
        ({"a": {"b": dt.date(2024, 1, 1)}}, {"a": {"b": "2024-01-01"}}),
    ],
)
def test_values_become_json_at_the_edge(value: Any, expected: Any) -> None:
    assert to_json_value(value) == expected


def test_what_is_json_already_is_not_copied() -> None:
    assert to_json_value(ORDER) is ORDER


def test_a_value_that_is_nested_too_deep_is_refused() -> None:
    value: list[Any] = []
    for _ in range(65):
        value = [value]
    with pytest.raises(ExpressionError) as caught:
        to_json_value(value)
    assert caught.value.kind == "limit"


TEMPLATES = [
    ("Order {{ record.id }} of {{record.name}}", "Order 4711 of Ann"),
    ("{{ record.id }}", "4711"),
    ("no braces", "no braces"),
    ("", ""),
    ("fax: {{ record.fax }}.", "fax: ."),
    ("{{ record.paid }} {{ record.price }} {{ date(record.day) }} {{ money('1') }}", "true 12.5 2024-12-31 1.00"),
    ("{{ {'a': {'b': 1}} }}", '{"a":{"b":1}}'),
    ('{{ \'}}\' }}{{ "a\\"}}" }}', '}}a"}}'),
    ("{{ '{{' }} single { braces } stay }}", "{{ single { braces } stay }}"),
    ("{{ [line.sku for line in record.lines] }}{{ [line.count for line in record.lines] }}", '["a","b"][2,0]'),
    ("one\ntwo {{\n record.id\n + 1 }}", "one\ntwo 4712"),
]


@pytest.mark.parametrize(("source", "expected"), TEMPLATES, ids=[source for source, _ in TEMPLATES])
def test_a_template_puts_values_into_its_text(source: str, expected: str) -> None:
    assert compile_template(source)(ORDER, SCOPE) == expected


def test_a_template_without_braces_is_a_constant() -> None:
    assert compile_template("/orders").is_constant
    assert not compile_template("/orders/{{ record.id }}").is_constant


def test_a_template_knows_the_fields_that_it_reads() -> None:
    assert compile_template("{{ record.id }}/{{ record.address.city }}").reads == {"id", "address.city"}


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("a {{ record.id", "The braces {{ at line 1, column 3 are not closed by }}."),
        ("a\n{{ 'x }}", "The braces {{ at line 2, column 1 are not closed by }}."),
        ("{{ }}", "Inside {{ }}: The expression is empty."),
        ("{{ recrod.id }}", "Inside {{ }}: recrod is not a known name; did you mean record?"),
        ("{{ 1 }}" * 201, "at most 200 expressions"),
        ("x" * 100_001, "at most 100,000"),
    ],
)
def test_a_template_with_a_mistake_is_refused(source: str, sentence: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_template(source)
    assert caught.value.kind == "syntax"
    assert sentence in str(caught.value)


def test_a_template_that_fails_says_which_field_is_missing() -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_template("/orders/{{ record.number }}")(ORDER, SCOPE)
    assert (caught.value.kind, caught.value.expression) == ("missing", "/orders/{{ record.number }}")


class Step(BaseModel):
    condition: Expression
    path: Template


def test_a_definition_takes_expressions_and_templates_as_they_are_written() -> None:
    step = Step(condition="record.paid", path="/orders/{{ record.id }}")
    assert (step.condition, step.path) == ("record.paid", "/orders/{{ record.id }}")


def test_a_definition_with_mistakes_lists_each_with_its_place_and_a_hint() -> None:
    with pytest.raises(ValidationError) as caught:
        Step(condition="recrod.paid", path="{{ record.id")
    first, second = caught.value.errors()
    assert first["loc"] == ("condition",)
    assert first["msg"].startswith("recrod is not a known name; did you mean record? (line 1, column 1)")
    assert first["msg"].endswith("\n  recrod.paid\n  ^")
    assert second["loc"] == ("path",)
