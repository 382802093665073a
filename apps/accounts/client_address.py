"""From which network address a request comes, and what is done in the course of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from ipaddress import IPv6Address, ip_address

from django.conf import settings
from django.http import HttpRequest

_calling: ContextVar[str] = ContextVar("flowmend_client_address", default="")
HOUSE_BITS = 64
"""So long is the part of an IPv6 address that names a house; the rest a guest there chooses freely."""


def client_address(request: HttpRequest) -> str:
    """The address, or nothing if nobody knows it. Behind a proxy it is what that one wrote last: the parts before were
    sent by the client, who may write there what he likes."""
    told = request.META.get("REMOTE_ADDR", "")
    if settings.BEHIND_PROXY:
        told = request.headers.get("X-Forwarded-For", told).rpartition(",")[2].strip()
    try:
        return str(ip_address(told.partition("%")[0]))  # what follows names a network card of this machine
    except ValueError:
        return ""


@contextmanager
def calling_from(address: str) -> Iterator[None]:
    """What is done in this block (and thread) is done for a request from this address."""
    reset = _calling.set(address)
    try:
        yield
    finally:
        _calling.reset(reset)


def present_address() -> str:
    """The address of the request under way; nothing where there is none, as in a worker."""
    return _calling.get()


def network_of(address: str) -> str:
    """What is counted as one address: of IPv6 the first half."""
    if not address:
        return ""
    parsed = ip_address(address)
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{IPv6Address(int(parsed) >> HOUSE_BITS << HOUSE_BITS)}/{HOUSE_BITS}"
