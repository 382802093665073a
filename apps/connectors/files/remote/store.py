"""What a protocol of remote files has to offer; finding, moving and reading in blocks are built on it once."""

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from apps.connectors.files.root import HIDDEN, MAX_FILES, is_pattern, matches, numbered, split_name
from apps.connectors.files.store import Found, OpenFile
from apps.engine.ports import Classification, ConnectorError

BLOCK_BYTES = 4 * 1024 * 1024
MAX_SPOOLED_BYTES = 1024 * 1024 * 1024
"""A workbook is copied to this machine before it is read: so much at most."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or a folder in a listing; links and other special files do not occur. `name` is its last segment."""

    name: str
    is_folder: bool
    size: int = 0
    mtime_ns: int = 0
    tag: str = ""

    def found(self, folders: list[str]) -> Found:
        return Found("/".join([*folders, self.name]), self.size, self.mtime_ns, tag=self.tag)


class RemoteStore(ABC):
    """A folder on another machine. Names are relative to it. Every method raises ConnectorError and Outage only."""

    shown: str

    # --- what the protocol does --------------------------------------------------------------------------------------
    @abstractmethod
    def entries(self, folders: list[str]) -> list[Entry]:
        """What a folder holds; nothing when it is not there."""

    @abstractmethod
    def entry(self, name: str) -> Entry | None: ...

    @abstractmethod
    def open_file(self, name: str) -> OpenFile: ...

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """A whole small file, or None if it is not there."""

    @abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """Write a small file, its folders too: it is there whole or not at all, and takes the place of an old one."""

    @abstractmethod
    def create(self, name: str, content: bytes) -> bool:
        """Like `write`, but False where the name is taken: of several workers one succeeds."""

    @abstractmethod
    def replace(self, name: str, file: BinaryIO, run: str) -> None:
        """Publish a file of any size in one step, so that `publisher_of` knows from then on which run it is."""

    @abstractmethod
    def publisher_of(self, name: str) -> str:
        """The run whose file is in place, or "" if that is not known."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file; nothing happens when it is not there."""

    @abstractmethod
    def remove_folder(self, folders: list[str]) -> None:
        """Remove an empty folder, where there are such."""

    @abstractmethod
    def transfer(self, name: str, new: str) -> bool:
        """Give a file another name; False where that is taken by another file."""

    @abstractmethod
    def look_into(self) -> str:
        """Try whether the folder can be read and written; what was found, as a sentence."""

    @abstractmethod
    def close(self) -> None: ...

    # --- what follows from it ----------------------------------------------------------------------------------------
    def find(self, pattern: str) -> list[Found]:
        return sorted(self._find([], split_name(pattern)))

    def _find(self, folders: list[str], pattern: list[str]) -> Iterator[Found]:
        first, *rest = pattern
        if rest and not is_pattern(first):
            yield from self._find([*folders, first], rest)
            return
        for entry in self._candidates(folders, first):
            if rest and entry.is_folder:
                yield from self._find([*folders, entry.name], rest)
            elif not rest and not entry.is_folder:
                yield entry.found(folders)

    def _candidates(self, folders: list[str], pattern: str) -> list[Entry]:
        """A plain name is asked for alone: its folder may hold very many."""
        if not is_pattern(pattern):
            entry = self.entry("/".join([*folders, pattern]))
            return [entry] if entry else []
        return [entry for entry in self.entries(folders) if entry.name != HIDDEN and matches(entry.name, pattern)]

    def names(self, folders: list[str]) -> list[str]:
        return sorted(entry.name for entry in self.entries(folders) if entry.name != HIDDEN)

    def move(self, name: str, into: list[str]) -> str:
        last = split_name(name)[-1]
        for number in range(1, MAX_FILES):
            new = "/".join([*into, last if number == 1 else numbered(last, number)])
            if self.transfer(name, new):
                return new
        text = f"{name} could not be moved: {'/'.join(into)} has too many files of this name."
        raise ConnectorError("file_failed", text, classification=Classification.DUPLICATE)


class BlockFile:
    """A remote file that is read in large blocks; `fetch(offset, size)` gives exactly so many bytes."""

    def __init__(
        self, found: Found, fetch: Callable[[int, int], bytes], look: Callable[[], Found], close: Callable[[], None]
    ) -> None:
        self.found = found
        self.look = look
        self.close = close
        self._fetch = fetch
        self._start = 0
        self._block = b""

    def read_at(self, offset: int, size: int) -> bytes:
        if offset >= self.found.size:
            return b""
        if not self._start <= offset < self._start + len(self._block):
            self._block = self._fetch(offset, min(BLOCK_BYTES, self.found.size - offset))
            self._start = offset
        at = offset - self._start
        return self._block[at : at + size]

    def seekable(self) -> BinaryIO:
        if self.found.size > MAX_SPOOLED_BYTES:
            text = f"{self.found.name} is larger than {MAX_SPOOLED_BYTES} bytes, the most that is copied to be read."
            raise ConnectorError("too_large", text, classification=Classification.TOO_LARGE)
        file = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
        while block := self.read_at(file.tell(), BLOCK_BYTES):
            file.write(block)
        file.seek(0)
        return file


def whole(file: OpenFile) -> bytes:
    """All bytes of a small file."""
    pieces: list[bytes] = []
    at = 0
    while piece := file.read_at(at, BLOCK_BYTES):
        pieces.append(piece)
        at += len(piece)
    return b"".join(pieces)
