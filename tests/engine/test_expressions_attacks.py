"""A corpus of attacks: each one is refused when it is compiled, or ends as an ExpressionError."""

import tracemalloc
from typing import Any

import pytest

from apps.engine.expressions import ExpressionError, compile_expression, compile_mapping, compile_template
from apps.engine.expressions.limits import MAX_TEXT
from tests.engine.expression_records import SCOPE, value_of

REFUSED = [
    # reaching Python
    "record.__class__",
    "record.__class__.__mro__[1].__subclasses__()",
    "().__class__.__bases__[0]",
    "''.__class__",
    "now.__class__",
    "upper.__globals__",
    "upper.__code__",
    "upper(record.name).__class__",
    "__import__('os').system('id')",
    "__builtins__",
    "globals()",
    "locals()",
    "vars(record)",
    "getattr(record, 'x')",
    "setattr(record, 'x', 1)",
    "eval('1')",
    "exec('1')",
    "compile('1', '', 'eval')",
    "open('/etc/passwd')",
    "type(record)",
    "dir()",
    "object()",
    "print(1)",
    "meter",
    "meter.left",
    "scope",
    "scope.now",
    "explain(record, scope)",
    "h_upper('a')",
    "v0",
    "PLAIN",
    "run.__init__.__globals__",
    "[x.__class__ for x in record.a]",
    "[__x__ for __x__ in record.a]",
    "record.items().mapping",
    "record.get('a')",
    "record.pop('a')",
    "record.clear()",
    "record.lines.append(1)",
    # formats
    "'{0.__class__}'.format(record)",
    "'%s' % record.__class__",
    "f'{record:>99999999999}'",
    "f'{record.a!r}'",
    "f'{record.a:{record.b}}'",
    "f'{record.__class__}'",
    "f'{(lambda: 1)()}'",
    "'{}'.format_map(record)",
    # statements and other syntax
    "lambda: 1",
    "(lambda x: x)(1)",
    "(x := 1)",
    "x = 1",
    "import os",
    "await record",
    "(yield 1)",
    "(yield from record)",
    "[*record.a]",
    "upper(*record.a)",
    "upper(**record)",
    "{**record}",
    "{1, 2}",
    "{x for x in record.a}",
    "record.a @ record.b",
    "1 << 1000000",
    "1 | 2",
    "~1",
    "+1",
    "b'bytes'",
    "1j",
    "...",
    "1; 2",
    "1\nimport os",
    "record.a if",
    "assert 1",
    "del record.a",
    # loops
    "[x for x in [y for y in record.a]]",
    "[x for x in record.a for y in record.a]",
    "[[y for y in record.a] for x in record.a]",
    "[x for x in record.a] + [y for y in record.a]",
    "sum(sum(y for y in record.a) for x in record.a)",
    "[x async for x in record.a]",
    "[x for x.y in record.a]",
    "[x for record in record.a]",
    "[now for now in record.a]",
    "[upper for upper in record.a]",
    # size and depth
    "1 +" * 2000 + "1",
    "+".join(["1"] * 1500),
    "(" * 1500 + ")" * 1500,
    "[" * 1500 + "]" * 1500,
    "{1:" * 1000 + "1" + "}" * 1000,
    "-" * 3999 + "1",
    "not " * 900 + "1",
    "record" + ".a" * 1900,
    "record" + "[0]" * 1000,
    "upper(" * 600 + "'a'" + ")" * 600,
    "1 if 1 else " * 300 + "1",
    "default(" * 300 + "1" + ", 1)" * 300,
    "a" * 4001,
    "9" * 3999,
    "9223372036854775808",
    "1e999",
    # texts that are no text, and look-alikes
    "'\\ud800'",
    "\ud800",
    "\x00",
    "record\x00.a",
    "record.\uff5f_class__",
    "record._\uff3fclass_\uff3f",
    "record.__\u1d9c\u02e1ass__",
    "\uff45val('1')",
    "upper(\u200brecord.a)",
    "\u202erecord",
    "record\u00a0.a",
]


@pytest.mark.parametrize("source", REFUSED, ids=range(len(REFUSED)))
def test_an_attack_is_refused_when_it_is_compiled(source: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(source)
    assert caught.value.kind == "syntax"


HUGE = "x" * MAX_TEXT
LONG = list(range(100_000))
WORDS = ["w" * 900 + str(number) for number in range(1_000)]
NESTED: Any = []
for _ in range(2_000):
    NESTED = [NESTED]

STOPPED: list[tuple[str, Any]] = [
    # numbers
    ("9 ** 9 ** 9", None),
    ("2 ** 9223372036854775807", None),
    ("10 ** 400", None),
    ("10.0 ** 400", None),
    ("1.5 ** 1e18", None),
    ("money('9') ** 1000", None),
    ("money('9') ** money('1000000')", None),
    ("9223372036854775807 * 9223372036854775807", None),
    ("record.n + 1", 10**4000),
    ("text(record.n)", 10**100_000),
    ("number('9' * 10)", None),
    ("number(record.n)", "9" * 4000),
    ("number('1e99')", None),
    ("integer('1e99')", None),
    ("text(number('1e309'))", None),
    ("money('1e99') * money('1e99')", None),
    ("round(1e300)", None),
    ("floor(1e300)", None),
    ("record.n * 2", float("nan")),
    # texts
    ("'a' * 1000000000", None),
    ("1000000000 * 'a'", None),
    ("[0] * 1000000000", None),
    ("record.n * record.n", "ab"),
    ("'%099999999d' % 1", None),
    ("record.n + 'x'", HUGE),
    ("record.n + record.n", HUGE),
    ("replace(record.n, 'x', 'yy')", HUGE),
    ("replace('aaaaaaaaaa', 'a', record.n)", HUGE),
    ("join(record.n, left(repeat, 1))".replace("left(repeat, 1)", "'" + "s" * 900 + "'"), LONG),
    ("pad_left('a', 1000000000)", None),
    ("pad_right('a', 9223372036854775807)", None),
    ("split(record.n, 'x')", HUGE),
    ("f'{record.n}{record.n}'", HUGE),
    ("url_encode(record.n)", "ü" * MAX_TEXT),
    ("upper(record.n)", "ß" * MAX_TEXT),
    ("upper(record.n)", HUGE + "x"),
    ("[" + ", ".join(["upper(record.n)"] * 200) + "]", HUGE),
    ("[" + ", ".join(["record.n[1:]"] * 300) + "]", HUGE),
    ("json([" + ", ".join(["record.n"] * 300) + "])", HUGE),
    # lists
    ("record.n + record.n", LONG),
    ("flatten([record.n, record.n])", LONG),
    ("[x for x in record.n]", [*LONG, 1]),
    ("[x + 1 * 2 - 3 + x for x in record.n]", LONG),
    ("[x for x in record.n if x in record.n]", LONG),
    ("[count(record.n) for x in record.n]", LONG),
    ("[record.n[1:] for x in record.n]", LONG),
    ("[sum(record.n) for x in record.n]", LONG),
    ("[find(record.n, 'a', x) for x in record.n]", LONG[:20_000]),
    ("[json(record.n) for x in record.n]", LONG[:3_000]),
    ("[record.n for x in record.n]", LONG[:3_000]),
    ("[record.n == record.n for x in record.n]", LONG[:3_000]),
    ("[x for x in record.n if x in record.n]", WORDS * 20),
    ("[join(record.n) for x in record.n]", WORDS * 5),
    ("[replace(x, 'w', 'vvvvvvvvvv') for x in record.n]", WORDS * 5),
    ("{x: record.n for x in record.n}", WORDS * 5),
    ("[merge({'a': x}, {'b': record.n}) for x in record.n]", LONG[:5_000]),
    ("sort_by(record.n)", [1, "a"]),
    ("sort_by(record.n)", [[1], [2]]),
    # depth
    ("json(record.n)", NESTED),
    ("record.n", NESTED),
    ("text(record.n)", NESTED),
    ("unique([record.n])", NESTED),
    ("parse_json(record.n)", "[" * 100_000 + "]" * 100_000),
    ("[" + ", ".join(["parse_json(record.n)"] * 150) + "]", "[" + "[]," * 100_000 + "[]]"),
    ("get(record, record.n)", "a." * 1000 + "a"),
    # zones, formats, patterns
    ("to_zone(now, record.n)", "../" * 20 + "etc/passwd"),
    ("to_zone(now, record.n)", "\x00"),
    ("date(record.n, 'MDHms')", "1" * 60 + "x"),
    ("date('1', record.n)", "D" * 1000),
    ("date('1', record.n)", "DHm" * 21),
    ("date('2024-01-01', record.n)", "%Y-%m-%d"),
    ("number(record.n)", "1," * 60 + "x"),
    ("number('1', decimal=record.n)", "(a+)+"),
    ("add_days(now, 9223372036854775807)", None),
    ("add_months(now, 9223372036854775807)", None),
    ("from_epoch(record.n)", 10**30),
]


@pytest.mark.parametrize(("source", "hostile"), STOPPED, ids=range(len(STOPPED)))
def test_a_bomb_ends_as_an_error(source: str, hostile: Any) -> None:
    with pytest.raises(ExpressionError):
        value_of(source, {"n": hostile})


BOMBS = [
    ("[" + ", ".join(["upper(record.n)"] * 200) + "]", HUGE),
    ("[record.n[1:] for x in record.n]", LONG),
    ("[json(record.n) for x in record.n]", LONG[:3_000]),
    ("[" + ", ".join(["parse_json(record.n)"] * 150) + "]", "[" + "[]," * 100_000 + "[]]"),
    ("'a' * 1000000000", None),
    ("9 ** 9 ** 9", None),
]


@pytest.mark.parametrize(("source", "hostile"), BOMBS, ids=range(len(BOMBS)))
def test_a_bomb_takes_little_memory(source: str, hostile: Any) -> None:
    compiled = compile_expression(source)
    tracemalloc.start()
    try:
        with pytest.raises(ExpressionError):
            compiled({"n": hostile}, SCOPE)
        assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["__class__", "__proto__", "__init__", "keys", "items", "__getitem__"])
def test_a_text_in_brackets_reads_a_field_and_never_an_attribute(name: str) -> None:
    assert value_of(f"record[{name!r}]", {name: "data"}) == "data"
    with pytest.raises(ExpressionError) as caught:
        value_of(f"record[{name!r}]", {"other": 1})
    assert caught.value.kind == "missing"


def test_a_value_that_looks_like_an_expression_stays_text() -> None:
    assert value_of("record.a", {"a": "{{ 1 + 1 }}"}) == "{{ 1 + 1 }}"
    assert compile_template("{{ record.a }}")({"a": "{{ 1 + 1 }}"}, SCOPE) == "{{ 1 + 1 }}"


def test_a_mapping_can_not_change_the_record_or_the_scope() -> None:
    record = {"lines": [3, 1, 2], "address": {"city": "Oslo"}}
    mapping = compile_mapping(
        {"a": "sort_by(record.lines)", "b": "merge(record.address, {'x': 1})", "c": "reverse(record.lines)"}
    )
    mapping(record, SCOPE)
    assert record == {"lines": [3, 1, 2], "address": {"city": "Oslo"}}


def test_target_names_never_become_code() -> None:
    hostile = "a': __import__('os')}, {'b"
    assert compile_mapping({hostile: "1"})({}, SCOPE) == {hostile: 1}


def test_the_budget_is_fresh_for_every_record() -> None:
    compiled = compile_expression("length(upper(record.n)) + length(lower(record.n))")
    assert {compiled({"n": HUGE}, SCOPE) for _ in range(10)} == {2 * MAX_TEXT}
