"""What happens is told to webhooks: once, signed, again after growing waits, and never where egress is refused."""

import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from apps.accounts.models import Account, AuditEntry, Member
from apps.core.clock import frozen, read_now
from apps.core.ids import Kind, wire_id
from apps.errors.models import Cause, Error
from apps.errors.services import resolve_errors
from apps.execution.dispatcher import dispatch
from apps.execution.webhooks import hint_webhooks, send_deliveries
from apps.flows.models import Connection, Step
from apps.flows.services.health import bring_online, note_outage
from apps.runs.models import Run
from apps.webhooks.models import Event, Webhook, WebhookDelivery
from apps.webhooks.services import WAITS_S, announce, forget_deliveries, send_again, send_test
from tests.conftest import NOON
from tests.factories import make_account, make_connection, make_integration, make_webhook
from tests.fakes.http_peer import Peer, reply
from tests.fakes.running import World, make_world
from tests.scenarios.retry_world import records, run_once

pytestmark = pytest.mark.django_db


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    peer.on("/hook", lambda seen: {"ok": True})
    with peer.running():
        yield peer


@pytest.fixture(autouse=True)
def _loopback_is_allowed(settings: Any) -> None:
    settings.EGRESS_ALLOW_NETS = ["127.0.0.0/8"]


@pytest.fixture
def world(account: Account) -> World:
    return make_world(account)


def sent(account: Account) -> list[tuple[str, dict[str, Any]]]:
    rows = WebhookDelivery.objects.of(account).order_by("pk")
    return [(row.event, row.content["data"]) for row in rows]


# --- what is told ----------------------------------------------------------------------------------------------------
def test_a_page_tells_its_errors_once_and_a_run_its_end(account, world):
    make_webhook(account)
    world.refuse(2, 3)
    run_once(world, records(1, 2, 3))
    run = Run.objects.of(account).get()
    place = {"_flowId": wire_id(Kind.FLOW, world.flow.pk), "_jobId": wire_id(Kind.RUN, run.pk)}
    place["_integrationId"] = wire_id(Kind.INTEGRATION, world.flow.integration_id)
    errors = [wire_id(Kind.ERROR, pk) for pk in Error.objects.of(account).order_by("pk").values_list("pk", flat=True)]

    (opened, about), (finished, facts) = sent(account)

    assert (opened, about) == ("error.opened", place | {"numError": 2, "errorIds": errors})
    assert (finished, facts["status"], facts["numSuccess"], facts["numError"]) == ("run.finished", "completed", 1, 2)
    assert {name: facts[name] for name in place} == place


def test_what_is_rolled_back_was_never_told(account, world, monkeypatch):
    make_webhook(account)
    world.refuse(1)
    running = world.begin()
    page = running.store(records(1))
    monkeypatch.setattr("apps.execution.journal.log_page", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        running.journal.commit(page, running.deliver(page))
    assert sent(account) == []


def test_a_cause_that_comes_back_is_told_once(account, world):
    world.refuse(1)
    run_once(world, records(1))
    make_webhook(account, events=[Event.CAUSE_REGRESSED])
    resolve_errors(account=account, member=None, errors=Error.objects.of(account))
    run_once(world, records(1))
    world.refuse(1, 2)
    run_once(world, records(2))
    ((event, facts),) = sent(account)
    cause = wire_id(Kind.CAUSE, Cause.objects.of(account).get().pk)
    assert (event, facts["numRootCause"], facts["_rootCauseIds"]) == ("cause.regressed", 1, [cause])


def test_a_connection_that_goes_and_comes_is_told(account):
    make_webhook(account)
    connection = make_connection(account, name="shop", offline_after=1)
    note_outage(account_id=account.pk, environment="production", name="shop", message="no answer")
    bring_online(Connection.objects.of(account).get())
    (offline, why), (online, since) = sent(account)
    assert (offline, online) == ("connection.offline", "connection.online")
    assert (why["_connectionId"], why["error"]) == (wire_id(Kind.CONNECTION, connection.pk), "no answer")
    assert since["offlineSince"]


def test_a_webhook_of_one_integration_is_told_of_the_connections_that_its_flows_use(account, flow):
    shop = make_connection(account, name="shop", offline_after=1)
    Step.unscoped.filter(flow=flow).update(connection=shop)
    bound = make_webhook(account, integration_id=flow.integration_id)
    make_webhook(account, integration_id=make_integration(account).pk)
    make_connection(account, name="other", offline_after=1)
    for name in ("shop", "other"):
        note_outage(account_id=account.pk, environment="production", name=name, message="no answer")
    bring_online(Connection.objects.of(account).get(name="shop"))
    assert [(event, facts["name"]) for event, facts in sent(account)] == [
        ("connection.offline", "shop"), ("connection.online", "shop"),
    ]  # fmt: skip
    assert set(WebhookDelivery.unscoped.values_list("webhook", flat=True)) == {bound.pk}
    Step.unscoped.filter(flow=flow).update(removed_at=NOON)
    note_outage(account_id=account.pk, environment="production", name="shop", message="no answer")
    assert len(sent(account)) == 2


def test_only_those_that_ask_are_told(account, world, django_assert_num_queries):
    asked = make_webhook(account, events=["error.opened"], integration_id=world.flow.integration_id)
    make_webhook(account, events=["error.opened"], integration_id=make_integration(account).pk)
    make_webhook(account, events=["run.finished"])
    make_webhook(account, enabled=False)
    make_webhook(make_account())
    told = {
        "account": account.pk,
        "event": Event.ERROR_OPENED,
        "facts": {},
        "integrations": [world.flow.integration_id],
    }
    with django_assert_num_queries(3):  # who asks, the clock, the rows
        assert announce(**told) == 1
    assert [row.webhook_id for row in WebhookDelivery.unscoped.all()] == [asked.pk]
    Webhook.unscoped.filter(pk=asked.pk).update(enabled=False)
    with django_assert_num_queries(1):
        assert announce(**told) == 0


# --- how it is sent --------------------------------------------------------------------------------------------------
def test_a_delivery_is_signed_and_sent_once(account, peer):
    webhook = make_webhook(account, url=f"{peer.url}/hook?key=1")
    announce(account=account.pk, event=Event.RUN_FINISHED, facts={"name": "Größe"})
    assert hint_webhooks() == 1
    assert hint_webhooks() == 0  # it is in somebody's hands
    assert send_deliveries(webhook.pk) == 1
    assert send_deliveries(webhook.pk) == 0

    (seen,) = peer.asked("/hook")
    row = WebhookDelivery.unscoped.get()
    assert (row.status, row.attempts, row.last_status, row.next_at) == ("delivered", 1, 200, None)
    assert seen.query == {"key": "1"}
    assert (seen.headers["Flowmend-Event-Id"], seen.headers["Flowmend-Event"]) == (row.event_id, "run.finished")
    assert (seen.json["id"], seen.json["type"], seen.json["data"]) == (row.event_id, "run.finished", {"name": "Größe"})
    moment, proof = (part.split("=")[1] for part in seen.headers["Flowmend-Signature"].split(","))
    signed = hmac.new(b"a secret of tests", f"{moment}.".encode() + seen.body, hashlib.sha256).hexdigest()
    assert proof == signed
    webhook.refresh_from_db()
    assert webhook.busy_until is None


def test_an_address_that_fails_is_asked_again_after_growing_waits_and_given_up_within_a_day(account, peer):
    peer.on("/hook", lambda seen: reply(503, {"message": "not now"}))
    webhook = make_webhook(account, url=f"{peer.url}/hook")
    at, waits = NOON, []
    with frozen(at):
        announce(account=account.pk, event=Event.RUN_FINISHED, facts={})
    for _ in range(50):
        with frozen(at):
            assert hint_webhooks() == 1
            send_deliveries(webhook.pk)
            assert hint_webhooks() == 0
        row = WebhookDelivery.unscoped.get()
        if row.next_at is None:
            break
        waits.append(round((row.next_at - at).total_seconds()))
        at = row.next_at
    assert tuple(waits) == WAITS_S
    assert (row.status, row.attempts, row.last_status) == ("failed", len(WAITS_S) + 1, 503)
    assert json.loads(row.last_answer) == {"message": "not now"}
    assert at - NOON < timedelta(days=1)
    assert len({seen.headers["Flowmend-Event-Id"] for seen in peer.seen}) == 1
    assert len({seen.body for seen in peer.seen}) == 1


def test_an_address_that_recovers_gets_what_it_missed_in_order(account, peer):
    answers = iter([500])
    peer.on("/hook", lambda seen: reply(next(answers, 204)))
    webhook = make_webhook(account, url=f"{peer.url}/hook")
    with frozen(NOON):
        for number in range(3):
            announce(account=account.pk, event=Event.RUN_FINISHED, facts={"number": number})
        assert send_deliveries(webhook.pk) == 0
        assert len(peer.seen) == 1  # it is left alone for a while
    with frozen(NOON + timedelta(seconds=11)):
        assert hint_webhooks() == 1
        assert send_deliveries(webhook.pk) == 3
    assert sorted(seen.json["data"]["number"] for seen in peer.seen) == [0, 0, 1, 2]


def test_one_that_is_disabled_sends_tests_only_and_goes_on_when_it_is_enabled(account, peer):
    webhook = make_webhook(account, url=f"{peer.url}/hook")
    announce(account=account.pk, event=Event.RUN_FINISHED, facts={})
    Webhook.unscoped.update(enabled=False)
    assert hint_webhooks() == 0
    send_test(webhook=webhook, member=Member.objects.of(account).get())
    assert hint_webhooks() == 1
    assert send_deliveries(webhook.pk) == 1
    Webhook.unscoped.update(enabled=True)
    assert send_deliveries(webhook.pk) == 1
    assert [seen.headers["Flowmend-Event"] for seen in peer.seen] == ["webhook.test", "run.finished"]


def test_an_address_that_egress_refuses_or_that_redirects_is_no_way_out(account, peer, settings):
    peer.on("/hook", lambda seen: reply(302, Location=f"{peer.url}/other"))
    webhook = make_webhook(account, url=f"{peer.url}/hook")
    announce(account=account.pk, event=Event.RUN_FINISHED, facts={})
    send_deliveries(webhook.pk)
    row = WebhookDelivery.unscoped.get()
    assert (row.status, row.last_status, peer.asked("/other")) == ("pending", 302, [])
    settings.EGRESS_ALLOW_NETS = []
    WebhookDelivery.unscoped.update(next_at=read_now())
    send_deliveries(webhook.pk)
    row.refresh_from_db()
    assert (row.last_status, len(peer.seen)) == (None, 1)
    assert "127.0.0.1" in row.last_answer


def test_an_answer_is_kept_without_the_secrets_of_the_webhook(account, peer):
    peer.on("/hook", lambda seen: reply(400, {"asked": seen.path, "key": seen.query["key"], "token": "abc", "of": "x"}))
    webhook = make_webhook(account, url=f"{peer.url}/hook?key=canary-7f3a", secret="canary-secret-of-tests")
    announce(account=account.pk, event=Event.RUN_FINISHED, facts={})
    send_deliveries(webhook.pk)
    answer = WebhookDelivery.unscoped.get().last_answer
    assert json.loads(answer) == {"asked": "/hook", "key": "[hidden]", "token": "[hidden]", "of": "x"}
    peer.on("/hook", lambda seen: reply(400, "no canary-secret-of-tests here"))
    WebhookDelivery.unscoped.update(next_at=read_now())
    send_deliveries(webhook.pk)
    assert "canary" not in WebhookDelivery.unscoped.get().last_answer


def test_what_was_ended_is_sent_again_as_the_same_event(account, peer):
    webhook, member = make_webhook(account, url=f"{peer.url}/hook"), Member.objects.of(account).get()
    announce(account=account.pk, event=Event.RUN_FINISHED, facts={})
    delivery = WebhookDelivery.unscoped.get()
    assert not send_again(delivery=delivery, member=member)
    send_deliveries(webhook.pk)
    delivery.refresh_from_db()
    assert send_again(delivery=delivery, member=member)
    assert send_deliveries(webhook.pk) == 1
    assert len({seen.headers["Flowmend-Event-Id"] for seen in peer.seen}) == 1
    assert len(peer.seen) == 2
    assert AuditEntry.objects.of(account).get(act="webhook.send_again").member_id == member.pk


def test_the_dispatcher_hints_and_old_deliveries_go(account, peer):
    webhook = make_webhook(account, url=f"{peer.url}/hook")
    announce(account=account.pk, event=Event.RUN_FINISHED, facts={})
    assert dispatch() == 1
    send_deliveries(webhook.pk)
    WebhookDelivery.unscoped.update(created_at=read_now() - timedelta(days=31))
    assert forget_deliveries(webhook) == 1
