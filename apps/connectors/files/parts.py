"""What a run has written and not yet published: one part file for each write, in a hidden folder of the run.

A part is written beside, synced, and renamed into place: it is there whole or not at all. Its name tells which records
it holds, so the same write again replaces it. Where parts overlap (a page was delivered again in other portions) the
newest line of each record counts.
"""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from typing import Any, Protocol

import orjson

from apps.connectors.files.root import FILE_MODE, HIDDEN, Root

RUN_PREFIX = "run-"
ENDING = ".part"
TARGET_FILE = "target.json"
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Line:
    """One record to be written: `key` names it for ever, `ordinal` is its place in the run."""

    ordinal: int
    key: str
    text: bytes


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """A part file; `first` and `last` are the least and the greatest ordinal in it."""

    first: int
    last: int
    name: str


@dataclass(frozen=True, slots=True)
class Publication:
    """What is published: the run's folder, the name of its file, and whether that file keeps what it holds."""

    folder: str
    name: str
    is_append: bool


class PartFolder(Protocol):
    """The hidden folder of a run, for reading."""

    def names(self) -> list[str]: ...

    def first_line(self, name: str) -> bytes: ...

    def read(self, name: str) -> bytes: ...


def part_of(lines: Sequence[Line], fields: Iterable[str]) -> tuple[str, list[bytes]]:
    """The name and the content of the part that holds these lines; `fields` are the names that occur in them."""
    index = {
        "rows": [[line.ordinal, line.key, len(line.text)] for line in lines],
        "fields": list(fields),
        "at": time.time_ns(),
    }
    ordinals = [line.ordinal for line in lines]
    identity = sha256("\n".join(line.key for line in lines).encode()).hexdigest()[:16]
    name = f"{min(ordinals):016d}-{max(ordinals):016d}-{identity}{ENDING}"
    head = orjson.dumps(index, option=orjson.OPT_APPEND_NEWLINE)
    return name, [head, *(line.text for line in lines)]


class Staging:
    """The hidden folder of one run and one import step. Every method may raise OSError."""

    def __init__(self, root: Root, folder: str) -> None:
        self._root = root
        self.folder = folder
        self.segments = [HIDDEN, folder]

    def agree_on(self, target: dict[str, object]) -> dict[str, object]:
        """What the run writes to: the first worker says it, all others get to know it."""
        with self._root.directory(self.segments, create=True) as fd:
            beside = write_beside(fd, TARGET_FILE, [orjson.dumps(target)])
            try:
                os.link(beside, TARGET_FILE, src_dir_fd=fd, dst_dir_fd=fd)
                os.fsync(fd)
            except FileExistsError:
                pass
            finally:
                os.unlink(beside, dir_fd=fd)
            agreed: dict[str, object] = orjson.loads(read_whole(fd, TARGET_FILE))
            return agreed

    def store(self, lines: Sequence[Line], fields: Iterable[str]) -> None:
        """Keep the lines; `fields` are the names that occur in them, in order."""
        name, pieces = part_of(lines, fields)
        with self._root.directory(self.segments, create=True) as fd:
            beside = write_beside(fd, name, pieces)
            os.rename(beside, name, src_dir_fd=fd, dst_dir_fd=fd)
            os.fsync(fd)


class LocalParts:
    """The hidden folder of a run on this machine. Every method may raise OSError."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def names(self) -> list[str]:
        return os.listdir(self._fd)

    def first_line(self, name: str) -> bytes:
        with open(os.open(name, _READ, dir_fd=self._fd), "rb") as file:
            return file.readline()

    def read(self, name: str) -> bytes:
        return read_whole(self._fd, name)


class Parts:
    """The parts in a run's folder, for publishing."""

    def __init__(self, folder: PartFolder) -> None:
        self._folder = folder
        self.all = sorted(_named(name) for name in folder.names() if name.endswith(ENDING))

    def fields(self) -> list[str]:
        """All field names in the order in which they first occur."""
        names: dict[str, None] = {}
        for part in self.all:
            names.update(dict.fromkeys(orjson.loads(self._folder.first_line(part.name))["fields"]))
        return list(names)

    def lines(self) -> Iterator[list[bytes]]:
        """All lines in the order of the run, a part or an overlapping group of parts at a time."""
        for group in self._groups():
            yield self._body(group[0]) if len(group) == 1 else self._merged(group)

    def _groups(self) -> Iterator[list[Part]]:
        group: list[Part] = []
        end = -1
        for part in self.all:
            if group and part.first > end:
                yield group
                group = []
            group.append(part)
            end = max(end, part.last) if len(group) > 1 else part.last
        if group:
            yield group

    def _body(self, part: Part) -> list[bytes]:
        return BytesIO(self._folder.read(part.name)).readlines()[1:]

    def _merged(self, group: list[Part]) -> list[bytes]:
        """The newest line of every record; records that share a key within one part are told apart by their turn."""
        chosen: dict[tuple[str, int], tuple[int, bytes]] = {}
        for index, lines in sorted(map(self._opened, group), key=lambda opened: opened[0].get("at", 0)):
            turns: dict[str, int] = {}
            for (ordinal, key, _), line in zip(index["rows"], lines, strict=True):
                turns[key] = turns.get(key, 0) + 1
                chosen[key, turns[key]] = (ordinal, line)
        return [line for _, line in sorted(chosen.values(), key=lambda entry: entry[0])]

    def _opened(self, part: Part) -> tuple[dict[str, Any], list[bytes]]:
        head, *lines = BytesIO(self._folder.read(part.name)).readlines()
        return orjson.loads(head), lines


def _named(name: str) -> Part:
    first, last, _ = name.split("-")
    return Part(int(first), int(last), name)


def write_beside(fd: int, name: str, pieces: Iterable[bytes]) -> str:
    """Write a synced file under a name of its own, to be renamed; nothing stays behind when that fails."""
    beside = f"{name}.{os.urandom(6).hex()}.tmp"
    try:
        with open(os.open(beside, _CREATE, FILE_MODE, dir_fd=fd), "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        remove_quietly(fd, beside)
        raise
    return beside


def read_whole(fd: int, name: str) -> bytes:
    with open(os.open(name, _READ, dir_fd=fd), "rb") as file:
        return file.read()


def remove_quietly(fd: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=fd)
    except FileNotFoundError:
        return
