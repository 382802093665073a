"""Whether a request comes from who it should: constant-time comparison, signed times, ids that are known again."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from apps.connectors.webhook.config import PLACES, WebhookConfig
from apps.engine.ports import Classification, ConnectorError, ErrorSource

HASHES = {"sha256": hashlib.sha256, "sha512": hashlib.sha512, "sha1": hashlib.sha1}
MILLISECONDS_FROM = 100_000_000_000
"""Numbers from here on are milliseconds: as seconds they would be past the year 5000."""


class RequestRefusedError(Exception):
    """A request that does not prove where it comes from; the message tells the sender what is missing, no secret."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A request that may come in. A request with one of the same `delivery_keys` is the same delivery again."""

    delivery_keys: tuple[str, ...] = ()


def verify(config: WebhookConfig, headers: Mapping[str, str], body: bytes, now: datetime) -> Verified:
    """Verify a request; `headers` by names in small letters. Raises RequestRefusedError, and ConnectorError if the
    connection's secret cannot be used."""
    identity = value_of(headers, config.id_header) if config.id_header else ""
    keys: tuple[str, ...] = (f"id:{identity}",) if identity else ()
    if config.verification == "hmac":
        keys += verify_signature(config, headers, body, identity, now)
    elif config.verification == "token":
        verify_token(config, headers)
    return Verified(keys)


def verify_token(config: WebhookConfig, headers: Mapping[str, str]) -> None:
    given = value_of(headers, config.header_name)
    if not given.startswith(config.prefix):
        raise RequestRefusedError(f"The header {config.header_name} does not begin with {config.prefix.strip()}.")
    if not hmac.compare_digest(given[len(config.prefix) :].strip().encode(), signing_key(config, is_token=True)):
        raise RequestRefusedError(f"The token in the header {config.header_name} is not the right one.")


def verify_signature(
    config: WebhookConfig, headers: Mapping[str, str], body: bytes, identity: str, now: datetime
) -> tuple[str, ...]:
    """The keys by which a repeat is known: the signature itself, where a signed time makes it unique."""
    given = value_of(headers, config.header_name)
    timestamp = timestamp_in(config, headers) if config.timestamp_header else ""
    expected = hmac.new(
        signing_key(config), signed_bytes(config.signed, body, timestamp, identity), HASHES[config.algorithm]
    ).digest()
    if not any(hmac.compare_digest(found, expected) for found in signatures_in(given, config)):
        raise RequestRefusedError(
            f"The signature in the header {config.header_name} does not fit the body and the secret."
        )
    if not timestamp:
        return ()
    refuse_old(config, timestamp, now)
    return (f"signature:{expected.hex()}",)


def value_of(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name.lower(), "").strip()
    if not value:
        raise RequestRefusedError(f"The header {name} is missing.")
    return value


def signing_key(config: WebhookConfig, *, is_token: bool = False) -> bytes:
    """The bytes of the secret. Raises ConnectorError if it is not what the connection says it is."""
    text = config.secret.get_secret_value() if config.secret else ""
    if config.key_encoding == "text" or is_token:
        return text.encode()
    try:
        return base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        message = "The secret of this webhook connection is no base64, though its settings say so. Set it again."
        raise ConnectorError(
            "secret_unusable", message, classification=Classification.CONNECTION, source=ErrorSource.CONNECTION
        ) from None


def signed_bytes(pattern: str, body: bytes, timestamp: str, identity: str) -> bytes:
    values = {"{body}": body, "{timestamp}": timestamp.encode(), "{id}": identity.encode()}
    return b"".join(values.get(part, part.encode()) for part in PLACES.split(pattern))


def signatures_in(value: str, config: WebhookConfig) -> Iterator[bytes]:
    """All signatures of a header; while a sender changes its secret there may be several."""
    for part in dict.fromkeys([value, *re.split(r"\s+", value), *re.split(r"[\s,]+", value)]):
        if part.startswith(config.prefix):
            found = decoded(part[len(config.prefix) :].strip(), config.encoding)
            if found:
                yield found


def decoded(text: str, encoding: str) -> bytes:
    """The bytes of a signature; b"" if it is none."""
    try:
        return bytes.fromhex(text) if encoding == "hex" else base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


# --- times -----------------------------------------------------------------------------------------------------------
def timestamp_in(config: WebhookConfig, headers: Mapping[str, str]) -> str:
    value = value_of(headers, config.timestamp_header)
    if not config.timestamp_prefix:
        return value
    for part in re.split(r"[\s,]+", value):
        if part.startswith(config.timestamp_prefix):
            return part[len(config.timestamp_prefix) :]
    raise RequestRefusedError(f"The header {config.timestamp_header} holds no part {config.timestamp_prefix}.")


def refuse_old(config: WebhookConfig, timestamp: str, now: datetime) -> None:
    age_s = (now - moment_of(timestamp, config.timestamp_header)).total_seconds()
    if abs(age_s) > config.tolerance_s:
        where = f"{abs(age_s):.0f} seconds {'old' if age_s > 0 else 'ahead'}"
        raise RequestRefusedError(f"The signed time is {where}; at most {config.tolerance_s} seconds are allowed.")


def moment_of(text: str, header: str) -> datetime:
    """A time in seconds or milliseconds since 1970, or in ISO 8601 with its zone."""
    try:
        if re.fullmatch(r"\d{1,15}(\.\d{1,9})?", text, re.ASCII):
            number = float(text)
            return datetime.fromtimestamp(number / 1000 if number >= MILLISECONDS_FROM else number, UTC)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        raise RequestRefusedError(f"The time in the header {header} cannot be read.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
