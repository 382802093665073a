"""What changed between two texts, line by line, for the screen."""

from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import islice

from apps.console.json_view import visible

MOST_COMPARED = 4_000  # lines on both sides together: beyond that comparing takes too long for a page
CONTEXT_LINES = 3


@dataclass(frozen=True)
class DiffLine:
    """`sign` is "+", "-", " ", or "…" where equal lines are left out."""

    sign: str
    number: str
    text: str


@dataclass(frozen=True)
class TextDiff:
    """Two texts compared; without lines they are equal or, if they are too large, were not compared."""

    lines: tuple[DiffLine, ...] = ()
    is_too_large: bool = False

    @property
    def added(self) -> int:
        return sum(line.sign == "+" for line in self.lines)

    @property
    def removed(self) -> int:
        return sum(line.sign == "-" for line in self.lines)


def compare_texts(before: str, after: str) -> TextDiff:
    """What changed between two texts, or that they are too large for a page."""
    lines = [[visible(line) for line in text.splitlines()] for text in (before, after)]
    if len(lines[0]) + len(lines[1]) > MOST_COMPARED:
        return TextDiff(is_too_large=True)
    return TextDiff(tuple(diff_lines(*lines)))


def diff_lines(before: list[str], after: list[str]) -> list[DiffLine]:
    """The changed lines with three equal ones around each; empty when nothing differs."""
    found: list[DiffLine] = []
    for group in SequenceMatcher(None, before, after, autojunk=False).get_grouped_opcodes(CONTEXT_LINES):
        found += [DiffLine("…", "", "")] if found else []
        for tag, first, last, new_first, new_last in group:
            if tag == "equal":
                found += [DiffLine(" ", str(first + n + 1), text) for n, text in enumerate(before[first:last])]
                continue
            found += [DiffLine("-", str(first + n + 1), text) for n, text in enumerate(before[first:last])]
            found += [
                DiffLine("+", str(new_first + n + 1), text) for n, text in enumerate(islice(after, new_first, new_last))
            ]
    return found
