"""From a stored connection to an opened connector: its config validated, its secrets decrypted, its bounds set."""

from pathlib import Path
from typing import Any

from django.conf import settings
from pydantic import ValidationError

from apps.accounts.models import Account
from apps.connectors.base import ConnectionConfig, Connector, Surroundings
from apps.connectors.registry import CONNECTORS
from apps.core.crypto import SecretUnreadableError
from apps.engine.ports import Classification, ConnectorError, ErrorSource
from apps.flows.definition.mistakes import did_you_mean
from apps.flows.definition.words import mistakes_in
from apps.flows.models import Connection
from apps.flows.secrets import read_secrets
from apps.flows.sharing import DatabaseShared


def open_connector(connection: Connection, surroundings: Surroundings) -> Connector:
    """The connector of a connection; close it. Raises ConnectorError if what is stored cannot be used."""
    connector = connector_class(connection.kind)
    return connector(connector_config(connection), surroundings)


def connector_class(kind: str) -> type[Connector]:
    """Raises ConnectorError for a kind that is not installed."""
    if kind not in CONNECTORS:
        message = f"There is no connector of the kind {kind} ({did_you_mean(kind, CONNECTORS)})."
        raise ConnectorError("connector_missing", message, source=ErrorSource.CONNECTION)
    return CONNECTORS[kind]


def connector_config(connection: Connection) -> ConnectionConfig:
    """The connection's config with its secrets. Raises ConnectorError that names what is wrong, never a value."""
    model = connector_class(connection.kind).Config
    try:
        return model.model_validate({**connection.config, **read_secrets(connection)})
    except SecretUnreadableError as error:
        raise refused(connection, "secret_unreadable", str(error)) from error
    except ValidationError as error:
        wrong = mistakes_in(error, (), model, lambda path: 0)
        raise refused(connection, "config_invalid", "; ".join(map(str, wrong))) from None


def refused(connection: Connection, code: str, why: str) -> ConnectorError:
    message = f"The connection {connection.name} cannot be opened: {why}"
    return ConnectorError(code, message, classification=Classification.CONNECTION, source=ErrorSource.CONNECTION)


def surroundings_for(account: Account | int) -> Surroundings:
    """What the operator lets the connectors of an account touch."""
    key = account if isinstance(account, int) else account.pk
    return Surroundings(
        account=key,
        files_root=Path(settings.FILES_ROOT),
        sqlite_root=Path(settings.SQLITE_ROOT) / str(key),  # each account sees its own folder only
        allow_nets=tuple(settings.EGRESS_ALLOW_NETS),
        own_databases=own_databases(),
        shared=DatabaseShared(key),
        any_recipient=settings.EMAIL_ANY_RECIPIENT,
    )


def own_databases() -> tuple[str, ...]:
    """Flowmend's own databases: an absolute SQLite path, or host:port/name."""
    databases: dict[str, Any] = dict(settings.DATABASES)
    return tuple(filter(None, map(database_identity, databases.values())))


def database_identity(database: dict[str, Any]) -> str:
    name = str(database.get("NAME") or "")
    if database["ENGINE"].endswith("sqlite3"):
        return "" if name.startswith(("file:", ":memory:")) else str(Path(name).resolve())
    return f"{database.get('HOST') or ''}:{database.get('PORT') or 5432}/{name}"
