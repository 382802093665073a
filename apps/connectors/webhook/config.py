"""How requests prove where they come from, and what becomes of them."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from apps.connectors.base import ConnectionConfig, Options

HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
PLACES = re.compile(r"(\{(?:body|timestamp|id)\})")
DEFAULT_HEADERS = {"hmac": "X-Signature", "token": "X-Webhook-Token"}
NEVER_HANDED_ON = frozenset({"authorization", "cookie", "proxy-authorization"})


def check_header(name: str) -> str:
    if name and not HEADER.fullmatch(name):
        raise ValueError(f'"{name[:60]}" is no name of an HTTP header.')
    return name


def check_handed_on(name: str) -> str:
    if check_header(name).lower() in NEVER_HANDED_ON:
        raise ValueError(f"The header {name} holds credentials: it is never put into records.")
    return name.lower()


def check_signed(pattern: str) -> str:
    if pattern.count("{body}") != 1:
        raise ValueError("What is signed must hold {body} once; {timestamp} and {id} may stand beside it.")
    if re.search(r"[{}]", PLACES.sub("", pattern)):
        raise ValueError("Only {body}, {timestamp} and {id} may stand in braces.")
    return pattern


HeaderName = Annotated[str, AfterValidator(check_header)]
HandedOn = Annotated[str, Field(min_length=1), AfterValidator(check_handed_on)]


class WebhookConfig(ConnectionConfig):
    """How the sender's requests are verified; what to choose stands in the sender's own documentation."""

    verification: Literal["hmac", "token", "none"] = Field(
        title="Verification",
        description="hmac: each request is signed; token: it brings a fixed text; none: to know the address is enough.",
    )
    secret: SecretStr | None = Field(
        None, title="Secret", description="The key that the sender signs with, or the token that it sends."
    )
    header: HeaderName = Field(
        "",
        title="Header",
        description="Header that holds the signature (X-Signature if left empty) or the token (X-Webhook-Token).",
    )
    prefix: str = Field(
        "", max_length=40, title="Prefix", description="What stands before it in the header, such as sha256= or Bearer."
    )
    algorithm: Literal["sha256", "sha512", "sha1"] = Field(
        "sha256", title="Algorithm", description="The hash that the sender's HMAC is made with."
    )
    encoding: Literal["hex", "base64"] = Field(
        "hex", title="Encoding", description="How the signature is written in the header."
    )
    key_encoding: Literal["text", "base64"] = Field(
        "text", title="Encoding of the secret", description="base64: the secret is base64 of the real key."
    )
    signed: Annotated[str, AfterValidator(check_signed)] = Field(
        "{body}",
        max_length=200,
        title="What is signed",
        description="The signed text, made of {body}, {timestamp} and {id}, such as v0:{timestamp}:{body}.",
    )
    timestamp_header: HeaderName = Field(
        "", title="Header of the time", description="Header that holds the time of sending, if the sender signs it."
    )
    timestamp_prefix: str = Field(
        "",
        max_length=20,
        title="Prefix of the time",
        description="What stands before the time where a header holds more than it, such as t=.",
    )
    tolerance_s: int = Field(
        300,
        ge=1,
        le=86_400,
        title="Tolerance (seconds)",
        description="How old a signed time may be, and how far ahead.",
    )
    id_header: HeaderName = Field(
        "",
        title="Header of the delivery id",
        description="Header with an id of each delivery: known ids are not taken again.",
    )
    remember_hours: int = Field(
        72, ge=1, le=720, title="Remember (hours)", description="How long ids and signatures are known again."
    )
    max_mb: int = Field(16, ge=1, le=32, title="Largest request (MB)", description="Larger requests are refused.")

    @property
    def header_name(self) -> str:
        return self.header or DEFAULT_HEADERS.get(self.verification, "")

    @property
    def max_bytes(self) -> int:
        return self.max_mb * 1024 * 1024

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.verification != "none" and not (self.secret and self.secret.get_secret_value()):
            raise ValueError(f"The verification {self.verification} needs a secret.")
        if self.verification != "hmac":
            self._refuse_signing()
        elif bool(self.timestamp_header) != ("{timestamp}" in self.signed):
            raise ValueError("A time protects only if it is signed: name timestamp_header and {timestamp} together.")
        elif "{id}" in self.signed and not self.id_header:
            raise ValueError("What is signed holds {id}, but id_header names no header for it.")
        return self

    def _refuse_signing(self) -> None:
        if self.signed != "{body}" or self.timestamp_header or self.timestamp_prefix:
            raise ValueError("signed, timestamp_header and timestamp_prefix belong to the verification hmac.")


class WebhookExportOptions(Options):
    """What becomes of the requests."""

    record_path: str = Field(
        "",
        max_length=500,
        title="Record path",
        description="Where the record or the list of records stands in the body (data.items); empty: it is the body.",
    )
    include_headers: tuple[HandedOn, ...] = Field(
        (),
        max_length=20,
        title="Headers",
        description="Headers of the request that each record gets in its field _headers, in small letters.",
    )
    window_s: float = Field(
        1.0,
        ge=0,
        le=300,
        title="Window (seconds)",
        description="How long requests are gathered before their run begins.",
    )
    max_waiting: int = Field(
        10_000,
        ge=1,
        le=1_000_000,
        title="Waiting records",
        description="With so many records waiting, senders are told to come back later (429).",
    )
    max_waiting_mb: int = Field(
        256, ge=1, le=10_000, title="Waiting data (MB)", description="The same limit for the size of what waits."
    )
