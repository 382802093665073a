"""What changed between two texts, line by line, for the screen."""

from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import islice

MOST_COMPARED = 4_000  # lines on both sides together: beyond that comparing takes too long for a page
CONTEXT_LINES = 3


@dataclass(frozen=True)
class DiffLine:
    """`sign` is "+", "-", " ", or "…" where equal lines are left out."""

    sign: str
    number: str
    text: str


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
