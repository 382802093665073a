"""Secrets at rest: encrypted with keys from the environment (`FIELD_KEYS`, newest first), never with SECRET_KEY.

The newest key encrypts; all of them decrypt. To rotate: put a new key first, run `manage.py rotate_keys`, drop the old.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

_DERIVATION = b"flowmend field key"


class SecretUnreadableError(Exception):
    """A secret that none of the keys in FIELD_KEYS opens."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """An encrypted value and the id of the key that sealed it; shows neither in logs."""

    data: bytes = field(repr=False)
    key_id: str


def encrypt(plain: bytes) -> bytes:
    return _ring().encrypt(plain)


def decrypt(sealed: bytes, key_id: str = "") -> bytes:
    """The plain bytes; raises `SecretUnreadableError` (with the id of the missing key, if known)."""
    try:
        return _ring().decrypt(bytes(sealed))
    except (InvalidToken, TypeError) as error:
        which = f" (it was sealed with key {key_id})" if key_id and key_id not in key_ids() else ""
        raise SecretUnreadableError(
            f"A stored secret cannot be read with the keys in FIELD_KEYS{which}. "
            "Put the key it was sealed with back into FIELD_KEYS, or set the secret again."
        ) from error


def rotate(sealed: bytes, key_id: str = "") -> Sealed:
    """The same secret sealed with the newest key; raises `SecretUnreadableError`."""
    return Sealed(encrypt(decrypt(sealed, key_id)), current_key_id())


def seal_json(values: Mapping[str, object]) -> Sealed:
    return Sealed(encrypt(json.dumps(dict(values)).encode()), current_key_id())


def open_json(sealed: Sealed) -> dict[str, object]:
    """The values that `seal_json` sealed; raises `SecretUnreadableError`."""
    values: dict[str, object] = json.loads(decrypt(sealed.data, sealed.key_id))
    return values


def current_key_id() -> str:
    """The id of the key that seals now: it names the key and tells nothing about it."""
    return key_ids()[0]


def key_ids() -> list[str]:
    return [_key_id(key) for key in _fernet_keys(_configured_keys())]


def _ring() -> MultiFernet:
    return _ring_of(_configured_keys())


def _configured_keys() -> tuple[str, ...]:
    keys = tuple(settings.FIELD_KEYS)
    if not keys:
        raise ImproperlyConfigured("FIELD_KEYS is empty: without a key no secret can be stored.")
    return keys


@lru_cache(maxsize=8)
def _ring_of(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in _fernet_keys(keys)])


@lru_cache(maxsize=8)
def _fernet_keys(keys: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(_fernet_key(key) for key in keys)


def _fernet_key(text: str) -> bytes:
    """The text itself if it is a Fernet key, else 32 bytes derived from it (RFC 5869)."""
    try:
        if len(base64.urlsafe_b64decode(text)) == 32:
            return text.encode()
    except (binascii.Error, ValueError):
        pass
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=_DERIVATION).derive(text.encode())
    return base64.urlsafe_b64encode(derived)


def _key_id(key: bytes) -> str:
    return hashlib.sha256(_DERIVATION + key).hexdigest()[:8]
