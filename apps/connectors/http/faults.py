"""What the network and the client library report, as sentences with a stage and a classification."""

import asyncio
import ssl
from typing import Any

import aiohttp
from yarl import URL

from apps.connectors.base import Limits
from apps.connectors.egress import EgressRefusedError, ResolveError
from apps.connectors.http.wire import FaultError, Stage
from apps.engine.ports import Classification

CONNECTION = Classification.CONNECTION
INTERMITTENT = Classification.INTERMITTENT

CERTIFICATES = {
    10: "its certificate has expired",
    9: "its certificate is not valid yet",
    18: "it shows a certificate that it signed itself",
    19: "its certificate is signed by an authority that nobody vouches for",
    20: "its certificate is signed by an unknown authority",
    21: "its certificate is signed by an unknown authority",
    62: "its certificate belongs to another name",
    64: "its certificate belongs to another address",
}


def place_of(url: URL) -> str:
    """Host and port, as people say it."""
    port = "" if url.is_default_port() else f":{url.explicit_port}"
    return f"{url.host}{port}"


def fault_of(error: BaseException, url: URL, limits: Limits) -> FaultError:
    """The fault behind an exception of the client library."""
    place = place_of(url)
    for cause in causes(error):
        if isinstance(cause, EgressRefusedError):
            return not_sent("blocked", f"{place} may not be reached. {cause}")
        if isinstance(cause, ResolveError):
            return not_sent("dns", str(cause))
        if isinstance(cause, ssl.SSLCertVerificationError) and not isinstance(cause, aiohttp.ClientError):
            return not_sent("tls", f"{place} was not trusted: {certificate_words(cause)}.")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return not_sent("dns", f"The name {url.host} could not be resolved.")
    if isinstance(error, aiohttp.ClientConnectorSSLError | aiohttp.ClientSSLError):
        return not_sent("tls", f"No encrypted connection to {place} could be made: {tls_words(error)}.")
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return not_sent("connect_timeout", f"{place} could not be reached within {limits.connect_s:g} seconds.")
    if isinstance(error, aiohttp.ClientConnectorError):
        return not_connected(error, place)
    return lost(error, place, limits)


def not_connected(error: aiohttp.ClientConnectorError, place: str) -> FaultError:
    reason = error.os_error
    if isinstance(reason, ConnectionRefusedError) or "refused" in str(reason).lower():
        return not_sent("refused", f"{place} refused the connection. Is the application running there?")
    words = reason.strerror or "no way to it was found"
    return not_sent("refused", f"No connection to {place} could be made: {words}.")


def lost(error: BaseException, place: str, limits: Limits) -> FaultError:
    """The connection stood, but there is no complete answer."""
    if isinstance(error, aiohttp.SocketTimeoutError):
        return unknown("timeout", f"{place} sent nothing for {limits.read_s:g} seconds.")
    if isinstance(error, asyncio.TimeoutError):
        return unknown("timeout", f"{place} did not answer completely within {limits.total_s:g} seconds.")
    if isinstance(error, aiohttp.ClientPayloadError):
        return unknown("truncated", f"The answer of {place} broke off before its end.")
    if isinstance(error, aiohttp.ClientResponseError):
        return unknown("malformed_answer", f"The answer of {place} is not valid HTTP.", Classification.PARSE)
    if isinstance(error, aiohttp.InvalidURL):
        return definite("address_invalid", f"The address on {place} cannot be used.", Classification.VALUE)
    if isinstance(error, aiohttp.ServerDisconnectedError | ConnectionError | aiohttp.ClientError | OSError):
        return unknown("reset", f"{place} closed the connection before it answered.")
    raise error


def not_sent(code: str, message: str) -> FaultError:
    return FaultError(code, message, Stage.NOT_SENT, CONNECTION)


def unknown(code: str, message: str, classification: str = INTERMITTENT) -> FaultError:
    return FaultError(code, message, Stage.UNKNOWN, classification)


def definite(code: str, message: str, classification: str) -> FaultError:
    return FaultError(code, message, Stage.DEFINITE, classification)


def causes(error: BaseException) -> list[BaseException]:
    """The exception and those it was raised from; the library keeps some in fields of its own."""
    found: list[BaseException] = []
    todo: list[Any] = [error]
    while todo:
        one = todo.pop(0)
        if isinstance(one, BaseException) and one not in found:
            found.append(one)
            inner = (
                one.__cause__,
                one.__context__,
                getattr(one, "_os_error", None),
                getattr(one, "_certificate_error", None),
            )
            todo.extend(inner)
    return found


def certificate_words(error: ssl.SSLCertVerificationError) -> str:
    return CERTIFICATES.get(error.verify_code, error.verify_message or "its certificate cannot be verified")


def tls_words(error: BaseException) -> str:
    for cause in causes(error):
        if isinstance(cause, ssl.SSLError) and cause.reason:
            return str(cause.reason).lower().replace("_", " ")
    return "the other side ended it"
