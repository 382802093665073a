"""Reading the source of an expression: Python's parser, bounded, and errors with the place and a hint."""

from __future__ import annotations

import ast
import difflib
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal

from .errors import ExpressionError, cut
from .helpers import FAMILIAR_NAMES
from .limits import MAX_SOURCE

# The filters of warnings belong to the whole process; only one thread at a time may change them.
_compiling = threading.Lock()

REFUSED = {
    "Lambda": "a lambda",
    "NamedExpr": "an assignment (:=)",
    "Await": "await",
    "Yield": "yield",
    "YieldFrom": "yield",
    "Starred": "a star (*)",
    "Set": "a set; use a list in [brackets]",
    "SetComp": "a set; use a list in [brackets]",
}
REFUSED_SIGNS = {
    "BitOr": "|",
    "BitAnd": "&",
    "BitXor": "^",
    "LShift": "<<",
    "RShift": ">>",
    "MatMult": "@",
    "Invert": "~",
}


@contextmanager
def python_warnings(action: Literal["error", "ignore"]) -> Iterator[None]:
    """What Python's compiler warns about: errors in the text of a user, nothing in the code that we have generated."""
    with _compiling, warnings.catch_warnings():
        warnings.simplefilter(action)
        yield


def parse(source: str) -> ast.expr:
    """The tree of an expression; raises ExpressionError of kind `syntax` with line and column."""
    if len(source) > MAX_SOURCE:
        raise ExpressionError(
            "syntax", f"The expression has {len(source):,} characters; at most {MAX_SOURCE:,} are allowed."
        )
    if not source.strip():
        raise ExpressionError("syntax", "The expression is empty.", expression=source)
    try:
        return parsed(source)
    except SyntaxError as error:
        raise unreadable(source, error) from None
    except (ValueError, RecursionError, MemoryError, OverflowError):
        raise ExpressionError(
            "syntax", "The expression can't be read: it is nested too deep or has characters that are no text."
        ) from None


def parsed(source: str) -> ast.expr:
    """Python's tree. An expression over several lines is read as if it stood in brackets."""
    with python_warnings("error"):
        return ast.parse(f"(\n{source}\n)" if "\n" in source else source, mode="eval").body


def unreadable(source: str, error: SyntaxError) -> ExpressionError:
    """Python's complaint as a sentence of ours, with the place."""
    lines = source.split("\n")
    line = (error.lineno or 1) - first_line(source)
    column = error.offset or 0
    if not column or line > len(lines):  # Python has reached the end without finding what it needs
        line, column = len(lines), len(lines[-1]) + 1
    line = max(1, line)
    said = (error.msg or "it is not complete").split(". ")[0].split(" (<")[0]
    lone_equals = said == "invalid syntax" and lines[line - 1][column - 1 : column] == "="
    hint = "; to compare, write ==" if lone_equals or "'='" in said else ""
    return ExpressionError(
        "syntax",
        f"The expression can't be read at line {line}, column {column}: {said}{hint}.",
        expression=source,
        line=line,
        column=column,
    )


def refuse(source: str, node: ast.AST, sentence: str) -> ExpressionError:
    """An error of kind `syntax` at the place of a node."""
    line, column = place(source, node)
    return ExpressionError(
        "syntax", f"{sentence} (line {line}, column {column})", expression=source, line=line, column=column
    )


def place(source: str, node: ast.AST) -> tuple[int, int]:
    """Line and column of a node, from 1; columns count characters (Python's tree counts bytes)."""
    lines = source.split("\n")
    line = min(max(1, getattr(node, "lineno", 1) - first_line(source)), len(lines))
    before = lines[line - 1].encode(errors="replace")[: getattr(node, "col_offset", 0)]
    return line, len(before.decode(errors="ignore")) + 1


def first_line(source: str) -> int:
    """How many lines `parsed` has put in front of the source."""
    return 1 if "\n" in source else 0


def refusal(node: ast.AST) -> str:
    """Why a kind of node is not allowed, in words."""
    name = type(node).__name__
    return f"{REFUSED.get(name, 'this kind of Python')} can't be used in an expression"


def meant(word: str, known: Iterable[str]) -> str:
    """A hint at the name that was probably meant."""
    familiar = FAMILIAR_NAMES.get(word.lower())
    names = [familiar] if familiar else difflib.get_close_matches(word, [*known], n=1, cutoff=0.6)
    return f"; did you mean {names[0]}?" if names else ""


def shown(node: ast.expr) -> str:
    """The source of a part of an expression, cut, as its errors name it."""
    return cut(ast.unparse(node))
