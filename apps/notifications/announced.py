"""What is told at once: runs that failed for good, connections that go offline and come back, what rules met.

The fact and its announcement are one transaction, written below; taking the announcement and writing the deliveries
are another one. So nothing is told twice and nothing is forgotten.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from apps.accounts.models import Member
from apps.accounts.permissions import visible_integrations
from apps.core.clock import read_now
from apps.core.ids import Kind, parse_wire_id
from apps.errors.models import Error, RuleRevision
from apps.errors.rules.definition import Acts, Definition
from apps.errors.states import ErrorUnit
from apps.flows.models import Connection, Flow
from apps.notifications.holding import ends_of_quiet_hours
from apps.notifications.messages import NewMessage, write_messages
from apps.notifications.models import Channel, MessageKind, Subscription
from apps.notifications.takers import Environs, Scope, Taker, environs_of, scope_of, scopes_of_connection
from apps.runs.models import Run
from apps.webhooks.models import Announcement, Event

DETAILED = 10
"""So many errors that a rule met are told in full; of the others their number."""


@dataclass(frozen=True)
class Alarm:
    """What is told, in which environment, by which choice of a subscription, and whom it concerns. `named`: who is
    told of it whatever he has subscribed to; the choice is blank then."""

    kind: MessageKind
    environment: str
    choice: str
    scopes: frozenset[Scope]
    integrations: frozenset[int]
    facts: Mapping[str, Any]
    named: frozenset[Taker] = frozenset()


@transaction.atomic
def tell(account_id: int, announcement_id: int) -> int:
    """Write the deliveries that follow; returns how many. Harmless when another has told it."""
    rows = Announcement.objects.of(account_id).select_for_update()
    announcement = rows.filter(pk=announcement_id).first()
    if announcement is None:
        return 0
    announcement.delete()
    alarm = ALARMS[Event(announcement.event)](announcement)
    takers = (alarm.named or subscribed_to(account_id, alarm)) if alarm is not None else frozenset()
    if alarm is None or not takers:
        return 0
    message = NewMessage(alarm.kind, alarm.environment, dict(alarm.facts), {taker: {} for taker in takers})
    return write_messages(account_id, [message], not_before=ends_of_quiet_hours(account_id, read_now()))


def subscribed_to(account: int, alarm: Alarm) -> frozenset[Taker]:
    """Who has subscribed to it; one query where nobody has."""
    wanted = Subscription.objects.of(account).filter(environment=alarm.environment)
    if not alarm.choice or not wanted.filter(**{alarm.choice: True}).exists():
        return frozenset()
    environs = environs_of(account, alarm.environment)
    return frozenset(
        environs.taker_of(subscription)
        for subscription in environs.subscriptions
        if getattr(subscription, alarm.choice) and is_meant(alarm, subscription, environs)
    )


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


def of_rule(announcement: Announcement) -> Alarm | None:
    told, account = announcement.facts, announcement.account_id
    revisions = RuleRevision.objects.of(account).select_related("rule")
    revision = revisions.filter(pk=parse_wire_id(told["_ruleRevisionId"], Kind.RULE_REVISION)).first()
    flows = Flow.objects.of(account).select_related("integration")
    flow = flows.filter(pk=parse_wire_id(told["_flowId"], Kind.FLOW)).first()
    if revision is None or flow is None:
        return None
    facts = {
        "rule": told["rule"], "rule_id": revision.rule_id, "flow": flow.pk, "name": flow.name,
        "integration": flow.integration.name, "count": told["numError"],
        "ids": [parse_wire_id(error, Kind.ERROR) for error in told["errorIds"][:DETAILED]],
    }  # fmt: skip
    integrations = frozenset({flow.integration_id})
    named = named_by(Definition.of(revision.definition).acts, account, flow)
    return Alarm(MessageKind.RULE_MET, flow.integration.environment, "", frozenset(), integrations, facts, named)


def named_by(acts: Acts, account: int, flow: Flow) -> frozenset[Taker]:
    """Those whom a rule names, as far as they are active and see the flow."""
    members = Member.objects.of(account).filter(disabled_at__isnull=True, user__is_active=True)
    channels = Channel.objects.of(account).filter(enabled=True, pk__in=acts.notify_channels)
    found = {Taker(channel=key) for key in channels.values_list("pk", flat=True)}
    for member in members.filter(pk__in=acts.notify_members).select_related("account", "user"):
        visible = visible_integrations(member)
        if visible is None or flow.integration_id in visible:
            found.add(Taker(member=member.pk))
    return frozenset(found)


ALARMS: Mapping[Event, Callable[[Announcement], Alarm | None]] = {
    Event.RUN_FINISHED: of_run,
    Event.CONNECTION_OFFLINE: of_connection(MessageKind.CONNECTION_OFFLINE),
    Event.CONNECTION_ONLINE: of_connection(MessageKind.CONNECTION_ONLINE),
    Event.RULE_MET: of_rule,
}
