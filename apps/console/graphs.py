"""The small pictures in lists, as SVG: status is told by height and shape, colour repeats it."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from apps.console.markup import markup
from apps.console.wording import count_text

Mark = tuple[str, float, float, float, float]  # class, x, y, width, height
MARK = '<rect class="{}" x="{}" y="{}" width="{}" height="{}" rx="1"/>'

RUN_WIDTH, RUN_HEIGHT = 7, 16
# a run's letter: its word, and its marks as (class, top, height)
RUN_LETTERS: dict[str, tuple[str, tuple[tuple[str, int, int], ...]]] = {
    "o": ("completed", (("ok", 10, 6),)),
    "w": ("with errors", (("warn", 10, 6), ("warn", 4, 4))),
    "f": ("failed", (("err", 0, 16),)),
    "c": ("canceled", (("idle", 13, 3),)),
    "e": ("empty", (("idle", 15, 1),)),
    "r": ("running", (("run", 7, 9),)),
    "q": ("queued", (("wait", 10, 5),)),
}


@lru_cache(maxsize=4_096)
def run_strip(letters: str) -> SafeString:
    """The last runs, oldest left: short = completed, stacked = with errors, full = failed, dot = canceled.

    Most flows have the same one, so it is drawn once: drawing was a third of a list's time.
    """
    known = [letter for letter in letters if letter in RUN_LETTERS]
    return markup(
        '<svg class="rs" width="{0}" height="{1}" viewBox="0 0 {0} {1}" role="img" aria-label="{2}">{3}</svg>',
        len(known) * RUN_WIDTH,
        RUN_HEIGHT,
        _strip_label(known),
        format_html_join("", MARK, _run_marks(known)),
    )


def _run_marks(letters: Sequence[str]) -> Iterator[Mark]:
    for index, letter in enumerate(letters):
        for role, top, height in RUN_LETTERS[letter][1]:
            yield role, index * RUN_WIDTH, top, 4, height


def _strip_label(letters: Sequence[str]) -> str:
    if not letters:
        return "No runs yet"
    counts = [f"{letters.count(letter)} {word}" for letter, (word, _) in RUN_LETTERS.items() if letter in letters]
    return f"Last {len(letters)} runs: {', '.join(counts)}"


PAGE_WIDTH, MOST_SQUARES = 8, 32
WAITING = '<rect class="wait" x="{}" y="3.5" width="6" height="9" rx="1"/>'
AT_WORK = WAITING + '<rect class="run" x="{}" y="8" width="6" height="5" rx="1"/>'
DONE = '<rect class="ok" x="{}" y="3" width="6" height="10" rx="1"/>'
NOTCHED = '<rect class="warn" x="{}" y="3" width="6" height="10" rx="1"/><path class="hole" d="M{} 3v4.4l-4.6-4.4z"/>'


@dataclass(frozen=True)
class PageProgress:
    done: int
    at_work: int
    total: int
    with_errors: frozenset[int]  # positions of pages, counted from 0

    @property
    def pages_per_square(self) -> int:
        return max(-(-self.total // MOST_SQUARES), 1)

    def squares(self) -> Iterator[SafeString]:
        """At most 32 squares; in a longer run each stands for several pages and is filled when all are done."""
        size = self.pages_per_square
        for square, first in enumerate(range(0, self.total, size)):
            yield self._square(square * PAGE_WIDTH + 0.5, first, min(first + size, self.total))

    def _square(self, x: float, first: int, end: int) -> SafeString:
        if end <= self.done:
            failed = any(page in self.with_errors for page in range(first, end))
            return markup(NOTCHED, x, x + 6.2) if failed else markup(DONE, x)
        if first < self.done + self.at_work:
            return markup(AT_WORK, x, x)
        return markup(WAITING, x)


def page_squares(done: int, at_work: int, total: int, with_errors: Collection[int] = ()) -> SafeString:
    """Progress of a step: filled = done, notch = has errors, half = in work, outline = waiting."""
    progress = PageProgress(done, at_work, max(total, done + at_work), frozenset(with_errors))
    squares = list(progress.squares())
    return markup(
        '<svg class="rs" width="{0}" height="16" viewBox="0 0 {0} 16" role="img" aria-label="{1}">{2}</svg>',
        len(squares) * PAGE_WIDTH,
        _pages_label(progress),
        format_html_join("", "{}", ((square,) for square in squares)),
    )


def _pages_label(progress: PageProgress) -> str:
    waiting = progress.total - progress.done - progress.at_work
    return (
        f"Pages: {progress.done} done, {len(progress.with_errors)} of them with errors, "
        f"{progress.at_work} in work, {waiting} waiting"
    )


def spark_line(values: Sequence[float], width: int = 76, height: int = 20, role: str = "") -> SafeString:
    """A line without a scale, as decoration beside its number; empty with fewer than two values."""
    if len(values) < 2:
        return SafeString("")
    top, step = max(values) or 1, (width - 2) / (len(values) - 1)
    points = (
        f"{index * step + 1:.1f} {height - 2 - (height - 4) * value / top:.1f}" for index, value in enumerate(values)
    )
    return markup(
        '<svg class="spark {}" width="{}" height="{}" aria-hidden="true"><path d="M{}"/></svg>',
        role,
        width,
        height,
        " L".join(points),
    )


def histogram(values: Sequence[int], label: str, width: int = 120, height: int = 22) -> SafeString:
    """Bars on their own scale; the label names what they count and the largest value."""
    return markup(
        '<svg class="spark" width="{}" height="{}" role="img" aria-label="{}, at most {}">{}</svg>',
        width,
        height,
        label,
        count_text(max(values, default=0)),
        SafeString("".join(_bars(values, width, height))),
    )


def _bars(values: Sequence[int], width: int, height: int) -> Iterator[str]:
    """Numbers only, so there is nothing to escape; a list of root causes has hundreds of them."""
    top, step = max(values, default=0) or 1, width / max(len(values), 1)
    for index, value in enumerate(values):
        tall = max(1, height * value / top)
        yield (
            f'<rect class="{"bar" if value else "bar0"}" x="{index * step:.1f}" y="{height - tall:.1f}" '
            f'width="{step - 1.2:.1f}" height="{tall:.1f}"/>'
        )


DASHES = ("", "7 3", "2 2", "9 2 2 2", "12 3", "4 4", "1 3", "8 2 1 2 1 2")


def series_sample(place: int) -> SafeString:
    """The line of the 1st to 8th series, colour and dash pattern. Raises IndexError above 8."""
    return markup(
        '<svg class="sample" aria-hidden="true"><line class="s{}" x1="0" y1="5" x2="22" y2="5" '
        'stroke-dasharray="{}"/></svg>',
        place,
        DASHES[place - 1],
    )
