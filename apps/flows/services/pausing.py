"""Pausing the flows that need a connection, all at once, and the way back: exactly those are enabled again.

Which ones they were stands in the audit log, at the connection.
"""

from collections.abc import Collection
from dataclasses import dataclass

from django.db import transaction

from apps.accounts.models import AuditEntry, Member
from apps.accounts.services import record_audit
from apps.flows.models import Connection, Flow, Step
from apps.flows.services.applying import actor_of
from apps.flows.services.switching import disable_flow, enable_flow

PAUSE, RESUME = "connection.pause", "connection.resume"


@dataclass(frozen=True)
class Paused:
    """The flows that are still disabled since they were paused, by name; `entry` tells when, and by whom."""

    entry: AuditEntry
    flows: list[Flow]


def enabled_flows_on(connection: Connection) -> list[Flow]:
    """The enabled flows with a step on the connection, and those that call a flow with one; by name, two queries."""
    steps = Step.objects.of(connection.account_id).present().filter(connection=connection)
    keys = set(steps.order_by().values_list("flow__key", flat=True))
    flows = Flow.objects.of(connection.account_id).enabled().filter(integration__environment=connection.environment)
    known = flows.select_related("integration", "revision").defer("revision__definition")
    return [flow for flow in known.order_by("name", "pk") if keys.intersection([flow.key, *callees_of(flow)])]


def callees_of(flow: Flow) -> Collection[str]:
    return flow.revision.callees if flow.revision is not None else ()


def paused_on(connection: Connection) -> Paused | None:
    """What was paused and is disabled still; None if all is as before. At most two queries."""
    entries = AuditEntry.objects.of(connection.account_id).filter(
        object_kind="connection", object_id=connection.pk, act__in=[PAUSE, RESUME]
    )
    entry = entries.select_related("member__user").order_by("-id").first()
    if entry is None or entry.act == RESUME:
        return None
    ids = (entry.after or {}).get("flows", [])
    flows = Flow.objects.of(connection.account_id).present().filter(pk__in=ids, enabled=False)
    found = list(flows.order_by("name", "pk"))
    return Paused(entry, found) if found else None


@transaction.atomic
def pause_flows(*, connection: Connection, flows: Collection[int], member: Member | None = None) -> list[Flow]:
    """Disable those of the enabled flows on the connection that are named; runs under way go on. Returns them."""
    before = paused_on(connection)
    chosen = [flow for flow in enabled_flows_on(connection) if flow.pk in flows]
    for flow in chosen:
        disable_flow(flow=flow, member=member)
    if chosen:
        _note(connection, member, PAUSE, [*(before.flows if before else ()), *chosen])
    return chosen


@transaction.atomic
def resume_flows(*, connection: Connection, member: Member | None = None) -> list[Flow]:
    """Enable the flows again that were paused and are disabled still. Returns them."""
    paused = paused_on(connection)
    if paused is None:
        return []
    for flow in paused.flows:
        enable_flow(flow=flow, member=member)
    _note(connection, member, RESUME, paused.flows)
    return paused.flows


def _note(connection: Connection, member: Member | None, act: str, flows: list[Flow]) -> None:
    after = {"flows": [flow.pk for flow in flows]}
    record_audit(account=connection.account_id, actor=actor_of(member), act=act, target=connection, after=after)
