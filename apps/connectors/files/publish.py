"""Makes a run's file out of its parts: the file appears whole, once, however often this is interrupted and begun again.

1. The file is written beside its final name and synced. 2. A marker in the run's folder says which inode is about to
become the file. 3. It is renamed onto the final name. 4. The run's folder is renamed away, then emptied. A kill before
step 3 leaves the old file, and all is done again. After it the marker tells that the file in place is the run's, even
if the next run comes first: whoever publishes settles the others' markers before anything else, under one lock.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import orjson

from apps.connectors.base import Limits
from apps.connectors.files.content import Content
from apps.connectors.files.options import FileImportOptions
from apps.connectors.files.parts import (
    RUN_PREFIX,
    LocalParts,
    Parts,
    Publication,
    read_whole,
    remove_quietly,
    write_beside,
)
from apps.connectors.files.root import FILE_MODE, HIDDEN, LocalFile, Root, split_name

DONE_PREFIX = "done-"
MARKER = "published.json"
LOCK = "lock"
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


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


def _replace(work: Work) -> None:
    beside = f".flowmend-{work.publication.folder}.tmp"
    try:
        with open(os.open(beside, _CREATE, FILE_MODE, dir_fd=work.place), "wb") as file:
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


def _write(work: Work, file: BinaryIO) -> None:
    publication = work.publication
    old = _old_file(work) if publication.is_append else None
    try:
        Content(publication.name, Parts(LocalParts(work.run)), work.options, work.limits, old).write_to(file)
    finally:
        if old is not None:
            old.close()


def _old_file(work: Work) -> LocalFile | None:
    try:
        return LocalFile(os.open(work.last, _READ, dir_fd=work.place), work.publication.name)
    except FileNotFoundError:
        return None
