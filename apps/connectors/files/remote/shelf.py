"""Parts of runs on another machine, and the file that they become there.

As on this machine: a part is there whole or not at all, and the file appears in one step. What is in place tells which
run it is (`publisher_of`), so an end that was cut off is settled by whoever comes next, and nothing is published twice.
"""

import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import orjson

from apps.connectors.base import Limits
from apps.connectors.files.content import Content
from apps.connectors.files.options import FileImportOptions
from apps.connectors.files.parts import ENDING, RUN_PREFIX, TARGET_FILE, Line, Parts, Publication, part_of
from apps.connectors.files.remote.store import RemoteStore
from apps.connectors.files.root import HIDDEN
from apps.engine.ports import Classification, ConnectorError, Outage

MARKER = "published.json"
LOCK_WAIT_S = 20.0
LOCK_LOOK_S = 0.25
LOCK_STALE_S = 900.0
"""A lock whose run did not come back is broken after so long; the same run takes its own lock over at once."""


class RemoteShelf:
    """Keeps the parts in the hidden folder below the connection's folder."""

    def __init__(self, store: RemoteStore) -> None:
        self._store = store

    def agree_on(self, folder: str, target: dict[str, object]) -> dict[str, object]:
        name = f"{HIDDEN}/{folder}/{TARGET_FILE}"
        said = self._store.read(name)
        if said is None:
            self._store.create(name, orjson.dumps(target))
            said = self._store.read(name)
        if said is None:
            text = f"{name} cannot be read although it was written. Give the user the right to read what it wrote."
            raise ConnectorError("permission_denied", text, classification=Classification.CONNECTION)
        agreed: dict[str, object] = orjson.loads(said)
        return agreed

    def store(self, folder: str, lines: Sequence[Line], fields: Iterable[str]) -> None:
        name, pieces = part_of(lines, fields)
        self._store.write(f"{HIDDEN}/{folder}/{name}", b"".join(pieces))

    def has_parts(self, folder: str) -> bool:
        return any(entry.name.endswith(ENDING) for entry in self._store.entries([HIDDEN, folder]))

    def publish(self, publication: Publication, options: FileImportOptions, limits: Limits) -> None:
        with self._locked(publication):
            self._settle(publication.name)
            parts = Parts(RemoteParts(self._store, publication.folder))
            if parts.all:
                self._replace(publication, parts, options, limits)
                self._settle(publication.name)

    def _replace(self, publication: Publication, parts: Parts, options: FileImportOptions, limits: Limits) -> None:
        name = publication.name
        is_kept = publication.is_append and self._store.entry(name) is not None
        old = self._store.open_file(name) if is_kept else None
        with tempfile.TemporaryFile() as file:
            try:
                Content(name, parts, options, limits, old).write_to(file)
            finally:
                if old is not None:
                    old.close()
            file.seek(0)
            self._store.replace(name, file, publication.folder)

    # --- tidying up --------------------------------------------------------------------------------------------------
    def _settle(self, name: str) -> None:
        """Remove what is left of the run whose file is in place; its marker last, so that it can be done again."""
        run = self._store.publisher_of(name)
        if not run.startswith(RUN_PREFIX):
            return
        names = [entry.name for entry in self._store.entries([HIDDEN, run])]
        for last in sorted(names, key=lambda last: (last == MARKER, not last.endswith(ENDING))):
            self._store.remove(f"{HIDDEN}/{run}/{last}")
        if names:
            self._store.remove_folder([HIDDEN, run])

    @contextmanager
    def _locked(self, publication: Publication) -> Iterator[None]:
        """One run at a time makes the file."""
        lock = f"{HIDDEN}/lock-{sha256(publication.name.encode()).hexdigest()[:16]}"
        deadline = time.monotonic() + LOCK_WAIT_S
        while not self._take(lock, publication.folder):
            if time.monotonic() > deadline:
                text = f"{publication.name} is being written by another run. This one waits and tries again."
                raise Outage("locked", text, classification=Classification.INTERMITTENT)
            time.sleep(LOCK_LOOK_S)
        try:
            yield
        finally:
            self._give_back(lock, publication.folder)

    def _take(self, lock: str, run: str) -> bool:
        mine = orjson.dumps({"run": run, "at": time.time()})
        if self._store.create(lock, mine):
            return True
        held = self._store.read(lock)
        if held is None:
            return False
        if self._is_in_use(orjson.loads(held), run):
            return False
        self._store.write(lock, mine)
        return True

    def _is_in_use(self, holder: dict[str, Any], run: str) -> bool:
        """Not by the same run, nor by one that has published all it had and then died."""
        is_fresh = time.time() - holder["at"] < LOCK_STALE_S
        return bool(holder["run"] != run and is_fresh and self.has_parts(holder["run"]))

    def _give_back(self, lock: str, run: str) -> None:
        held = self._store.read(lock)
        if held is not None and orjson.loads(held)["run"] == run:
            self._store.remove(lock)


class RemoteParts:
    """The hidden folder of a run, for reading."""

    def __init__(self, store: RemoteStore, folder: str) -> None:
        self._store = store
        self._folder = folder

    def names(self) -> list[str]:
        return [entry.name for entry in self._store.entries([HIDDEN, self._folder])]

    def first_line(self, name: str) -> bytes:
        return self.read(name).partition(b"\n")[0]

    def read(self, name: str) -> bytes:
        content = self._store.read(f"{HIDDEN}/{self._folder}/{name}")
        if content is None:
            text = f"The part {name} of the run is gone from {HIDDEN}/{self._folder}: somebody else has removed it."
            raise ConnectorError("file_not_found", text, classification=Classification.MISSING)
        return content
