"""Enabling and disabling flows without touching their definition."""

from django.db import transaction

from apps.accounts.models import Member
from apps.accounts.services import record_audit
from apps.flows.models import Flow
from apps.flows.services.applying import actor_of, next_due_of


def enable_flow(*, flow: Flow, member: Member | None = None) -> Flow:
    """Start a flow's schedule; its next run is the next tick from now. Already enabled: nothing happens."""
    return switch(flow, True, member)


def disable_flow(*, flow: Flow, member: Member | None = None) -> Flow:
    """Stop a flow's schedule and refuse new runs; a run under way goes on. Already disabled: nothing happens."""
    return switch(flow, False, member)


@transaction.atomic
def switch(flow: Flow, enabled: bool, member: Member | None) -> Flow:
    locked = Flow.objects.of(flow.account_id).select_for_update(no_key=True).get(pk=flow.pk)
    if locked.enabled == enabled:
        return locked
    locked.enabled = enabled
    locked.next_due_at = next_due_of(locked)
    locked.save(update_fields=["enabled", "next_due_at"])
    record_audit(
        account=locked.account_id,
        actor=actor_of(member),
        act="flow.enable" if enabled else "flow.disable",
        target=locked,
        before={"enabled": not enabled},
        after={"enabled": enabled},
    )
    return locked
