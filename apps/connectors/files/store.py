"""What the readers of files ask of the place where they lie: a folder of this machine, an SFTP server, a bucket."""

from dataclasses import dataclass
from typing import BinaryIO, Protocol


@dataclass(frozen=True, slots=True, order=True)
class Found:
    """A file below the root. `name` has its folders, joined by "/"; `size` in bytes, `mtime_ns` since 1970.

    `inode` and `tag` tell one state of a file from another where the place knows more than size and time.
    """

    name: str
    size: int
    mtime_ns: int
    inode: int = 0
    tag: str = ""

    @property
    def fingerprint(self) -> list[int | str]:
        return [self.size, self.mtime_ns, self.inode, *([self.tag] if self.tag else [])]


class OpenFile(Protocol):
    """A file that is being read. Raises ConnectorError and Outage, the local one OSError."""

    found: Found

    def read_at(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from an offset on; b"" only at the end."""

    def look(self) -> Found:
        """What the file is like now."""

    def seekable(self) -> BinaryIO:
        """The whole file for readers that jump about in it; the caller closes it."""

    def close(self) -> None: ...


class Store(Protocol):
    """A confined folder of files, wherever it is. `shown` is how sentences name it."""

    shown: str

    def find(self, pattern: str) -> list[Found]:
        """The regular files that a name or a pattern of names stands for, in name order."""

    def names(self, folders: list[str]) -> list[str]:
        """What a folder holds, sorted; nothing when it is not there."""

    def open_file(self, name: str) -> OpenFile: ...

    def move(self, name: str, into: list[str]) -> str:
        """Move a file into a folder below the root; a taken name gets a number. The new name is handed back."""
