"""SQL texts as authors write them: one statement with named parameters (`:name`), parsed without being understood.

A `:name` inside a string, a quoted name, a comment, a dollar-quoted text or a cast (`::type`) is no parameter.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

MAX_CHARACTERS = 100_000
READING = frozenset({"select", "with", "values", "table"})
WRITING = READING | {"insert", "update", "delete", "merge", "replace", "call"}

SPECIAL = re.compile(
    r"(?<!\w)[eE]'|'|\"|`|--|/\*|(?<![\w$])\$(?:[A-Za-z_]\w*)?\$|(?<![\w$])\$\d|::|:=|:[A-Za-z_]\w*|;", re.ASCII
)
FIRST_WORD = re.compile(r"[\s(]*([A-Za-z]+)")
CLOSERS = {
    "'": re.compile(r"(?:[^']++|'')*+'"),
    '"': re.compile(r'(?:[^"]++|"")*+"'),
    "`": re.compile(r"(?:[^`]++|``)*+`"),
    "e'": re.compile(r"(?:[^'\\]++|''|\\.)*+'", re.DOTALL),
    "--": re.compile(r"[^\n]*+"),
}
COMMENT_MARK = re.compile(r"/\*|\*/")
WORDS = {"'": "text", "e'": "text", '"': "name", "`": "name", "/*": "comment"}


class StatementError(ValueError):
    """A statement that cannot be used; the message is a sentence for its author."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A parsed statement: `pieces[0] :names[0] pieces[1] :names[1] … pieces[-1]`, without comments at its end."""

    pieces: tuple[str, ...]
    names: tuple[str, ...]

    def render(self, mark: Callable[[str], str]) -> str:
        """The SQL text with `mark(name)` in the place of each parameter."""
        parts = [self.pieces[0]]
        for name, piece in zip(self.names, self.pieces[1:], strict=True):
            parts += [mark(name), piece]
        return "".join(parts)

    def within(self, before: str, after: "Statement") -> "Statement":
        """This statement with texts of ours around it."""
        if not self.names:
            return Statement((before + self.pieces[0] + after.pieces[0], *after.pieces[1:]), after.names)
        middle = (before + self.pieces[0], *self.pieces[1:-1], self.pieces[-1] + after.pieces[0])
        return Statement((*middle, *after.pieces[1:]), (*self.names, *after.names))

    def numbered(self) -> tuple[str, list[str]]:
        """The SQL text with `$1`, `$2`, … and the name behind each number (a repeated name keeps its number)."""
        order = list(dict.fromkeys(self.names))
        return self.render(lambda name: f"${order.index(name) + 1}"), order


def parse_query(text: str) -> Statement:
    """One reading statement. Raises StatementError."""
    return parse(text, READING)


def parse_statement(text: str) -> Statement:
    """One statement that may write. Raises StatementError."""
    return parse(text, WRITING)


def parse(text: str, allowed: frozenset[str]) -> Statement:
    if len(text) > MAX_CHARACTERS:
        raise StatementError(f"The SQL text is longer than {MAX_CHARACTERS:,} characters.")
    if "\x00" in text:
        raise StatementError("The SQL text contains a NUL character.")
    scan = Scan(text)
    scan.run()
    scan.check_first_word(allowed)
    return Statement(tuple(scan.pieces), tuple(scan.names))


class Scan:
    """One walk over an SQL text: cuts it at its parameters and sees that it is one statement."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.pieces: list[str] = []
        self.names: list[str] = []
        self.first_word = ""
        self._begin = 0
        self._end: int | None = None

    def run(self) -> None:
        at = 0
        while match := SPECIAL.search(self.text, at):
            self._plain(self.text[at : match.start()])
            at = self._special(match)
        self._plain(self.text[at:])
        self.pieces.append(self.text[self._begin : self._end])

    def check_first_word(self, allowed: frozenset[str]) -> None:
        if not self.first_word:
            raise StatementError("The SQL text is empty.")
        if self.first_word not in allowed:
            expected = ", ".join(sorted(name.upper() for name in allowed))
            word = self.first_word.upper()
            raise StatementError(f"The SQL text starts with {word}; here it may start with: {expected}.")

    def _plain(self, code: str) -> None:
        if not code.strip():
            return
        if self._end is not None:
            raise StatementError("Only one statement may be run at a time: nothing may follow the semicolon.")
        if not self.first_word and (match := FIRST_WORD.match(code)):
            self.first_word = match[1].lower()

    def _special(self, match: re.Match[str]) -> int:
        """Deal with what `match` opens; the place where it ends."""
        mark, at = match[0], match.end()
        if mark == ";":
            self._end = match.start() if self._end is None else self._end
            return at
        if mark not in {"--", "/*"} and self._end is not None:
            self._plain(mark)
        if mark[0] != ":" or mark in {"::", ":="}:
            return skip(self.text, mark, at)
        self.pieces.append(self.text[self._begin : match.start()])
        self.names.append(mark[1:])
        self._begin = at
        return at


def skip(text: str, mark: str, at: int) -> int:
    """Where the quoted part or comment that `mark` opened ends."""
    if mark in {"::", ":="}:
        return at
    if mark == "/*":
        return comment_end(text, at)
    if mark[0] == "$":
        return dollar_end(text, mark, at)
    match = CLOSERS[mark.lower()].match(text, at)
    if match is None:
        raise StatementError(f"The SQL text has a {WORDS[mark.lower()]} that is not closed ({mark[-1]}).")
    return match.end()


def dollar_end(text: str, mark: str, at: int) -> int:
    if mark[1].isdigit():
        raise StatementError(f"Write parameters by name (:name), not by number ({mark}).")
    end = text.find(mark, at)
    if end < 0:
        raise StatementError(f"The SQL text has a text that is not closed ({mark}).")
    return end + len(mark)


def comment_end(text: str, at: int) -> int:
    """Comments nest, as they do in PostgreSQL."""
    depth = 1
    for match in COMMENT_MARK.finditer(text, at):
        depth += 1 if match[0] == "/*" else -1
        if depth == 0:
            return match.end()
    raise StatementError("The SQL text has a comment that is not closed (/*).")


def fragment(text: str) -> Statement:
    """A part of a statement that we wrote ourselves, cut at its parameters."""
    scan = Scan(text)
    scan.run()
    return Statement(tuple(scan.pieces), tuple(scan.names))


class Wording:
    """How a database wants names quoted and pages asked for: this one fits PostgreSQL and SQLite."""

    def name(self, name: str) -> str:
        return quote_name(name)

    def names(self, names: "tuple[str, ...] | list[str]") -> str:
        return ", ".join(map(self.name, names))

    def table(self, name: str) -> str:
        """`schema.table` or `table`, each part quoted."""
        return ".".join(self.name(part) for part in name.split(".", 1))

    def first(self, count: int, order: str = "") -> str:
        """The end of a query that wants the first rows in an order (`ORDER BY …`)."""
        return f"{order} LIMIT {count}"

    def after(self, columns: "tuple[str, ...]", marks: "list[str]") -> str:
        """The condition on rows that come after the one with these values."""
        return f"({self.names(columns)}) > ({', '.join(marks)})"


STANDARD = Wording()


def quote_name(name: str) -> str:
    """A name as an SQL identifier, whatever it contains."""
    return '"' + name.replace('"', '""') + '"'


def quote_table(name: str) -> str:
    """`schema.table` or `table`, each part quoted."""
    return ".".join(quote_name(part) for part in name.split(".", 1))


def quote_names(names: "tuple[str, ...] | list[str]") -> str:
    return ", ".join(quote_name(name) for name in names)
