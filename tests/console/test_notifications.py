"""The pages of notifications: subscriptions, when mails are wanted, channels, the log, and the end by one click."""

import re
from html import unescape

import pytest
from django.test import Client

from apps.accounts.models import Account, AuditEntry, Member, Role
from apps.errors.models import Error
from apps.notifications.models import Channel, MessageDelivery, Preference, Subscription
from apps.notifications.unsubscribing import unsubscribe_address
from tests.console.screens import html_of, orders_flow, signed_in, text_of
from tests.factories import (
    make_channel,
    make_error,
    make_flow,
    make_integration,
    make_member,
    make_user,
    step_of,
)
from tests.notifications.story import at, log, subscribed, work

OWN = "/settings/notifications/"
LIST_QUERIES = 8  # session, member, subscriptions, wishes, channels, deliveries, window, what the shell counts


@pytest.fixture
def owner(account: Account) -> Member:
    return Member.objects.of(account).select_related("user").get(role=Role.OWNER)


@pytest.fixture
def desk(owner: Member) -> Client:
    """The owner's browser."""
    return signed_in(owner.user)


def post(client: Client, path: str, **given: object) -> str:
    return text_of(client.post(path, given, follow=True).content.decode())


# --- subscriptions ---------------------------------------------------------------------------------------------------
def test_a_member_subscribes_himself_changes_it_and_ends_it(page: Client, member: Member, account: Account) -> None:
    flow = orders_flow(account)
    assert "No subscription yet" in text_of(html_of(page, OWN))
    given = {"taker": f"m{member.pk}", "about": f"f{flow.pk}", "digest": "on", "more_new": "5"}
    said = post(page, f"{OWN}subscriptions/new/", **given)
    assert "is told of Orders: digest of errors, more than 5 new errors." in said
    row = Subscription.unscoped.get()
    assert (row.member, row.flow, row.environment) == (member, flow, "production")
    said = post(page, f"{OWN}subscriptions/{row.pk}/edit/", failed_runs="on")
    assert "is told of Orders: run failed." in said
    said = post(page, f"{OWN}subscriptions/{row.pk}/edit/")
    assert "Choose at least one kind of message" in said
    assert "is not told of Orders because of this subscription any more" in post(
        page, f"{OWN}subscriptions/{row.pk}/end"
    )
    acts = AuditEntry.unscoped.filter(act__startswith="subscription.").order_by("pk").values_list("act", flat=True)
    assert list(acts) == ["subscription.add", "subscription.change", "subscription.end"]


def test_only_administrators_subscribe_others_and_see_what_they_get(
    page: Client, desk: Client, member: Member, owner: Member, account: Account
) -> None:
    subscribed(account, owner)
    assert "No subscription yet" in text_of(html_of(page, OWN))
    row = Subscription.unscoped.get()
    assert page.post(f"{OWN}subscriptions/{row.pk}/end").status_code == 404
    said = post(page, f"{OWN}subscriptions/new/", taker=f"m{owner.pk}", about="account", digest="on")
    assert "Select a valid choice" in said
    post(desk, f"{OWN}subscriptions/new/", taker=f"m{member.pk}", about="account", digest="on")
    assert Subscription.unscoped.filter(member=member).count() == 1
    assert page.get(f"{OWN}channels/new/").status_code == 403


def test_what_is_of_another_account_or_environment_cannot_be_chosen(page: Client, member: Member) -> None:
    for flow in (make_flow(), make_flow(integration=make_integration(member.account, environment="sandbox"))):
        said = post(page, f"{OWN}subscriptions/new/", taker=f"m{member.pk}", about=f"f{flow.pk}", digest="on")
        assert "Select a valid choice" in said
    stranger = make_member()
    other = subscribed(stranger.account, stranger)
    assert page.get(f"{OWN}subscriptions/{other.pk}/edit/").status_code == 404


def test_a_member_with_roles_in_integrations_is_subscribed_to_these_only(desk: Client, account: Account) -> None:
    lea = Member.unscoped.create(account=account, user=make_user("lea"), role="")
    group = make_integration(account, name="Shop")
    said = post(desk, f"{OWN}subscriptions/new/", taker=f"m{lea.pk}", about=f"i{group.pk}", digest="on")
    assert "lea does not see this integration." in said


def test_an_integration_and_a_flow_show_who_is_told_of_them(desk: Client, owner: Member, account: Account) -> None:
    flow = orders_flow(account)
    other = make_flow(account)
    everything = subscribed(account, owner)
    own = subscribed(account, make_member(account, user=make_user("ana")), flow=flow)
    subscribed(account, make_member(account, user=make_user("zoe")), flow=other)
    for path in ("/integrations/shop/notifications/", f"/flows/{flow.pk}/settings/"):
        html = html_of(desk, path)
        for row in (everything, own):
            assert f"/subscriptions/{row.pk}/edit/" in html
        assert "zoe" not in text_of(html)
    where = re.search(r'href="([^"]*subscriptions/new/[^"]*)"', html_of(desk, "/integrations/shop/notifications/"))
    assert where is not None
    assert f'<option value="i{flow.integration_id}" selected>' in html_of(desk, unescape(where[1]))


# --- the page --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("rows", [1, 6])
def test_the_page_asks_the_same_however_much_it_shows(
    desk: Client, account: Account, owner: Member, rows: int, django_assert_num_queries
) -> None:
    for _ in range(rows):
        subscribed(account, make_member(account))
        make_channel(account)
        post(desk, f"{OWN}test")
    html_of(desk, OWN)
    with django_assert_num_queries(LIST_QUERIES):
        text = text_of(html_of(desk, OWN))
    assert text.count("digest of errors") == rows


def test_a_member_says_when_he_wants_mails(page: Client, member: Member) -> None:
    said = post(page, f"{OWN}wishes/save", quiet_from="22:00", quiet_to="06:00", daily_at="07:30")
    assert "Saved: when you want mails." in said
    wish = Preference.unscoped.get()
    assert (str(wish.quiet_from), str(wish.daily_at), wish.assigned) == ("22:00:00", "07:30:00", False)
    assert "Quiet hours need both" in post(page, f"{OWN}wishes/save", quiet_from="22:00")
    assert 'value="22:00"' in html_of(page, "/profile/")


def test_the_log_shows_what_came_of_a_test(page: Client, member: Member, settings) -> None:
    settings.EMAIL_BACKEND, settings.EMAIL_PORT = "django.core.mail.backends.smtp.EmailBackend", 1
    with at(0):
        post(page, f"{OWN}test")
    work(1)
    text = text_of(html_of(page, f"{OWN}deliveries/"))
    assert "Sent again later" in text
    assert "cannot be reached" in text
    assert "No delivery matches" in text_of(html_of(page, f"{OWN}deliveries/?status=sent"))
    assert log() == [("waiting", 1)]


# --- channels --------------------------------------------------------------------------------------------------------
def test_a_channel_is_made_its_secret_shown_once_and_its_address_never(desk: Client, account: Account) -> None:
    given = {"name": "ops", "kind": "webhook", "address": "https://example.org/very/secret/part"}
    html = desk.post(f"{OWN}channels/new/", given, follow=True).content.decode()
    assert re.search(r'value="fmch_[0-9a-f]{48}"', html)
    again = html_of(desk, OWN)
    assert ("fmch_" in again, "very/secret" in html + again, "https://example.org" in again) == (False, False, True)
    channel = Channel.unscoped.get()
    assert "There is a channel ops already" in post(desk, f"{OWN}channels/new/", **given)
    assert "must be an address such as" in post(desk, f"{OWN}channels/new/", name="b", kind="slack", address="nowhere")
    post(desk, f"{OWN}channels/{channel.pk}/test")
    assert MessageDelivery.unscoped.get().channel_id == channel.pk
    post(desk, f"{OWN}channels/{channel.pk}/disable")
    channel.refresh_from_db()
    assert not channel.enabled
    post(desk, f"{OWN}subscriptions/new/", taker=f"c{channel.pk}", about="account", digest="on")
    assert "Its 1 subscription ends with it." in text_of(html_of(desk, f"{OWN}channels/{channel.pk}/delete/"))
    post(desk, f"{OWN}channels/{channel.pk}/delete/")
    assert (Channel.unscoped.count(), Subscription.unscoped.count()) == (0, 0)
    assert "deleted" in text_of(html_of(desk, OWN))


@pytest.mark.parametrize("verb", ["test", "enable", "disable", "delete/"])
def test_channels_are_those_of_administrators_and_of_the_account(page: Client, desk: Client, account, verb) -> None:
    assert page.post(f"{OWN}channels/{make_channel(account).pk}/{verb}").status_code == 403
    assert desk.post(f"{OWN}channels/{make_channel().pk}/{verb}").status_code == 404


# --- the end by one click --------------------------------------------------------------------------------------------
def test_one_click_ends_these_mails_without_signing_in(member: Member, account: Account, client: Client) -> None:
    row = subscribed(account, member, errors=True, failed_runs=True)
    path = unsubscribe_address(member, "digest").split("8000", 1)[1]
    assert "End digests of errors?" in text_of(html_of(client, path))
    row.refresh_from_db()
    assert row.errors  # what only looks at links ends nothing
    strict = Client(enforce_csrf_checks=True)
    answer = strict.post(path, {"List-Unsubscribe": "One-Click"})
    assert "You get no digests of errors any more" in text_of(answer.content.decode())
    row.refresh_from_db()
    assert (row.errors, row.failed_runs, Preference.unscoped.get().assigned) == (False, True, False)
    assert client.get(path.replace("digest", "run_failed")).status_code == 404
    assert client.get("/unsubscribe/1-digest/").status_code == 404


# --- where mails lead ------------------------------------------------------------------------------------------------
def test_the_links_of_a_mail_lead_to_pages_that_ask_before_anything_is_done(
    desk: Client, owner: Member, account: Account, mailoutbox
) -> None:
    flow = orders_flow(account)
    subscribed(account, owner)
    with at(5) as moment:
        error = make_error(step=step_of(flow), occurred_at=moment)
    work(15)
    (mail,) = mailoutbox
    addresses = re.findall(r"http://127.0.0.1:8000(\S+)", mail.body)
    pages = {address: desk.get(address).status_code for address in addresses}
    assert set(pages.values()) == {200}
    assert len(pages) == 6  # the flow's errors, the error, retry, resolve, all errors, the end of these mails
    error.refresh_from_db()
    assert (error.state, error.retry_run) == ("open", None)
    (resolve,) = (address for address in addresses if "/errors/resolve" in address)
    form = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', html_of(desk, resolve)))
    desk.post("/errors/resolve", {name: unescape(value) for name, value in form.items()} | {"confirmed": "1"})
    assert Error.unscoped.get().state == "resolved"
