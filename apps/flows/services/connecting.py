"""Making and changing connections: the config checked by the connector's own model, the secrets stored apart."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from pydantic import SecretStr, ValidationError

from apps.accounts.models import Account, Member
from apps.accounts.services import record_audit
from apps.connectors.base import ConnectionConfig
from apps.connectors.registry import CONNECTORS
from apps.core.crypto import SecretUnreadableError
from apps.flows.definition.mistakes import Mistake, MistakesError, did_you_mean
from apps.flows.definition.texts import check_name
from apps.flows.definition.words import mistakes_in
from apps.flows.models import Connection
from apps.flows.secrets import read_secrets, replace_secrets
from apps.flows.services.applying import actor_of


class ConnectionRefused(MistakesError):  # noqa: N818 (an answer, not a fault)
    """A connection that cannot be stored as it is; tells every mistake, never a secret."""


@transaction.atomic
def set_connection(
    *,
    account: Account,
    name: str,
    kind: str,
    config: Mapping[str, Any],
    secrets: Mapping[str, str | None] | None = None,
    environment: str = "production",
    member: Member | None = None,
) -> Connection:
    """Make a connection or change it: `config` replaces the one before, `secrets` are added to (None removes one).

    Raises ConnectionRefused with every mistake.
    """
    Account.objects.select_for_update().get(pk=account.pk)
    present = Connection.objects.of(account).filter(environment=environment, name=name).first()
    model = config_model(kind)
    refuse_bad_name(name)
    refuse_other_kind(present, kind)
    merged = merged_secrets(present, secrets or {})
    plain = validated(model, config, merged)
    connection = present or Connection(account=account, environment=environment, name=name)
    before = dict(connection.config) if present else None
    connection.kind, connection.config = kind, plain
    connection.save()
    if secrets:
        replace_secrets(connection, merged)
    after = {"kind": kind, "config": plain, "secrets": sorted(secrets or {})}
    record_audit(
        account=account,
        actor=actor_of(member),
        act="connection.set",
        target=connection,
        before=None if before is None else {"config": before},
        after=after,
    )
    return connection


def set_secrets(
    *, connection: Connection, secrets: Mapping[str, str | None], member: Member | None = None
) -> Connection:
    """Set some secrets of a connection (None removes one); its config stays. Raises ConnectionRefused."""
    return set_connection(
        account=connection.account,
        name=connection.name,
        kind=connection.kind,
        config=connection.config,
        secrets=secrets,
        environment=connection.environment,
        member=member,
    )


def config_model(kind: str) -> type[ConnectionConfig]:
    if kind not in CONNECTORS:
        raise ConnectionRefused([Mistake("kind", f"There is no connector {kind}.", did_you_mean(kind, CONNECTORS))])
    return CONNECTORS[kind].Config


def refuse_bad_name(name: str) -> None:
    try:
        cleaned = check_name(name)
    except ValueError as error:
        raise ConnectionRefused([Mistake("name", str(error))]) from None
    if cleaned != name:
        raise ConnectionRefused([Mistake("name", "A name has no blanks around it.")])


def refuse_other_kind(present: Connection | None, kind: str) -> None:
    """Steps were validated for the kind that their connection has."""
    if present is None or present.kind == kind or not present.steps.filter(removed_at__isnull=True).exists():
        return
    message = f"The connection {present.name} is of the kind {present.kind}, and steps use it."
    raise ConnectionRefused([Mistake("kind", message, "make a new connection and name that in the flows")])


def merged_secrets(present: Connection | None, secrets: Mapping[str, str | None]) -> dict[str, str]:
    """The stored secrets with the changes. Stored ones that no key opens any more are replaced as a whole."""
    try:
        stored = read_secrets(present) if present else {}
    except SecretUnreadableError as error:
        if not secrets:
            raise ConnectionRefused([Mistake("", str(error))]) from error
        stored = {}
    return {name: value for name, value in {**stored, **secrets}.items() if value is not None}


def validated(model: type[ConnectionConfig], config: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, Any]:
    """The config as it is stored, without secrets. Raises ConnectionRefused; a secret in the config is a mistake."""
    secret_fields = model.secret_fields()
    mistakes = [secret_in_config(name) for name in sorted(secret_fields & config.keys())]
    mistakes += [unknown_secret(name, secret_fields) for name in sorted(secrets.keys() - secret_fields)]
    plain = {name: value for name, value in config.items() if name not in secret_fields}
    hidden = {name: SecretStr(value) for name, value in secrets.items() if name in secret_fields}
    try:
        model.model_validate({**plain, **hidden})
    except ValidationError as error:
        mistakes += mistakes_in(error, (), model, lambda path: 0)
    if mistakes:
        raise ConnectionRefused(mistakes)
    return plain


def secret_in_config(name: str) -> Mistake:
    return Mistake(name, "This is a secret: it never stands among the plain fields.", "give it as a secret")


def unknown_secret(name: str, known: frozenset[str]) -> Mistake:
    message = f"This kind of connection has no secret {name}."
    return Mistake(name, message, did_you_mean(name, known) or "it has none at all")
