"""Walks through a JSON document of any size and cuts out values by their brackets, in constant memory.

Only brackets, strings and separators are looked at; whether a cut-out value is valid is for its parser to say.
"""

import re
from typing import Final

from apps.connectors.files.streams import BLOCK, Stream

_TO_BRACKET = re.compile(rb'[^"{}\[\]]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"{}\[\]]*+)*+([{}\[\]])', re.DOTALL)
"""Over everything, strings as a whole, up to the next bracket. Possessive: no backtracking, linear in time."""

_BODY = re.compile(rb'[^"{}\[\]]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"{}\[\]]*+)*+', re.DOTALL)
_STRING_REST = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_SCALAR = re.compile(rb"[^\s,\[\]{}\"]++(?=[\s,\]}])")
_SPACE = re.compile(rb"[ \t\r\n]*+")
_SHOWN = 64 * 1024
UTF8_MARK: Final = b"\xef\xbb\xbf"


class DocumentEndError(Exception):
    """The document ends where more is expected."""


class DocumentFaultError(Exception):
    """A character stands where none of its kind may; `offset` counts bytes from the document's beginning."""

    def __init__(self, offset: int, what: str) -> None:
        super().__init__(what)
        self.offset = offset
        self.what = what


class Cut:
    """A value cut out of the document. Longer than the limit: `raw` is its beginning and `size` the whole length."""

    __slots__ = ("is_cut", "raw", "size")

    def __init__(self, raw: bytes, size: int, *, is_cut: bool = False) -> None:
        self.raw = raw
        self.size = size
        self.is_cut = is_cut


class Scanner:
    """Stands at `offset` (bytes) of a document. Raises DocumentEndError and DocumentFaultError."""

    def __init__(self, stream: Stream, offset: int, max_bytes: int) -> None:
        self._stream = stream
        self._max_bytes = max_bytes
        self._buffer = b""
        self._at = 0
        self._base = offset
        if offset == 0 and self._more() and self._buffer.startswith(UTF8_MARK):
            self._at = len(UTF8_MARK)

    @property
    def offset(self) -> int:
        return self._base + self._at

    def peek(self) -> bytes:
        """The next character that is no white space, not taken; b"" at the end."""
        while True:
            space = _SPACE.match(self._buffer, self._at)
            assert space is not None  # it matches nothing too
            self._at = space.end()
            if self._at < len(self._buffer):
                return self._buffer[self._at : self._at + 1]
            self._base, self._buffer, self._at = self.offset, b"", 0
            if not self._more():
                return b""

    def take(self, expected: bytes) -> bytes:
        """Take one of the expected characters."""
        letter = self.peek()
        if not letter:
            raise DocumentEndError
        if letter not in expected:
            wanted = " or ".join(f'"{chr(sign)}"' for sign in expected)
            raise DocumentFaultError(self.offset, f"{wanted} is expected")
        self._at += 1
        return letter

    def string(self) -> bytes:
        """The next string with its quotes."""
        if self.peek() != b'"':
            self.take(b'"')
        return self._matched(_STRING).raw

    def value(self) -> Cut:
        """The next value: an object or list with all it holds, a string, or a word."""
        letter = self.peek()
        if not letter:
            raise DocumentEndError
        if letter in b"{[":
            return self._bracketed()
        if letter in b",:]}":
            raise DocumentFaultError(self.offset, "a value is missing")
        return self._matched(_STRING if letter == b'"' else _SCALAR)

    def close(self, depth: int) -> None:
        """Go over the rest of the document, which must close `depth` brackets and then end."""
        while depth:
            match = _TO_BRACKET.match(self._buffer, self._at)
            if match is None:
                self._skip_long_text()
                continue
            self._at = match.end()
            depth += 1 if match[1] in b"{[" else -1
        if self.peek():
            raise DocumentFaultError(self.offset, "more text follows the end of the document")

    def _bracketed(self) -> Cut:
        begin, start, depth, head = self.offset, self._at, 0, b""
        while True:
            match = _TO_BRACKET.match(self._buffer, self._at)
            if match is not None:
                self._at = match.end()
                depth += 1 if match[1] in b"{[" else -1
                if depth == 0:
                    return self._cut_out(start, self.offset - begin, head)
            elif head or len(self._buffer) - start > self._max_bytes:
                head = head or self._buffer[start : start + _SHOWN]
                self._skip_long_text()
                start = 0
            else:
                self._need_more(start)
                start = 0

    def _cut_out(self, start: int, size: int, head: bytes = b"") -> Cut:
        if size > self._max_bytes:
            return Cut(head or self._buffer[start : start + _SHOWN], size, is_cut=True)
        return Cut(self._buffer[start : self._at], size)

    def _matched(self, pattern: "re.Pattern[bytes]") -> Cut:
        while True:
            match = pattern.match(self._buffer, self._at)
            if match is not None:
                start, self._at = self._at, match.end()
                return self._cut_out(start, self._at - start)
            if len(self._buffer) - self._at > self._max_bytes:
                raise DocumentFaultError(self.offset, f"a text begins that is longer than {self._max_bytes} bytes")
            self._need_more(self._at)

    def _skip_long_text(self) -> None:
        """Go over what precedes the next bracket without keeping it, even a string that is longer than the buffer."""
        body = _BODY.match(self._buffer, self._at)
        assert body is not None  # it matches nothing too
        self._at = body.end()
        if self._at == len(self._buffer):
            self._need_more(self._at)
            return
        self._at += 1
        while True:
            rest = _STRING_REST.match(self._buffer, self._at)
            assert rest is not None
            self._at = rest.end()
            if self._buffer[self._at : self._at + 1] == b'"':
                self._at += 1
                return
            self._need_more(self._at)

    def _need_more(self, keep: int) -> None:
        """Read on and let go of the buffer before `keep`."""
        self._base += keep
        self._buffer = self._buffer[keep:]
        self._at -= keep
        if not self._more():
            raise DocumentEndError

    def _more(self) -> bool:
        """Blocks grow with what is kept: however long a value is, it is copied a bounded number of times."""
        block = self._stream.read(max(BLOCK, len(self._buffer)))
        self._buffer += block
        return bool(block)
