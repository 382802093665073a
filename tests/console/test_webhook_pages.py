"""Webhooks in the console: made with a secret that is shown once, tested, switched, deleted; and their deliveries."""

import re
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import AuditEntry, Member, Role
from apps.core.clock import read_now
from apps.webhooks.models import Event, Webhook, WebhookDelivery
from apps.webhooks.services import announce, read_secret, send_test
from tests.console.screens import html_of, signed_in, text_of
from tests.factories import make_account, make_integration, make_member, make_webhook

LIST = "/settings/webhooks/"
FACTS: dict[str, Any] = {
    "url": "https://example.org/hook?key=canary-7f3a", "events": ["error.opened", "run.finished"], "enabled": "on",
}  # fmt: skip


def address(webhook: Webhook, act: str = "") -> str:
    return f"{LIST}{webhook.pk}/{act}"


def ended(webhook: Webhook, number: int = 1, **facts: Any) -> None:
    """Deliveries that were given up after an answer."""
    for _ in range(number):
        announce(account=webhook.account_id, event=Event.RUN_FINISHED, facts={"numError": 3})
    told = {"status": "failed", "attempts": 10, "next_at": None, "ended_at": read_now(), "last_status": 503}
    WebhookDelivery.unscoped.update(**told | {"last_answer": "not now"} | facts)


def test_a_webhook_is_made_and_its_secret_shown_once(page, account, member):
    integration = make_integration(account)
    answer = page.post(f"{LIST}new/", FACTS | {"integration": integration.pk})
    webhook = Webhook.objects.of(account).get()
    assert answer.url == address(webhook)
    secret = read_secret(webhook)
    assert secret not in str(list(page.session.items()))
    shown = page.get(answer.url)
    assert secret in shown.content.decode()
    assert "no-store" in shown["Cache-Control"]
    assert secret not in html_of(page, answer.url)
    assert (webhook.events, webhook.integration_id, webhook.enabled) == (FACTS["events"], integration.pk, True)
    assert AuditEntry.objects.of(account).get(act="webhook.add").member_id == member.pk


def test_the_page_of_another_webhook_does_not_take_the_secret(page, account):
    other = make_webhook(account)
    place = page.post(f"{LIST}new/", FACTS).url
    webhook = Webhook.objects.of(account).exclude(pk=other.pk).get()
    assert read_secret(webhook) not in html_of(page, address(other))
    assert read_secret(webhook) in html_of(page, place)


def test_a_secret_that_was_typed_is_not_shown(page, account):
    page.post(f"{LIST}new/", FACTS | {"secret": "a secret that I typed"})
    webhook = Webhook.objects.of(account).get()
    assert read_secret(webhook) == "a secret that I typed"
    assert "a secret that I typed" not in html_of(page, address(webhook))


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"url": "ftp://example.org"}, "This must be an address such as"),
        ({"events": []}, "Choose at least one event"),
        ({"secret": "short"}, "at least 16 characters"),
    ],
    ids=["address", "events", "secret"],
)
def test_what_cannot_be_is_told_at_its_field(page, facts, sentence):
    answer = page.post(f"{LIST}new/", FACTS | facts)
    assert (answer.status_code, Webhook.unscoped.exists()) == (422, False)
    assert sentence in text_of(answer.content.decode())


def test_the_list_shows_hosts_only_and_the_last_delivery(page, account, django_assert_num_queries):
    webhook = make_webhook(account, url=FACTS["url"])
    make_webhook(account, enabled=False)
    ended(webhook)
    with django_assert_num_queries(4):  # session, member, the webhooks, the shell
        html = html_of(page, LIST)
    first, second = (text_of(row) for row in re.findall(r"<tr>(.*?)</tr>", html, re.S)[1:])
    assert "https://example.org" in first
    assert "canary" not in html
    assert "Given up" in first
    assert ("Disabled" in second, "none" in second) == (True, True)


def test_it_is_edited_and_keeps_its_secret_unless_one_is_given(page, account):
    webhook = make_webhook(account)
    assert webhook.url in html_of(page, address(webhook, "edit/"))
    assert page.post(address(webhook, "edit/"), FACTS).url == address(webhook)
    webhook.refresh_from_db()
    assert (webhook.url, webhook.events, read_secret(webhook)) == (FACTS["url"], FACTS["events"], "a secret of tests")
    page.post(address(webhook, "edit/"), FACTS | {"secret": "another secret of tests"})
    webhook.refresh_from_db()
    assert read_secret(webhook) == "another secret of tests"


def test_deliveries_tell_what_came_of_them_and_are_sent_again(page, account, django_assert_num_queries):
    webhook = make_webhook(account)
    ended(webhook)
    with django_assert_num_queries(5):  # session, member, webhook, deliveries, the shell
        html = html_of(page, address(webhook))
    for words in ("run.finished", "Given up", "503", "not now", "numError"):
        assert words in text_of(html)
    delivery = WebhookDelivery.unscoped.get()
    again = address(webhook, f"deliveries/{delivery.pk}/send")
    assert again in html
    page.post(again)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts) == ("pending", 0)
    assert "on its way already" in text_of(page.post(again, follow=True).content.decode())


def test_deliveries_are_filtered_and_paged(page, account, member):
    webhook = make_webhook(account)
    ended(webhook, 51)
    send_test(webhook=webhook, member=member)
    assert "webhook.test" not in html_of(page, address(webhook) + "?status=failed")
    older = re.search(r'href="([^"]+)" rel="next"', html_of(page, address(webhook)))[1]
    assert html_of(page, older.replace("&amp;", "&")).count("Send again</button>") == 2
    assert page.get(address(webhook) + "?page=nonsense").url == address(webhook)


def test_it_is_tested_disabled_enabled_and_by_an_administrator_deleted(page, account, member):
    webhook = make_webhook(account)
    page.post(address(webhook, "test"))
    assert WebhookDelivery.unscoped.get().event == "webhook.test"
    for act, enabled in (("disable", False), ("enable", True)):
        page.post(address(webhook, act))
        webhook.refresh_from_db()
        assert webhook.enabled == enabled
    assert 'disabled title="It takes the role administrator"' in html_of(page, address(webhook))
    Member.objects.of(account).filter(pk=member.pk).update(role=Role.ADMINISTRATOR)
    assert "disable it instead" in html_of(page, address(webhook, "delete"))
    assert Webhook.unscoped.exists()
    assert page.post(address(webhook, "delete")).url == LIST
    assert not Webhook.unscoped.exists()


def test_a_disabled_one_sends_nothing_again_before_it_is_enabled(page, account):
    webhook = make_webhook(account)
    ended(webhook)
    page.post(address(webhook, "disable"))
    assert "This webhook is disabled. Enable it first." in html_of(page, address(webhook))


def test_webhooks_are_a_managers_and_of_one_account(page, account):
    webhook, theirs = make_webhook(account), make_webhook(make_account())
    monitor = signed_in(make_member(account, role=Role.MONITOR).user)
    assert LIST in html_of(page, "/profile/")
    assert LIST not in html_of(monitor, "/profile/")
    for place in (LIST, f"{LIST}new/", address(webhook), address(webhook, "edit/"), address(webhook, "delete")):
        assert monitor.get(place).status_code == 403
    assert monitor.get(address(theirs)).status_code == page.get(address(theirs)).status_code == 404
    assert page.post(address(theirs, "test")).status_code == 404


def test_without_signing_in_there_is_nothing(client: Client, db):
    assert client.get(LIST).url.startswith("/login/")
