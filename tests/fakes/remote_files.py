"""Real servers of remote files in this process: SFTP over SSH in a folder on disk, and an S3 store in memory."""

import atexit
import contextlib
import io
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

import paramiko
from minio import Minio

from apps.connectors.files.remote.sftp_link import fingerprint_of

USER, PASSWORD = "flows", "correct horse"
ACCESS_KEY, SECRET_KEY = "AKIDTEST", "a-long-secret-key"


@dataclass
class SftpPlace:
    """A running server whose files lie in `folder`. `calls` are the operations that were asked of it, in order."""

    folder: Path
    port: int
    host_key: paramiko.PKey
    user_key: paramiko.PKey
    calls: list[str] = field(default_factory=list)
    before: Callable[[str], None] = lambda call: None
    """Called with the name of every operation before it is done."""
    transports: list[paramiko.Transport] = field(default_factory=list)

    @property
    def fingerprint(self) -> str:
        return fingerprint_of(self.host_key.asbytes())

    @property
    def config(self) -> dict[str, Any]:
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "user": USER,
            "password": PASSWORD,
            "host_key": self.fingerprint,
        }

    def cut(self) -> None:
        """Drop every connection, as a server that is restarted does."""
        for transport in self.transports:
            transport.close()


class _Sign(paramiko.ServerInterface):
    def __init__(self, place: SftpPlace) -> None:
        self.place = place

    def get_allowed_auths(self, username: str) -> str:
        return "password,publickey"

    def check_auth_password(self, username: str, password: str) -> int:
        is_right = (username, password) == (USER, PASSWORD)
        return paramiko.AUTH_SUCCESSFUL if is_right else paramiko.AUTH_FAILED

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        is_right = username == USER and key.asbytes() == self.place.user_key.asbytes()
        return paramiko.AUTH_SUCCESSFUL if is_right else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED


class _File(paramiko.SFTPHandle):
    def stat(self) -> Any:
        return paramiko.SFTPAttributes.from_stat(os.fstat(self.readfile.fileno()))


class _Files(paramiko.SFTPServerInterface):
    """The folder as the root of the server, links as they are: what is not followed must be the client's doing."""

    def __init__(self, server: _Sign, *arguments: Any, **named: Any) -> None:
        super().__init__(server, *arguments, **named)
        self.place = server.place

    def _real(self, path: str) -> str:
        return str(self.place.folder) + self.canonicalize(path)

    def _do(self, call: str, act: Callable[[], Any]) -> Any:
        self.place.calls.append(call)
        self.place.before(call)
        try:
            done = act()
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno or 0)
        return paramiko.SFTP_OK if done is None else done

    def list_folder(self, path: str) -> Any:
        def act() -> list[paramiko.SFTPAttributes]:
            folder = self._real(path)
            return [
                paramiko.SFTPAttributes.from_stat(os.lstat(os.path.join(folder, name)), name)
                for name in os.listdir(folder)
            ]

        return self._do("list", act)

    def stat(self, path: str) -> Any:
        return self._do("stat", lambda: paramiko.SFTPAttributes.from_stat(os.stat(self._real(path))))

    def lstat(self, path: str) -> Any:
        return self._do("lstat", lambda: paramiko.SFTPAttributes.from_stat(os.lstat(self._real(path))))

    def open(self, path: str, flags: int, attr: Any) -> Any:
        def act() -> _File:
            fd = os.open(self._real(path), flags, 0o640)
            handle = _File(flags)
            handle.filename = path
            mode = "wb" if flags & os.O_WRONLY else "rb"
            handle.readfile = handle.writefile = os.fdopen(fd, mode)  # type: ignore[attr-defined]
            return handle

        return self._do("open", act)

    def remove(self, path: str) -> Any:
        return self._do("remove", lambda: os.remove(self._real(path)))

    def rename(self, oldpath: str, newpath: str) -> Any:
        def act() -> None:
            os.link(self._real(oldpath), self._real(newpath))
            os.unlink(self._real(oldpath))

        return self._do("rename", act)

    def posix_rename(self, oldpath: str, newpath: str) -> Any:
        return self._do("posix_rename", lambda: os.replace(self._real(oldpath), self._real(newpath)))

    def mkdir(self, path: str, attr: Any) -> Any:
        return self._do("mkdir", lambda: os.mkdir(self._real(path)))

    def rmdir(self, path: str) -> Any:
        return self._do("rmdir", lambda: os.rmdir(self._real(path)))

    def chattr(self, path: str, attr: Any) -> Any:
        return self._do("chattr", lambda: paramiko.SFTPServer.set_file_attr(self._real(path), attr))


@contextmanager
def sftp_server(folder: Path) -> Iterator[SftpPlace]:
    folder.mkdir(parents=True, exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        place = SftpPlace(folder, port, paramiko.ECDSAKey.generate(), paramiko.ECDSAKey.generate())
        threading.Thread(target=_accept, args=[listener, place], daemon=True).start()
        try:
            yield place
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            place.cut()


def _accept(listener: socket.socket, place: SftpPlace) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return  # the test is over
        transport = paramiko.Transport(client)
        place.transports.append(transport)
        transport.add_server_key(place.host_key)
        transport.set_subsystem_handler("sftp", paramiko.SFTPServer, _Files)
        with contextlib.suppress(paramiko.SSHException, EOFError):
            transport.start_server(event=threading.Event(), server=_Sign(place))


@dataclass
class S3Place:
    """A bucket of its own on a running store, and a client beside the connector's."""

    endpoint: str
    client: Minio
    bucket: str

    @property
    def config(self) -> dict[str, Any]:
        return {
            "endpoint": self.endpoint,
            "bucket": self.bucket,
            "access_key": ACCESS_KEY,
            "secret_key": SECRET_KEY,
            "path_style": True,
        }

    def put(self, name: str, content: bytes) -> None:
        self.client.put_object(self.bucket, name, io.BytesIO(content), len(content))

    def get(self, name: str) -> bytes:
        with self.client.get_object(self.bucket, name) as answer:
            return bytes(answer.data)

    def names(self) -> list[str]:
        return sorted(str(found.object_name) for found in self.client.list_objects(self.bucket, recursive=True))


@cache
def _running_store() -> str:
    """One for all tests of a process, since it takes longer to start than a test: each has a bucket of its own."""
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    moto = import_module("moto.server")  # loaded where a store is started, not wherever tests are collected
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    atexit.register(server.stop)
    host, port = server.get_host_and_port()
    return f"{host}:{port}"


def s3_place() -> S3Place:
    """A new bucket."""
    place = _running_store()
    client = Minio(place, access_key=ACCESS_KEY, secret_key=SECRET_KEY, secure=False, region="us-east-1")
    bucket = f"flows-{uuid4().hex[:12]}"
    client.make_bucket(bucket)
    return S3Place(f"http://{place}", client, bucket)
