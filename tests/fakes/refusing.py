"""A PostgreSQL server that speaks enough of the protocol to refuse everybody's password."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

ASK_FOR_PASSWORD = b"R" + struct.pack("!II", 8, 3)


@contextmanager
def refusing_server(user: str) -> Iterator[int]:
    """Yields the port on which it listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_refuse_all, args=[server, user], daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def _refuse_all(server: socket.socket, user: str) -> None:
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return  # the test is over
        with client:
            _refuse(client, user)


def _refuse(client: socket.socket, user: str) -> None:
    _read_message(client, has_type=False)
    client.sendall(ASK_FOR_PASSWORD)
    _read_message(client, has_type=True)
    fields = {b"S": b"FATAL", b"C": b"28P01", b"M": f'password authentication failed for user "{user}"'.encode()}
    body = b"".join(kind + text + b"\0" for kind, text in fields.items()) + b"\0"
    client.sendall(b"E" + struct.pack("!I", len(body) + 4) + body)


def _read_message(client: socket.socket, *, has_type: bool) -> bytes:
    head = client.recv(5 if has_type else 4, socket.MSG_WAITALL)
    (length,) = struct.unpack("!I", head[-4:])
    return client.recv(length - 4, socket.MSG_WAITALL)


@contextmanager
def closed_port() -> Iterator[int]:
    """A port of this machine on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]
