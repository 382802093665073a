"""Files in a bucket. A name is a key; folders are prefixes; writing an object is one step for everybody who reads."""

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import urllib3
from minio import Minio
from minio.commonconfig import CopySource
from minio.datatypes import Object
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from urllib3.exceptions import ConnectTimeoutError, HTTPError, MaxRetryError, NewConnectionError, SSLError

from apps.connectors.base import Surroundings
from apps.connectors.egress import EgressRefusedError, ResolveError
from apps.connectors.files.remote.config import S3Config
from apps.connectors.files.remote.s3_http import guarded_pool
from apps.connectors.files.remote.store import BlockFile, Entry, RemoteStore
from apps.connectors.files.root import HIDDEN, split_name
from apps.connectors.files.store import Found
from apps.engine.classification import classify
from apps.engine.ports import Classification, ConnectorError, ErrorSource, Outage

PART_BYTES = 16 * 1024 * 1024
NS = 1_000_000_000
MISSING = frozenset({"NoSuchKey", "NoSuchObject", "ResourceNotFound", "404"})
REFUSED = frozenset(
    ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "401", "403")
)
BUSY = frozenset(
    {"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "OperationAborted"}
    | {"500", "502", "503", "504"}
)
RUN_HEADER = "flowmend-run"
TAKEN = 412
NOT_KNOWN = frozenset({400, 501})


class S3Store(RemoteStore):
    """The part of a bucket below the connection's folder."""

    def __init__(self, config: S3Config, surroundings: Surroundings) -> None:
        self.shown = config.folder or f"the bucket {config.bucket}"
        self._config = config
        self._prefix = f"{config.folder}/" if config.folder else ""
        self._http = guarded_pool(surroundings)
        scheme, _, host = config.endpoint.partition("://")
        self._client = Minio(
            host,
            access_key=config.access_key.get_secret_value(),
            secret_key=config.secret_key.get_secret_value(),
            secure=scheme == "https",
            region=config.region,
            http_client=self._http,
        )
        if config.path_style:
            self._client.disable_virtual_style_endpoint()

    def close(self) -> None:
        self._http.clear()

    def look_into(self) -> str:
        files = sum(not entry.is_folder for entry in self.entries([]))
        return f"The bucket answered; {files} file{'s' if files != 1 else ''} in {self.shown}."

    # --- reading -----------------------------------------------------------------------------------------------------
    def entries(self, folders: list[str]) -> list[Entry]:
        prefix = self._key("".join(f"{folder}/" for folder in folders))
        with self._speaking("/".join(folders) or self.shown, "listed"):
            objects = self._client.list_objects(self._config.bucket, prefix=prefix)
            return [entry for found in objects if (entry := _entry(found, len(prefix)))]

    def entry(self, name: str) -> Entry | None:
        found = self._stat(name)
        last = name.rpartition("/")[2]
        return Entry(last, False, _size(found), _time(found), _tag(found)) if found else None

    def _stat(self, name: str) -> Object | None:
        try:
            with self._speaking(name, "read"):
                return self._client.stat_object(self._config.bucket, self._key(name))
        except FileNotFoundError:
            return None

    def open_file(self, name: str) -> BlockFile:
        state = self._stat(name)
        if state is None:
            text = f"{name} could not be read: it does not exist."
            raise ConnectorError("file_not_found", text, classification=Classification.MISSING)
        found = Found("/".join(split_name(name)), _size(state), _time(state), tag=_tag(state))
        etag = state.etag or ""
        return BlockFile(
            found, lambda offset, size: self._fetch(name, etag, offset, size), lambda: found, lambda: None
        )  # nothing to look at later: every block is asked for in the state that was found

    def _fetch(self, name: str, etag: str, offset: int, size: int) -> bytes:
        with self._speaking(name, "read"):
            answer = self._client.get_object(
                self._config.bucket, self._key(name), offset, size, request_headers={"If-Match": f'"{etag}"'}
            )
            try:
                block = answer.read(size)
            finally:
                answer.close()
                answer.release_conn()
        if len(block) < size:
            text = f"The answer of {self._config.endpoint} for {name} ended after {len(block)} of {size} bytes."
            raise Outage("truncated", text, classification=Classification.INTERMITTENT)
        return block

    def read(self, name: str) -> bytes | None:
        try:
            with self._speaking(name, "read"):
                answer = self._client.get_object(self._config.bucket, self._key(name))
                try:
                    return bytes(answer.data)
                finally:
                    answer.close()
                    answer.release_conn()
        except FileNotFoundError:
            return None

    # --- writing -----------------------------------------------------------------------------------------------------
    def write(self, name: str, content: bytes) -> None:
        self._put(name, io.BytesIO(content), len(content), {})

    def create(self, name: str, content: bytes) -> bool:
        """By a condition that the store checks itself; one that does not know it is asked first."""
        with self._speaking(name, "written"):
            address = self._client.get_presigned_url("PUT", self._config.bucket, self._key(name))
            answer = self._http.request("PUT", address, body=content, headers={"If-None-Match": "*"})
        if answer.status == TAKEN:
            return False
        if answer.status in NOT_KNOWN:
            return self._create_after_look(name, content)
        if answer.status >= 300:
            self._put(name, io.BytesIO(content), len(content), {})  # its refusal comes with words
        return True

    def _create_after_look(self, name: str, content: bytes) -> bool:
        if self._stat(name) is not None:
            return False
        self.write(name, content)
        return True

    def replace(self, name: str, file: BinaryIO, run: str) -> None:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        self._put(name, file, size, {RUN_HEADER: run})

    def _put(self, name: str, file: BinaryIO, size: int, notes: dict[str, Any]) -> None:
        with self._speaking(name, "written"):
            self._client.put_object(
                self._config.bucket,
                self._key(name),
                file,
                size,
                metadata=notes or None,
                part_size=PART_BYTES,
                num_parallel_uploads=1,
            )

    def publisher_of(self, name: str) -> str:
        found = self._stat(name)
        return str((found.metadata or {}).get(f"x-amz-meta-{RUN_HEADER}", "")) if found else ""

    def remove(self, name: str) -> None:
        try:
            with self._speaking(name, "removed"):
                self._client.remove_object(self._config.bucket, self._key(name))
        except FileNotFoundError:
            return

    def remove_folder(self, folders: list[str]) -> None:
        """There are no folders: they go with their last object."""

    def transfer(self, name: str, new: str) -> bool:
        """A copy and a removal. After a kill between them the copy is there already."""
        source, target = self._stat(name), self._stat(new)
        if target is not None and (source is None or (target.etag, target.size) != (source.etag, source.size)):
            return False
        with self._speaking(name, "moved"):
            bucket = self._config.bucket
            if target is None:
                self._client.copy_object(bucket, self._key(new), CopySource(bucket, self._key(name)))
            self._client.remove_object(bucket, self._key(name))
        return True

    def _key(self, name: str) -> str:
        return self._prefix + name

    # --- errors ------------------------------------------------------------------------------------------------------
    @contextmanager
    def _speaking(self, name: str, verb: str) -> Iterator[None]:
        """Errors inside leave as ConnectorError or Outage; FileNotFoundError says that there is no such object."""
        what = f"{name} could not be {verb} in the bucket {self._config.bucket}"
        try:
            yield
        except S3Error as error:
            raise self._refused(error, what) from error
        except (ServerError, InvalidResponseError) as error:
            raise self._odd(error) from error
        except HTTPError as error:
            raise self._not_reached(error) from error
        except (TimeoutError, MinioException) as error:
            raise Outage("timeout", f"{what}: {_words(error)}.", classification=Classification.INTERMITTENT) from error
        except ValueError as error:
            raise ConnectorError("name_refused", f"{what}: {error}.", classification=Classification.VALUE) from error

    def _refused(self, error: S3Error, what: str) -> Exception:
        code, said = str(error.code), " ".join(str(error.message or error.code).split()).rstrip(".")
        if code in MISSING:
            return FileNotFoundError(what)
        if code == "PreconditionFailed":
            text = f"{what}: it was changed after a part of it had been read. Start the run again from its beginning."
            return ConnectorError("file_changed", text, classification=Classification.VALUE)
        if code == "NoSuchBucket":
            text = f"There is no bucket {self._config.bucket} at {self._config.endpoint}. Make it, or name another one."
            return ConnectorError("folder_not_found", text, classification=Classification.MISSING)
        if code in REFUSED:
            text = f"{what}: the store refused the request ({code}: {said}). Check access key, secret key and rights."
            return ConnectorError("permission_denied", text, classification=Classification.CONNECTION)
        if code in BUSY:
            return Outage(code, f"{what}: the store is busy ({said}).", classification=Classification.INTERMITTENT)
        found = classify(ErrorSource.APPLICATION, code, said)
        return ConnectorError(code, f"{what}: {said} ({code}).", classification=found)

    def _odd(self, error: MinioException) -> Outage:
        text = f"{self._config.endpoint} did not answer as an S3 store does: {_words(error)}."
        return Outage("connection", text, classification=Classification.INTERMITTENT)

    def _not_reached(self, error: HTTPError) -> Outage:
        reason: Any = error.reason if isinstance(error, MaxRetryError) else error
        cause = getattr(reason, "__cause__", None)
        if isinstance(reason, SSLError):
            code, why = "tls", f"the encrypted connection failed: {_words(reason)}"
        elif isinstance(cause, EgressRefusedError):
            code, why = "blocked", str(cause)
        elif isinstance(cause, ResolveError):
            code, why = "dns", str(cause)
        elif isinstance(reason, ConnectTimeoutError):
            code, why = "timeout", "it did not answer in time"
        elif isinstance(reason, NewConnectionError):
            code, why = "refused", _words(cause or reason)
        else:
            text = f"The connection to {self._config.endpoint} was lost: {_words(reason)}."
            return Outage("lost", text, classification=Classification.INTERMITTENT)
        text = f"Could not connect to {self._config.endpoint}: {why}"
        return Outage(code, text, classification=Classification.CONNECTION, source=ErrorSource.CONNECTION)


def _entry(found: Object, skip: int) -> Entry | None:
    """None for keys that are no names of files: markers of folders, or such that could not be asked for."""
    name = (found.object_name or "")[skip:].rstrip("/")
    if not name or not (name == HIDDEN or is_plain(name)):
        return None
    return Entry(name, True) if found.is_dir else Entry(name, False, _size(found), _time(found), _tag(found))


def is_plain(name: str) -> bool:
    try:
        return split_name(name) == [name]
    except ValueError:
        return False


def _size(found: Object) -> int:
    return int(found.size or 0)


def _time(found: Object) -> int:
    """Whole seconds: a listing knows parts of a second, the object itself does not tell them."""
    return int(found.last_modified.timestamp()) * NS if found.last_modified else 0


def _tag(found: Object) -> str:
    return hashlib.sha256((found.etag or "").strip('"').encode()).hexdigest()[:16]


def _words(error: Any) -> str:
    if isinstance(error, urllib3.exceptions.ReadTimeoutError):
        return "it did not answer in time"
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(text.split()).rsplit(": ", 1)[-1].rstrip(".") or type(error).__name__
