"""A letter as an e-mail: HTML and text, in the reader's own time zone, with a way to end it in one click."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.base import BaseEmailBackend
from django.template.loader import render_to_string

from apps.accounts.models import Member
from apps.core.moments import DAY_FIRST, moment_text
from apps.notifications import links
from apps.notifications.holding import zone_of
from apps.notifications.letters import Detail, Group, Letter, Section
from apps.notifications.models import MessageDelivery
from apps.notifications.unsubscribing import unsubscribe_address


class Clock:
    """Writes moments as the reader wants them."""

    def __init__(self, member: Member, now: datetime) -> None:
        profile = getattr(member.user, "profile", None)
        self.zone: ZoneInfo = zone_of(member)
        self.order = profile.date_order if profile is not None else DAY_FIRST
        self.now = now

    def text(self, moment: datetime | None, *, with_zone: bool = False) -> str:
        if moment is None:
            return ""
        return moment_text(moment, self.now, self.zone, order=self.order, with_seconds=False, with_zone=with_zone)


@dataclass(frozen=True, slots=True)
class Body:
    """What a letter says, with the moments of one time zone: the same for all its readers there."""

    html: str
    lines: tuple[str, ...]


def body_of(letter: Letter, account: str, clock: Clock) -> Body:
    until = clock.text(letter.until, with_zone=True)
    context = {"letter": letter, "account": account, "clock": clock, "until": until}
    html = render_to_string("notification/_body.html", context)
    return Body(html, tuple(plain_lines(letter, clock)))


def mail_of(
    letter: Letter, body: Body, delivery: MessageDelivery, member: Member, connection: BaseEmailBackend
) -> EmailMultiAlternatives:
    """The mail. The same delivery has the same Message-ID each time, so that a mailbox which gets it twice can tell."""
    unsubscribe_url = unsubscribe_address(member, letter.kind)
    context = {
        "letter": letter,
        "body": body,
        "settings_url": links.page("notification-list", environment=letter.environment),
        "unsubscribe_url": unsubscribe_url,
    }
    last = [f"End these mails: {unsubscribe_url}"] if unsubscribe_url else []
    mail = EmailMultiAlternatives(
        subject=letter.subject,
        body="\n".join([*body.lines, *last]),
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[member.user.email],
        connection=connection,
        headers=headers_of(delivery, unsubscribe_url),
    )
    mail.attach_alternative(render_to_string("notification/mail.html", context), "text/html")
    return mail


def headers_of(delivery: MessageDelivery, unsubscribe_url: str) -> dict[str, str]:
    headers = {
        "Message-ID": f"<delivery-{delivery.pk}@{links.host()}>",
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
    }
    if unsubscribe_url:
        headers["List-Unsubscribe"] = f"<{unsubscribe_url}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return headers


# --- as plain text ---------------------------------------------------------------------------------------------------
def plain_lines(letter: Letter, clock: Clock) -> Iterator[str]:
    yield letter.subject
    yield clock.text(letter.until, with_zone=True)
    yield from letter.summary
    for section in letter.sections:
        yield from section_lines(section, clock)
    yield ""
    for link in letter.links:
        yield f"{link.label}: {link.href}"


def section_lines(section: Section, clock: Clock) -> Iterator[str]:
    yield ""
    yield f"== {section.above}: {section.title}" if section.above else f"== {section.title}"
    if section.counts:
        yield ", ".join(section.counts)
    for group in section.groups:
        yield from group_lines(group, clock)
    for link in section.links:
        yield f"{link.label}: {link.href}"


def group_lines(group: Group, clock: Clock) -> Iterator[str]:
    if group.title:
        yield f"{group.title}:"
    for detail in group.details:
        yield f"- {', '.join(detail_words(detail, clock))}"
        yield f"  {detail.href}"
    if group.more is not None:
        yield f"- {group.more.label}: {group.more.href}"


def detail_words(detail: Detail, clock: Clock) -> list[str]:
    words = [detail.text, clock.text(detail.at), detail.step, f"key {detail.key}" if detail.key else "", detail.note]
    return [word for word in words if word]
