"""The connector of a folder of files."""

import os
import stat
from time import perf_counter
from typing import Any

from apps.connectors.base import Connector, Ping
from apps.connectors.files.building import build_file
from apps.connectors.files.faults import file_fault
from apps.connectors.files.options import FILE_EXAMPLE, FileConfig, FileExportOptions, FileImportOptions
from apps.connectors.files.root import Root
from apps.connectors.files.shelf import LocalShelf
from apps.connectors.files.source import FileSource
from apps.connectors.files.target import FileTarget
from apps.engine.ports import Batch, Built, Classification, ConnectorError, Source, Target, Window

COUNTED_FILES = 10_000


class FilesConnector(Connector):
    """CSV, JSON, JSON Lines and XLSX files in a folder of the account, packed with gzip or not."""

    kind = "file"
    label = "Files"
    Config = FileConfig
    ExportOptions = FileExportOptions
    ImportOptions = FileImportOptions
    export_example = FILE_EXAMPLE

    _root: Root | None = None

    def ping(self) -> Ping:
        begun = perf_counter()
        is_ok, found = self._look()
        folder = f"the folder {self.config.folder}" if self.config.folder else "the account's own folder"
        tried = f"Open {folder} and look into it"
        return Ping(is_ok, tried, found, round((perf_counter() - begun) * 1000))

    def open_export(self, options: Any, window: Window) -> Source:
        return FileSource(self._opened(create=False), options, window, self.surroundings.limits)

    def open_import(self, options: Any) -> Target:
        return FileTarget(LocalShelf(self._opened(create=True)), options, self.surroundings.limits)

    def build(self, options: Any, batch: Batch) -> Built:
        return build_file(options, self.surroundings.limits, batch)

    def close(self) -> None:
        if self._root is not None:
            self._root.close()
            self._root = None

    def _opened(self, *, create: bool) -> Root:
        if self._root is None:
            base = self.surroundings.files_root / str(self.surroundings.account)
            try:
                self._root = Root(base, self.config.folder, create=create)
            except FileNotFoundError:
                text = (
                    f"The folder {self.config.folder} of this connection does not exist. Make it, or name another one."
                )
                raise ConnectorError("folder_not_found", text, classification=Classification.MISSING) from None
            except OSError as error:
                raise file_fault(error, f"The folder {self.config.folder}", "opened") from error
        return self._root

    def _look(self) -> tuple[bool, str]:
        try:
            root = self._opened(create=False)
            files, is_writable = _count_files(root, []), _is_writable(root)
        except ConnectorError as error:
            return False, error.message
        except OSError as error:
            return False, file_fault(error, f"The folder {self.config.folder}", "read").message
        count = f"{files} files" if files != 1 else "1 file"
        count = f"more than {COUNTED_FILES} files" if files > COUNTED_FILES else count
        return True, f"{'Readable and writable' if is_writable else 'Readable, but not writable'}, {count}."


def _count_files(root: Root, folders: list[str], counted: int = 0) -> int:
    """Regular files below a folder; stops a little after the limit."""
    for name, info in root.entries(folders):
        if counted > COUNTED_FILES:
            break
        if stat.S_ISDIR(info.st_mode):
            counted = _count_files(root, [*folders, name], counted)
        else:
            counted += stat.S_ISREG(info.st_mode)
    return counted


def _is_writable(root: Root) -> bool:
    with root.directory([]) as fd:
        return os.access(".", os.W_OK | os.X_OK, dir_fd=fd)
