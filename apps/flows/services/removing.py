"""Removing a flow: it runs no more and is listed no more; its runs and errors stay for as long as they are kept.

An integration is deleted when nothing of it is left.
"""

from django.db import transaction

from apps.accounts.models import Account, Member
from apps.accounts.services import record_audit
from apps.core.clock import database_now
from apps.flows.models import Flow, Integration
from apps.flows.services.applying import actor_of


class FlowRefused(Exception):  # noqa: N818 (an answer, not a fault)
    """A flow or integration that cannot be removed; the message names what needs it."""


@transaction.atomic
def remove_flow(*, flow: Flow, member: Member | None = None) -> None:
    """Raises FlowRefused while another flow runs after it or calls it. Removed already: nothing happens.

    The caller makes sure, in the same transaction, that no run of the flow is under way.
    """
    Account.objects.select_for_update(no_key=True).get(pk=flow.account_id)  # no definition is applied meanwhile
    refuse_needed(flow)
    present = Flow.objects.of(flow.account_id).present().filter(pk=flow.pk)
    if not present.update(removed_at=database_now(), enabled=False, next_due_at=None):
        return
    before = {"key": flow.key, "name": flow.name}
    record_audit(account=flow.account_id, actor=actor_of(member), act="flow.remove", target=flow, before=before)


def refuse_needed(flow: Flow) -> None:
    needing = flows_that_need(flow)
    if needing:
        names = ", ".join(other.name for other in needing)
        raise FlowRefused(f"The flow {flow.name} is needed by {names}: change those definitions first.")


def flows_that_need(flow: Flow) -> list[Flow]:
    """Those that run after it or call it, by name."""
    others = (
        Flow.objects.of(flow.account_id)
        .present()
        .exclude(pk=flow.pk)
        .select_related("revision")
        .defer("revision__definition")
    )
    return [
        other
        for other in others.order_by("name", "pk")
        if other.run_after_id == flow.pk or (other.revision is not None and flow.key in other.revision.callees)
    ]


@transaction.atomic
def delete_integration(*, integration: Integration, member: Member | None = None) -> None:
    """Raises FlowRefused for one that has flows, or whose removed flows have not been purged yet."""
    Account.objects.select_for_update(no_key=True).get(pk=integration.account_id)  # no definition is applied meanwhile
    flows = Flow.objects.of(integration.account_id).filter(integration=integration)
    names = list(flows.present().order_by("name").values_list("name", flat=True)[:5])
    if names:
        raise FlowRefused(f"The integration {integration.name} has flows: {', '.join(names)}. Remove them first.")
    if flows.exists():
        raise FlowRefused(f"Runs, errors or charts of flows that were removed from {integration.name} are still kept.")
    before = {"name": integration.name, "slug": integration.slug, "environment": integration.environment}
    account, actor = integration.account_id, actor_of(member)
    record_audit(account=account, actor=actor, act="integration.delete", target=integration, before=before)
    integration.delete()
