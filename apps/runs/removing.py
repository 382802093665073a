"""Removing a flow by hand: refused while a run of it is under way, for that run would write on."""

from django.db import transaction

from apps.accounts.models import Member
from apps.flows.models import Flow
from apps.flows.services import remove_flow
from apps.runs.checkpoints import has_run_under_way
from apps.runs.services import RunRefused


@transaction.atomic
def remove_idle_flow(*, flow: Flow, member: Member | None = None) -> None:
    """Raises RunRefused while a run is under way, FlowRefused while another flow needs it."""
    locked = Flow.objects.of(flow.account_id).select_for_update(no_key=True).get(pk=flow.pk)
    if has_run_under_way(locked):
        raise RunRefused(f"Flow {flow.name} has a run under way. Wait for its end, or cancel it.")
    remove_flow(flow=locked, member=member)
