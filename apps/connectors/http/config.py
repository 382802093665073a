"""What people fill in for a connection to an HTTP API."""

import re
import ssl
from dataclasses import replace
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from apps.connectors.base import Limits, ReachedConfig

Auth = Literal["none", "basic", "bearer", "api_key", "oauth2_client", "oauth2_refresh"]
SIGN_IN: dict[str, Any] = {"group": "Sign in"}
AUTH_LABELS = {
    "api_key": "API key",
    "oauth2_client": "OAuth 2 with client credentials",
    "oauth2_refresh": "OAuth 2 with a refresh token",
}
HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,100}")
OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"})
SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "x-auth-token", "api-key"})
NEEDED: dict[str, tuple[str, ...]] = {
    "basic": ("user", "password"),
    "bearer": ("bearer_token",),
    "api_key": ("api_key", "key_name"),
    "oauth2_client": ("oauth_url", "client_id", "client_secret"),
    "oauth2_refresh": ("oauth_url", "client_id", "refresh_token"),
}


def check_address(text: str) -> str:
    """An address of http or https with a host, without user, query and fragment."""
    if not text:
        return text
    try:
        parts = urlsplit(text)
        is_whole = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_whole = False
        parts = urlsplit("")
    if not is_whole or any(sign.isspace() or ord(sign) < 32 for sign in text):
        raise ValueError("This must be an address such as https://api.example.org/v1.")
    if parts.username is not None or parts.password is not None:
        raise ValueError("Credentials do not belong into the address; choose how to sign in instead.")
    if parts.query or parts.fragment:
        raise ValueError("The address must end before ? and #.")
    return text


def check_header_name(name: str) -> str:
    if not HEADER_NAME.fullmatch(name):
        raise ValueError(f"{name[:40]!r} is no name of a header.")
    if name.lower() in OWN_HEADERS:
        raise ValueError(f"The header {name} is set by the connector itself.")
    return name


def check_open_header(name: str) -> str:
    """A header of the connection is stored readable, so it must not be one that carries a secret."""
    if name.lower() in SECRET_HEADERS:
        raise ValueError(f"The header {name} carries a secret. Choose how to sign in instead: there it is encrypted.")
    return check_header_name(name)


def check_header_value(value: str) -> str:
    if any(ord(sign) < 32 and sign != "\t" for sign in value):
        raise ValueError("The value of a header is one line of text.")
    return value


def check_authority(text: str) -> str:
    if text.strip():
        try:
            ssl.create_default_context(cadata=text)
        except (ssl.SSLError, ValueError):
            raise ValueError("This is no certificate in PEM form (-----BEGIN CERTIFICATE-----).") from None
    return text


Address = Annotated[str, AfterValidator(check_address)]
HeaderName = Annotated[str, AfterValidator(check_header_name)]
OpenHeader = Annotated[str, AfterValidator(check_open_header)]
HeaderValue = Annotated[str, AfterValidator(check_header_value)]


class HttpConfig(ReachedConfig):
    """An HTTP API: where it is, how to sign in, how much it may be asked."""

    base_url: Address = Field(
        min_length=1,
        max_length=1000,
        title="Address",
        description="Where the API begins, such as https://api.example.org/v1; the paths of steps are added to it.",
    )
    auth: Auth = Field(
        "none",
        title="Sign in",
        description="How requests prove who sends them.",
        json_schema_extra=SIGN_IN | {"labels": AUTH_LABELS},
    )
    user: str = Field(
        "", max_length=255, title="User", description="Basic: the name of the user.", json_schema_extra=SIGN_IN
    )
    password: SecretStr | None = Field(
        None, title="Password", description="Basic: the user's password.", json_schema_extra=SIGN_IN
    )
    bearer_token: SecretStr | None = Field(
        None,
        title="Bearer token",
        description="Bearer: the token that is sent with every request.",
        json_schema_extra=SIGN_IN,
    )
    api_key: SecretStr | None = Field(
        None, title="API key", description="API key: the key itself.", json_schema_extra=SIGN_IN
    )
    key_name: str = Field(
        "X-API-Key",
        max_length=100,
        title="Name of the key",
        description="API key: header or parameter that holds it.",
        json_schema_extra=SIGN_IN,
    )
    key_in: Literal["header", "query"] = Field(
        "header",
        title="Place of the key",
        description="API key: in a header, or in the query of the address.",
        json_schema_extra=SIGN_IN,
    )
    oauth_url: Address = Field(
        "",
        max_length=1000,
        title="Token address",
        description="OAuth 2: where access tokens are given out.",
        json_schema_extra=SIGN_IN,
    )
    client_id: str = Field(
        "", max_length=500, title="Client id", description="OAuth 2: the id of this client.", json_schema_extra=SIGN_IN
    )
    client_secret: SecretStr | None = Field(
        None, title="Client secret", description="OAuth 2: the secret of this client.", json_schema_extra=SIGN_IN
    )
    refresh_token: SecretStr | None = Field(
        None,
        title="Refresh token",
        description="OAuth 2 with a refresh token: the first one.",
        json_schema_extra=SIGN_IN,
    )
    oauth_scope: str = Field(
        "", max_length=1000, title="Scope", description="OAuth 2: what access to ask for.", json_schema_extra=SIGN_IN
    )
    client_in: Literal["header", "body"] = Field(
        "header",
        title="Place of the client",
        description="OAuth 2: send id and secret by basic sign-in, or as fields.",
        json_schema_extra=SIGN_IN,
    )
    headers: dict[OpenHeader, HeaderValue] = Field(
        {}, title="Headers", description="Headers that go out with every request. Keep secrets out of them."
    )
    verify_tls: bool = Field(
        True, title="Verify the server", description="Off: any certificate is taken, also that of an impostor."
    )
    ca: Annotated[str, AfterValidator(check_authority)] = Field(
        "",
        title="Own authority",
        description="Certificates (PEM) of an authority of your own, trusted besides the usual.",
    )
    connect_timeout_s: float | None = Field(
        None,
        gt=0,
        le=60,
        title="Connect time-out (seconds)",
        description="The longest wait for a connection; usual: 5.",
    )
    read_timeout_s: float | None = Field(
        None, gt=0, le=600, title="Read time-out (seconds)", description="The longest silence in an answer; usual: 30."
    )
    total_timeout_s: float | None = Field(
        None, gt=0, le=900, title="Deadline (seconds)", description="The longest that one request may take; usual: 60."
    )
    max_answer_bytes: int | None = Field(
        None, ge=1024, le=1 << 30, title="Largest answer", description="In bytes, unpacked; usual: 33554432 (32 MB)."
    )
    max_ratio: int | None = Field(
        None, ge=2, le=1000, title="Largest ratio", description="How much a packed answer may grow; usual: 200 times."
    )
    max_concurrency: int = Field(
        8, ge=1, le=256, title="Requests at once", description="How many requests a worker has under way at once."
    )
    max_rate: float | None = Field(
        None, gt=0, le=100_000, title="Requests a second", description="At most so many, all workers together."
    )
    ping_path: str = Field(
        "", max_length=1000, title="Path of the test", description="What the test button asks for; empty: the address."
    )

    @model_validator(mode="after")
    def _check_credentials(self) -> Self:
        missing = [name for name in NEEDED.get(self.auth, ()) if not getattr(self, name)]
        if missing:
            raise ValueError(f'Signing in by "{self.auth}" needs {", ".join(missing)}.')
        if self.auth == "api_key" and self.key_in == "header":
            check_header_name(self.key_name)
        return self

    def limits(self, usual: Limits) -> Limits:
        """The bounds of this connection: its own where they are set, else those of the installation."""
        return replace(
            usual,
            connect_s=self.connect_timeout_s or usual.connect_s,
            read_s=self.read_timeout_s or usual.read_s,
            total_s=self.total_timeout_s or usual.total_s,
            max_bytes=self.max_answer_bytes or usual.max_bytes,
            max_ratio=self.max_ratio or usual.max_ratio,
        )

    def secrets(self) -> dict[str, str]:
        """The secrets that are set, by field. For the redactor and the sign-in only."""
        found = {name: getattr(self, name) for name in sorted(self.secret_fields())}
        return {name: value.get_secret_value() for name, value in found.items() if value is not None}
