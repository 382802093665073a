"""What a run has written and not yet published: one part file for each write, in a hidden folder of the run.

A part is written beside, synced, and renamed into place: it is there whole or not at all. Its name tells which records
it holds, so the same write again replaces it. Where parts overlap (a page was delivered again in other portions) the
newest line of each record counts.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO

import orjson

from apps.connectors.files.root import FILE_MODE, HIDDEN, Root

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
    written_ns: int


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
        index = {"rows": [[line.ordinal, line.key, len(line.text)] for line in lines], "fields": list(fields)}
        ordinals = [line.ordinal for line in lines]
        identity = sha256("\n".join(line.key for line in lines).encode()).hexdigest()[:16]
        name = f"{min(ordinals):016d}-{max(ordinals):016d}-{identity}{ENDING}"
        head = orjson.dumps(index, option=orjson.OPT_APPEND_NEWLINE)
        with self._root.directory(self.segments, create=True) as fd:
            beside = write_beside(fd, name, [head, *(line.text for line in lines)])
            os.rename(beside, name, src_dir_fd=fd, dst_dir_fd=fd)
            os.fsync(fd)


class Parts:
    """The parts in an open folder, for publishing."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.all = sorted(self._named(name) for name in os.listdir(fd) if name.endswith(ENDING))

    def fields(self) -> list[str]:
        """All field names in the order in which they first occur."""
        names: dict[str, None] = {}
        for part in self.all:
            with open(os.open(part.name, _READ, dir_fd=self._fd), "rb") as file:
                names.update(dict.fromkeys(orjson.loads(file.readline())["fields"]))
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
        return BytesIO(read_whole(self._fd, part.name)).readlines()[1:]

    def _merged(self, group: list[Part]) -> list[bytes]:
        """The newest line of every record; records that share a key within one part are told apart by their turn."""
        chosen: dict[tuple[str, int], tuple[int, bytes]] = {}
        for part in sorted(group, key=lambda part: part.written_ns):
            head, *lines = BytesIO(read_whole(self._fd, part.name)).readlines()
            turns: dict[str, int] = {}
            for (ordinal, key, _), line in zip(orjson.loads(head)["rows"], lines, strict=True):
                turns[key] = turns.get(key, 0) + 1
                chosen[key, turns[key]] = (ordinal, line)
        return [line for _, line in sorted(chosen.values(), key=lambda entry: entry[0])]

    def _named(self, name: str) -> Part:
        first, last, _ = name.split("-")
        return Part(int(first), int(last), name, os.stat(name, dir_fd=self._fd).st_mtime_ns)


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
