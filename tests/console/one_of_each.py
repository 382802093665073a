"""One of each thing that an address of the console may name."""

from collections.abc import Mapping
from typing import Any

import orjson

from apps.accounts.invitations import invite
from apps.accounts.members import Roles
from apps.accounts.models import Account, Member, Role
from apps.accounts.tokens import issue_token
from apps.core.clock import wall_now
from apps.engine.records import key_hash
from apps.errors.models import Error, Tag
from apps.errors.rules.definition import Acts, Conditions, Definition
from apps.errors.services import resolve_errors
from apps.errors.services.rules import save_rule
from apps.errors.services.uploads import keep_upload
from apps.errors.services.views import save_view
from apps.flows.models import Flow
from apps.flows.services import apply_definition, set_connection
from apps.notifications.channels import add_channel
from apps.notifications.models import Channel, MessageKind
from apps.notifications.unsubscribing import unsubscribe_address
from apps.retention.models import PurgeExport
from apps.runs.services import start_run
from apps.runs.statuses import Trigger
from apps.runs.test_runs import start_test
from apps.support.services import make_bundle
from apps.support.subjects import about_error
from apps.support.tickets import filled_in
from apps.webhooks.models import Event, WebhookDelivery
from apps.webhooks.services import announce
from tests.factories import (
    make_cause,
    make_connection,
    make_error,
    make_retry_data,
    make_webhook,
    step_of,
)
from tests.notifications.story import subscribed

LISTENING = """
flow: listening
integration: birds
enabled: true
steps:
  - key: source
    export: {connection: Sender}
  - key: target
    log: "{{ record.id }}"
"""


def one_of_each(account: Account, members: Mapping[Role, Member]) -> dict[str, Any]:
    """By the name that a path has for it; what is of one member belongs to the least who may have it."""
    set_connection(account=account, name="Sender", kind="webhook", config={"verification": "none"})
    flow = apply_definition(account=account, text=LISTENING).flow
    run, step = start_run(flow=flow, trigger=Trigger.MANUAL), step_of(flow)
    error = make_error(run, step=step, cause=make_cause(step), key="A-1", key_hash=key_hash("A-1"))
    make_retry_data(error)
    return {
        "slug": flow.integration.slug,
        "kind": "sql",
        "section": "schedule",
        "key": "A-1",
        "flow_id": flow.pk,
        "step_id": error.step_id,
        "run_id": error.run_id,
        "error_id": error.pk,
        "cause_id": error.cause_id,
        "connection_id": make_connection(account).pk,
        "tag_id": Tag.unscoped.create(account=account, name="supplier asked").pk,
        **made_by_a_monitor(members[Role.MONITOR], error),
        **made_by_a_manager(members[Role.MANAGER], flow, error),
        **made_by_an_administrator(members[Role.ADMINISTRATOR]),
        "member_id": members[Role.MONITOR].pk,
    }


def made_by_a_monitor(monitor: Member, error: Error) -> dict[str, Any]:
    account = monitor.account
    errors = Error.objects.of(account).filter(pk=error.pk)
    address = unsubscribe_address(monitor, MessageKind.DIGEST)
    subject = about_error(error)
    return {
        "bundle_id": make_bundle(subject=subject, ticket=filled_in(subject), member=monitor).pk,
        "act_id": resolve_errors(account=account, member=monitor, errors=errors).pk,
        "view_id": save_view(member=monitor, name="Mine", query="").pk,
        "subscription_id": subscribed(account, monitor).pk,
        "token": address.rstrip("/").rpartition("/")[2],
    }


def made_by_a_manager(manager: Member, flow: Flow, error: Error) -> dict[str, Any]:
    account = manager.account
    entries = orjson.dumps([{"error": str(error), "version": 1, "retry_data": {}}])
    webhook = make_webhook(account)
    announce(account=account.pk, event=Event.RUN_FINISHED, facts={})
    definition = Definition(Conditions(code="500"), Acts(resolve=True))
    return {
        "rule_id": save_rule(member=manager, name="Known", definition=definition).pk,
        "upload_id": keep_upload(account=account, member=manager, name="errors.json", content=entries).pk,
        "test_id": start_test(flow=flow, member=manager, text=LISTENING, revision=1).pk,
        "webhook_id": webhook.pk,
        "delivery_id": WebhookDelivery.objects.of(account).get().pk,
    }


def made_by_an_administrator(administrator: Member) -> dict[str, Any]:
    account = administrator.account
    address = "https://example.org/hook"
    channel: Channel = add_channel(account=account, by=administrator, name="Chat", kind="webhook", address=address)[0]
    export = PurgeExport.unscoped.create(account=account, member=administrator, before=wall_now(), ended_at=wall_now())
    roles = Roles(Role.MONITOR.value)
    return {
        "invitation_id": invite(account=account, email="ana@example.org", roles=roles, by=administrator).pk,
        "token_id": issue_token(member=administrator)[0].pk,
        "channel_id": channel.pk,
        "export_id": export.pk,
    }
