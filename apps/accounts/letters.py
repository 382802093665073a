"""Mails about accounts and sign-ins: plain text, one thought a paragraph."""

from collections.abc import Iterable

from django.conf import settings
from django.core.mail import EmailMessage
from django.urls import reverse


def letter(*, to: str, subject: str, paragraphs: Iterable[str]) -> EmailMessage:
    return EmailMessage(" ".join(subject.split()), "\n\n".join(paragraphs) + "\n", to=[to])


def address_of(name: str, *parts: str) -> str:
    """The whole address of a page, for links in mails."""
    return settings.PUBLIC_URL.rstrip("/") + reverse(name, args=parts)
