"""Sending: mails and channels; what a server answers, and what becomes of a message that did not get through."""

import hashlib
import hmac
import json
import logging
from typing import Any

import pytest

from apps.accounts.models import Member
from apps.execution import notifying
from apps.execution.notifying import hint_messages, send_messages, take_due
from apps.notifications.channels import add_channel
from apps.notifications.deliveries import LEASE_S, claim
from apps.notifications.models import MessageDelivery
from apps.notifications.services import Target, send_test
from apps.notifications.unsubscribing import unsubscribe_address
from apps.webhooks.services import WAITS_S
from tests.factories import make_error, make_member, make_run, make_user, step_of
from tests.fakes.http_peer import Peer, reply
from tests.fakes.mail_server import for_recipient, once
from tests.notifications.story import at, log, subjects, subscribed, work

pytestmark = pytest.mark.django_db


def write_test(member: Member, *, minutes: float = 0) -> MessageDelivery:
    with at(minutes):
        send_test(by=member, target=Target(member=member), environment="production")
    return MessageDelivery.unscoped.latest("pk")


def try_once(delivery: MessageDelivery, minutes: float = 0) -> MessageDelivery:
    with at(minutes):
        send_messages([delivery.pk])
    delivery.refresh_from_db()
    return delivery


# --- a mail ----------------------------------------------------------------------------------------------------------
def test_a_digest_has_text_and_html_links_and_one_click_to_end_it(account, mara, world, post):
    subscribed(account, mara)
    with at(5) as moment:
        error = make_error(
            make_run(world.flow), step=step_of(world.flow), key="A-1", occurred_at=moment,
            message="City <b>Lon\nDon</b> is unknown",
        )  # fmt: skip
    work(15)
    (mail,) = post.taken
    assert mail.message["Auto-Submitted"] == "auto-generated"
    address = unsubscribe_address(mara, "digest")
    assert mail.message["List-Unsubscribe"].replace("\n", "").replace(" ", "") == f"<{address}>"
    assert mail.message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    text, html = (mail.message.get_body((kind,)).get_content() for kind in ("plain", "html"))
    own = f"https://flowmend.example.org/flows/{world.flow.pk}/steps/{error.step_id}/errors/{error.pk}/"
    for part in (text, html):
        assert own in part
        assert "2 Mar 12:15 UTC" in part
        assert "key A-1" in part
        assert "/errors/retry?all=1" in part
    assert "City <b>Lon Don</b> is unknown" in text
    assert "City &lt;b&gt;Lon Don&lt;/b&gt; is unknown" in html
    assert "<img" not in html
    assert "<script" not in html


def test_a_name_cannot_begin_another_header(account, mara, world, post):
    world.flow.name = "Orders\r\nBcc: all@example.org"
    world.flow.save()
    subscribed(account, mara, failed_runs=True, flow=world.flow, more_new=1)
    for number in range(2):
        with at(5) as moment:
            make_error(make_run(world.flow), step=step_of(world.flow), key=str(number), occurred_at=moment)
    work(15)
    (mail,) = post.taken
    assert mail.subject == "More errors than expected in Orders Bcc: all@example.org"
    assert mail.recipients == ("mara@example.org",)


# --- what a mail server does -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("command", "answer", "told", "in_doubt"),
    [
        ("MAIL", "421 too many", "421 too many", False),
        ("RCPT", "451 later", "451 later", False),
        ("RCPT", "550 no such mailbox", "550 no such mailbox", False),
        ("DATA", "554 refused", "554 refused", False),
        ("END", "drop", "ended the connection", True),
        ("DATA", "drop", "ended the connection", True),
        ("END", "hang", "timed out", True),
    ],
)
def test_a_mail_that_does_not_get_through_is_sent_again_and_the_log_says_why(
    mara, post, monkeypatch, command, answer, told, in_doubt
):
    monkeypatch.setattr(notifying, "TIMEOUT_S", 0.3)
    post.faults[command] = once(answer)
    delivery = try_once(write_test(mara))
    assert (delivery.status, delivery.attempts, delivery.in_doubt) == ("waiting", 1, in_doubt)
    assert told in delivery.last_error
    assert delivery.shown_status == "message_again"
    post.taken.clear()
    try_once(delivery, WAITS_S[0] / 60)
    assert (delivery.status, delivery.attempts) == ("sent", 2)
    assert subjects(post) == ["Test of notifications"]


def test_a_server_that_is_away_is_asked_once_for_many_and_again_after_growing_waits(account, mara, post, settings):
    settings.EMAIL_PORT = 1
    deliveries = [write_test(mara) for _ in range(3)]
    minutes, waits = 0.0, []
    for _ in range(len(WAITS_S) + 1):
        with at(minutes):
            assert take_due() == [delivery.pk for delivery in deliveries]
            send_messages([delivery.pk for delivery in deliveries])
        row = MessageDelivery.unscoped.get(pk=deliveries[0].pk)
        assert "cannot be reached" in row.last_error
        with at(minutes) as moment:
            waits += [round((row.next_at - moment).total_seconds())] if row.next_at else []
        minutes += waits[-1] / 60
    assert tuple(waits) == WAITS_S
    assert log() == [("failed", len(WAITS_S) + 1)] * 3


def test_one_mailbox_that_refuses_does_not_keep_the_others_waiting(account, mara, post):
    post.faults["RCPT"] = for_recipient("mara@example.org", "550 no")
    others = [make_member(account) for _ in range(2)]
    for member in (others[0], mara, others[1]):
        subscribed(account, member, errors=True)
        write_test(member)
    with at(1):
        send_messages(take_due())
    assert log() == [("sent", 1), ("waiting", 1), ("sent", 1)]


def test_an_attempt_whose_worker_died_is_made_again_and_recorded_as_in_doubt(mara, post):
    delivery = write_test(mara)
    with at(0):
        claim(delivery)  # and then it was killed
    work(1)
    assert subjects(post) == []
    work(LEASE_S / 60 + 0.1)
    delivery.refresh_from_db()
    assert (subjects(post), delivery.status, delivery.in_doubt) == (["Test of notifications"], "sent", True)


def test_a_hint_that_comes_twice_sends_once(mara, post):
    delivery = write_test(mara)
    stale = MessageDelivery.unscoped.get(pk=delivery.pk)
    try_once(delivery)
    try_once(delivery)
    assert not claim(stale)
    assert len(subjects(post)) == 1


def test_the_dispatcher_hands_out_each_delivery_once(mara, post, monkeypatch):
    hints: list[tuple[int, ...]] = []
    monkeypatch.setattr(notifying, "enqueue", lambda name, *ids, queue: hints.append(ids))
    delivery = write_test(mara)
    with at(1):
        assert (hint_messages(), hint_messages()) == (1, 0)
    assert hints == [(delivery.pk,)]


def test_who_is_disabled_or_has_no_address_gets_nothing(account, post):
    nobody = make_member(account, user=make_user(is_active=False))
    silent = make_member(account)
    type(silent.user).objects.filter(pk=silent.user_id).update(email="")
    for member in (nobody, silent):
        try_once(write_test(member))
    assert subjects(post) == []
    assert [row.last_error for row in MessageDelivery.unscoped.order_by("pk")] == [
        "The member is disabled.",
        "The member has no e-mail address.",
    ]


def test_a_message_that_cannot_be_written_does_not_keep_the_others_waiting(mara, post, monkeypatch, caplog):
    caplog.set_level(logging.CRITICAL)
    first, second = write_test(mara), write_test(mara)
    real = notifying.mail_of
    monkeypatch.setattr(notifying, "mail_of", lambda *given: 1 / 0 if given[2].pk == first.pk else real(*given))
    with at(0):
        send_messages([first.pk, second.pk])
    assert log() == [("waiting", 1), ("sent", 1)]


# --- channels --------------------------------------------------------------------------------------------------------
@pytest.fixture
def peer(settings: Any):
    settings.EGRESS_ALLOW_NETS = ["127.0.0.0/8"]
    peer = Peer()
    peer.on("/services/T0/very-secret-part", lambda seen: reply(200, None))
    with peer.running():
        yield peer


def channel_to(peer: Peer, member: Member, kind: str) -> Any:
    address = f"{peer.url}/services/T0/very-secret-part"
    return add_channel(account=member.account, by=member, name=f"ops {kind}", kind=kind, address=address)


def test_a_digest_comes_to_slack_with_buttons_that_lead_to_pages_which_ask(account, world, peer, settings):
    settings.PUBLIC_URL = "https://flowmend.example.org"
    owner = Member.objects.of(account).get(role="owner")
    channel, secret = channel_to(peer, owner, "slack")
    subscribed(account, channel=channel)
    with at(5) as moment:
        make_error(make_run(world.flow), step=step_of(world.flow), message="<!channel> & co", occurred_at=moment)
    work(15)
    (seen,) = peer.seen
    said = json.dumps(seen.json)
    assert seen.json["text"].startswith("1 new, 0 resolved, 1 open errors")
    labels = [
        e["text"]["text"] for block in seen.json["blocks"] if block["type"] == "actions" for e in block["elements"]
    ]
    assert labels == ["Open", "Retry", "Resolve", "Open the errors"]
    assert "https://flowmend.example.org/errors/resolve?all=1" in said
    assert "&lt;!channel&gt; &amp; co" in said
    assert (secret, log()) == ("", [("sent", 1)])


def test_a_webhook_channel_is_signed_and_its_address_is_shown_nowhere(account, world, peer):
    owner = Member.objects.of(account).get(role="owner")
    channel, secret = channel_to(peer, owner, "webhook")
    peer.on("/services/T0/very-secret-part", lambda seen: reply(500, {"at": "/services/T0/very-secret-part"}))
    with at(0):
        send_test(by=owner, target=Target(channel=channel), environment="production")
    delivery = MessageDelivery.unscoped.get()
    try_once(delivery)
    (seen,) = peer.seen
    moment, proof = (part.split("=")[1] for part in seen.headers["Flowmend-Signature"].split(","))
    assert proof == hmac.new(secret.encode(), f"{moment}.".encode() + seen.body, hashlib.sha256).hexdigest()
    assert seen.json["title"] == "Test of notifications"
    assert (delivery.status, delivery.in_doubt, delivery.address) == ("waiting", False, channel.host)
    assert delivery.last_error.startswith("500")
    assert "very-secret-part" not in delivery.last_error
    assert channel.host == peer.url


def test_a_channel_goes_nowhere_that_egress_refuses(account, peer, settings):
    owner = Member.objects.of(account).get(role="owner")
    channel, _ = channel_to(peer, owner, "slack")
    settings.EGRESS_ALLOW_NETS = []
    with at(0):
        send_test(by=owner, target=Target(channel=channel), environment="production")
    delivery = try_once(MessageDelivery.unscoped.get())
    assert (peer.seen, delivery.status, delivery.in_doubt) == ([], "waiting", False)
    assert "127.0.0.1" in delivery.last_error


def test_who_subscribes_a_channel_that_is_disabled_is_told_nothing(account, peer):
    owner = Member.objects.of(account).get(role="owner")
    channel, _ = channel_to(peer, owner, "slack")
    type(channel).unscoped.update(enabled=False)
    subscribed(account, channel=channel)
    work(15)
    assert (log(), peer.seen) == ([], [])
