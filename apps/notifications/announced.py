"""What is told at once: runs that failed for good, connections that go offline and come back.

The fact and its announcement are one transaction, written below; taking the announcement and writing the deliveries
are another one. So nothing is told twice and nothing is forgotten.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from apps.core.clock import read_now
from apps.core.ids import Kind, parse_wire_id
from apps.errors.models import Error
from apps.errors.states import ErrorUnit
from apps.flows.models import Connection
from apps.notifications.holding import ends_of_quiet_hours
from apps.notifications.messages import NewMessage, write_messages
from apps.notifications.models import MessageKind, Subscription
from apps.notifications.takers import Environs, Scope, environs_of, scope_of, scopes_of_connection
from apps.runs.models import Run
from apps.webhooks.models import Announcement, Event


@dataclass(frozen=True)
class Alarm:
    """What is told, in which environment, by which choice of a subscription, and whom it concerns."""

    kind: MessageKind
    environment: str
    choice: str
    scopes: frozenset[Scope]
    integrations: frozenset[int]
    facts: Mapping[str, Any]


@transaction.atomic
def tell(account_id: int, announcement_id: int) -> int:
    """Write the deliveries that follow; returns how many. Harmless when another has told it."""
    rows = Announcement.objects.of(account_id).select_for_update()
    announcement = rows.filter(pk=announcement_id).first()
    if announcement is None:
        return 0
    announcement.delete()
    alarm = ALARMS[Event(announcement.event)](announcement)
    wanted = Subscription.objects.of(announcement.account_id)
    if alarm is None or not wanted.filter(environment=alarm.environment, **{alarm.choice: True}).exists():
        return 0
    environs = environs_of(announcement.account_id, alarm.environment)
    message = NewMessage(alarm.kind, alarm.environment, dict(alarm.facts))
    for subscription in environs.subscriptions:
        if getattr(subscription, alarm.choice) and is_meant(alarm, subscription, environs):
            message.give(environs.taker_of(subscription), {})
    quiet = ends_of_quiet_hours(announcement.account_id, read_now())
    return write_messages(announcement.account_id, [message], not_before=quiet) if message.takers else 0


def is_meant(alarm: Alarm, subscription: Subscription, environs: Environs) -> bool:
    """Whether it lies in the subscription's scope, and in an integration that its member sees."""
    visible = environs.taker_of(subscription).visible
    return scope_of(subscription) in alarm.scopes and (visible is None or bool(visible & alarm.integrations))


# --- what is announced -----------------------------------------------------------------------------------------------
def of_run(announcement: Announcement) -> Alarm | None:
    runs = Run.objects.of(announcement.account_id).select_related("flow")
    run = runs.filter(pk=parse_wire_id(announcement.facts["_jobId"], Kind.RUN)).first()
    if run is None:
        return None
    facts = {
        "run": run.pk, "flow": run.flow_id, "name": run.flow.name, "attempts": run.attempt, "message": why(run),
    }  # fmt: skip
    scopes: frozenset[Scope] = frozenset({("account", 0), ("integration", run.integration_id), ("flow", run.flow_id)})
    integrations = frozenset({run.integration_id})
    return Alarm(MessageKind.RUN_FAILED, run.environment, "failed_runs", scopes, integrations, facts)


def why(run: Run) -> str:
    """What the error said that ended it."""
    ends = Error.objects.of(run.account_id).filter(run=run).exclude(unit=ErrorUnit.RECORD)
    return ends.order_by("-pk").values_list("message", flat=True).first() or ""


def of_connection(kind: MessageKind) -> Callable[[Announcement], Alarm | None]:
    def alarm_of(announcement: Announcement) -> Alarm | None:
        told = announcement.facts
        key = parse_wire_id(told["_connectionId"], Kind.CONNECTION)
        connection = Connection.objects.of(announcement.account_id).filter(pk=key).first()
        if connection is None:
            return None
        scopes = frozenset(scopes_of_connection(announcement.account_id, key))
        integrations = frozenset(number for name, number in scopes if name == "integration")
        facts = {"connection": key, "name": connection.name, "error": told.get("error", "")}
        return Alarm(kind, connection.environment, "connections", scopes, integrations, facts)

    return alarm_of


ALARMS: Mapping[Event, Callable[[Announcement], Alarm | None]] = {
    Event.RUN_FINISHED: of_run,
    Event.CONNECTION_OFFLINE: of_connection(MessageKind.CONNECTION_OFFLINE),
    Event.CONNECTION_ONLINE: of_connection(MessageKind.CONNECTION_ONLINE),
}
