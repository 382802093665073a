"""A folder that nothing leaves: every name is opened segment by segment below it, and no link is followed."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO

from apps.connectors.files.store import Found
from apps.engine.ports import Classification, ConnectorError

HIDDEN = ".flowmend"
"""Where the connector keeps what is not yet published. Never read by an export, never written by a name of a flow."""

FOLDER_MODE = 0o750
FILE_MODE = 0o640
MAX_SEGMENT_BYTES = 255
MAX_FILES = 10_000

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # NONBLOCK: a named pipe must not hang the worker


class LocalFile:
    """A regular file of this machine, open for reading. Every method but `read_at` may raise OSError."""

    def __init__(self, fd: int, name: str) -> None:
        self._fd = fd
        self._name = name
        self.found = self.look()

    def read_at(self, offset: int, size: int) -> bytes:
        try:
            return os.pread(self._fd, size, offset)
        except OSError as error:
            raise ConnectorError(
                "read_failed",
                f"{self._name} could not be read at byte {offset}: {error.strerror}.",
                classification=Classification.INTERMITTENT,
            ) from error

    def look(self) -> Found:
        return found_of(self._name, os.fstat(self._fd))

    def seekable(self) -> BinaryIO:
        file = os.fdopen(os.dup(self._fd), "rb")
        file.seek(0)
        return file

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def found_of(name: str, info: os.stat_result) -> Found:
    return Found(name, info.st_size, info.st_mtime_ns, info.st_ino)


def split_name(name: str) -> list[str]:
    """The segments of a relative name. Raises ValueError with a sentence for every name that could leave the root."""
    if not name.strip("/"):
        raise ValueError("A file name is missing.")
    if name.startswith(("/", "\\", "~")):
        raise ValueError(f'"{name}" must be relative to the folder of the connection: leave out the "{name[0]}".')
    segments = [segment for segment in name.split("/") if segment not in ("", ".")]
    for segment in segments:
        _check_segment(name, segment)
    return segments


def _check_segment(name: str, segment: str) -> None:
    if segment == "..":
        raise ValueError(f'"{name}" may not leave the folder of the connection: ".." is refused.')
    if segment == HIDDEN:
        raise ValueError(f'"{name}" is refused: {HIDDEN} belongs to Flowmend.')
    if "\\" in segment or any(ord(letter) < 32 or ord(letter) == 127 for letter in segment):
        raise ValueError(f"{name!r} may hold no backslash and no control character.")
    try:
        length = len(os.fsencode(segment))
    except UnicodeEncodeError:
        raise ValueError(f"{name!r} holds a character that a file name cannot have.") from None
    if length > MAX_SEGMENT_BYTES:
        raise ValueError(f'"{segment[:40]}…" is longer than {MAX_SEGMENT_BYTES} bytes.')


def checked_name(name: str) -> list[str]:
    """`split_name` for names that are only known when a flow runs: raises ConnectorError."""
    try:
        return split_name(name)
    except ValueError as error:
        raise ConnectorError("name_refused", str(error), classification=Classification.VALUE) from None


def is_pattern(name: str) -> bool:
    return any(sign in name for sign in "*?[")


class Root:
    """The folder of one connection, held open. `shown` is how sentences name it. Every method may raise OSError.

    Raises FileNotFoundError when the folder does not exist and is not to be made.
    """

    def __init__(self, base: Path, folder: str, *, create: bool = False) -> None:
        self.shown = folder or "the connection's folder"
        base.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        segments = split_name(folder) if folder else []
        top = os.open(base.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._fd = _descend(top, [base.name, *segments], create=create)
        finally:
            os.close(top)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    @contextmanager
    def directory(self, segments: list[str], *, create: bool = False) -> Iterator[int]:
        """A descriptor of a folder below the root, closed at the end of the block."""
        fd = _descend(self._fd, segments, create=create)
        try:
            yield fd
        finally:
            os.close(fd)

    def open_file(self, name: str) -> LocalFile:
        *folders, last = split_name(name)
        with self.directory(folders) as parent:
            fd = os.open(last, _READ, dir_fd=parent)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise OSError(f"{name} is not a regular file")
            return LocalFile(fd, "/".join([*folders, last]))
        except OSError:
            os.close(fd)
            raise

    def find(self, pattern: str) -> list[Found]:
        """The regular files that a name or a pattern of names stands for, in name order."""
        return sorted(self._find([], split_name(pattern)))

    def _find(self, folders: list[str], pattern: list[str]) -> Iterator[Found]:
        first, *rest = pattern
        for name, info in self.entries(folders):
            if not matches(name, first):
                continue
            if rest and stat.S_ISDIR(info.st_mode):
                yield from self._find([*folders, name], rest)
            elif not rest and stat.S_ISREG(info.st_mode):
                yield found_of("/".join([*folders, name]), info)

    def entries(self, folders: list[str]) -> list[tuple[str, os.stat_result]]:
        """What a folder holds, links left out; nothing when it is not there."""
        found: list[tuple[str, os.stat_result]] = []
        try:
            with self.directory(folders) as fd, os.scandir(fd) as listing:
                for entry in listing:
                    with suppress(FileNotFoundError):
                        info = entry.stat(follow_symlinks=False)
                        if not stat.S_ISLNK(info.st_mode) and entry.name != HIDDEN:
                            found.append((entry.name, info))
        except (FileNotFoundError, NotADirectoryError):
            return []
        return found

    def names(self, folders: list[str]) -> list[str]:
        return sorted(name for name, _ in self.entries(folders))

    def move(self, name: str, into: list[str]) -> str:
        """Move a file into a folder below the root; a taken name gets a number. The new name is handed back."""
        *folders, last = split_name(name)
        with self.directory(folders) as source, self.directory(into, create=True) as target:
            for number in range(1, MAX_FILES):
                free = last if number == 1 else numbered(last, number)
                if _move_to_free_name(source, last, target, free):
                    return "/".join([*into, free])
        raise OSError(f"{'/'.join(into)} has too many files named like {last}")


def _move_to_free_name(source: int, name: str, target: int, free: str) -> bool:
    """A hard link fails where a name is taken, unlike a rename: nothing is ever overwritten."""
    try:
        os.link(name, free, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
    except FileExistsError:
        if not _is_same_file(source, name, target, free):
            return False
    os.unlink(name, dir_fd=source)
    return True


def _is_same_file(source: int, name: str, target: int, other: str) -> bool:
    """True after a kill between link and unlink: the file already has its new name too."""
    old, new = os.stat(name, dir_fd=source, follow_symlinks=False), os.stat(other, dir_fd=target, follow_symlinks=False)
    return (old.st_ino, old.st_dev) == (new.st_ino, new.st_dev) and source != target


def numbered(name: str, number: int) -> str:
    stem, dot, endings = name.partition(".")
    return f"{stem}-{number}{dot}{endings}"


def matches(name: str, pattern: str) -> bool:
    if not is_pattern(pattern):
        return name == pattern
    return fnmatchcase(name, pattern) and (pattern.startswith(".") or not name.startswith("."))


def _descend(fd: int, segments: list[str], *, create: bool) -> int:
    """A new descriptor of the folder that the segments lead to. A link on the way raises OSError."""
    at = os.dup(fd)
    for segment in segments:
        try:
            if create:
                with suppress(FileExistsError):
                    os.mkdir(segment, FOLDER_MODE, dir_fd=at)
            below = os.open(segment, _DIRECTORY, dir_fd=at)
        finally:
            os.close(at)
        at = below
    return at
