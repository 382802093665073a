"""HTML templates: what the author wrote is HTML, what a value brings is text."""

from html import escape

from apps.engine.expressions import Compiled, Scope, compile_expression
from apps.engine.expressions.templates import split_template
from apps.engine.expressions.values import text_of
from apps.engine.ports import Record


class EscapedTemplate:
    """A template whose values are escaped, quotes included, so that none of them can become markup.

    It protects in text and in quoted attributes; an author who lets a record choose a whole link (href) decides that.
    """

    def __init__(self, source: str) -> None:
        self._pieces: list[str | Compiled] = [
            piece if isinstance(piece, str) else compile_expression(piece[0]) for piece in split_template(source)
        ]

    def __call__(self, record: Record, scope: Scope) -> str:
        """Raises ExpressionError."""
        return "".join(
            piece if isinstance(piece, str) else escape(text_of(piece(record, scope)), quote=True)
            for piece in self._pieces
        )
