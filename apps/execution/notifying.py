"""Sends what members and channels are told: by e-mail through one connection for many, or by a signed request."""

import asyncio
import logging
import smtplib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.core.mail import get_connection
from django.db import transaction
from django.db.models import Q, QuerySet
from multidict import CIMultiDict

from apps.accounts.models import Member
from apps.connectors.http.wire import FaultError, Stage
from apps.core.clock import database_now, read_now
from apps.core.crypto import SecretUnreadableError
from apps.core.queue import enqueue
from apps.execution.webhooks import post_bytes, secrets_in, signature, without_secrets
from apps.notifications.announced import tell
from apps.notifications.channel_texts import slack_body, webhook_body
from apps.notifications.channels import Address, address_of
from apps.notifications.deliveries import LEASE_S, SENT, Outcome, claim, drop, note
from apps.notifications.letters import Letter, letter_for, letter_of
from apps.notifications.mails import Body, Clock, body_of, mail_of
from apps.notifications.models import Channel, ChannelKind, DeliveryStatus, DigestWindow, MessageDelivery, MessageKind
from apps.notifications.windows import begin_windows
from apps.webhooks.models import Announcement

logger = logging.getLogger(__name__)

MAKE_DIGESTS = "apps.execution.tasks.make_digests"
SEND_MESSAGES = "apps.execution.tasks.send_messages"
MOST_AT_ONCE = 200
HINT_AGAIN_S = 60
A_TASK = 50
TIMEOUT_S = 15
"""How long a mail server may take for one answer."""


def hint_windows() -> int:
    """Begin the windows of accounts that have none, hint at those that are due; returns how many are due."""
    begin_windows()
    free = Q(hinted_until=None) | Q(hinted_until__lte=database_now())
    due = DigestWindow.unscoped.filter(free, next_at__lte=database_now()).order_by("next_at", "pk")
    hinted = 0
    for account, key in due.values_list("account_id", "pk")[:MOST_AT_ONCE]:
        with transaction.atomic():
            mine = DigestWindow.unscoped.filter(free, pk=key).update(hinted_until=database_now(seconds=HINT_AGAIN_S))
            if mine:
                enqueue(MAKE_DIGESTS, account, key)
                hinted += 1
    return hinted


def tell_announced() -> int:
    """Write what was announced for those who are told at once; returns how many deliveries follow."""
    waiting = Announcement.unscoped.order_by("pk").values_list("account_id", "pk")
    return sum(tell(account, key) for account, key in waiting[:MOST_AT_ONCE])


def hint_messages() -> int:
    """Hand out the deliveries that are due; returns how many."""
    ids = take_due()
    for start in range(0, len(ids), A_TASK):
        enqueue(SEND_MESSAGES, *ids[start : start + A_TASK], queue="interactive")
    return len(ids)


def take_due() -> list[int]:
    """The deliveries that are due, handed out to one caller for a while. Nothing is locked while none is."""
    due = MessageDelivery.unscoped.filter(status=DeliveryStatus.WAITING, next_at__lte=database_now())
    return _hand_out(due) if due.exists() else []


@transaction.atomic
def _hand_out(due: "QuerySet[MessageDelivery]") -> list[int]:
    rows = due.select_for_update(skip_locked=True).order_by("next_at", "pk")
    ids = list(rows.values_list("pk", flat=True)[:MOST_AT_ONCE])
    if ids:
        MessageDelivery.unscoped.filter(pk__in=ids).update(next_at=database_now(seconds=LEASE_S))
    return ids


def send_messages(ids: Iterable[int]) -> int:
    """Make one attempt at each of these deliveries; returns how many went through. May be called twice."""
    rows = MessageDelivery.unscoped.filter(pk__in=list(ids), status=DeliveryStatus.WAITING)
    facts = ("account", "message", "member__user__profile", "member__account", "channel")
    sent, mails = 0, MailRoom()
    try:
        for delivery in rows.select_related(*facts).order_by("pk"):
            sent += send(delivery, mails)
    finally:
        mails.close()
    return sent


@dataclass
class Letters:
    """Each message is put into words once, and once in each time zone, however many are told it."""

    kept: dict[int, Letter] = field(default_factory=dict)
    bodies: dict[tuple[int, str, str], Body] = field(default_factory=dict)

    def of(self, delivery: MessageDelivery) -> Letter:
        if delivery.message_id not in self.kept:
            self.kept[delivery.message_id] = letter_of(delivery.message)
        return letter_for(self.kept[delivery.message_id], delivery)

    def body(self, letter: Letter, delivery: MessageDelivery, member: Member) -> Body:
        clock = Clock(member, read_now())
        if letter is not self.kept.get(delivery.message_id):  # it says what only this reader is told
            return body_of(letter, member.account.name, clock)
        key = (delivery.message_id, clock.zone.key, clock.order)
        if key not in self.bodies:
            self.bodies[key] = body_of(letter, member.account.name, clock)
        return self.bodies[key]


def send(delivery: MessageDelivery, mails: "MailRoom") -> bool:
    """One attempt; True if it went through."""
    if why := unwanted(delivery):
        drop(delivery, why)
        return False
    if not claim(delivery):
        return False
    try:
        outcome, address = made(delivery, mails)
    except Exception as error:  # one message that cannot be put into words must not keep the others waiting
        logger.exception("Delivery %s could not be made.", delivery.pk)
        outcome, address = Outcome(f"Flowmend could not make this message: {type(error).__name__}."), ""
    note(delivery, outcome, address=address)
    return delivery.status == DeliveryStatus.SENT


def made(delivery: MessageDelivery, mails: "MailRoom") -> tuple[Outcome, str]:
    """What came of it, and where it was sent to."""
    letter = mails.letters.of(delivery)
    if delivery.channel is not None:
        return post(delivery, delivery.channel, letter), delivery.channel.host
    assert delivery.member is not None
    return mails.send(delivery, delivery.member, letter), delivery.member.user.email


def unwanted(delivery: MessageDelivery) -> str:
    """Why nothing is sent to this taker any more; "" if it is."""
    if delivery.channel is not None:
        is_test = delivery.message.kind == MessageKind.TEST
        return "" if delivery.channel.enabled or is_test else "The channel is disabled."
    if delivery.member is None:
        return "Who was to be told is gone."
    if not delivery.member.is_active or not delivery.member.user.is_active:
        return "The member is disabled."
    return "" if delivery.member.user.email else "The member has no e-mail address."


# --- channels --------------------------------------------------------------------------------------------------------
def post(delivery: MessageDelivery, channel: Channel, letter: Letter) -> Outcome:
    try:
        address = address_of(channel)
    except SecretUnreadableError as error:
        return Outcome(str(error))
    if channel.kind == ChannelKind.SLACK:
        content = slack_body(letter, delivery.account.name)
    else:
        content = webhook_body(letter, delivery.message, delivery)
    body = orjson.dumps(content)
    headers = CIMultiDict({"Content-Type": "application/json", "User-Agent": "Flowmend"})
    if address.secret:
        headers["Flowmend-Event"], headers["Flowmend-Event-Id"] = letter.kind, str(content["id"])
        headers["Flowmend-Signature"] = signature(address.secret, int(read_now().timestamp()), body)
    try:
        answer = asyncio.run(post_bytes(delivery.account_id, address.url, headers, body))
    except FaultError as fault:
        return Outcome(told_without(address, fault.message), unknown=fault.stage is Stage.UNKNOWN)
    said = answer.body.decode(errors="replace")
    return SENT if answer.is_good else Outcome(told_without(address, f"{answer.status}: {said}"))


def told_without(address: Address, words: str) -> str:
    return without_secrets(words, [address.secret, *secrets_in(address.url)])


# --- e-mail ----------------------------------------------------------------------------------------------------------
@dataclass
class MailRoom:
    """One connection to the mail server for many mails. What refused to be opened is not tried again for the others."""

    letters: Letters = field(default_factory=Letters)
    connection: Any = None
    closed_by: str = ""

    def send(self, delivery: MessageDelivery, member: Member, letter: Letter) -> Outcome:
        if not self._is_open():
            return Outcome(self.closed_by)
        body = self.letters.body(letter, delivery, member)
        mail = mail_of(letter, body, delivery, member, self.connection)
        try:
            mail.send()
        except smtplib.SMTPServerDisconnected as error:
            return self._broken(f"The mail server ended the connection: {error}", unknown=True)
        except smtplib.SMTPException as error:
            return self._broken(refusal(error))
        except OSError as error:
            return self._broken(f"The mail server did not answer in time: {error}", unknown=True)
        return SENT

    def _is_open(self) -> bool:
        if self.connection is None and not self.closed_by:
            connection = get_connection(timeout=TIMEOUT_S)
            try:
                connection.open()
            except (OSError, smtplib.SMTPException) as error:
                self.closed_by = f"The mail server cannot be reached: {refusal(error)}"
            else:
                self.connection = connection
        return self.connection is not None

    def _broken(self, problem: str, *, unknown: bool = False) -> Outcome:
        """After a fault the next mail gets a connection of its own."""
        self.close()
        return Outcome(problem, unknown)

    def close(self) -> None:
        if self.connection is not None:
            with suppress(OSError, smtplib.SMTPException):  # it is done with, whatever the server says
                self.connection.close()
            self.connection = None


def refusal(error: Exception) -> str:
    """What a mail server said, in one line."""
    return " ".join(word for word in refusal_words(error) if word)


def refusal_words(error: Exception) -> Iterator[str]:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        for code, said in error.recipients.values():
            yield f"{code} {said.decode(errors='replace')}"
    elif isinstance(error, smtplib.SMTPResponseException):
        words: bytes | str = error.smtp_error
        yield f"{error.smtp_code} {words.decode(errors='replace') if isinstance(words, bytes) else words}"
    else:
        yield str(error) or type(error).__name__
