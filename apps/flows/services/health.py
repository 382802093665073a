"""What the runs learned about connections: online once a page went through, offline after so many failures in a row
as the connection says.

A connection that is offline is one incident: work that needs it waits and uses no attempts, and a probe with growing
intervals brings it back.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q

from apps.accounts.services import SYSTEM, record_audit
from apps.core.clock import database_now, read_now
from apps.core.ids import Kind, wire_id
from apps.core.text import short, storable
from apps.flows.models import Connection, ConnectionState, Step
from apps.webhooks.models import Event
from apps.webhooks.services import announce

LONGEST_ERROR = 1_000
FIRST_PROBE_S = 10
LONGEST_PROBE_S = 300
OK_AGAIN_S = 60
"""Work that goes well is written down once in so many seconds."""


def note_outage(*, account_id: int, environment: str, name: str, message: str) -> None:
    """A connection could not be reached; part of the transaction that puts the run aside. The last straw: offline."""
    mine = Connection.objects.of(account_id).filter(environment=environment, name=name)
    mine.update(failures=F("failures") + 1, last_error=short(storable(message)[0], LONGEST_ERROR))
    went = mine.filter(failures__gte=F("offline_after")).exclude(state=ConnectionState.OFFLINE).update(
        state=ConnectionState.OFFLINE,
        offline_since=database_now(),
        probe_at=database_now(seconds=FIRST_PROBE_S),
    )  # fmt: skip
    if went:
        connection = mine.get()
        after = {"failures": connection.failures, "error": connection.last_error}
        record_audit(account=account_id, actor=SYSTEM, act="connection.offline", target=connection, after=after)
        _tell(connection, Event.CONNECTION_OFFLINE, after)


def note_success(*, account_id: int, environment: str, names: Iterable[str]) -> None:
    """Work through these connections went well; writes only where that is news, or a minute old."""
    mine = Connection.objects.of(account_id).filter(environment=environment, name__in=sorted(set(names)))
    news = Q(state=ConnectionState.NEVER) | Q(failures__gt=0)
    mine.filter(news).exclude(state=ConnectionState.OFFLINE).update(
        state=ConnectionState.ONLINE, failures=0, last_error=""
    )
    is_old = Q(last_ok_at=None) | Q(last_ok_at__lt=database_now(seconds=-OK_AGAIN_S))
    mine.filter(is_old).update(last_ok_at=database_now())


def offline_among(*, account_id: int, environment: str, names: Iterable[str]) -> Connection | None:
    """One of these connections that is offline, None if all may be used."""
    mine = Connection.objects.of(account_id).filter(environment=environment, name__in=sorted(set(names)))
    away: Connection | None = mine.filter(state=ConnectionState.OFFLINE).order_by("offline_since").first()
    return away


def claim_probe(connection: Connection) -> bool:
    """Compare-and-swap on the time of the probe: the interval grows with the time that it has been offline."""
    now = read_now()
    away_s = (now - connection.offline_since).total_seconds() if connection.offline_since else 0.0
    following = now + timedelta(seconds=min(LONGEST_PROBE_S, max(FIRST_PROBE_S, away_s)))
    mine = Connection.objects.of(connection.account_id).filter(pk=connection.pk, probe_at=connection.probe_at)
    return bool(mine.update(probe_at=following))


def bring_online(connection: Connection, *, waited: Mapping[str, int] | None = None) -> bool:
    """The probe got through: the incident is over. False if it was over already. `waited`: the work it kept waiting."""
    with transaction.atomic():
        offline = Connection.objects.of(connection.account_id).filter(pk=connection.pk, state=ConnectionState.OFFLINE)
        back = offline.update(
            state=ConnectionState.ONLINE,
            failures=0,
            last_error="",
            last_ok_at=database_now(),
            offline_since=None,
            probe_at=None,
        )
        if back:
            since = connection.offline_since.isoformat() if connection.offline_since else None
            record_audit(
                account=connection.account_id,
                actor=SYSTEM,
                act="connection.online",
                target=connection,
                before={"offline_since": since},
                after=waited,
            )
            _tell(connection, Event.CONNECTION_ONLINE, {"offlineSince": since})
    return bool(back)


def _tell(connection: Connection, event: Event, more: Mapping[str, Any]) -> None:
    """To the webhooks of the account, and of the integrations whose flows use the connection."""
    own = wire_id(Kind.CONNECTION, connection.pk)
    facts = {"_connectionId": own, "name": connection.name, "environment": connection.environment, **more}
    using = (
        Step.objects.of(connection.account_id).present().filter(connection=connection, flow__removed_at__isnull=True)
    )
    integrations = using.order_by().values("flow__integration_id")
    announce(account=connection.account_id, event=event, facts=facts, integrations=integrations)
