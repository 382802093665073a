"""From generated code to a function: the only place where code is executed, in a namespace that holds our operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apps.engine.ports import Scope

from .arithmetic import add, calculate, negative
from .compiler import Code
from .errors import ExpressionError
from .helpers import HELPERS
from .limits import BUDGET, finite, meter
from .operators import call, compare, compare_chain, contains, cut_out, each, get, join_parts, peek, unexpected
from .syntax import python_warnings
from .values import PLAIN, text_of, to_json_value

Evaluate = Callable[[Any, Scope], Any]
RESET = f"meter.left = {BUDGET}"
NAMESPACE: dict[str, Any] = {
    "add": add,
    "calculate": calculate,
    "call": call,
    "compare": compare,
    "compare_chain": compare_chain,
    "contains": contains,
    "cut_out": cut_out,
    "each": each,
    "get": get,
    "join_parts": join_parts,
    "negative": negative,
    "peek": peek,
    **{f"h_{name}": helper.function for name, helper in HELPERS.items()},
    "text_of": text_of,
    "to_json_value": to_json_value,
    "meter": meter,
    "PLAIN": PLAIN,
}


def build(lines: list[str], **given: Any) -> Evaluate:
    """The function `run` that these lines define; with none of Python's builtins but the two it needs.

    Raises ExpressionError of kind `syntax` when Python finds the code too deep or too large.
    """
    namespace: dict[str, Any] = {**NAMESPACE, **given, "__builtins__": {"Exception": Exception, "float": float}}
    try:
        with python_warnings("ignore"):
            code = compile("\n".join(lines), "<expression>", "exec")
        exec(code, namespace)  # noqa: S102 - from our own Writer only
    except (SyntaxError, RecursionError, MemoryError, OverflowError):
        raise ExpressionError("syntax", "The expression is nested too deep or too long.") from None
    run: Evaluate = namespace["run"]
    return run


def careful_function(code: Code, field: str | None = None) -> Evaluate:
    """Evaluates the careful code; its errors, ExpressionError only, carry the source and the field."""
    evaluate = build(["def run(record, scope):", f"    return {code.careful}"])

    def explain(record: Any, scope: Scope) -> Any:
        meter.left = BUDGET
        try:
            value = evaluate(record, scope)
            return finite(value) if value.__class__ is float else value
        except Exception as error:
            raise placed(error, code.source, field) from None

    return explain


def placed(error: Exception, source: str, field: str | None) -> ExpressionError:
    """The error with the expression and the mapped field that it belongs to."""
    found = error if isinstance(error, ExpressionError) else unexpected(error)
    found.expression, found.field = source, field
    return found


def expression_function(code: Code) -> Evaluate:
    """Evaluates the fast code, and the careful code when that fails."""
    lines = [
        "def run(record, scope):",
        "    try:",
        *([f"        {RESET}"] if code.metered else []),
        f"        value = {code.fast}",
        "        if value.__class__ is not float or value - value == 0:",
        "            return value",
        "    except Exception:",
        "        pass",
        "    return explain(record, scope)",
    ]
    return build(lines, explain=careful_function(code))
