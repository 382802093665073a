"""Making, changing and deleting connections: the config checked by the connector's own model, the secrets apart."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from pydantic import SecretStr, ValidationError

from apps.accounts.models import Account, Member
from apps.accounts.services import record_audit
from apps.connectors.base import ConnectionConfig
from apps.connectors.redaction import redact
from apps.connectors.registry import CONNECTORS
from apps.core.crypto import SecretUnreadableError
from apps.flows.definition.mistakes import Mistake, MistakesError, did_you_mean
from apps.flows.definition.texts import check_name
from apps.flows.definition.words import mistakes_in
from apps.flows.models import Connection, Step
from apps.flows.secrets import read_secrets, replace_secrets
from apps.flows.services.applying import actor_of

EDITED = ["kind", "config", "max_concurrency", "max_rate", "offline_after"]
"""The columns that a member's edit writes."""


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
    is_new: bool = False,
) -> Connection:
    """Make a connection or change it: `config` replaces the one before, `secrets` are added to (None removes one).

    `is_new` says that there must be none of this name yet. Raises ConnectionRefused with every mistake.
    """
    Account.objects.select_for_update(no_key=True).get(pk=account.pk)
    present = Connection.objects.of(account).filter(environment=environment, name=name).first()
    refuse_taken_name(present, is_new)
    plain, checked, merged = check_connection(
        present=present, name=name, kind=kind, config=config, secrets=secrets or {}
    )
    connection = present or Connection(account=account, environment=environment, name=name)
    before = {"kind": connection.kind, "config": connection.config} if present else None
    connection.kind, connection.config = kind, plain
    connection.max_concurrency = getattr(checked, "max_concurrency", None)
    connection.max_rate = getattr(checked, "max_rate", None)
    connection.offline_after = getattr(checked, "offline_after", connection.offline_after)
    store(connection, is_new=present is None)
    if secrets:
        replace_secrets(connection, merged)
    record_audit(
        account=account,
        actor=actor_of(member),
        act="connection.set",
        target=connection,
        before=redact(before, merged.values()),
        after=redact({"kind": kind, "config": plain}, merged.values()) | {"secrets": sorted(secrets or {})},
    )
    return connection


def check_connection(
    *,
    present: Connection | None,
    name: str,
    kind: str,
    config: Mapping[str, Any],
    secrets: Mapping[str, str | None],
) -> tuple[dict[str, Any], ConnectionConfig, dict[str, str]]:
    """The config as it would be stored and as its model, and all secrets. Raises ConnectionRefused."""
    model = config_model(kind)
    refuse_bad_name(name)
    refuse_other_kind(present, kind)
    merged = merged_secrets(present, secrets)
    return *validated(model, config, merged), merged


def store(connection: Connection, *, is_new: bool) -> None:
    """Of a connection that is there, only what was edited: workers write its state at any moment."""
    connection.save(update_fields=None if is_new else EDITED)


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


@transaction.atomic
def delete_connection(*, connection: Connection, member: Member | None = None) -> None:
    """Delete a connection that no flow uses. Raises ConnectionRefused with the flows that do."""
    Account.objects.select_for_update(no_key=True).get(pk=connection.account_id)  # no definition is applied meanwhile
    steps = Step.objects.of(connection.account_id).filter(connection=connection)
    refuse_in_use(connection, steps.filter(removed_at__isnull=True, flow__removed_at__isnull=True))
    steps.update(connection=None)  # removed ones, which are kept for their errors
    before = {"kind": connection.kind, "name": connection.name, "config": redact(connection.config)}
    record_audit(
        account=connection.account_id,
        actor=actor_of(member),
        act="connection.delete",
        target=connection,
        before=before,
    )
    connection.delete()


def refuse_in_use(connection: Connection, steps: "QuerySet[Step]") -> None:
    flows = sorted(set(steps.order_by().values_list("flow__name", flat=True)))
    if flows:
        names = ", ".join(flows)
        message = f"The connection {connection.name} is used by {names}, so it cannot be deleted."
        raise ConnectionRefused([Mistake("", message, "name another connection in those definitions first")])


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


def refuse_taken_name(present: Connection | None, is_new: bool) -> None:
    if is_new and present is not None:
        message = f"There is a connection {present.name} in {present.environment} already."
        raise ConnectionRefused([Mistake("", message, "choose another name")])


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


def validated(
    model: type[ConnectionConfig], config: Mapping[str, Any], secrets: Mapping[str, str]
) -> tuple[dict[str, Any], ConnectionConfig]:
    """The config as it is stored, without secrets, and as its model. Raises ConnectionRefused.

    A secret in the config is a mistake.
    """
    secret_fields = model.secret_fields()
    mistakes = [secret_in_config(name) for name in sorted(secret_fields & config.keys())]
    mistakes += [unknown_secret(name, secret_fields) for name in sorted(secrets.keys() - secret_fields)]
    plain = {name: value for name, value in config.items() if name not in secret_fields}
    hidden = {name: SecretStr(value) for name, value in secrets.items() if name in secret_fields}
    try:
        checked = model.model_validate({**plain, **hidden})
    except ValidationError as error:
        raise ConnectionRefused([*mistakes, *mistakes_in(error, (), model, lambda path: 0)]) from None
    if mistakes:
        raise ConnectionRefused(mistakes)
    return plain, checked


def secret_in_config(name: str) -> Mistake:
    return Mistake(name, "This is a secret: it never stands among the plain fields.", "give it as a secret")


def unknown_secret(name: str, known: frozenset[str]) -> Mistake:
    message = f"This kind of connection has no secret {name}."
    return Mistake(name, message, did_you_mean(name, known) or "it has none at all")
