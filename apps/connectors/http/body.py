"""Reads the body of an answer: unpacked by ourselves, piece by piece, never more than the limits allow."""

import zlib

import aiohttp

from apps.connectors.base import Limits
from apps.connectors.http.faults import place_of, unknown
from apps.connectors.http.wire import FaultError
from apps.engine.ports import Classification

PIECE = 256 * 1024
FREE_BYTES = 1024 * 1024
"""Below this size a ratio says nothing: a page of zeros is no attack."""


class Unpacker:
    """Adds up the pieces of one body. Raises FaultError beyond the limits."""

    def __init__(self, encoding: str, limits: Limits, place: str) -> None:
        self._limits = limits
        self._place = place
        self._packed = 0
        self._pieces: list[bytes] = []
        self.size = 0
        self._encoding = encoding
        self._inflate = inflater(encoding)
        if self._inflate is None and encoding not in ("", "identity"):
            text = f"The answer of {place} is packed in a way that was not asked for ({encoding[:40]})."
            raise unknown("malformed_answer", text, Classification.PARSE)

    def add(self, piece: bytes) -> None:
        self._packed += len(piece)
        if self._inflate is None:
            self._keep(piece)
            return
        try:
            self._add_packed(piece)
        except zlib.error:
            text = f"The answer of {self._place} says that it is packed ({self._encoding}), but cannot be unpacked."
            raise unknown("malformed_answer", text, Classification.PARSE) from None

    def end(self) -> None:
        if self._inflate is not None and self._packed and not self._inflate.eof:
            raise unknown("truncated", f"The packed answer of {self._place} broke off before its end.")

    def content(self) -> bytes:
        return b"".join(self._pieces)

    def _add_packed(self, piece: bytes) -> None:
        assert self._inflate is not None
        if self._encoding == "deflate" and self._packed == len(piece) and is_raw_deflate(piece):
            self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        is_full = False
        while piece or is_full:
            if self._inflate.eof:  # a second member follows the first
                self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
            made = self._inflate.decompress(piece, PIECE)
            self._keep(made)
            self._check_ratio()
            piece = self._inflate.unconsumed_tail or (self._inflate.unused_data if self._encoding != "deflate" else b"")
            is_full = len(made) == PIECE and not self._inflate.eof  # it may hold back more without any input

    def _keep(self, piece: bytes) -> None:
        self.size += len(piece)
        if self.size > self._limits.max_bytes:
            text = f"The answer of {self._place} is larger than the limit of {self._limits.max_bytes:,} bytes."
            raise unknown("too_large", text, Classification.TOO_LARGE)
        self._pieces.append(piece)

    def _check_ratio(self) -> None:
        if self.size > FREE_BYTES and self.size > self._packed * self._limits.max_ratio:
            text = (
                f"The answer of {self._place} unpacks to more than {self._limits.max_ratio} times its size, "
                "which no honest answer does."
            )
            raise unknown("too_large", text, Classification.TOO_LARGE)


def inflater(encoding: str) -> "zlib._Decompress | None":
    if encoding in ("gzip", "x-gzip"):
        return zlib.decompressobj(zlib.MAX_WBITS | 16)
    return zlib.decompressobj() if encoding == "deflate" else None


def is_raw_deflate(piece: bytes) -> bool:
    """Some servers leave out the header that `deflate` should have."""
    return (piece[0] & 0x0F) != 8 or (len(piece) > 1 and int.from_bytes(piece[:2], "big") % 31 != 0)


async def read_body(response: aiohttp.ClientResponse, limits: Limits) -> bytes:
    """The whole body. Raises FaultError with what was read so far, or what the client library raises."""
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if not encoding and response.content_length is not None and response.content_length <= limits.max_bytes:
        return await response.read()  # its length was told and is kept: the usual case, and the quickest way
    content = response.content
    unpacker = Unpacker(encoding, limits, place_of(response.url))
    try:
        while True:
            piece = await content.readany()
            if not piece:
                break
            unpacker.add(piece)
        unpacker.end()
    except FaultError as fault:
        fault.body = unpacker.content()[:PIECE]
        raise
    return unpacker.content()
