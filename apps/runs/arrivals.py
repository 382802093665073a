"""Taking in what is sent to webhooks: durable, counted, and followed by a run, in one transaction or not at all."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from math import ceil
from typing import Any

from django.db import transaction
from django.db.models import F

from apps.accounts.models import Member
from apps.accounts.services import record_audit
from apps.connectors.registry import CONNECTORS
from apps.connectors.webhook.body import count_records
from apps.connectors.webhook.config import WebhookConfig, WebhookExportOptions
from apps.core.clock import database_now, read_now
from apps.core.text import storable
from apps.flows.connections import connector_config
from apps.flows.hooks import hook_of
from apps.flows.models import Connection, Flow, Hook
from apps.flows.planning import plan_for
from apps.flows.services.applying import actor_of
from apps.runs.models import Arrival, Delivery, Run
from apps.runs.services import RunRefused, refuse_unless_startable, start_run
from apps.runs.statuses import RunKind, RunStatus, Trigger

MOST_RETRY_AFTER_S = 60
TEST_HEADERS = {"x-flowmend-test": "1"}


class QueueFullError(Exception):
    """More waits than the step allows; come back after `retry_after_s` seconds."""

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Listening:
    """An export step that takes requests in: its address, its connection's config and its own options."""

    hook: Hook
    flow: Flow
    config: WebhookConfig
    options: WebhookExportOptions


@dataclass(frozen=True, slots=True)
class Received:
    """What was taken in: the request's number (None: it held no record). `is_repeat`: it had been taken in before."""

    records: int
    number: int | None
    is_repeat: bool = False


# --- who listens -----------------------------------------------------------------------------------------------------
def listening_of(flow: Flow) -> Listening | None:
    """The export of a flow, None if it takes no requests. Raises as `listening_at`."""
    hook = hook_of(flow)
    return listening_at(hook) if hook is not None else None


def listening_at(hook: Hook) -> Listening | None:
    """The export behind an address, None if it is none any more. `hook` has its step and its flow with their relations.

    Raises ConnectorError if its connection cannot be used, DefinitionError if its definition cannot be.
    """
    flow = hook.flow
    if flow.removed_at is not None or flow.revision is None or flow.account.closed_at is not None:
        return None
    export = plan_for(flow.revision).export
    if export.key != hook.step.key or not CONNECTORS[export.connector].listens:
        return None
    connections = Connection.objects.of(flow.account_id).filter(environment=flow.integration.environment)
    config: Any = connector_config(connections.get(name=export.connection))
    return Listening(hook, flow, config, export.options)


# --- taking in -------------------------------------------------------------------------------------------------------
def receive_request(
    *, listening: Listening, body: bytes, headers: Mapping[str, str], delivery_keys: Sequence[str] = ()
) -> Received:
    """Take a request in: when this returns it is durable, and a run that takes it is queued.

    `headers` by names in small letters. Raises UnfitBodyError, QueueFullError, and RunRefused for a disabled flow.
    """
    refuse_unless_startable(listening.flow, may_wait=True)
    records = count_records(body, listening.options.record_path)
    digests = [sha256(key.encode()).hexdigest() for key in delivery_keys]
    with transaction.atomic():
        hook = Hook.objects.of(listening.flow.account_id).select_for_update().get(pk=listening.hook.pk)
        earlier = earlier_delivery(listening, digests)
        if earlier is not None:
            return Received(earlier.records, earlier.arrival, is_repeat=True)
        if not records:
            return Received(0, None)
        refuse_full(hook, listening.options, records, len(body))
        arrival = keep(listening, body, headers, records)
        remember(listening, digests, arrival)
        start_if_needed(listening)
    return Received(records, arrival.pk)


def send_test(*, flow: Flow, body: bytes, member: Member | None = None) -> Received:
    """Take in a request that a person wrote, as if it had come to the flow's address and been verified.

    Raises RunRefused where the flow is no webhook or disabled, UnfitBodyError, QueueFullError, and as `listening_at`.
    """
    listening = listening_of(flow)
    if listening is None:
        raise RunRefused(f"Flow {flow.name} has no webhook: its export reads from elsewhere.")
    if len(body) > listening.config.max_bytes:
        raise RunRefused(f"The request is larger than {listening.config.max_mb} MB, the limit of its connection.")
    with transaction.atomic():
        received = receive_request(listening=listening, body=body, headers=TEST_HEADERS)
        after = {"flow": flow.key, "records": received.records}
        record_audit(
            account=flow.account_id, actor=actor_of(member), act="hook.send", target=listening.hook, after=after
        )
    return received


def refuse_full(hook: Hook, options: WebhookExportOptions, records: int, size: int) -> None:
    """Raises QueueFullError. Where nothing waits, any request that is small enough by itself has room."""
    is_room = hook.waiting + records <= options.max_waiting
    is_room = is_room and hook.waiting_bytes + size <= options.max_waiting_mb * 1024 * 1024
    if hook.waiting and not is_room:
        wait_s = min(MOST_RETRY_AFTER_S, ceil(options.window_s) + 5)
        message = f"{hook.waiting:,} records wait for this flow already. Send again in {wait_s} seconds."
        raise QueueFullError(message, wait_s)


def keep(listening: Listening, body: bytes, headers: Mapping[str, str], records: int) -> Arrival:
    wanted = set(listening.options.include_headers) - {listening.config.header_name.lower()}
    arrival = Arrival(
        account_id=listening.flow.account_id,
        hook_id=listening.hook.pk,
        flow_id=listening.flow.pk,
        records=records,
        size=len(body),
        headers={name: storable(value)[0] for name, value in headers.items() if name in wanted},
        body=zlib.compress(body, 1),
        received_at=database_now(),
    )
    arrival.save(force_insert=True)
    Hook.objects.of(listening.flow.account_id).filter(pk=listening.hook.pk).update(
        waiting=F("waiting") + records, waiting_bytes=F("waiting_bytes") + len(body)
    )
    return arrival


def start_if_needed(listening: Listening) -> None:
    """A queued run takes what waits when it begins; its row is locked, so that it cannot begin before this commits."""
    flow = listening.flow
    queued = Run.objects.of(flow.account_id).filter(flow=flow, kind=RunKind.FLOW, status=RunStatus.QUEUED, attempt=1)
    if queued.order_by("pk").select_for_update().first() is None:
        start_run(flow=flow, trigger=Trigger.WEBHOOK, wait_s=listening.options.window_s)


# --- deliveries that are known again ---------------------------------------------------------------------------------
def earlier_delivery(listening: Listening, digests: Sequence[str]) -> Delivery | None:
    if not digests:
        return None
    known = Delivery.objects.of(listening.flow.account_id).filter(hook_id=listening.hook.pk, digest__in=digests)
    oldest = read_now() - timedelta(hours=listening.config.remember_hours)
    known.filter(received_at__lt=oldest).delete()
    earlier: Delivery | None = known.order_by("pk").first()
    return earlier


def remember(listening: Listening, digests: Sequence[str], arrival: Arrival) -> None:
    Delivery.objects.of(listening.flow.account_id).bulk_create(
        [
            Delivery(
                account_id=arrival.account_id,
                hook_id=arrival.hook_id,
                digest=digest,
                arrival=arrival.pk,
                records=arrival.records,
                received_at=read_now(),
            )
            for digest in dict.fromkeys(digests)
        ]
    )
