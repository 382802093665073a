"""What people and systems did that may explain a step in a curve: definition edits, connections that went away."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q

from apps.accounts.audit import actor_text
from apps.accounts.models import AuditEntry
from apps.flows.models import Step

MOST_CHANGES = 50
FLOW_ACTS = {"flow.apply": "revision {number}", "flow.enable": "enabled", "flow.disable": "disabled"}
CONNECTION_ACTS = {"connection.offline": "offline", "connection.online": "online again", "connection.set": "edited"}


@dataclass(frozen=True)
class Change:
    """`flow_id` and `connection_id`: what it was done to, one of them 0; `revision` is 0 unless there is a new one."""

    at: datetime
    text: str
    who: str
    flow_id: int = 0
    connection_id: int = 0
    revision: int = 0


@dataclass(frozen=True)
class Changes:
    """Oldest first; `is_cut`: there were more before."""

    rows: Sequence[Change]
    is_cut: bool


def changes_in(account_id: int, flows: Mapping[int, str], since: datetime, until: datetime) -> Changes:
    """What was done to these flows (id -> name) and to the connections of their steps, from the audit log."""
    steps = Step.objects.of(account_id).filter(
        flow__pk__among=list(flows), connection__isnull=False, removed_at__isnull=True
    )
    connections = dict(steps.order_by().values_list("connection_id", "connection__name").distinct())
    of_flow = Q(object_kind="flow", object_id__among=list(flows), act__in=FLOW_ACTS)
    of_connection = Q(object_kind="connection", object_id__among=list(connections), act__in=CONNECTION_ACTS)
    entries = AuditEntry.objects.of(account_id).filter(of_flow | of_connection, at__gte=since, at__lt=until)
    newest = entries.select_related("member__user", "rule_revision__rule").order_by("-id")[: MOST_CHANGES + 1]
    found = [change_of(entry, flows, connections) for entry in newest]
    rows = (change for change in found[:MOST_CHANGES] if change is not None)
    return Changes(sorted(rows, key=lambda change: change.at), len(found) > MOST_CHANGES)


def change_of(entry: AuditEntry, flows: Mapping[int, str], connections: Mapping[int, str]) -> Change | None:
    """None for an application of a definition that left the flow at its revision."""
    key = entry.object_id or 0
    if entry.object_kind == "connection":
        text = f"{connections[key]}: {CONNECTION_ACTS[entry.act]}"
        return Change(entry.at, text, actor_text(entry), connection_id=key)
    number = new_revision(entry) if entry.act == "flow.apply" else 0
    if entry.act == "flow.apply" and not number:
        return None
    text = f"{flows[key]}: {FLOW_ACTS[entry.act].format(number=number)}"
    return Change(entry.at, text, actor_text(entry), flow_id=key, revision=number)


def new_revision(entry: AuditEntry) -> int:
    before, after = (facts_in(facts).get("revision") or 0 for facts in (entry.before, entry.after))
    return int(after) if after != before else 0


def facts_in(facts: object) -> dict[str, Any]:
    return facts if isinstance(facts, dict) else {}
