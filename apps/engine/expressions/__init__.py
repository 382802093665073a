"""The expression language of mappings, filters, trace keys and templates.

An expression is a small part of Python's expression syntax. It reads `record` (the record at the step), `now` (the
time of the page), `flow`, `run` and `settings`; handler steps also `error`, response mappings also `answer`.

**Fields**: `record.name`, `record["Origin State"]`, `record.lines[0].price`, `record.lines[-1]`, `record.code[:3]`. A
field that is not there is an error of kind `missing` that says what is there. `default(record.name, "unknown")`
stands in for a field that is missing, null or an empty text; `coalesce(a, b, c)` takes the first that is not;
`empty(record.name)` asks; `get(record, "address.city", "none")` stands in for a missing field only.

**Operators**: `+ - * / // % **` on numbers, `+` also joins two texts or two lists; `== != < <= > >=`, chains of them,
`in`, `not in`, `is None`; `and`, `or`, `not`; `a if condition else b`. Nothing is converted by itself: a text is
compared with a number only after `number(…)`. One exact amount (`money(…)`) makes a calculation exact.

**Lists and objects**: `[a, b]`, `{"name": a}`, and one comprehension per expression: `[line.sku for line in
record.lines if line.count > 0]`, also inside a helper: `sum(line.price for line in record.lines)`.

**Helpers** are called by name: `upper(record.name)`, `date(record.day, "DD.MM.YYYY")`. `HELPERS` lists all of them
with their examples. `attempt(number(record.speed), None)` stands in for a value that can't be worked out.

**Texts**: `f"{record.first} {record.last}"`, or a template: `Order {{ record.id }} of {{ format_date(now, "DD.MM.")
}}`. In a template null is nothing, and lists and objects are JSON.

**Results** of a mapping are JSON: dates and times become ISO text, exact amounts become text (`"12.50"`), whole
numbers have at most 64 bits. A field handed on unchanged is not copied.

**Limits**: 4,000 characters, 50 levels, texts of 1,000,000 characters and lists of 100,000 entries made by an
expression, and a budget of work per record; see `limits`. There are no regular expressions and no formats in texts.
"""

from apps.engine.ports import Scope

from .compiled import DEFAULT_NAMES, SCOPE_NAMES, Compiled, compile_expression, compile_mapping, compile_template
from .definitions import Expression, Template, valid_expression, valid_template
from .errors import ExpressionError
from .helper import Helper
from .helpers import HELPERS
from .mappings import CompiledMapping
from .values import to_json_value

__all__ = [
    "DEFAULT_NAMES",
    "HELPERS",
    "SCOPE_NAMES",
    "Compiled",
    "CompiledMapping",
    "Expression",
    "ExpressionError",
    "Helper",
    "Scope",
    "Template",
    "compile_expression",
    "compile_mapping",
    "compile_template",
    "to_json_value",
    "valid_expression",
    "valid_template",
]
