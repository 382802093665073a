"""Makes a run's file out of its parts: the file appears whole, once, however often this is interrupted and begun again.

1. The file is written beside its final name and synced. 2. A marker in the run's folder says which inode is about to
become the file. 3. It is renamed onto the final name. 4. The run's folder is renamed away, then emptied. A kill before
step 3 leaves the old file, and all is done again. After it the marker tells that the file in place is the run's, even
if the next run comes first: whoever publishes settles the others' markers before anything else, under one lock.
"""

import csv
import fcntl
import gzip
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import orjson

from apps.connectors.base import Limits
from apps.connectors.files.encode import csv_cells
from apps.connectors.files.options import FileImportOptions
from apps.connectors.files.parts import Parts, read_whole, remove_quietly, write_beside
from apps.connectors.files.root import FILE_MODE, HIDDEN, Root, split_name
from apps.connectors.files.streams import GZIP_MAGIC, Packing, Stream, open_stream

Sink = io.BufferedWriter | gzip.GzipFile

RUN_PREFIX = "run-"
DONE_PREFIX = "done-"
MARKER = "published.json"
LOCK = "lock"
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class Publication:
    """What is published: the run's folder, the name of its file, and whether that file keeps what it holds."""

    folder: str
    name: str
    is_append: bool


def publish(root: Root, publication: Publication, options: FileImportOptions, limits: Limits) -> None:
    """Publish and tidy up. Does nothing when it was done before. Raises OSError and ConnectorError."""
    *folders, last = split_name(publication.name)
    with root.directory([HIDDEN], create=True) as hidden, _locked(hidden):
        _remove_done(hidden)
        with root.directory(folders, create=True) as place:
            _settle(hidden, place, publication.name, last)
            if publication.folder in os.listdir(hidden):
                with root.directory([HIDDEN, publication.folder]) as run:
                    _replace(Work(run, place, last, publication, options, limits))
                _settle(hidden, place, publication.name, last)
        _remove_done(hidden)


@contextmanager
def _locked(hidden: int) -> Iterator[None]:
    fd = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE, dir_fd=hidden)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _settle(hidden: int, place: int, name: str, last: str) -> None:
    """Rename away the folder of the run whose file is the one in place."""
    in_place = _identity(place, last)
    if in_place is None:
        return
    for folder in os.listdir(hidden):
        if folder.startswith(RUN_PREFIX) and _marker(hidden, folder) == {"name": name, "file": in_place}:
            os.rename(folder, DONE_PREFIX + folder, src_dir_fd=hidden, dst_dir_fd=hidden)
            os.fsync(hidden)


def _marker(hidden: int, folder: str) -> object:
    try:
        return orjson.loads(read_whole(hidden, f"{folder}/{MARKER}"))
    except FileNotFoundError:
        return None


def _identity(place: int, last: str) -> list[int] | None:
    try:
        info = os.stat(last, dir_fd=place, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return [info.st_ino, info.st_size, info.st_mtime_ns]


def _remove_done(hidden: int) -> None:
    for folder in os.listdir(hidden):
        if folder.startswith(DONE_PREFIX):
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=hidden)
            try:
                for name in os.listdir(fd):
                    remove_quietly(fd, name)
            finally:
                os.close(fd)
            os.rmdir(folder, dir_fd=hidden)


@dataclass(frozen=True, slots=True)
class Work:
    """The open folders of one publication: the run's and the one of the final file, `last` its name there."""

    run: int
    place: int
    last: str
    publication: Publication
    options: FileImportOptions
    limits: Limits

    @property
    def kind(self) -> str:
        return self.options.written_format(self.publication.name)

    @property
    def is_gzip(self) -> bool:
        named = self.last.lower().endswith(".gz")
        return self.options.compression == "gzip" or (self.options.compression == "auto" and named)


def _replace(work: Work) -> None:
    beside = f".flowmend-{work.publication.folder}.tmp"
    try:
        with open(os.open(beside, _CREATE, FILE_MODE, dir_fd=work.place), "wb") as file:
            if work.is_gzip:
                with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
                    _write(work, packed)
            else:
                _write(work, file)
            file.flush()
            os.fsync(file.fileno())
        marker = {"name": work.publication.name, "file": _identity(work.place, beside)}
        os.rename(
            write_beside(work.run, MARKER, [orjson.dumps(marker)]), MARKER, src_dir_fd=work.run, dst_dir_fd=work.run
        )
        os.fsync(work.run)
        os.rename(beside, work.last, src_dir_fd=work.place, dst_dir_fd=work.place)
    except BaseException:
        remove_quietly(work.place, beside)
        raise
    os.fsync(work.place)


# --- the content of the file -----------------------------------------------------------------------------------------
def _write(work: Work, out: Sink) -> None:
    parts = Parts(work.run)
    if work.kind == "csv":
        _write_csv(work, parts, out)
    elif work.kind == "json":
        _write_json(parts, out)
    else:
        _copy_old(work, out)
        for lines in parts.lines():
            out.writelines(lines)


def _write_json(parts: Parts, out: Sink) -> None:
    before = b"[\n"
    for lines in parts.lines():
        out.write(before + b",\n".join(line[:-1] for line in lines))
        before = b",\n"
    out.write(b"\n]\n" if before == b",\n" else b"[]\n")


def _write_csv(work: Work, parts: Parts, out: Sink) -> None:
    options = work.options
    wanted = options.columns or parts.fields()
    text = io.TextIOWrapper(out, "utf-8", newline="", write_through=False)
    writer = csv.writer(text, delimiter=options.delimiter, lineterminator="\r\n")
    old = _old_rows(work)
    header = next(old, [])
    columns = header + [name for name in wanted if name not in header]
    writer.writerow(columns)
    for row in old:
        writer.writerow(row + [""] * (len(columns) - len(row)))
    for lines in parts.lines():
        records = map(orjson.loads, lines)
        writer.writerows(csv_cells(record, columns, defuse=options.defuse_formulas) for record in records)
    text.flush()
    text.detach()


def _old_rows(work: Work) -> Iterator[list[str]]:
    """The rows, header first, of the file that is to be kept."""
    file = io.BufferedReader(_OldFile(work), 1 << 20)
    with io.TextIOWrapper(file, "utf-8-sig", newline="") as text:
        yield from (row for row in csv.reader(text, delimiter=work.options.delimiter) if row)


def _copy_old(work: Work, out: Sink) -> None:
    """Copy the file that is to be kept, and end its last line."""
    old, last = _OldFile(work), b"\n"
    while block := old.block():
        out.write(block)
        last = block[-1:]
    old.close()
    if last != b"\n":
        out.write(b"\n")


class _OldFile(io.RawIOBase):
    """The unpacked bytes of the file in place, or none where nothing is to be kept."""

    def __init__(self, work: Work) -> None:
        self._fd = -1
        self._stream: Stream | None = None
        if work.publication.is_append:
            self._open(work)

    def _open(self, work: Work) -> None:
        try:
            self._fd = os.open(work.last, _READ, dir_fd=work.place)
        except FileNotFoundError:
            return
        is_gzip = os.pread(self._fd, 2, 0) == GZIP_MAGIC
        self._stream = open_stream(self._fd, Packing(work.publication.name, is_gzip, work.limits))

    def block(self, size: int = 1 << 20) -> bytes:
        return self._stream.read(size) if self._stream else b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        block = self.block(len(buffer))
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        super().close()
