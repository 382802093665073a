"""Making integrations, and changing what they are called and who answers for them."""

from typing import Any

from django.db import IntegrityError, transaction

from apps.accounts.models import Account, Member
from apps.accounts.services import record_audit
from apps.flows.models import Integration
from apps.flows.services.applying import actor_of

FACTS = ("name", "description", "owner")


class IntegrationRefused(Exception):  # noqa: N818 (an answer, not a fault)
    """An integration that cannot be made; the message tells the user why."""


@transaction.atomic
def create_integration(
    *,
    account: Account,
    environment: str,
    key: str,
    name: str,
    description: str = "",
    owner: Member | None = None,
    member: Member | None = None,
) -> Integration:
    """An integration without flows. Raises IntegrationRefused when the account has its key, in either environment."""
    made = Integration(account=account, environment=environment, slug=key, name=name, description=description)
    made.owner = owner
    try:
        with transaction.atomic():
            made.save(force_insert=True)
    except IntegrityError as error:
        raise IntegrationRefused(f"There is an integration with the key {key} already. Choose another key.") from error
    _record(made, "integration.create", None, {"key": key, "environment": environment, **_facts(made)}, member)
    return made


@transaction.atomic
def change_integration(*, integration: Integration, member: Member | None = None, **facts: Any) -> Integration:
    """Set its name, description or owner; what is the same as before leaves no audit entry."""
    locked: Integration = (
        Integration.objects.of(integration.account_id).select_for_update(no_key=True).get(pk=integration.pk)
    )
    before = _facts(locked)
    for name in FACTS:
        setattr(locked, name, facts.get(name, getattr(locked, name)))
    after = _facts(locked)
    if after != before:
        locked.save(update_fields=FACTS)
        _record(locked, "integration.change", before, after, member)
    return locked


def _facts(integration: Integration) -> dict[str, Any]:
    return {"name": integration.name, "description": integration.description, "owner": integration.owner_id}


def _record(
    integration: Integration, act: str, before: dict[str, Any] | None, after: dict[str, Any], member: Member | None
) -> None:
    record_audit(
        account=integration.account_id,
        actor=actor_of(member),
        act=act,
        target=integration,
        before=before,
        after=after,
    )
