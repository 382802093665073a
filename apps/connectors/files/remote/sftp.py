"""Files on an SFTP server. Every segment of a name is looked at on its way: links are not followed."""

import os
import stat
from contextlib import suppress
from typing import BinaryIO

import orjson
import paramiko

from apps.connectors.base import Surroundings
from apps.connectors.files.parts import RUN_PREFIX
from apps.connectors.files.remote.config import SftpConfig
from apps.connectors.files.remote.sftp_link import SftpLink
from apps.connectors.files.remote.shelf import MARKER
from apps.connectors.files.remote.store import BlockFile, Entry, RemoteStore, whole
from apps.connectors.files.root import HIDDEN, split_name
from apps.connectors.files.store import Found
from apps.engine.ports import Classification, ConnectorError

REQUEST_BYTES = 32 * 1024
"""What one request reads or writes: more is not answered by every server."""
PIECE_BYTES = 1024 * 1024
NS = 1_000_000_000


class SftpStore(RemoteStore):
    """The folder of one connection."""

    def __init__(self, config: SftpConfig, surroundings: Surroundings) -> None:
        self.shown = config.folder or "the user's folder"
        self._user = config.user
        self._link = SftpLink(config, surroundings)

    def close(self) -> None:
        self._link.close()

    def look_into(self) -> str:
        files = sum(not entry.is_folder for entry in self.entries([]))
        return f"Signed in; {self.shown} can be read, {files} file{'s' if files != 1 else ''} in it."

    # --- reading -----------------------------------------------------------------------------------------------------
    def entries(self, folders: list[str]) -> list[Entry]:
        where = "/".join(folders) or self.shown
        with self._link.speaking(where, "read") as client:
            try:
                path = self._checked(client, folders)
                if folders and not stat.S_ISDIR(client.lstat(path).st_mode or 0):
                    return []
                return [entry for info in client.listdir_attr(path) if (entry := _entry(info.filename, info))]
            except FileNotFoundError:
                return []

    def entry(self, name: str) -> Entry | None:
        *folders, last = split_name_of_ours(name)
        with self._link.speaking(name, "read") as client:
            try:
                return _entry(last, client.lstat(f"{self._checked(client, folders)}/{last}"))
            except FileNotFoundError:
                return None

    def open_file(self, name: str) -> BlockFile:
        *folders, last = split_name_of_ours(name)
        with self._link.speaking(name, "read") as client:
            try:
                path = f"{self._checked(client, folders)}/{last}"
                if not stat.S_ISREG(client.lstat(path).st_mode or 0):
                    raise _not_a_file(name)
                file = client.open(path, "rb")
            except FileNotFoundError:
                text = f"{name} could not be read: it does not exist."
                raise ConnectorError("file_not_found", text, classification=Classification.MISSING) from None
            found = _found(name, file.stat())
        return BlockFile(
            found,
            lambda offset, size: self._fetch(file, name, offset, size),
            lambda: self._look(file, name),
            lambda: _close_quietly(file),
        )

    def _fetch(self, file: paramiko.SFTPFile, name: str, offset: int, size: int) -> bytes:
        """Many requests on their way at once: one after the other would cost a round trip each."""
        end = offset + size
        places = [(at, min(REQUEST_BYTES, end - at)) for at in range(offset, end, REQUEST_BYTES)]
        with self._link.speaking(name, "read"):
            block = b"".join(file.readv(places))
        if len(block) < size:
            text = f"{name} became shorter while it was read. Start the run again to read it from its beginning."
            raise ConnectorError("file_changed", text, classification=Classification.VALUE)
        return block

    def _look(self, file: paramiko.SFTPFile, name: str) -> Found:
        with self._link.speaking(name, "read"):
            return _found(name, file.stat())

    def read(self, name: str) -> bytes | None:
        try:
            file = self.open_file(name)
        except ConnectorError as error:
            if error.code != "file_not_found":
                raise
            return None
        try:
            return whole(file)
        finally:
            file.close()

    # --- writing -----------------------------------------------------------------------------------------------------
    def write(self, name: str, content: bytes) -> None:
        with self._link.speaking(name, "written") as client:
            path = self._made(client, name)
            beside = _written_beside(client, path, content)
            _rename_over(client, beside, path)

    def create(self, name: str, content: bytes) -> bool:
        with self._link.speaking(name, "written") as client:
            path = self._made(client, name)
            beside = _written_beside(client, path, content)
            return _rename_free(client, beside, path)

    def replace(self, name: str, file: BinaryIO, run: str) -> None:
        """The marker of the run tells what its file looks like, before it is put in place."""
        with self._link.speaking(name, "written") as client:
            path = self._made(client, name)
            beside = _beside(path, run)
            out = client.open(beside, "wb")
        with out:
            out.set_pipelined(True)
            while piece := file.read(PIECE_BYTES):
                with self._link.speaking(name, "written"):
                    out.write(piece)
            with self._link.speaking(name, "written"):
                out.set_pipelined(False)
                info = out.stat()
        identity = self._told_apart(name, path, beside, info)
        self.write(f"{HIDDEN}/{run}/{MARKER}", orjson.dumps({"name": name, "file": identity}))
        with self._link.speaking(name, "written") as client:
            _rename_over(client, beside, path)

    def _told_apart(self, name: str, path: str, beside: str, info: paramiko.SFTPAttributes) -> list[int]:
        """What the new file looks like. Times count in seconds: it gets one that the file in place has not."""
        size, mtime = int(info.st_size or 0), int(info.st_mtime or 0)
        with self._link.speaking(name, "written") as client:
            with suppress(FileNotFoundError):
                if _identity(client.lstat(path)) == [size, mtime]:
                    mtime += 1
            client.utime(beside, (mtime, mtime))
        return [size, mtime]

    def publisher_of(self, name: str) -> str:
        found = self.entry(name)
        if found is None:
            return ""
        in_place = {"name": name, "file": [found.size, found.mtime_ns // NS]}
        for entry in self.entries([HIDDEN]):
            if entry.is_folder and entry.name.startswith(RUN_PREFIX):
                marker = self.read(f"{HIDDEN}/{entry.name}/{MARKER}")
                if marker is not None and orjson.loads(marker) == in_place:
                    return entry.name
        return ""

    def remove(self, name: str) -> None:
        *folders, last = split_name_of_ours(name)
        with self._link.speaking(name, "removed") as client, suppress(FileNotFoundError):
            client.remove(f"{self._checked(client, folders)}/{last}")

    def remove_folder(self, folders: list[str]) -> None:
        with self._link.speaking("/".join(folders), "removed") as client, suppress(FileNotFoundError):
            client.rmdir(self._checked(client, folders))

    def transfer(self, name: str, new: str) -> bool:
        *folders, last = split_name(name)
        with self._link.speaking(name, "moved") as client:
            target = self._made(client, new)
            try:
                client.lstat(target)
            except FileNotFoundError:
                client.rename(f"{self._checked(client, folders)}/{last}", target)
                return True
        return False

    # --- the way to a name -------------------------------------------------------------------------------------------
    def _checked(self, client: paramiko.SFTPClient, folders: list[str]) -> str:
        """The path of a folder, none of whose segments is a link. Raises FileNotFoundError."""
        for depth in range(1, len(folders) + 1):
            if stat.S_ISLNK(client.lstat(self._link.path(folders[:depth])).st_mode or 0):
                raise _link_refused("/".join(folders))
        return self._link.path(folders)

    def _made(self, client: paramiko.SFTPClient, name: str) -> str:
        """The path of a file whose folders are there."""
        *folders, last = split_name_of_ours(name)
        try:
            return f"{self._checked(client, folders)}/{last}"
        except FileNotFoundError:
            for depth in range(1, len(folders) + 1):
                path = self._link.path(folders[:depth])
                try:
                    client.lstat(path)
                except FileNotFoundError:
                    with suppress(OSError):  # another worker may have made it at the same moment
                        client.mkdir(path, 0o750)
        return f"{self._checked(client, folders)}/{last}"


def split_name_of_ours(name: str) -> list[str]:
    """`split_name`, but names in our hidden folder are fine."""
    first, _, rest = name.partition("/")
    return [first, *split_name(rest)] if first == HIDDEN else split_name(name)


def _entry(name: str, info: paramiko.SFTPAttributes) -> Entry | None:
    """None for links and other special files, and for names that could not be asked for."""
    mode = info.st_mode or 0
    if stat.S_ISDIR(mode):
        return Entry(name, True)
    if not stat.S_ISREG(mode):
        return None
    return Entry(name, False, int(info.st_size or 0), int(info.st_mtime or 0) * NS)


def _found(name: str, info: paramiko.SFTPAttributes) -> Found:
    return Found("/".join(split_name_of_ours(name)), int(info.st_size or 0), int(info.st_mtime or 0) * NS)


def _identity(info: paramiko.SFTPAttributes) -> list[int]:
    return [int(info.st_size or 0), int(info.st_mtime or 0)]


def _close_quietly(file: paramiko.SFTPFile) -> None:
    with suppress(OSError, EOFError, paramiko.SSHException):  # the connection may be gone
        file.close()


def _beside(path: str, mark: str) -> str:
    """A name in the same folder that no pattern finds."""
    folder, _, last = path.rpartition("/")
    return f"{folder}/.flowmend-{mark}-{last}.tmp"


def _written_beside(client: paramiko.SFTPClient, path: str, content: bytes) -> str:
    beside = _beside(path, os.urandom(6).hex())
    with client.open(beside, "wbx") as file:
        file.set_pipelined(True)
        file.write(content)
    return beside


def _rename_over(client: paramiko.SFTPClient, beside: str, path: str) -> None:
    """In one step where the server knows how (OpenSSH does), else with a short gap."""
    try:
        client.posix_rename(beside, path)
    except FileNotFoundError:
        raise
    except PermissionError:
        with suppress(OSError):
            client.remove(beside)
        raise
    except OSError:
        with suppress(FileNotFoundError):
            client.remove(path)
        client.rename(beside, path)


def _rename_free(client: paramiko.SFTPClient, beside: str, path: str) -> bool:
    """The protocol's own rename fails where the name is taken."""
    try:
        client.rename(beside, path)
    except OSError:
        with suppress(FileNotFoundError):
            client.remove(beside)
        client.lstat(path)
        return False
    return True


def _link_refused(name: str) -> ConnectorError:
    text = f"{name} could not be opened: there is a link on the way, and links are not followed."
    return ConnectorError("link_refused", text, classification=Classification.VALUE)


def _not_a_file(name: str) -> ConnectorError:
    text = f"{name} could not be read: it is a folder, a link or another special file."
    return ConnectorError("not_a_file", text, classification=Classification.VALUE)
