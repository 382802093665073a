"""Renewing webhook addresses."""

from django.db import transaction

from apps.accounts.models import Member
from apps.accounts.services import record_audit
from apps.flows.hooks import sealed_key
from apps.flows.models import Hook
from apps.flows.services.applying import actor_of


@transaction.atomic
def renew_hook(*, hook: Hook, member: Member | None = None) -> Hook:
    """Give a step another address; the one before stops working at once, what waits stays."""
    locked: Hook = Hook.objects.of(hook.account_id).select_for_update().get(pk=hook.pk)
    for name, value in sealed_key().items():
        setattr(locked, name, value)
    locked.save(update_fields=["key_sha256", "key_sealed", "key_id"])
    record_audit(account=hook.account_id, actor=actor_of(member), act="hook.renew", target=locked)
    return locked
