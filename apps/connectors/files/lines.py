"""Cuts a stream into lines, remembering the byte and the number at which the next one begins."""

from collections.abc import Callable
from io import BytesIO

from apps.connectors.files.streams import BLOCK, Stream

SHOWN_BYTES = 64 * 1024
"""How much of a line that is too long is kept, to be shown."""

PAGE_BYTES = 16 * 1024 * 1024
"""A page ends early when its lines are longer than this together: memory stays bounded whatever the records hold."""


def at_line_feed(block: bytes) -> list[bytes]:
    """Lines that end in \\n only, as JSON Lines has them."""
    return BytesIO(block).readlines()


def at_any_line_end(block: bytes) -> list[bytes]:
    """Lines that end in \\n, \\r\\n or \\r, as CSV files have them."""
    return block.splitlines(keepends=True)


class Lines:
    """`waiting` are lines read and not yet consumed, with their line ends.

    `offset` (bytes) and `number` (from 1) belong to `waiting[0]`. A line longer than `max_bytes` is cut: `cut` has its
    whole length by index in `waiting`.
    """

    def __init__(
        self,
        stream: Stream,
        split: Callable[[bytes], list[bytes]],
        max_bytes: int,
        *,
        offset: int = 0,
        number: int = 1,
    ) -> None:
        self.offset = offset
        self.number = number
        self.waiting: list[bytes] = []
        self.cut: dict[int, int] = {}
        self._stream = stream
        self._split = split
        self._line_ends = (b"\n", b"\r") if split is at_any_line_end else (b"\n",)
        self._max_bytes = max_bytes
        self._rest = b""
        self._rest_length = 0
        self._is_done = False

    def fill(self) -> int:
        """Read one more block; gives the bytes added to `waiting`, 0 at the end."""
        before = len(self.waiting)
        while len(self.waiting) == before and not self._is_done:
            block = self._stream.read(BLOCK)
            self._is_done = not block
            self._take(block)
        return sum(map(len, self.waiting[before:]))

    def consume(self, count: int) -> None:
        """Let go of the first lines."""
        self.offset += sum(map(len, self.waiting[:count]))
        self.offset += sum(length - len(self.waiting[at]) for at, length in self.cut.items() if at < count)
        self.cut = {at - count: length for at, length in self.cut.items() if at >= count}
        self.number += count
        del self.waiting[:count]

    def _take(self, block: bytes) -> None:
        length = self._rest_length + len(block)
        if self._rest_length > len(self._rest):
            self._take_after_cut(block, length)
            return
        lines = self._split(self._rest + block)
        # A line that ends in \r stays too: it may go on with \n in the next block.
        is_open = bool(lines) and not self._is_done and not lines[-1].endswith(b"\n")
        self._keep_rest(lines.pop() if is_open else b"")
        for at, line in enumerate(lines):
            if len(line) > self._max_bytes:
                self.cut[len(self.waiting) + at] = len(line)
                lines[at] = line[:SHOWN_BYTES]
        self.waiting += lines

    def _keep_rest(self, rest: bytes) -> None:
        self._rest, self._rest_length = rest, len(rest)
        if len(rest) > self._max_bytes:
            self._rest = rest[:SHOWN_BYTES]

    def _take_after_cut(self, block: bytes, length: int) -> None:
        """The rest of a line that is too long is counted, not kept."""
        first, *others = self._split(block) or [b""]
        if not others and not self._is_done and not first.endswith(self._line_ends):
            self._rest_length = length
            return
        self.cut[len(self.waiting)] = self._rest_length + len(first)
        self.waiting.append(self._rest)
        self._rest, self._rest_length = b"", 0
        remainder = block[len(first) :]
        if remainder:
            self._take(remainder)
