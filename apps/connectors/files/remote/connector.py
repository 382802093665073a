"""The connectors of files on other machines. What is read and written, and how, is the same as on this one."""

from abc import abstractmethod
from time import perf_counter
from typing import Any, ClassVar

from apps.connectors.base import ConnectionConfig, Connector, Ping
from apps.connectors.extras import load_extra, missing_extra
from apps.connectors.files.building import build_file
from apps.connectors.files.options import FILE_EXAMPLE, FileExportOptions, FileImportOptions
from apps.connectors.files.remote.config import S3Config, SftpConfig
from apps.connectors.files.remote.shelf import RemoteShelf
from apps.connectors.files.remote.store import RemoteStore
from apps.connectors.files.source import FileSource
from apps.connectors.files.target import FileTarget
from apps.engine.ports import Batch, Built, ConnectorError, Source, Target, Window

SFTP_LIBRARY = {"library": "paramiko", "extra": "sftp", "what": "A connection to an SFTP server"}
S3_LIBRARY = {"library": "minio", "extra": "s3", "what": "A connection to S3"}


class RemoteFilesConnector(Connector):
    """One connection to a store of files, opened when it is first needed."""

    ExportOptions = FileExportOptions
    ImportOptions = FileImportOptions
    export_example = FILE_EXAMPLE

    _opened: RemoteStore | None = None

    def ping(self) -> Ping:
        begun = perf_counter()
        try:
            is_ok, found = True, self._store().look_into()
        except ConnectorError as error:
            is_ok, found = False, error.message
        return Ping(is_ok, self._tried(), found, round((perf_counter() - begun) * 1000))

    def open_export(self, options: Any, window: Window) -> Source:
        return FileSource(self._store(), options, window, self.surroundings.limits)

    def open_import(self, options: Any) -> Target:
        return FileTarget(RemoteShelf(self._store()), options, self.surroundings.limits)

    def build(self, options: Any, batch: Batch) -> Built:
        return build_file(options, self.surroundings.limits, batch)

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _store(self) -> RemoteStore:
        if self._opened is None:
            self._opened = self._open_store()
        return self._opened

    @abstractmethod
    def _open_store(self) -> RemoteStore:
        """Raises ConnectorError where the library is not installed; connects later."""

    @abstractmethod
    def _tried(self) -> str:
        """What the test button does, as a sentence."""


class SftpConnector(RemoteFilesConnector):
    """CSV, JSON, JSON Lines and XLSX files on an SFTP server, packed with gzip or not."""

    kind = "sftp"
    label = "SFTP files"
    Config: ClassVar[type[ConnectionConfig]] = SftpConfig

    @classmethod
    def missing(cls) -> str:
        return missing_extra(**SFTP_LIBRARY)

    def _open_store(self) -> RemoteStore:
        module = load_extra("apps.connectors.files.remote.sftp", **SFTP_LIBRARY)
        store: RemoteStore = module.SftpStore(self.config, self.surroundings)
        return store

    def _tried(self) -> str:
        config = self.config
        folder = f"the folder {config.folder}" if config.folder else "the user's own folder"
        return f"Signed in to the SFTP server {config.host}:{config.port} as {config.user} and looked into {folder}."


class S3Connector(RemoteFilesConnector):
    """CSV, JSON, JSON Lines and XLSX files in a bucket, packed with gzip or not."""

    kind = "s3"
    label = "S3 files"
    Config: ClassVar[type[ConnectionConfig]] = S3Config

    @classmethod
    def missing(cls) -> str:
        return missing_extra(**S3_LIBRARY)

    def _open_store(self) -> RemoteStore:
        module = load_extra("apps.connectors.files.remote.s3", **S3_LIBRARY)
        store: RemoteStore = module.S3Store(self.config, self.surroundings)
        return store

    def _tried(self) -> str:
        config = self.config
        folder = f", folder {config.folder}" if config.folder else ""
        return f"Looked into the bucket {config.bucket}{folder} at {config.endpoint}."
