"""Webhooks over the API: made, changed, tried, looked at; a manager's."""

from typing import Any

import pytest

from apps.accounts.models import AuditEntry, Role
from apps.core.ids import Kind, wire_id
from apps.webhooks.models import Webhook, WebhookDelivery
from apps.webhooks.services import read_secret
from tests.api.client import api_of
from tests.factories import make_integration, make_member, make_webhook

pytestmark = pytest.mark.django_db
BODY: dict[str, Any] = {"url": "https://example.org/hook?key=canary-7f3a", "events": ["error.opened", "run.finished"]}


def test_a_webhook_is_made_with_a_secret_that_is_shown_once(api, account):
    integration = make_integration(account)
    made = api.call("POST", "webhooks", BODY | {"_integrationId": wire_id(Kind.INTEGRATION, integration.pk)})
    webhook = Webhook.objects.of(account).get()
    assert made.status == 201
    assert made.json["secret"] == read_secret(webhook)
    assert (made.json["_id"], webhook.integration_id) == (wire_id(Kind.WEBHOOK, webhook.pk), integration.pk)
    shown = api.call("GET", f"webhooks/{made.json['_id']}").json
    assert "secret" not in shown
    assert api.call("GET", "webhooks").json == [shown]
    entry = AuditEntry.objects.of(account).get(act="webhook.add")
    assert entry.after == {
        "host": "https://example.org", "events": BODY["events"], "enabled": True, "integration": integration.pk
    }  # fmt: skip


def test_a_webhook_is_replaced_and_keeps_its_secret_unless_one_is_given(api, account):
    webhook = make_webhook(account)
    place = f"webhooks/{wire_id(Kind.WEBHOOK, webhook.pk)}"
    answer = api.call("PUT", place, BODY | {"enabled": False}).json
    webhook.refresh_from_db()
    assert (answer["enabled"], webhook.enabled, webhook.url) == (False, False, BODY["url"])
    assert read_secret(webhook) == "a secret of tests"
    api.call("PUT", place, BODY | {"secret": "another secret of tests"})
    webhook.refresh_from_db()
    assert (webhook.enabled, read_secret(webhook)) == (True, "another secret of tests")
    api.call("DELETE", place, status=204)
    assert not Webhook.objects.of(account).exists()


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ({"url": "ftp://example.org"}, "url"),
        ({"url": "https://user:pass@example.org/"}, "url"),
        ({"url": "https://[1"}, "url"),
        ({"events": []}, "events"),
        ({"events": ["error.closed"]}, "events"),
        ({"secret": "short"}, "secret"),
        ({"_integrationId": wire_id(Kind.INTEGRATION, 2**40)}, "_integrationId"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_with_its_field(api, facts, field):
    assert api.call("POST", "webhooks", BODY | facts, status=422).json["errors"][0]["field"] == field


def test_a_test_is_queued_and_stands_in_the_deliveries(api, account, django_assert_max_num_queries):
    webhook = make_webhook(account, enabled=False)
    place = f"webhooks/{wire_id(Kind.WEBHOOK, webhook.pk)}"
    made = api.call("POST", f"{place}/test", status=201).json
    api.call("POST", f"{place}/test")
    assert (made["type"], made["status"], made["payload"]["type"]) == ("webhook.test", "pending", "webhook.test")
    WebhookDelivery.objects.of(account).filter(event_id=made["eventId"]).update(
        status="failed", last_status=500, last_answer="no", attempts=10, next_at=None
    )
    with django_assert_max_num_queries(4):
        newest, oldest = api.call("GET", f"{place}/deliveries").json
    assert (oldest["eventId"], oldest["status"], oldest["lastStatus"]) == (made["eventId"], "failed", 500)
    assert newest["status"] == "pending"


def test_a_monitor_sees_no_webhook(account):
    webhook = make_webhook(account)
    monitor = api_of(make_member(account, role=Role.MONITOR))
    for place in ("webhooks", f"webhooks/{wire_id(Kind.WEBHOOK, webhook.pk)}/deliveries"):
        assert monitor.call("GET", place, status=403).codes == ["forbidden"]
