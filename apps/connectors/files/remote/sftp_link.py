"""One connection to an SFTP server: where it may go, how the server proves itself, what its errors mean."""

import base64
import hashlib
import io
import logging
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import paramiko

from apps.connectors.base import Surroundings
from apps.connectors.egress import Egress, EgressRefusedError, ResolveError
from apps.connectors.files.remote.config import FINGERPRINT, PUBLIC_KEY, SftpConfig
from apps.engine.ports import Classification, ConnectorError, ErrorSource, Outage

logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # it writes trace-backs of every failed sign-in

KEY_KINDS = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)
RSA_SIGNATURES = ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa")
LOST = (EOFError, ConnectionError, paramiko.SSHException)
FULL_WORDS = ("no space", "quota", "disk full")


class SftpLink:
    """A connection that is opened when it is first needed, and again after it was lost."""

    def __init__(self, config: SftpConfig, surroundings: Surroundings) -> None:
        self.config = config
        self.surroundings = surroundings
        self.place = f"{config.host}:{config.port}"
        self._transport: paramiko.Transport | None = None
        self._client: paramiko.SFTPClient | None = None
        self._root = ""

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
        self._transport = self._client = None

    @contextmanager
    def speaking(self, name: str, verb: str) -> Iterator[paramiko.SFTPClient]:
        """The client; errors inside leave as ConnectorError or Outage. FileNotFoundError is the caller's to catch."""
        client = self._connected()
        guard = threading.Timer(self.surroundings.limits.total_s, self._give_up)
        guard.daemon = True
        guard.start()
        try:
            yield client
        except FileNotFoundError:
            raise
        except TimeoutError as error:
            self.close()
            raise self._lost("timeout", f"it did not answer within {self.surroundings.limits.read_s:g} s") from error
        except LOST as error:
            self.close()
            raise self._lost("lost", _words(error)) from error
        except OSError as error:
            raise self._refused(error, name, verb) from error
        finally:
            guard.cancel()

    def path(self, folders: list[str]) -> str:
        """The absolute path of a name below the root; the connection is open then."""
        return "/".join([self._root.rstrip("/"), *folders]) or "/"

    # --- opening -----------------------------------------------------------------------------------------------------
    def _connected(self) -> paramiko.SFTPClient:
        if self._client is None or self._transport is None or not self._transport.is_active():
            self.close()
            self._transport = self._handshaken()
            try:
                self._client = self._signed_in(self._transport)
                self._root = self._resolved_root(self._client)
            except BaseException:
                self.close()
                raise
        return self._client

    def _handshaken(self) -> paramiko.Transport:
        limits = self.surroundings.limits
        sock = self._socket()
        try:
            transport = paramiko.Transport(sock)
        except (OSError, *LOST) as error:
            sock.close()
            raise self._not_reached("lost", _words(error)) from error
        transport.banner_timeout = transport.handshake_timeout = limits.connect_s
        transport.auth_timeout = transport.channel_timeout = limits.read_s
        try:
            self._choose_key_kinds(transport)
            transport.start_client(timeout=limits.connect_s)
            self._check_host_key(transport.get_remote_server_key())
        except ConnectorError:
            transport.close()
            raise
        except (OSError, *LOST) as error:
            transport.close()
            raise self._not_reached("timeout", f"no SSH server answered in time ({_words(error)})") from error
        return transport

    def _socket(self) -> socket.socket:
        """Connected to a judged address: the name is not resolved a second time."""
        config, limits = self.config, self.surroundings.limits
        try:
            addresses = Egress(self.surroundings.allow_nets).addresses(config.host, config.port, limits.connect_s)
        except ResolveError as error:
            raise self._not_reached("dns", str(error)) from error
        except EgressRefusedError as error:
            raise self._not_reached("blocked", str(error)) from error
        refusal: OSError | None = None
        for address in addresses:
            try:
                return socket.create_connection((address, config.port), limits.connect_s)
            except OSError as error:
                refusal = error
        code = "refused" if isinstance(refusal, ConnectionRefusedError) else "timeout"
        raise self._not_reached(code, _words(refusal)) from refusal

    def _choose_key_kinds(self, transport: paramiko.Transport) -> None:
        """Ask the server for the kinds of keys that are known of it."""
        kinds = [kind for kind, _ in PUBLIC_KEY.findall(self.config.host_key)]
        if kinds and not FINGERPRINT.search(self.config.host_key):
            wanted = [name for kind in kinds for name in (RSA_SIGNATURES if kind == "ssh-rsa" else (kind,))]
            options = transport.get_security_options()
            options.key_types = [name for name in options.key_types if name in wanted] or options.key_types

    def _check_host_key(self, key: paramiko.PKey) -> None:
        shown = fingerprint_of(key.asbytes())
        known = self.config.host_key
        fingerprints = {line.strip().rstrip("=") for line in known.splitlines() if FINGERPRINT.fullmatch(line.strip())}
        fingerprints |= {fingerprint_of(base64.b64decode(text + "==")) for _, text in PUBLIC_KEY.findall(known)}
        if shown in fingerprints:
            return
        text = f"The SFTP server {self.place} shows the host key {shown} ({key.get_name()})"
        if known:
            text += ", which is not the one that this connection knows. Either the server was set up anew or somebody "
            text += "stands in between: ask its administrator before you enter the new one."
        else:
            text += ". Compare it with what the server's administrator says, and enter it as the host key."
        raise Outage("host_key", text, classification=Classification.CONNECTION)

    def _signed_in(self, transport: paramiko.Transport) -> paramiko.SFTPClient:
        config = self.config
        try:
            if config.private_key:
                transport.auth_publickey(config.user, self._private_key(config.private_key.get_secret_value()))
            if config.password and not transport.is_authenticated():
                transport.auth_password(config.user, config.password.get_secret_value())
            client = paramiko.SFTPClient.from_transport(transport)
        except paramiko.AuthenticationException as error:
            text = f"The SFTP server {self.place} did not let {config.user} sign in. Check user, password and key."
            raise Outage("auth", text, classification=Classification.CONNECTION) from error
        except (OSError, *LOST) as error:
            raise self._not_reached("lost", _words(error)) from error
        assert client is not None
        channel = client.get_channel()
        assert channel is not None
        channel.settimeout(self.surroundings.limits.read_s)
        return client

    def _private_key(self, text: str) -> paramiko.PKey:
        phrase = self.config.passphrase.get_secret_value() if self.config.passphrase else None
        for kind in KEY_KINDS:
            with suppress(paramiko.SSHException, ValueError, TypeError):
                return kind.from_private_key(io.StringIO(text.strip() + "\n"), phrase)
        message = (
            "The private key of this connection cannot be read: it is damaged, of an unknown kind, or locked with "
        )
        message += "another passphrase. Enter the whole text of the file, with its first and last line."
        raise Outage("auth", message, classification=Classification.CONNECTION)

    def _resolved_root(self, client: paramiko.SFTPClient) -> str:
        folder = self.config.folder or "."
        try:
            root: str = client.normalize(folder)
            if stat.S_ISDIR(client.stat(root).st_mode or 0):
                return root
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                raise self._refused(error, f"The folder {folder}", "opened") from error
        text = f"The folder {folder} does not exist on {self.place}. Make it there, or name another one."
        raise ConnectorError("folder_not_found", text, classification=Classification.MISSING)

    # --- errors ------------------------------------------------------------------------------------------------------
    def _give_up(self) -> None:
        transport = self._transport
        if transport is not None:
            transport.close()

    def _not_reached(self, code: str, why: str) -> Outage:
        text = f"Could not connect to the SFTP server {self.place} as {self.config.user}: {why}"
        return Outage(code, text, classification=Classification.CONNECTION, source=ErrorSource.CONNECTION)

    def _lost(self, code: str, why: str) -> Outage:
        text = f"The connection to the SFTP server {self.place} was lost: {why}."
        return Outage(code, text, classification=Classification.INTERMITTENT)

    def _refused(self, error: OSError, name: str, verb: str) -> ConnectorError:
        what, said = f"{name} could not be {verb} on {self.place}", _words(error)
        if isinstance(error, PermissionError):
            text = f"{what}: the server does not allow it. Give the user {self.config.user} the right to it."
            return ConnectorError("permission_denied", text, classification=Classification.CONNECTION)
        if any(words in said.lower() for words in FULL_WORDS):
            text = f"{what}: {said}. It is done again once there is room."
            return Outage("disk_full", text, classification=Classification.INTERMITTENT)
        return ConnectorError("file_failed", f"{what}: {said}.", classification=Classification.INTERMITTENT)


def fingerprint_of(key: bytes) -> str:
    """As `ssh-keygen -l` shows it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


def _words(error: Any) -> str:
    if isinstance(error, OSError) and error.strerror:
        return str(error.strerror)
    return " ".join(str(error).split()).rstrip(".") or "the connection was closed"
