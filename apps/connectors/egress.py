"""Which network addresses a connector may open: judged as numbers, after the name was resolved, before the connect."""

import ipaddress
import queue
import socket
import threading
from collections.abc import Iterable
from dataclasses import dataclass

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
AddressInfo = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]
"""What `getaddrinfo` gives: family, type, protocol, canonical name, address."""

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
COMPATIBLE = ipaddress.IPv6Network("::/96")
NEVER = tuple(
    ipaddress.ip_network(net)
    for net in (
        "169.254.0.0/16",  # link-local, where clouds answer with instance credentials
        "fe80::/10",
        "fd00:ec2::254/128",
        "100.100.100.200/32",
        "168.63.129.16/32",
        "192.0.0.192/32",
        "224.0.0.0/4",
        "ff00::/8",
        "0.0.0.0/8",
        "::/128",
        "255.255.255.255/32",
    )
)


class ResolveError(OSError):
    """A host name that could not be turned into addresses; the message is a sentence."""


class EgressRefusedError(PermissionError):
    """An address that the operator does not allow; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Egress:
    """The operator's rule: public addresses, and the private networks that he named."""

    allow_nets: tuple[str, ...] = ()

    def addresses(self, host: str, port: int, timeout_s: float) -> list[str]:
        """All addresses of a host, each allowed. Raises ResolveError, EgressRefusedError."""
        found = resolve(host, port, timeout_s)
        for address in found:
            if not self.is_allowed(address):
                raise EgressRefusedError(refusal(f"{host} is at {address}"))
        return found

    def open_socket(self, info: AddressInfo) -> socket.socket:
        """A socket for one resolved address, judged at the last moment: what is judged is what is connected to.

        Raises EgressRefusedError.
        """
        family, kind, protocol, _, address = info
        if not self.is_allowed(str(address[0])):
            raise EgressRefusedError(refusal(f"It is at {address[0]}"))
        return socket.socket(family, kind, protocol)

    def is_allowed(self, text: str) -> bool:
        try:
            addresses = embedded(ipaddress.ip_address(text.split("%", 1)[0]))
        except ValueError:
            return False
        return all(self._is_allowed(address) for address in addresses)

    def _is_allowed(self, address: Address) -> bool:
        if is_in(address, NEVER):
            return False
        if address.is_global and not address.is_multicast:
            return True
        return is_in(address, [ipaddress.ip_network(net, strict=False) for net in self.allow_nets])


def refusal(where: str) -> str:
    return (
        f"{where}, an address that this installation does not let connections reach. "
        "The operator can allow private networks with EGRESS_ALLOW_NETS."
    )


def is_in(address: Address, nets: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    return any(address.version == net.version and address in net for net in nets)


def embedded(address: Address) -> list[Address]:
    """The address itself, or the IPv4 addresses that it carries (mapped, translated, tunnelled)."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address in NAT64 or (address in COMPATIBLE and int(address) > 1):
        return [ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)]
    if address.sixtofour is not None:
        return [address, address.sixtofour]
    if address.teredo is not None:
        return [address, *address.teredo]
    return [address]


def resolve(host: str, port: int, timeout_s: float) -> list[str]:
    """The numeric addresses of a host, without doubles. Raises ResolveError, also when the answer takes too long."""
    answers: queue.SimpleQueue[list[str] | OSError | UnicodeError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put(list(dict.fromkeys(str(entry[4][0]) for entry in found)))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    # the system's resolver knows no time-out, so it is asked in a thread that may be left behind
    threading.Thread(target=ask, daemon=True, name="resolve").start()
    try:
        answer = answers.get(timeout=timeout_s)
    except queue.Empty:
        raise ResolveError(f"The name {host} could not be resolved within {timeout_s:g} seconds.") from None
    if isinstance(answer, (OSError, UnicodeError)):
        raise ResolveError(f"The name {host} could not be resolved.") from answer
    return answer


def is_this_machine(address: str) -> bool:
    """Whether an address belongs to this machine: only then a socket can be bound to it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
