"""The entrance to the expression language: compile an expression, a template or a mapping once, call it per record."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from apps.engine.ports import Scope

from .building import Evaluate, expression_function
from .compiler import Code, generate
from .mappings import CompiledMapping, compile_fields
from .templates import template_code

DEFAULT_NAMES = frozenset({"record", "now", "flow", "run", "settings"})
SCOPE_NAMES = DEFAULT_NAMES | {"error", "answer"}


class Compiled:
    """An expression or template ready to run: `compiled(record, scope)`.

    `source` is its text, `reads` the fields of the record that it reads (`lines[0].price`), `run` the generated
    function itself, for loops that call it very often. Raises nothing but ExpressionError.
    """

    __slots__ = ("is_constant", "reads", "run", "source")

    def __init__(self, code: Code, is_constant: bool = False) -> None:
        self.source = code.source
        self.reads = code.reads
        self.is_constant = is_constant
        self.run: Evaluate = expression_function(code)

    def __call__(self, record: Any, scope: Scope) -> Any:
        return self.run(record, scope)


def compile_expression(source: str, names: frozenset[str] = DEFAULT_NAMES) -> Compiled:
    """Compile an expression. Its value may be a date or an exact decimal; `to_json_value` makes JSON of it.

    Raises ExpressionError of kind `syntax`, with line, column and a hint.
    """
    return Compiled(generate(source, known(names)))


def compile_template(source: str, names: frozenset[str] = DEFAULT_NAMES) -> Compiled:
    """Compile a text with `{{ expression }}` in it; its value is always a text. Raises as `compile_expression`."""
    code = template_code(source, known(names))
    return Compiled(code, is_constant=not code.metered)


def compile_mapping(
    fields: Mapping[str, str], required: Collection[str] = (), names: frozenset[str] = DEFAULT_NAMES
) -> CompiledMapping:
    """Compile a mapping of target fields (`address.city` makes an object) to expressions.

    Raises ExpressionError of kind `syntax` with `field` set to the first field that can't be compiled.
    """
    return CompiledMapping(compile_fields(fields, required, known(names)))


def known(names: frozenset[str]) -> frozenset[str]:
    """The names, all of which the scope must be able to answer."""
    if not names <= SCOPE_NAMES:
        raise ValueError(f"The scope has no {', '.join(sorted(names - SCOPE_NAMES))}.")
    return names
