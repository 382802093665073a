"""The secrets of connections: written and rotated here, read only by what opens the connection."""

from collections.abc import Mapping

from django.db import transaction

from apps.core.crypto import Sealed, current_key_id, open_json, rotate, seal_json
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
