"""An export of files: the files of a pattern in name order, each cut into pages that can be read again."""

from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from difflib import get_close_matches
from hashlib import blake2b

from apps.connectors.base import Limits
from apps.connectors.files.faults import file_fault
from apps.connectors.files.formats import open_rows
from apps.connectors.files.options import FileExportOptions
from apps.connectors.files.root import MAX_FILES, is_pattern, split_name
from apps.connectors.files.rows import Row, Rows
from apps.connectors.files.store import Found, OpenFile, Store
from apps.engine.ports import CheckpointValue, Classification, ConnectorError, Record, SourcePage, Window

DIGEST_BYTES = 8
MAX_SEEN = 100_000
SHOWN_NAMES = 5


def digest_of(found: Found) -> bytes:
    """Names one state of one file: the same name with another size or time is another file."""
    text = f"{found.name}\0{found.size}\0{found.mtime_ns}{found.tag}".encode("utf-8", "surrogateescape")
    return blake2b(text, digest_size=DIGEST_BYTES).digest()


def unpack(digests: bytes) -> set[bytes]:
    return {digests[at : at + DIGEST_BYTES] for at in range(0, len(digests), DIGEST_BYTES)}


class FileSource:
    """Position: the file, what it was like, and where its next row begins; `done` names the files read to their end."""

    resumable = True
    in_order = True

    def __init__(self, store: Store, options: FileExportOptions, window: Window, limits: Limits) -> None:
        self._store = store
        self._options = options
        self._window = window
        self._limits = limits
        self._position = window.position or {}
        self._is_tracking = options.new_files_only or bool(options.move_to)
        self._done = unpack(b64decode(self._position.get("done", "")))
        self._seen = unpack(window.checkpoint.seen) if window.checkpoint and options.new_files_only else set()

    def pages(self) -> Iterator[SourcePage]:
        for found in self._to_read():
            yield from self._pages_of(found.name)

    def finish(self) -> None:
        """Move away the files that were read to their end, also by a run that failed later; one that changed stays."""
        if not self._options.move_to:
            return
        into = split_name(self._options.move_to)
        try:
            for found in self._listing():
                if digest_of(found) in self._done | self._seen:
                    self._store.move(found.name, into)
        except OSError as error:
            raise file_fault(error, self._options.path, f"moved to {self._options.move_to}") from error

    def close(self) -> None:
        """Files are closed with the last page of each."""

    # --- which files -------------------------------------------------------------------------------------------------
    def _to_read(self) -> list[Found]:
        listing = self._listing()
        if not listing and not self._position:
            self._refuse_missing()
        if self._options.new_files_only:
            self._seen &= {digest_of(found) for found in listing}
        waiting = [found for found in listing if self._is_due(found)]
        self._refuse_vanished(waiting)
        return waiting[:MAX_FILES] if self._is_tracking else waiting

    def _listing(self) -> list[Found]:
        try:
            found = self._store.find(self._options.path)
        except OSError as error:
            raise file_fault(error, self._options.path, "read") from error
        away = "/".join(split_name(self._options.move_to)) + "/" if self._options.move_to else ""
        return [file for file in found if not (away and file.name.startswith(away))]

    def _is_due(self, found: Found) -> bool:
        """Files that this window has still to read; the one it stands in is due even if it changed."""
        begun = self._position.get("file", "")
        if found.name == begun:
            return not self._position["end"]
        if found.name < begun:
            return False
        digest = digest_of(found)
        return digest not in self._done and digest not in self._seen and self._is_in_window(found)

    def _is_in_window(self, found: Found) -> bool:
        changed, window = found.mtime_ns / 1e9, self._window
        if window.now.timestamp() - changed < self._options.min_age_s and self._options.min_age_s:
            return False
        return _seconds(window.start, 0.0) <= changed < _seconds(window.end, float("inf"))

    def _refuse_missing(self) -> None:
        if self._options.if_missing == "empty":
            return
        path = self._options.path
        what = f"No file matches {path}" if is_pattern(path) else f"There is no file {path}"
        text = f"{what} in {self._store.shown}. {self._neighbours()}"
        raise ConnectorError("file_not_found", text, classification=Classification.MISSING)

    def _refuse_vanished(self, waiting: list[Found]) -> None:
        begun = self._position.get("file")
        if begun is None or self._position["end"] or any(found.name == begun for found in waiting):
            return
        text = f"{begun} is gone, and it was not read to its end. Put it back, or start the run again."
        raise ConnectorError("file_changed", text, classification=Classification.MISSING)

    def _neighbours(self) -> str:
        """What is there instead, the likeliest names first."""
        *folders, last = split_name(self._options.path)
        names = self._store.names(folders)
        if not names:
            return f"The folder {'/'.join(folders) or self._store.shown} is empty or does not exist."
        near = get_close_matches(last, names[:MAX_FILES], n=SHOWN_NAMES, cutoff=0.3) or names[:SHOWN_NAMES]
        more = f" and {len(names) - len(near)} more" if len(names) > len(near) else ""
        return f"There are: {', '.join(near)}{more}."

    # --- the pages of one file ---------------------------------------------------------------------------------------
    def _pages_of(self, name: str) -> Iterator[SourcePage]:
        with self._opened(name) as (file, rows):
            found = file.found
            before, current = rows.mark(), self._read(rows)
            while current:
                after = rows.mark()
                following, fault = self._read_ahead(rows)
                is_end = not following and fault is None
                if is_end:
                    self._done.add(digest_of(found))
                yield self._page(current, found, before, after, is_end)
                if fault is not None:
                    raise fault
                _refuse_change(file)
                before, current = after, following
            self._done.add(digest_of(found))

    def _read(self, rows: Rows) -> list[Row]:
        return rows.read(self._window.page_size)

    def _read_ahead(self, rows: Rows) -> tuple[list[Row], ConnectorError | None]:
        """The next page; a fault there must not keep back the page before it."""
        try:
            return self._read(rows), None
        except ConnectorError as fault:
            return [], fault

    def _page(self, records: list[Row], found: Found, before: Record, after: Record, is_end: bool) -> SourcePage:
        position = {"file": found.name, "fingerprint": found.fingerprint, "at": after, "end": is_end}
        if self._is_tracking:
            position["done"] = b64encode(b"".join(sorted(self._done))).decode()
        checkpoint = self._checkpoint(found) if is_end and self._options.new_files_only else None
        return SourcePage(records, position, checkpoint, _reference(found.name, before, after))

    def _checkpoint(self, found: Found) -> CheckpointValue:
        seen = self._seen | self._done
        if len(seen) > MAX_SEEN:
            text = f"{self._options.path} matches more than {MAX_SEEN} files. Let the step move files away when done."
            raise ConnectorError("too_many_files", text, classification=Classification.TOO_LARGE)
        return CheckpointValue({"files": len(seen), "last": found.name}, b"".join(sorted(seen)))

    @contextmanager
    def _opened(self, name: str) -> Iterator[tuple[OpenFile, Rows]]:
        try:
            file = self._store.open_file(name)
        except OSError as error:
            raise file_fault(error, name, "read") from error
        try:
            rows = open_rows(file, self._options, self._limits, self._mark_in(file.found))
            try:
                yield file, rows
            finally:
                rows.close()
        finally:
            file.close()

    def _mark_in(self, found: Found) -> Record | None:
        """Where to go on in this file. Refused when it is not the same any more: rows could be skipped or repeated."""
        if self._position.get("file") != found.name:
            return None
        if self._position["fingerprint"] != found.fingerprint:
            raise _changed(found.name)
        mark: Record = self._position["at"]
        return mark


def _refuse_change(file: OpenFile) -> None:
    if file.look() != file.found:
        raise _changed(file.found.name)


def _changed(name: str) -> ConnectorError:
    text = f"{name} was changed after a part of it had been read, so it cannot be said where to go on. "
    hint = "Start the run again to read it from its beginning; a waiting time (min_age_s) keeps unfinished files out."
    return ConnectorError("file_changed", text + hint, classification=Classification.VALUE)


def _seconds(moment: datetime | None, otherwise: float) -> float:
    return otherwise if moment is None else moment.timestamp()


def _reference(name: str, before: Record, after: Record) -> str:
    """Where a page came from, for people: "in/a.csv, lines 2 to 1001"."""
    if "line" in after:
        return f"{name}, lines {before['line']} to {after['line'] - 1}"
    return f"{name}, rows {before['row'] + 1} to {after['row']}"
