"""The secrets of connections: written and rotated here, read only by what opens the connection."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime

import orjson
from django.db import transaction

from apps.core.crypto import Sealed, SecretUnreadableError, current_key_id, open_json, rotate, seal_json
from apps.flows.models import Connection


def read_secrets(connection: Connection) -> dict[str, str]:
    """The secrets by name; raises `SecretUnreadableError` if no configured key opens them."""
    if not connection.secrets:
        return {}
    values = open_json(Sealed(bytes(connection.secrets), connection.secrets_key_id))
    return {name: str(value) for name, value in values.items()}


def secret_names(connection: Connection) -> list[str]:
    """Which secrets are set: names, never values; raises `SecretUnreadableError`."""
    return sorted(read_secrets(connection))


def secrets_end_at(connection: Connection) -> datetime | None:
    """The first moment from which one of its secrets is no longer taken, where a secret says so itself: a JSON web
    token (RFC 7519) by its `exp`. None: nobody knows, or no key opens them."""
    try:
        ends = [moment for secret in read_secrets(connection).values() if (moment := _end_of(secret))]
    except SecretUnreadableError:
        return None
    return min(ends, default=None)


def _end_of(secret: str) -> datetime | None:
    head, _, rest = secret.strip().partition(".")
    claims, _, signature = rest.partition(".")
    if not head.startswith("ey") or not signature:
        return None
    try:
        values = orjson.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        return datetime.fromtimestamp(values["exp"], UTC)
    except (ValueError, TypeError, KeyError, OverflowError, OSError):
        return None


@transaction.atomic
def write_secrets(connection: Connection, values: Mapping[str, str | None]) -> None:
    """Sets the named secrets and removes those whose value is None; the others stay."""
    locked = Connection.objects.of(connection.account_id).select_for_update().get(pk=connection.pk)
    merged = {**read_secrets(locked), **values}
    _store(connection, {name: value for name, value in merged.items() if value is not None})


def replace_secrets(connection: Connection, values: Mapping[str, str]) -> None:
    """Sets exactly these secrets: also the way out when the old ones can no longer be read."""
    _store(connection, values)


def _store(connection: Connection, values: Mapping[str, str]) -> None:
    sealed = seal_json(values)
    connection.secrets = sealed.data if values else None
    connection.secrets_key_id = sealed.key_id if values else ""
    connection.save(update_fields=["secrets", "secrets_key_id"])


def rotate_secrets(connection: Connection) -> bool:
    """Seals the secrets with the newest key; False if they already are, or were changed meanwhile.

    Raises `SecretUnreadableError`.
    """
    if not connection.secrets or connection.secrets_key_id == current_key_id():
        return False
    sealed = rotate(bytes(connection.secrets), connection.secrets_key_id)
    same = Connection.objects.of(connection.account_id).filter(pk=connection.pk, secrets=connection.secrets)
    return same.update(secrets=sealed.data, secrets_key_id=sealed.key_id) == 1
