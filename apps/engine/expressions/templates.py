"""Templates: text with `{{ expression }}` in it, read into its pieces."""

from __future__ import annotations

from .compiler import Code, generate
from .errors import ExpressionError
from .limits import MAX_TEMPLATE, MAX_TEMPLATE_PARTS

OPENING, CLOSING = "([{", ")]}"


def template_code(source: str, names: frozenset[str]) -> Code:
    """The code of a template; raises ExpressionError of kind `syntax`."""
    if len(source) > MAX_TEMPLATE:
        raise ExpressionError(
            "syntax", f"The template has {len(source):,} characters; at most {MAX_TEMPLATE:,} may be."
        )
    pieces = [piece if isinstance(piece, str) else part_code(piece[0], names) for piece in split_template(source)]
    codes = [piece for piece in pieces if isinstance(piece, Code)]
    if len(codes) > MAX_TEMPLATE_PARTS:
        raise ExpressionError("syntax", f"A template may have at most {MAX_TEMPLATE_PARTS} expressions.")
    return Code(
        source,
        joined([piece.fast if isinstance(piece, Code) else repr(piece) for piece in pieces], bool(codes)),
        joined([piece.careful if isinstance(piece, Code) else repr(piece) for piece in pieces], bool(codes)),
        frozenset[str]().union(*(code.reads for code in codes)),
        metered=bool(codes),
    )


def joined(pieces: list[str], has_expressions: bool) -> str:
    """The code that makes one text of the pieces."""
    if not has_expressions:
        return "".join(pieces) or "''"
    return f"join_parts(({''.join(piece + ', ' for piece in pieces)}))"


def part_code(source: str, names: frozenset[str]) -> Code:
    """The code of one expression of a template; its errors say that they stand inside braces."""
    try:
        return generate(source, names)
    except ExpressionError as error:
        error.message = f"Inside {{{{ }}}}: {error.message}"
        raise


def split_template(source: str) -> list[str | tuple[str]]:
    """The pieces of a template: texts, and expressions as tuples of one."""
    pieces: list[str | tuple[str]] = []
    position = 0
    while (start := source.find("{{", position)) >= 0:
        end = closing(source, start + 2)
        if start > position:
            pieces.append(source[position:start])
        pieces.append((source[start + 2 : end],))
        position = end + 2
    if position < len(source):
        pieces.append(source[position:])
    return pieces


def closing(source: str, start: int) -> int:
    """Where the braces close that opened before `start`; braces in texts and objects of the expression are its own."""
    depth, quote, position = 0, "", start
    while position < len(source):
        character = source[position]
        if quote:
            position += character == "\\"
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif depth == 0 and source.startswith("}}", position):
            return position
        else:
            depth = max(0, depth + (character in OPENING) - (character in CLOSING))
        position += 1
    line, column = source.count("\n", 0, start) + 1, start - 2 - source.rfind("\n", 0, start)
    raise ExpressionError(
        "syntax",
        f"The braces {{{{ at line {line}, column {column} are not closed by }}}}.",
        expression=source,
        line=line,
        column=column,
    )
