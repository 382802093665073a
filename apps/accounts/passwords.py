"""Passwords are reset by a link in a mail, and changed; either ends the sessions that the old one opened."""

import logging

from django.contrib.auth.models import User
from django.contrib.auth.tokens import default_token_generator
from django.db import transaction
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from apps.accounts.guessing import forget_guesses
from apps.accounts.letters import address_of, letter
from apps.accounts.sessions import end_sessions
from apps.accounts.sign_in_changes import record_of_user
from apps.accounts.sign_in_models import Guessed
from apps.core.queue import enqueue

SEND_RESET = "apps.execution.tasks.send_password_reset"
NOBODY = 0

logger = logging.getLogger(__name__)


def ask_for_reset(email: str) -> None:
    """A mail goes to whoever has this address. The work is the same where nobody has it: time tells nothing."""
    found = User.objects.filter(email__iexact=email.strip(), is_active=True).order_by("pk").values_list("pk", flat=True)
    for user_id in list(found[:3]) or [NOBODY]:
        enqueue(SEND_RESET, user_id, queue="interactive")


def send_reset_mail(user_id: int) -> None:
    """The link is good for an hour, once, and until the user signs in or the password changes."""
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None:
        return
    link = address_of(
        "console:password-new", urlsafe_base64_encode(force_bytes(user.pk)), default_token_generator.make_token(user)
    )
    paragraphs = (
        f"Somebody, probably you, asked for a new password of {user.get_username()} on Flowmend.",
        "Open this link to choose one. It is good once, for an hour:",
        link,
        "If it was not you, do nothing: your password stays as it is.",
    )
    try:
        letter(to=user.email, subject="Your password on Flowmend", paragraphs=paragraphs).send()
    except OSError as error:
        logger.warning("The mail for a new password of user %s could not be sent: %s", user.pk, error)


@transaction.atomic
def set_password(user: User, password: str, *, keep_session: str | None = None) -> None:
    """All sessions end but the one to keep, and a lock of the sign-in is lifted."""
    user.set_password(password)
    user.save(update_fields=["password"])
    end_sessions(user, but=keep_session)
    forget_guesses((Guessed.NAME, name) for name in {user.get_username(), user.email} if name)
    record_of_user(user, "password.change", {"user": user.get_username()})
