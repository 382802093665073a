"""Bytes of a file from an offset on, as text formats want them: unpacked, and UTF-16 turned into UTF-8.

Offsets count unpacked bytes. A plain file is entered at its offset at once; a packed one is unpacked up to it again.
"""

import codecs
import zlib
from dataclasses import dataclass
from typing import Protocol

from apps.connectors.base import Limits
from apps.connectors.files.store import OpenFile
from apps.engine.ports import Classification, ConnectorError

BLOCK = 1 << 20
GZIP_MAGIC = b"\x1f\x8b"
WIDE_ENCODINGS = ("utf-16", "utf-32")
"""Prefixes of the encodings whose line feed is more than one byte: they are turned into UTF-8 before lines are cut."""


class Stream(Protocol):
    """Bytes in order; `read` gives up to `size` bytes, and b"" only at the end. Raises ConnectorError."""

    def read(self, size: int = BLOCK) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Packing:
    """How the bytes of one file are to be read; `wide` names an encoding to be turned into UTF-8, or is empty."""

    name: str
    is_gzip: bool
    limits: Limits
    wide: str = ""


def open_stream(file: OpenFile, packing: Packing, offset: int = 0) -> Stream:
    """A stream from an offset on. The file stays the caller's."""
    if not packing.is_gzip and not packing.wide:
        return Plain(file, offset)
    stream: Stream = Plain(file)
    if packing.is_gzip:
        stream = Unpacked(stream, packing)
    if packing.wide:
        stream = Narrowed(stream, packing)
    return _skipped(stream, offset)


def read_sample(stream: Stream, size: int) -> bytes:
    """The first `size` bytes, or all where there are fewer."""
    sample = b""
    while len(sample) < size:
        block = stream.read(size - len(sample))
        if not block:
            break
        sample += block
    return sample


def _skipped(stream: Stream, offset: int) -> Stream:
    while offset > 0:
        block = stream.read(min(offset, BLOCK))
        if not block:
            break
        offset -= len(block)
    return stream


class Plain:
    """The file as it lies in its place."""

    def __init__(self, file: OpenFile, offset: int = 0) -> None:
        self._file = file
        self._at = offset

    def read(self, size: int = BLOCK) -> bytes:
        block = self._file.read_at(self._at, size)
        self._at += len(block)
        return block


class Unpacked:
    """A gzip file, one member or many, checked and within the limit on how far it may unfold."""

    def __init__(self, inner: Stream, packing: Packing) -> None:
        self._inner = inner
        self._name = packing.name
        self._limits = packing.limits
        self._member: zlib._Decompress | None = None
        self._waiting = b""
        self._packed = 0
        self._unpacked = 0

    def read(self, size: int = BLOCK) -> bytes:
        while True:
            if not self._waiting:
                self._waiting = self._inner.read()
                self._packed += len(self._waiting)
                if not self._waiting:
                    return self._last(size)
            block = self._inflate(size)
            if block:
                return self._counted(block)

    def _inflate(self, size: int) -> bytes:
        if self._member is None:
            self._waiting = self._waiting.lstrip(b"\0")  # padding between and after members is allowed
            if not self._waiting:
                return b""
            self._member = zlib.decompressobj(31)
        try:
            block = self._member.decompress(self._waiting, size)
        except zlib.error as error:
            raise self._broken("gzip_damaged", f"is damaged after {self._unpacked} unpacked bytes ({error})") from error
        self._waiting = self._member.unconsumed_tail
        if self._member.eof:
            self._waiting = self._member.unused_data
            self._member = None
        return block

    def _last(self, size: int) -> bytes:
        if self._member is None:
            return b""
        block = self._inflate(size)
        if block or self._member is None:
            return self._counted(block)
        raise self._broken("gzip_truncated", f"ends in the middle of its packed data, after {self._unpacked} bytes")

    def _counted(self, block: bytes) -> bytes:
        self._unpacked += len(block)
        limits = self._limits
        if self._unpacked > limits.max_bytes and self._unpacked > limits.max_ratio * max(self._packed, 1):
            raise ConnectorError(
                "unpacks_too_far",
                f"{self._name} unfolds to more than {limits.max_ratio} times its size and was not read further.",
                classification=Classification.TOO_LARGE,
            )
        return block

    def _broken(self, code: str, what: str) -> ConnectorError:
        text = f"{self._name} {what}. Have the file written again, then retry."
        return ConnectorError(code, text, classification=Classification.PARSE)


class Narrowed:
    """UTF-16 or UTF-32 as UTF-8. What cannot be decoded becomes a byte that UTF-8 cannot have: its row is a bad one."""

    def __init__(self, inner: Stream, packing: Packing) -> None:
        self._inner = inner
        self._decoder = codecs.getincrementaldecoder(packing.wide)(errors="replace")
        self._waiting = b""
        self._is_done = False

    def read(self, size: int = BLOCK) -> bytes:
        while not self._waiting and not self._is_done:
            block = self._inner.read()
            self._is_done = not block
            text = self._decoder.decode(block, final=self._is_done)
            self._waiting = text.encode("utf-8", "surrogatepass").replace(b"\xef\xbf\xbd", b"\xff")
        given, self._waiting = self._waiting[:size], self._waiting[size:]
        return given
