"""A folder of files on a real disk, and the files connector working in it."""

import gzip
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from apps.connectors.base import Limits, Surroundings
from apps.connectors.files.connector import FilesConnector
from apps.connectors.files.options import FileConfig, FileExportOptions, FileImportOptions
from apps.engine.ports import BadRecord, Batch, ConnectorError, Record, Scope, SourcePage, Window, Written

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
ACCOUNT = 7


def batch_of(
    bodies: Sequence[Record],
    *,
    first: int = 0,
    run: int = 1,
    now: datetime = NOON,
    kind: str = "flow",
    ordinals: Sequence[int] | None = None,
    stop: Callable[[], bool] = lambda: False,
    step: str = "write",
) -> Batch:
    """Records of one page; the key of a record is made of run, step and ordinal."""
    places = list(ordinals) if ordinals is not None else list(range(first, first + len(bodies)))
    scope = Scope(now, run={"id": run, "kind": kind})
    return Batch(list(bodies), list(bodies), places, lambda index: f"{step}-{run}-{places[index]:020d}", scope, stop)


class Filing:
    """The folder of one account; every method opens the connector anew, as another worker would."""

    def __init__(self, root: Path, folder: str = "", limits: Limits | None = None) -> None:
        self.root = root
        self.base = root / str(ACCOUNT)
        self.base.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.surroundings = Surroundings(ACCOUNT, root, root / "databases", limits=limits or Limits())

    def connector(self) -> FilesConnector:
        return FilesConnector(FileConfig(folder=self.folder), self.surroundings)

    def put(self, name: str, content: bytes | str) -> Path:
        path = self.base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content.encode() if isinstance(content, str) else content
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") and data[:2] != b"\x1f\x8b" else data)
        os.utime(path, (NOON.timestamp() - 3600, NOON.timestamp() - 3600))
        return path

    def text(self, name: str) -> str:
        return (self.base / name).read_bytes().decode()

    def window(self, page_size: int = 100, **fields: Any) -> Window:
        return Window(page_size, NOON, **fields)

    def pages(
        self, path: str, page_size: int = 100, window: Window | None = None, **options: Any
    ) -> Iterator[SourcePage]:
        connector = self.connector()
        try:
            source = connector.open_export(FileExportOptions(path=path, **options), window or self.window(page_size))
            yield from source.pages()
        finally:
            connector.close()

    def rows(self, path: str, page_size: int = 100, **options: Any) -> list[Record | BadRecord]:
        return [row for page in self.pages(path, page_size, **options) for row in page.records]

    def good_and_bad(self, path: str, **options: Any) -> tuple[list[Record], list[BadRecord]]:
        rows = self.rows(path, **options)
        good = [row for row in rows if not isinstance(row, BadRecord)]
        return good, [row for row in rows if isinstance(row, BadRecord)]

    def write(self, path: str, *batches: Batch, finish: bool = True, **options: Any) -> list[Written]:
        """Write each batch with a worker of its own, then end the run with another one."""
        written = [self._with_target(path, options, lambda target, one=one: target.write(one)) for one in batches]
        if finish:
            self._with_target(path, options, lambda target: target.finish(batches[-1].scope))
        return written

    def finish(self, path: str, scope: Scope, **options: Any) -> None:
        self._with_target(path, options, lambda target: target.finish(scope))

    def _with_target(self, path: str, options: dict[str, Any], act: Callable[[Any], Any]) -> Any:
        connector = self.connector()
        try:
            return act(connector.open_import(FileImportOptions(path=path, **options)))
        finally:
            connector.close()


def resumed_rows(filing: Filing, path: str, page_size: int, **options: Any) -> list[list[Record | BadRecord]]:
    """For every page: what was read up to it, and then by another worker from its position on."""
    pages = list(filing.pages(path, page_size, **options))
    found = []
    for index, page in enumerate(pages):
        before = [row for earlier in pages[: index + 1] for row in earlier.records]
        rest = filing.pages(path, window=filing.window(page_size, position=page.position), **options)
        found.append(before + [row for later in rest for row in later.records])
    return found


def rows_or_fault(
    filing: Filing, path: str, page_size: int, **options: Any
) -> list[Record | BadRecord] | ConnectorError:
    try:
        return filing.rows(path, page_size, **options)
    except ConnectorError as fault:
        return fault
