"""The HTTP connections of an S3 client: only to judged addresses, and never longer than allowed."""

import socket
import ssl
import time
from functools import cache
from typing import Any

import certifi
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from apps.connectors.base import Surroundings
from apps.connectors.egress import Egress, EgressRefusedError


class _Bounded:
    """A socket whose answer has to be complete by a deadline, however slowly it drips."""

    deadline: float | None = None

    def recv_into(self, *arguments: Any, **named: Any) -> int:
        if self.deadline is not None:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("the answer took too long")
            self.settimeout(min(left, self.gettimeout() or left))  # type: ignore[attr-defined]
        return super().recv_into(*arguments, **named)  # type: ignore[misc,no-any-return]


class BoundedSocket(_Bounded, socket.socket):
    pass


class BoundedTlsSocket(_Bounded, ssl.SSLSocket):
    pass


@cache
def tls_context() -> ssl.SSLContext:
    """One for all clients of a process: to read the usual authorities takes 20 ms, longer than most requests."""
    context = ssl.create_default_context(cafile=certifi.where())
    context.load_default_certs()
    context.sslsocket_class = BoundedTlsSocket
    return context


def guarded_pool(surroundings: Surroundings) -> urllib3.PoolManager:
    """What an S3 client sends its requests through."""
    limits = surroundings.limits
    egress = Egress(surroundings.allow_nets)

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _connected(self, egress, limits.connect_s)

        def getresponse(self) -> Any:
            _wind(self, limits.total_s)
            return super().getresponse()

    class Tls(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _connected(self, egress, limits.connect_s)

        def getresponse(self) -> Any:
            _wind(self, limits.total_s)
            return super().getresponse()

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = Tls

    manager = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=limits.connect_s, read=limits.read_s),
        retries=urllib3.Retry(total=0, redirect=False),
        ssl_context=tls_context(),
        maxsize=2,
    )
    manager.pool_classes_by_scheme = {"http": PlainPool, "https": TlsPool}
    return manager


def _connected(connection: HTTPConnection, egress: Egress, connect_s: float) -> socket.socket:
    refusal: OSError | None = None
    port = int(connection.port)
    try:
        addresses = egress.addresses(connection.host, port, connect_s)
    except EgressRefusedError as error:
        raise NewConnectionError(connection, str(error)) from error
    except OSError as error:
        raise NewConnectionError(connection, str(error)) from error
    for address in addresses:
        made = BoundedSocket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        try:
            made.settimeout(connect_s)
            made.connect((address, port))
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return made
        except OSError as error:
            made.close()
            refusal = error
    if isinstance(refusal, TimeoutError):
        raise ConnectTimeoutError(connection, f"no connection within {connect_s:g} seconds") from refusal
    raise NewConnectionError(connection, refusal.strerror or str(refusal) if refusal else "no address") from refusal


def _wind(connection: HTTPConnection, seconds: float) -> None:
    sock = connection.sock
    if isinstance(sock, _Bounded):
        sock.deadline = time.monotonic() + seconds
