"""What connections to files on other machines store."""

import re
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from apps.connectors.base import ReachedConfig
from apps.connectors.files.options import RelativeName

HOST = re.compile(r"[A-Za-z0-9_.:\-]{1,255}")
BUCKET = re.compile(r"[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]")
FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}=?")
PUBLIC_KEY = re.compile(r"(?:^|\s)((?:ssh|ecdsa)-[a-z0-9\-]+)\s+([A-Za-z0-9+/]{40,}={0,2})")


def _host(name: str) -> str:
    if not HOST.fullmatch(name):
        raise ValueError(f"{name!r} is not one host name or address.")
    return name


def _host_keys(text: str) -> str:
    """One line each: a fingerprint as `ssh-keygen -l` shows it, or a public key as in a known_hosts file."""
    for line in filter(None, map(str.strip, text.splitlines())):
        if not FINGERPRINT.fullmatch(line) and not PUBLIC_KEY.search(line):
            raise ValueError(
                f"{line[:60]!r} is neither a fingerprint (SHA256:…) nor a public key (ssh-ed25519 AAAA…) of a server."
            )
    return text.strip()


def _server_folder(name: str) -> str:
    segments = name.split("/")
    if ".." in segments or any(ord(letter) < 32 or ord(letter) == 127 for letter in name):
        raise ValueError(f"{name!r} may hold no .. and no control character.")
    return name.strip()


def _endpoint(address: str) -> str:
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError(f"{address!r} is not an address like https://s3.example.com:9000, without a path.")
    if parts.username or parts.password:
        raise ValueError("Leave credentials out of the address: they belong into the fields of their own.")
    return f"{parts.scheme}://{parts.netloc}"


def _bucket(name: str) -> str:
    if not BUCKET.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a bucket: 3 to 63 lower case letters, digits, dots and hyphens.")
    return name


class SftpConfig(ReachedConfig):
    """A folder on an SFTP server."""

    host: Annotated[str, AfterValidator(_host)] = Field(title="Host", description="Name or address of the server.")
    port: int = Field(22, ge=1, le=65535, title="Port", description="The port on which the server listens.")
    user: str = Field(min_length=1, max_length=255, title="User", description="The user to sign in as.")
    password: SecretStr | None = Field(
        None, title="Password", description="The user's password, if the server asks for one."
    )
    private_key: SecretStr | None = Field(
        None,
        title="Private key",
        description="The whole text of a private key, if the user signs in by key.",
        json_schema_extra={"multiline": True},
    )
    passphrase: SecretStr | None = Field(
        None, title="Passphrase", description="What the private key is locked with, if it is."
    )
    host_key: Annotated[str, AfterValidator(_host_keys)] = Field(
        "",
        max_length=10_000,
        title="Host key",
        description="What the server proves itself by: its fingerprint (SHA256:…) or public key, one a line. "
        "Test the connection without it to see what the server shows, and compare with its administrator.",
        json_schema_extra={"multiline": True},
    )
    folder: Annotated[str, AfterValidator(_server_folder)] = Field(
        "", max_length=1000, title="Folder", description="Folder on the server; empty: where the user arrives."
    )

    @model_validator(mode="after")
    def _signs_in(self) -> Self:
        if not self.password and not self.private_key:
            raise ValueError("An SFTP connection needs a password or a private_key.")
        return self


class S3Config(ReachedConfig):
    """A bucket, or a part of it below a prefix."""

    endpoint: Annotated[str, AfterValidator(_endpoint)] = Field(
        "https://s3.amazonaws.com",
        title="Endpoint",
        description="Address of the service: Amazon's own, or that of another store that speaks S3.",
    )
    region: str = Field(
        "us-east-1", pattern=r"^[a-z0-9\-]{1,40}$", title="Region", description="The region the bucket lies in."
    )
    bucket: Annotated[str, AfterValidator(_bucket)] = Field(title="Bucket", description="The name of the bucket.")
    folder: RelativeName = Field(
        "", max_length=800, title="Folder", description="Prefix of all names in the bucket; empty: the whole bucket."
    )
    access_key: SecretStr = Field(title="Access key", description="The identity to sign requests with (access key ID).")
    secret_key: SecretStr = Field(title="Secret key", description="The secret that belongs to the access key.")
    path_style: bool = Field(
        False,
        title="Bucket in the path",
        description="On: the bucket stands in the path, not in the host name, as many other stores want it.",
    )
